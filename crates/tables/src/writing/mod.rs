//! Sorted rows in, the encrypted files of one table out, and the log entries that name them. Loading and compaction both
//! write through here, so that what no reader checks later is checked once, in one place: order, shard, class of every
//! column. Nothing here makes a dataset version visible but [`commit::create_version`].

pub(crate) mod commit;
pub(crate) mod shape;
pub(crate) mod shards;
mod upload;
pub(crate) mod write;
