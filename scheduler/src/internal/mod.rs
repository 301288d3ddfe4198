//! The internal listener: what executors may ask of the scheduler, which is work and nothing else. [`guard`] stands before
//! Ballista's own service, [`control`] holds the streams by which executors are woken, told to stop, and found missing,
//! `handed` knows the tasks of which each may report, `soundness` proves a stage sound before a task of it is handed out, and
//! `inputs` says which stages a task reads, and [`renewals`] signs the grants of tasks anew while they run.
//! `fair` says whose work an executor is given.

pub mod control;
pub(crate) mod fair;
pub mod guard;
mod handed;
mod inputs;
pub mod renewals;
mod soundness;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
