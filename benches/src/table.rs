//! The result of a run as Markdown: medians, ratios, their total, and everything needed to run it again.

use std::fmt::Write;

use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::machine;
use crate::measure::{Beside, Measured, Medians};
use crate::options::Options;

/// The table. Writing into a string cannot fail, hence the results that are let go.
pub fn markdown(options: &Options, cluster: &Cluster, engines: &[Engine], measured: &[Measured]) -> String {
    let names: Vec<_> = engines.iter().map(Engine::name).collect();
    let mut text = heading(options, cluster, engines) + &columns(&names);
    for one in measured {
        let (title, rows, same) = (one.question.title, one.rows, same(&one.beside));
        let _ = writeln!(text, "| {title} | {rows} | {} | {same} |", figures(&Medians::of(one)));
    }
    let total = figures(&Medians::total(measured));
    let _ = writeln!(text, "| **Total of medians** | | {total} | |");
    text
}

fn columns(names: &[String]) -> String {
    let titles: String = names.iter().map(|name| format!(" {name}, ms | Ratio |")).collect();
    let marks = "--:|--:|".repeat(names.len());
    format!("| Query | Rows | Parcours, ms |{titles} Same rows |\n|---|--:|--:|{marks}---|\n")
}

/// Milliseconds, each engine's but our own with the ratio of ours to it.
fn figures(medians: &Medians) -> String {
    let mut text = format!("{:.0}", medians.parcours * 1e3);
    for (theirs, ratio) in medians.beside.iter().zip(medians.ratios()) {
        let _ = match theirs.is_nan() {
            true => write!(text, " | - | -"),
            false => write!(text, " | {:.0} | {ratio:.2}", theirs * 1e3),
        };
    }
    text
}

/// Whether all engines gave the same rows, and who did not.
fn same(beside: &[Beside]) -> String {
    let differing = beside.iter().filter_map(|beside| {
        let difference = beside.difference.as_ref()?;
        Some(format!("**no**, {}: {difference}", beside.name))
    });
    let differing: Vec<_> = differing.collect();
    if differing.is_empty() {
        return "yes".to_owned();
    }
    differing.join("; ")
}

fn heading(options: &Options, cluster: &Cluster, engines: &[Engine]) -> String {
    let who = match &options.connect {
        Some(_) => format!("a cluster at {}", cluster.connect.uri),
        None => format!(
            "{} patients (seed {}), {} executors",
            options.patients, options.seed, options.executors
        ),
    };
    let engines: Vec<_> = engines.iter().map(|engine| engine.about(options)).collect();
    format!(
        "Medians of {} runs after {} to warm up, engines in turns. {who}: encrypted tables over mTLS. {} All over the \
         same rows. A ratio below 1 means that Parcours is faster. {}.\n\n",
        options.runs,
        options.warm_up,
        engines.join(" "),
        machine::describe()
    )
}

#[cfg(test)]
mod tests {
    use super::{columns, figures, same};
    use crate::compare::Difference;
    use crate::measure::{Beside, Medians};

    #[test]
    fn every_engine_has_its_columns() {
        let medians = Medians {
            parcours: 0.5,
            beside: vec![0.25, 1.0],
        };
        assert_eq!(figures(&medians), "500 | 250 | 2.00 | 1000 | 0.50");
        let unanswered = Medians {
            parcours: 0.5,
            beside: vec![f64::NAN],
        };
        assert_eq!(figures(&unanswered), "500 | - | -");
        assert_eq!(
            columns(&["DuckDB".to_owned(), "Spark".to_owned()]),
            "| Query | Rows | Parcours, ms | DuckDB, ms | Ratio | Spark, ms | Ratio | Same rows |\n\
             |---|--:|--:|--:|--:|--:|--:|---|\n"
        );
    }

    #[test]
    fn who_differs_is_named() {
        let answered = |name: &str, difference| Beside {
            name: name.to_owned(),
            seconds: Vec::new(),
            difference,
        };
        let duckdb = answered("DuckDB", None);
        assert_eq!(same(&[duckdb]), "yes");
        let both = [answered("DuckDB", None), answered("Spark", Some(Difference::Row(3)))];
        assert_eq!(same(&both), "**no**, Spark: row 3 differs");
    }
}
