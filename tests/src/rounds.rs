//! How often a proof is repeated, and where its figures go. A small fixed sample runs with the tests; `PARCOURS_ROUNDS`
//! asks for more, as the recipes of the `justfile` do.

use std::io::Write;
use std::process::Command;

use crate::place;

/// How many rounds: the sample of every test run unless `PARCOURS_ROUNDS` says otherwise.
pub fn rounds(sample: usize) -> usize {
    std::env::var("PARCOURS_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .filter(|rounds| *rounds > 0)
        .unwrap_or(sample)
}

/// Of how many statements one is asked: as the sample of every test run has it unless `PARCOURS_EVERY` says otherwise.
pub fn every(sample: usize) -> usize {
    std::env::var("PARCOURS_EVERY")
        .ok()
        .and_then(|every| every.parse().ok())
        .unwrap_or(sample)
        .max(1)
}

/// What random statements are made from: `PARCOURS_SEED`, or the commit, so that each commit has statements of its own.
pub fn seed() -> String {
    std::env::var("PARCOURS_SEED")
        .ok()
        .filter(|seed| !seed.is_empty())
        .or_else(commit)
        .unwrap_or_else(|| "no commit".to_owned())
}

fn commit() -> Option<String> {
    let git = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(place::repository())
        .output()
        .ok()?;
    let said = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| said.trim().to_owned())
}

/// Writes a figure where the test runner does not swallow it.
pub fn report(figure: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\nresult: {figure}");
}
