//! The executor: takes tasks from the scheduler, puts decryption back into their scans, computes them, and keeps their
//! partitions sealed until the next stage or the scheduler has read them. Data keys live here for as long as tasks need them;
//! master keys do not.
//!
//! [`run`] reads as a node's life; [`engine`] is the hook through which every task passes; [`shuffle`] holds the partitions.

pub mod config;
mod control;
mod engine;
mod keys;
mod membership;
mod metrics;
mod nodes;
mod operators;
mod pool;
mod run;
mod scratch;
pub mod shuffle;
mod slots;
mod stage;
#[cfg(feature = "measure-plain")]
mod stock;
mod stop;
mod tasks;
mod threads;

pub use run::run;
