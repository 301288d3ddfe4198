//! Side-by-side runs: the same research queries over the same synthetic patients, answered by a Parcours cluster
//! (encrypted, sharded, over mTLS) and by DuckDB on plain Parquet, taking turns in one run. Answers must agree row for
//! row, or the run fails; the times go into a Markdown table, as they are.

mod cluster;
mod compare;
mod duckdb;
mod machine;
mod measure;
mod options;
mod parcours_side;
mod questions;
mod table;

use anyhow::Context;
use clap::Parser;

use cluster::Cluster;
use duckdb::DuckDb;
use options::Options;
use parcours_side::Parcours;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let cluster = Cluster::reach(&options).await?;
    let mut parcours = Parcours::connect(&cluster.connect).await?;
    let mut duckdb = DuckDb::start(&options, &cluster.source).await?;
    let mut measured = Vec::new();
    for question in questions::chosen(&options.queries)? {
        eprintln!("{}", question.name);
        measured.push(measure::measure(question, &mut parcours, &mut duckdb, options.runs).await?);
    }
    let text = table::markdown(&options, &cluster, &duckdb.version, &measured);
    print!("{text}");
    if let Some(path) = &options.out {
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    compare::verdict(&measured)
}
