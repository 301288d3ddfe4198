//! The scheduler: Flight SQL for people on one listener, work for executors on another. It plans, admits, schedules and
//! relays; it holds no key, opens no data file and keeps no result.
//!
//! [`run`] reads as the process's life; a query's way begins in [`flight_sql`], crosses [`port`] and goes on in [`query`].

pub mod config;
pub mod datasets;
pub mod engine;
pub mod flight_sql;
pub mod internal;
pub mod metrics;
pub mod port;
pub mod query;
mod run;

pub use run::run;
