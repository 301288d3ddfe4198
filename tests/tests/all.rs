//! Every integration test of Parcours, one module a subject, in one binary: each binary that links the engine would
//! take a long link of its own. `cargo test --release --workspace` runs them; `CI=true` makes a missing tool a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod certificates;
mod cluster;
mod corner;
mod doctor;
mod faults;
mod hsm;
mod keys;
mod kinds;
mod loads;
mod memory;
mod metamorphic;
mod oracles;
mod pathways;
mod queries;
mod random;
mod residue;
mod revocation;
mod rotation;
mod s3;
mod same;
mod secrets;
mod shards;
mod slt;
mod store;
mod surface;
mod tamper;
mod wide;
mod wires;
