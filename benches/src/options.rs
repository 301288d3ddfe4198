//! What a run is told on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Times research queries on Parcours and other engines, over the same rows, in one run
#[derive(Debug, Parser)]
#[command(name = "parcours-benches", version, about)]
pub struct Options {
    /// Patients to generate
    #[arg(long, default_value_t = 100_000)]
    pub patients: u64,
    /// Seed of the patients
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
    /// Timed runs of every query on every engine
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Runs before them that warm up; the first of them is compared. A Java machine gains from more than one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub warm_up: u32,
    /// Executors of the cluster
    #[arg(long, default_value_t = 2)]
    pub executors: u16,
    /// Measure clusters with these numbers of executors, too
    #[arg(long, value_name = "N", value_delimiter = ',', conflicts_with = "connect")]
    pub also_executors: Vec<u16>,
    /// Threads of every other engine
    #[arg(long, default_value_t = 2)]
    pub threads: u16,
    /// Queries to run, by name [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub queries: Vec<String>,
    /// Write the table into this file, too
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Draw the ratios into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Measure DataFusion in one process over plain Parquet, too
    #[arg(long)]
    pub datafusion: bool,
    /// Measure Spark over Parquet that it encrypts itself, too; needs a JDK
    #[arg(long)]
    pub spark: bool,
    /// Measure Ballista as it comes over plain Parquet, too: a scheduler and an executor within this process
    #[arg(long)]
    pub ballista: bool,
    /// Python with the packages of the engines (benches/requirements.txt)
    #[arg(long, env = "PARCOURS_PYTHON", default_value = "python3", value_name = "FILE")]
    pub python: PathBuf,
    /// Folder for generated data and tables [default: bench-data beside this program's folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Measure the build that writes files and partitions in clear, too (parcours-plain, beside this program)
    #[arg(long, conflicts_with = "connect")]
    pub plain: bool,
    /// Let that build shuffle with Ballista's own files, readers and service, in clear
    #[arg(long, requires = "plain")]
    pub stock_shuffle: bool,
    /// Use a cluster that is running already: its connect.json, in the folder that `parcours demo --keep` was given
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "executors", "patients", "seed"])]
    pub connect: Option<PathBuf>,
}
