//! What the processes of a cluster say to each other, and what they are assembled from: the control stream's orders, the
//! options and the grant that travel with every task, who may read what, the one assembly of an engine session, the layered configuration, and the plain
//! port for health and metrics. But for that session's optimizer rules and its union
//! shard by shard, nothing here plans, schedules or computes: look into `scheduler` and `executor` for that.

pub mod access;
pub mod batch;
pub mod bytesize;
mod calendar;
mod codec;
pub mod config;
pub mod deadline;
pub mod elsewhere;
pub mod executors;
pub mod failure;
pub mod flight;
pub mod functions;
pub mod grant;
pub mod health;
pub mod logging;
pub mod options;
pub mod orders;
pub mod partition;
pub mod placement;
mod ranks;
pub mod residue;
mod rules;
pub mod session;
pub mod shutdown;
pub mod task_grant;
pub mod tls;
pub mod windows;
