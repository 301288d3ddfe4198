//! The query service: what a person asks is planned under their grant ([`planner`]), admitted class by class
//! ([`admission`]), run as a job on the cluster ([`jobs`]), again if an executor is lost ([`recovery`]), otherwise if the
//! engine breaks down over the plan ([`planning`], [`replanning`]), and relayed to its one reader ([`results`]). It knows
//! nothing of gRPC handles or tickets; those stay in [`crate::flight_sql`], which calls it through [`crate::port`].

pub mod admission;
pub mod errors;
pub mod exchanges;
pub mod jobs;
pub mod local;
pub mod planner;
pub mod planning;
pub mod recovery;
pub mod replanning;
pub mod results;
pub mod service;
pub mod session;
pub mod standing;
pub mod statement;
pub mod subqueries;
#[cfg(test)]
pub(crate) mod testing;
pub mod ties;
pub mod windows;

pub use service::Queries;
