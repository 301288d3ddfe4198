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
use measure::Engines;
use options::Options;
use parcours_side::Parcours;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let cluster = Cluster::reach(&options).await?;
    let plain = Cluster::plain(&options).await?;
    let mut engines = Engines {
        parcours: Parcours::connect(&cluster.connect).await?,
        plain: match &plain {
            Some(plain) => Some(Parcours::connect(&plain.connect).await?),
            None => None,
        },
        duckdb: DuckDb::start(&options, &cluster.source).await?,
    };
    let mut measured = Vec::new();
    for question in questions::chosen(&options.queries)? {
        eprintln!("{}", question.name);
        measured.push(engines.measure(question, options.runs).await?);
    }
    let text = table::markdown(&options, &cluster, &engines.duckdb.version, &measured);
    print!("{text}");
    if let Some(path) = &options.out {
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    compare::verdict(&measured)
}
