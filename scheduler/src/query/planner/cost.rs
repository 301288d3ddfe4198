//! What planning costs beside stock DataFusion, over chains of WITH clauses of which each is read twice: Parcours analyses
//! more, and each clause is planned once for every place that reads it, so that what a rule multiplies shows here.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{CsvReadOptions, ParquetReadOptions, SessionContext};
use parcours_cluster::task_grant::{Opened, Terms, ends_after};
use parcours_keys::ColumnClass;

use super::*;
use crate::query::testing::{Claims, SHARDS, person};

/// How often each statement is planned; the fastest time counts.
const TIMES: usize = 5;

/// At most this many times what stock DataFusion takes, as the geometric mean of the chains, and for the worst of them. The
/// worst leaves room for a machine that does something else meanwhile.
const MEAN: f64 = 2.0;
const WORST: f64 = 3.0;

/// A clause that reads the one before it, how many of them, and what reads them all.
struct Chain {
    clause: &'static str,
    clauses: usize,
    read: &'static str,
}

/// Read by the next clause and by the statement's own UNION, twice by the next one, and in a subquery of the next one.
const CHAINS: [Chain; 4] = [
    Chain {
        clause: "SELECT patient, code, quantity + 1 AS quantity FROM {before} WHERE quantity > {n}",
        clauses: 20,
        read: "all",
    },
    Chain {
        clause: "SELECT patient, max(code) AS code, count(*) AS quantity FROM {before} WHERE quantity > {n} GROUP BY patient",
        clauses: 20,
        read: "all",
    },
    Chain {
        clause: "SELECT a.patient, a.code, a.quantity + 1 AS quantity FROM {before} AS a \
                 JOIN {before} AS b ON a.patient = b.patient AND a.code = b.code",
        clauses: 7,
        read: "last",
    },
    Chain {
        clause: "SELECT patient, code, quantity FROM {before} WHERE code IN (SELECT code FROM {before} WHERE quantity > {n})",
        clauses: 7,
        read: "last",
    },
];

impl Chain {
    fn sql(&self) -> String {
        let clause = |n: usize| {
            let before = format!("c{}", n - 1);
            let clause = self.clause.replace("{before}", &before).replace("{n}", &n.to_string());
            format!("c{n} AS ({clause})")
        };
        let clauses: Vec<String> = (1..=self.clauses).map(clause).collect();
        let read = match self.read {
            "last" => format!("c{}", self.clauses),
            _ => {
                let each = (1..=self.clauses).map(|n| format!("SELECT patient, quantity FROM c{n}"));
                format!("({}) AS u", each.collect::<Vec<_>>().join(" UNION ALL "))
            }
        };
        let with = clauses.join(", ");
        format!("WITH c0 AS (SELECT patient, code, quantity FROM dispensing), {with} SELECT count(*) AS n FROM {read}")
    }
}

/// Stock DataFusion over a table of the same columns in as many files.
async fn stock(folder: &std::path::Path) -> SessionContext {
    let context = SessionContext::new();
    let csv = folder.join("dispensing.csv");
    std::fs::write(
        &csv,
        "patient,day,code,quantity,site\np01,2020-01-01,c1,2,s1\np02,2020-01-02,c2,3,s1\n",
    )
    .unwrap();
    let rows = context
        .read_csv(csv.to_str().unwrap(), CsvReadOptions::new())
        .await
        .unwrap();
    let parquet = folder.join("dispensing");
    for n in 0..SHARDS {
        let file = parquet.join(format!("{n}.parquet"));
        let options = DataFrameWriteOptions::new();
        let written = rows.clone().write_parquet(file.to_str().unwrap(), options, None);
        written.await.unwrap();
    }
    let options = ParquetReadOptions::default();
    context
        .register_parquet("dispensing", parquet.to_str().unwrap(), options)
        .await
        .unwrap();
    context
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_costs_little_more_than_the_engines() {
    let folder = tempfile::tempdir().unwrap();
    let (claims, stock) = (Claims::load().await, stock(folder.path()).await);
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    let mut ratios = Vec::new();
    for chain in CHAINS {
        let sql = chain.sql();
        let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
        for _ in 0..TIMES {
            let start = Instant::now();
            let state = stock.state();
            let plan = state.create_logical_plan(&sql).await.unwrap();
            drop(state.create_physical_plan(&plan).await.unwrap());
            theirs = theirs.min(start.elapsed());
            let start = Instant::now();
            let statement = planner.prepare(&view, &sql).await.unwrap();
            let admitted = planner.admit(&view, &statement, statement.plan.clone()).unwrap();
            let terms = Terms {
                query: "query".to_owned(),
                sub: person("alice"),
                datasets: Opened::default(),
                exp: ends_after(Duration::from_secs(60)),
            };
            let context = claims.sessions.context(&view, "query", SHARDS, Some(&terms)).unwrap();
            let state = context.state();
            drop(
                state
                    .query_planner()
                    .create_physical_plan(&admitted.optimized, &state)
                    .await
                    .unwrap(),
            );
            ours = ours.min(start.elapsed());
        }
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!(
            "{} clauses: {ours:?}, stock {theirs:?}, {ratio:.2}: {}",
            chain.clauses, chain.clause
        );
        ratios.push(ratio);
    }
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    println!("geometric mean {mean:.2}, worst {worst:.2}");
    assert!(mean <= MEAN && worst <= WORST, "{ratios:?}");
}
