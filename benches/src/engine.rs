//! What takes turns with Parcours: clusters of it with other numbers of executors or in clear, Ballista as it comes, and
//! other engines in processes of their own. DuckDB is always there, the others when they are asked for.

use crate::ballista_side::Ballista;
use crate::cluster::{Cluster, Kind};
use crate::line_engine::{DATAFUSION, DUCKDB, LineEngine, SPARK};
use crate::measure::Answer;
use crate::options::Options;
use crate::parcours_side::Parcours;

/// An engine beside Parcours.
pub enum Engine {
    /// Another cluster of Parcours, which lives as long as this.
    Cluster {
        kind: Kind,
        parcours: Parcours,
        _cluster: Box<Cluster>,
    },
    /// Ballista, without anything of ours.
    Ballista(Ballista),
    /// A process that answers lines.
    Line(Box<LineEngine>),
}

impl Engine {
    /// What its columns are called.
    pub fn name(&self) -> String {
        match self {
            Engine::Cluster { kind, .. } => kind.name(),
            Engine::Ballista(_) => "Ballista".to_owned(),
            Engine::Line(engine) => engine.side.name.to_owned(),
        }
    }

    /// A sentence on how it runs here.
    pub fn about(&self, options: &Options) -> String {
        match self {
            Engine::Cluster { kind, .. } => kind.about(options),
            Engine::Ballista(_) => Ballista::about(options),
            Engine::Line(engine) => {
                let (name, over) = (engine.side.name, engine.side.over);
                format!("{name} {}: {} threads, {over}.", engine.version, options.threads)
            }
        }
    }

    /// Runs a statement to its last row.
    pub async fn run(&mut self, sql: &str) -> anyhow::Result<Answer> {
        match self {
            Engine::Cluster { parcours, .. } => parcours.run(sql).await,
            Engine::Ballista(ballista) => ballista.run(sql).await,
            Engine::Line(engine) => engine.run(sql).await,
        }
    }

    async fn cluster(kind: Kind, options: &Options) -> anyhow::Result<Self> {
        let cluster = Cluster::start(options, kind).await?;
        Ok(Engine::Cluster {
            kind,
            parcours: Parcours::connect(&cluster.connect).await?,
            _cluster: Box::new(cluster),
        })
    }
}

/// Starts the engines that `options` ask for; those that are not Parcours answer from the files that the cluster's tables
/// were loaded from.
pub async fn beside(options: &Options, cluster: &Cluster) -> anyhow::Result<Vec<Engine>> {
    let mut engines = Vec::new();
    if options.plain {
        engines.push(Engine::cluster(Kind::InClear, options).await?);
    }
    for &executors in &options.also_executors {
        engines.push(Engine::cluster(Kind::Executors(executors), options).await?);
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
    if options.ballista {
        engines.push(Engine::Ballista(Ballista::start(options, &cluster.source).await?));
    }
    Ok(engines)
}
