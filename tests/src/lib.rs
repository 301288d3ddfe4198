//! What Parcours' tests stand on: real processes of the built binary, an object store, a Python with the real clients,
//! DuckDB as the oracle, a reader of network captures, a recorder of what processes write, a reader of stage plans, and damage to files. Nothing in
//! here knows how a query is answered: an expected value always comes from somewhere else than from Parcours. The tests
//! themselves are in `tests/all.rs` and its modules.
//!
//! A tool that is missing is reported on standard error and its test does nothing, unless `CI=true`: then it fails.

pub mod damage;
pub mod markers;
pub mod oracle;
pub mod place;
pub mod process;
pub mod python;
pub mod query;
pub mod rgw;
pub mod rounds;
pub mod rows;
pub mod sandbox;
pub mod stages;
pub mod tool;
pub mod unpacked;
pub mod wire;
pub mod writes;
