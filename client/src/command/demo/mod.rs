//! `parcours demo`: a whole cluster from nothing, on this machine, in one command. [`journey`] reads as what happens, in
//! order; each step has a module of its own. Whatever ends the demo, its processes end first: they are asked by closing
//! their standard input, which also happens when this process is killed, and made to if they do not.

mod cluster;
mod connect;
mod data;
mod folder;
mod identities;
mod keys;
mod needles;
mod proof;
mod questions;
mod report;
mod settings;
mod steps;
mod tls_records;
mod wire;

use std::path::PathBuf;

use clap::Args;

use crate::exit::Failure;
use crate::interrupt::interruption;

use cluster::Cluster;
use folder::Folder;
use report::Report;
use steps::Steps;
use wire::Wire;

/// Name of the dataset, as the generator's description has it.
const DATASET: &str = "snds";
/// Trust domain of everyone in the demo.
const TRUST_DOMAIN: &str = "demo.parcours";
/// The person who asks.
const PERSON: &str = "alice";

/// Try it all on this machine: keys, synthetic data, a cluster, research queries
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for everything, kept afterwards [default: a temporary one, removed at the end unless --keep]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Patients to generate
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=50_000_000))]
    patients: u64,
    /// Executors to start
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    executors: u16,
    /// Shards of the dataset
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shards: u32,
    /// Seed of the synthetic patients
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// Print a summary as JSON on standard output, everything else on standard error
    #[arg(long)]
    json: bool,
    /// Leave the cluster running until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
pub async fn run(args: DemoArgs) -> Result<(), Failure> {
    let folder = Folder::make(args.dir.as_deref(), args.keep)?;
    let steps = Steps::new(args.json);
    let mut cluster = Cluster::default();
    let done = tokio::select! {
        done = journey(&args, &folder, &steps, &mut cluster) => done,
        interrupted = interruption() => interrupted.map_err(Failure::from).and(Err(Failure::Interrupted)),
    };
    steps.clear();
    let done = match done {
        // The relays must outlive the journey: executors reach the scheduler through them.
        Ok(_wire) if args.keep => stay(&mut cluster, &steps).await,
        other => other.map(drop),
    };
    cluster.stop(&steps).await;
    if let (Err(Failure::Failed(_)), true) = (&done, folder.is_kept()) {
        steps.say(&format!("Logs are in {}.", folder.logs().display()));
    }
    done
}

/// Leaves the cluster running until Ctrl-C, which is then no failure.
async fn stay(cluster: &mut Cluster, steps: &Steps) -> Result<(), Failure> {
    steps.say("\nThe cluster stays until Ctrl-C.");
    tokio::select! {
        ended = cluster.watch() => ended,
        asked = interruption() => Ok(asked?),
    }
}

/// Everything the demo does, in order.
async fn journey(args: &DemoArgs, folder: &Folder, steps: &Steps, cluster: &mut Cluster) -> Result<Wire, Failure> {
    steps.title("A cluster of encrypted care pathways, from nothing");
    let people = identities::make(folder, args.executors, steps)?;
    let rings = keys::make(folder, steps).await?;
    let generated = data::generate(folder, args, steps).await?;
    let loaded = data::load(folder, &rings, args.shards, steps).await?;

    let listeners = settings::Listeners::choose(args.executors)?;
    let wire = Wire::open(&listeners).await?;
    settings::write(folder, args.executors, &listeners, &wire)?;
    cluster.start(folder, args.executors, &listeners, steps).await?;

    let connection = connect::open(folder, &wire, &people).await?;
    let answers = questions::ask(&connection, steps).await?;
    let proof = proof::prove(folder, cluster, &wire, &rings, steps).await?;

    let connect = connect::describe(folder, &listeners)?;
    let report = Report::new(args, generated, loaded, answers, proof, &connect);
    report.print(steps)?;
    connect.print(folder, args.keep, steps);
    Ok(wire)
}
