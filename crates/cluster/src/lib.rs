//! What scheduler and executor say to each other, and what both are assembled from: the control stream's orders, the
//! options that travel with every task, the one assembly of an engine session, the layered configuration, and the plain
//! port for health and metrics. Nothing here plans, schedules or computes: look into `scheduler` and `executor` for that.

pub mod bytesize;
pub mod config;
pub mod failure;
pub mod grant;
pub mod health;
pub mod logging;
pub mod options;
pub mod orders;
pub mod partition;
pub mod residue;
pub mod session;
pub mod shutdown;
pub mod tls;
