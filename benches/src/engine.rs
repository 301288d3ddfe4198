//! What takes turns with Parcours: the same program in clear, and other engines in processes of their own. DuckDB is
//! always there, the others when they are asked for.

use crate::cluster::Cluster;
use crate::line_engine::{DATAFUSION, DUCKDB, LineEngine, SPARK};
use crate::measure::Answer;
use crate::options::Options;
use crate::parcours_side::Parcours;

/// An engine beside Parcours.
pub enum Engine {
    /// The build that writes in clear.
    InClear(Parcours),
    /// A process that answers lines.
    Line(Box<LineEngine>),
}

impl Engine {
    /// What its columns are called.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::InClear(_) => "in clear",
            Engine::Line(engine) => engine.side.name,
        }
    }

    /// A sentence on how it runs here.
    pub fn about(&self, options: &Options) -> String {
        match self {
            Engine::InClear(_) if options.stock_shuffle => STOCK.to_owned(),
            Engine::InClear(_) => IN_CLEAR.to_owned(),
            Engine::Line(engine) => {
                let (name, over) = (engine.side.name, engine.side.over);
                format!("{name} {}: {} threads, {over}.", engine.version, options.threads)
            }
        }
    }

    /// Runs a statement to its last row.
    pub async fn run(&mut self, sql: &str) -> anyhow::Result<Answer> {
        match self {
            Engine::InClear(parcours) => parcours.run(sql).await,
            Engine::Line(engine) => engine.run(sql).await,
        }
    }
}

const IN_CLEAR: &str = "In clear: the same program built with `measure-plain`, plain Parquet and partitions.";
const STOCK: &str = "In clear: the same program built with `measure-plain`, plain Parquet, Ballista's own shuffle.";

/// Starts the engines that `options` ask for, over the files that the cluster's tables were loaded from.
pub async fn beside(options: &Options, cluster: &Cluster, plain: Option<&Cluster>) -> anyhow::Result<Vec<Engine>> {
    let mut engines = Vec::new();
    if let Some(plain) = plain {
        engines.push(Engine::InClear(Parcours::connect(&plain.connect).await?));
    }
    for (side, asked) in [
        (&DUCKDB, true),
        (&DATAFUSION, options.datafusion),
        (&SPARK, options.spark),
    ] {
        if asked {
            let engine = LineEngine::start(side, options, &cluster.source).await?;
            engines.push(Engine::Line(Box::new(engine)));
        }
    }
    Ok(engines)
}
