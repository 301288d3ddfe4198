//! Side-by-side runs: the same research queries over the same synthetic patients, answered by a Parcours cluster
//! (encrypted, sharded, over mTLS), by DuckDB on plain Parquet and by other engines that are asked for, taking turns in
//! one run. Answers must agree row for row, or the run fails; the times go into a Markdown table, as they are.

mod ballista_side;
mod cluster;
mod compare;
mod engine;
mod line_engine;
mod machine;
mod measure;
mod options;
mod parcours_side;
mod plot;
mod questions;
mod table;

use std::path::Path;

use anyhow::Context;
use clap::Parser;

use cluster::Cluster;
use measure::Engines;
use options::Options;
use parcours_side::Parcours;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let cluster = Cluster::reach(&options).await?;
    let mut engines = Engines {
        parcours: Parcours::connect(&cluster.connect).await?,
        beside: engine::beside(&options, &cluster).await?,
    };
    let mut measured = Vec::new();
    for question in questions::chosen(&options.queries)? {
        eprintln!("{}", question.name);
        measured.push(engines.measure(question, &options).await?);
    }
    let text = table::markdown(&options, &cluster, &engines.beside, &measured);
    print!("{text}");
    if let Some(path) = &options.out {
        write(path, &text)?;
    }
    if let Some(path) = &options.plot {
        write(path, &plot::svg(&measured))?;
    }
    compare::verdict(&measured)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
