//! A union of tables that lie alike: `UNION ALL` of what comes out of shards of one dataset, shard by shard. Its *n*-th
//! partition is the *n*-th of every part, one after the other, so that all rows of a patient stay together and whatever
//! groups or joins by patient above it needs no exchange.
//!
//! The engine's own node for this, `InterleaveExec`, refuses the slice of a plan that a task gets, in which Ballista 55 leaves
//! the shards' split points out; and its plain union is then exchanged by patient. This one asks for as many partitions in
//! each part, and promises no more than its parts do.
//!
//! [`logical`] stands in the optimized plan, put there by a rule; [`physical`] computes; [`planner`] leads from one to the
//! other; `codec.rs` takes it over the wire.

pub(crate) mod logical;
pub(crate) mod physical;
pub(crate) mod planner;
