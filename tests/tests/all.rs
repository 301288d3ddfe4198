//! Every integration test of Parcours, one module a subject, in one binary: each binary that links the engine would
//! take a long link of its own. `cargo test --release --workspace` runs them; `CI=true` makes a missing tool a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Result, ensure};
use parcours_tests::place;

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
mod stolen;
mod store;
mod surface;
mod tamper;
mod wide;
mod wires;

/// Cargo does not look for tests here by itself: a file that is no module would never run.
#[test]
fn every_file_of_this_folder_is_a_module() -> Result<()> {
    let program = include_str!("all.rs");
    let mut files = 0;
    for entry in std::fs::read_dir(place::tests().join("tests"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files += 1;
        let is_module = name == "all" || program.lines().any(|line| line == format!("mod {name};"));
        ensure!(is_module, "{} is in no test program", path.display());
    }
    ensure!(files > 20, "only {files} files were looked at");
    Ok(())
}
