//! What a run is told on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Times research queries on Parcours and on DuckDB, over the same rows, in one run
#[derive(Debug, Parser)]
#[command(name = "parcours-benches", version, about)]
pub struct Options {
    /// Patients to generate
    #[arg(long, default_value_t = 100_000)]
    pub patients: u64,
    /// Seed of the patients
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
    /// Timed runs of every query on every engine, after one that warms up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Executors of the cluster
    #[arg(long, default_value_t = 2)]
    pub executors: u16,
    /// Threads of DuckDB
    #[arg(long, default_value_t = 2)]
    pub threads: u16,
    /// Queries to run, by name [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub queries: Vec<String>,
    /// Write the table into this file, too
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Python with the package duckdb
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
