//! How often a proof is repeated, and where its figures go. A small fixed sample runs with the tests; `PARCOURS_ROUNDS`
//! asks for more, as the recipes of the `justfile` do.

use std::io::Write;

/// How many rounds: the sample of every test run unless `PARCOURS_ROUNDS` says otherwise.
pub fn rounds(sample: usize) -> usize {
    std::env::var("PARCOURS_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .filter(|rounds| *rounds > 0)
        .unwrap_or(sample)
}

/// Writes a figure where the test runner does not swallow it.
pub fn report(figure: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\nresult: {figure}");
}
