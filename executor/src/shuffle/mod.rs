//! Partitions between stages. Every partition is written sealed under a key of its job that exists in this process's
//! memory only, served to other nodes over mTLS only, and removed when its job ends.
//!
//! [`store`] owns files, keys and the quota; `writer` turns batches into a partition; `reader` is the plan node that
//! reads partitions from here or from elsewhere; `server` answers other nodes.

pub(crate) mod exchange;
pub(crate) mod reader;
pub(crate) mod server;
pub mod store;
pub(crate) mod writer;

pub use parcours_cluster::partition::{FETCH, PartitionKey};
