//! The result of a run as Markdown: medians, ratios, their total, and everything needed to run it again.

use std::fmt::Write;

use crate::cluster::Cluster;
use crate::machine;
use crate::measure::{Measured, median};
use crate::options::Options;

/// The table. Writing into a string cannot fail, hence the results that are let go.
pub fn markdown(options: &Options, cluster: &Cluster, duckdb: &str, measured: &[Measured]) -> String {
    let mut text = heading(options, cluster, duckdb);
    text.push_str(if options.plain { WITH_PLAIN } else { COLUMNS });
    for one in measured {
        let same = one
            .difference
            .as_ref()
            .map_or("yes".to_owned(), |difference| format!("**no**: {difference}"));
        let (title, rows) = (one.question.title, one.rows);
        let _ = writeln!(text, "| {title} | {rows} | {} | {same} |", Medians::of(one).figures());
    }
    let total = measured.iter().map(Medians::of).fold(Medians::default(), Medians::add);
    let _ = writeln!(text, "| **Total of medians** | | {} | |", total.figures());
    text
}

const IN_CLEAR: &str = " In clear: the same program built with `measure-plain`, plain Parquet and partitions.";
const STOCK: &str = " In clear: the same program built with `measure-plain`, plain Parquet, Ballista's own shuffle.";
const COLUMNS: &str = "| Query | Rows | Parcours, ms | DuckDB, ms | Ratio | Same rows |\n|---|--:|--:|--:|--:|---|\n";
const WITH_PLAIN: &str = "| Query | Rows | Parcours, ms | in clear, ms | Ratio | DuckDB, ms | Ratio | Same rows |\n\
                          |---|--:|--:|--:|--:|--:|--:|---|\n";

/// Seconds of the engines; none of the build in clear if it was not asked.
#[derive(Clone, Copy, Default)]
struct Medians {
    parcours: f64,
    plain: Option<f64>,
    duckdb: f64,
}

impl Medians {
    fn of(measured: &Measured) -> Self {
        Self {
            parcours: median(&measured.parcours),
            plain: (!measured.plain.is_empty()).then(|| median(&measured.plain)),
            duckdb: median(&measured.duckdb),
        }
    }

    fn add(self, other: Self) -> Self {
        Self {
            parcours: self.parcours + other.parcours,
            plain: match (self.plain, other.plain) {
                (Some(one), Some(other)) => Some(one + other),
                (one, other) => one.or(other),
            },
            duckdb: self.duckdb + other.duckdb,
        }
    }

    /// Milliseconds, each engine's but our own with the ratio of ours to it.
    fn figures(self) -> String {
        let beside = |theirs: f64| {
            let ratio = if theirs > 0.0 { self.parcours / theirs } else { f64::NAN };
            format!(" | {:.0} | {ratio:.2}", theirs * 1e3)
        };
        let plain = self.plain.map(beside).unwrap_or_default();
        format!("{:.0}{plain}{}", self.parcours * 1e3, beside(self.duckdb))
    }
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
        "Medians of {} runs after one to warm up, engines in turns. {who}: encrypted tables over mTLS.{} DuckDB {duckdb}: \
         {} threads, plain Parquet, the same rows. A ratio below 1 means that Parcours is faster. {}.\n\n",
        options.runs,
        match (options.plain, options.stock_shuffle) {
            (true, true) => STOCK,
            (true, false) => IN_CLEAR,
            (false, _) => "",
        },
        options.threads,
        machine::describe()
    )
}

#[cfg(test)]
mod tests {
    use super::Medians;

    #[test]
    fn ratios_are_ours_to_theirs() {
        let two = Medians {
            parcours: 0.5,
            plain: None,
            duckdb: 0.25,
        };
        assert_eq!(two.figures(), "500 | 250 | 2.00");
        let three = Medians {
            plain: Some(0.4),
            ..two
        };
        assert_eq!(three.add(two).figures(), "1000 | 400 | 2.50 | 500 | 2.00");
    }
}
