//! The key daemon: it alone holds master keys while a cluster runs. An executor presents its certificate and the grant of
//! the task that it computes, and is released the data keys of the classes that both allow, and no others; each release
//! and each refusal is logged. The scheduler, who signs the grants, is not even let in.
//!
//! [`run`] reads as the process's life, [`release`] is the decision, [`protocol`] what passes over the wire, [`client`] the
//! executor's side of it.

pub mod client;
pub mod config;
mod metrics;
pub mod protocol;
pub mod release;
mod run;
mod service;

pub use run::run;
