//! Unions whose parts lie in a way that the engine's own union does not keep.
//!
//! **Shard by shard.** `UNION ALL` of what comes out of shards of one dataset: the *n*-th partition is the *n*-th of every
//! part, one after the other, so that all rows of a patient stay together and whatever groups or joins by patient above it
//! needs no exchange. The engine's own node for this, `InterleaveExec`, refuses the slice of a plan that a task gets, in
//! which Ballista 55 leaves the shards' split points out; and its plain union is then exchanged by patient. This one asks for
//! as many partitions in each part, and promises no more than its parts do.
//!
//! **In one task.** A union with a total among its parts: Ballista narrows a plan to the partitions of a task by its leaves,
//! and cannot say to which task a part belongs that has one partition whatever is below it. Its rows would come once a task.
//! Here all parts are brought together, each as one partition; what is large is below, in stages of its own.
//!
//! [`logical`] stands in the optimized plan, put there by a rule; `planner.rs` leads from there to [`physical`], which
//! computes; `totals.rs` tells which parts are totals; `codec.rs` takes them over the wire.

pub(crate) mod logical;
pub(crate) mod physical;
