//! Partitions between stages. A small one stays in memory as long as there is room; every other one is written sealed
//! under a key of its job that exists in this process's memory only. They are served to other nodes over mTLS only, and
//! removed when their job ends.
//!
//! [`store`] owns partitions, keys and budgets; `partition_bytes` is one partition; `writer` turns batches into a partition; `reader` is the plan node that
//! reads partitions from here or from elsewhere; `server` answers other nodes, `grants` says which executor may fetch what.

mod budget;
pub(crate) mod exchange;
mod grants;
mod order;
mod partition_bytes;
pub(crate) mod reader;
pub(crate) mod server;
pub mod store;
pub(crate) mod writer;

pub use parcours_cluster::partition::{FETCH, Fetch, PartitionKey};
