//! The result of a run as Markdown: medians, ratios, their total, and everything needed to run it again.

use std::fmt::Write;

use crate::cluster::Cluster;
use crate::machine;
use crate::measure::{Measured, median};
use crate::options::Options;

/// The table. Writing into a string cannot fail, hence the results that are let go.
pub fn markdown(options: &Options, cluster: &Cluster, duckdb: &str, measured: &[Measured]) -> String {
    let mut text = heading(options, cluster, duckdb);
    text.push_str("| Query | Rows | Parcours, ms | DuckDB, ms | Ratio | Same rows |\n|---|--:|--:|--:|--:|---|\n");
    for one in measured {
        let (ours, theirs) = (median(&one.parcours), median(&one.duckdb));
        let same = one
            .difference
            .as_ref()
            .map_or("yes".to_owned(), |difference| format!("**no**: {difference}"));
        let (title, rows) = (one.question.title, one.rows);
        let _ = writeln!(text, "| {title} | {rows} | {} | {same} |", figures(ours, theirs));
    }
    let ours = measured.iter().map(|one| median(&one.parcours)).sum();
    let theirs = measured.iter().map(|one| median(&one.duckdb)).sum();
    let _ = writeln!(text, "| **Total of medians** | | {} | |", figures(ours, theirs));
    text
}

fn heading(options: &Options, cluster: &Cluster, duckdb: &str) -> String {
    let who = match &options.connect {
        Some(_) => format!("a cluster at {}", cluster.connect.uri),
        None => format!(
            "{} patients (seed {}), {} executors",
            options.patients, options.seed, options.executors
        ),
    };
    format!(
        "Medians of {} runs after one to warm up, engines in turns. {who}: encrypted tables over mTLS. DuckDB {duckdb}: \
         {} threads, plain Parquet, the same rows. A ratio below 1 means that Parcours is faster. {}.\n\n",
        options.runs,
        options.threads,
        machine::describe()
    )
}

fn figures(ours: f64, theirs: f64) -> String {
    let ratio = if theirs > 0.0 { ours / theirs } else { f64::NAN };
    format!("{:.0} | {:.0} | {ratio:.2}", ours * 1e3, theirs * 1e3)
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn ratios_are_ours_to_theirs() {
        assert_eq!(figures(0.5, 0.25), "500 | 250 | 2.00");
    }
}
