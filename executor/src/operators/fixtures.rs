//! Rows and tables that operators are tried with, and what plans answer.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::col;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use parcours_cluster::windows::window_functions;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Rows of patients in their order, by day: some of one row, one of many; NULLs everywhere, a NULL patient at the end.
pub(super) fn rows(seed: u64, patients: usize) -> Vec<RecordBatch> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut who, mut day, mut code, mut n) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for patient in 0..=patients {
        let rows = if patient == patients / 2 {
            300
        } else {
            random.random_range(1..9)
        };
        let mut days: Vec<i32> = (0..rows).map(|_| random.random_range(18_000..18_200)).collect();
        days.sort_unstable();
        for row in days {
            who.push((patient < patients).then(|| format!("p{patient:06}")));
            day.push(Some(row));
            code.push(
                random
                    .random_bool(0.9)
                    .then(|| format!("C{:02}", random.random_range(0..20))),
            );
            n.push(random.random_bool(0.8).then(|| random.random_range(0..50i64)));
        }
    }
    let columns: [(&str, ArrayRef); 4] = [
        ("p", Arc::new(StringArray::from(who))),
        ("d", Arc::new(Date32Array::from(day))),
        ("c", Arc::new(StringArray::from(code))),
        ("n", Arc::new(Int64Array::from(n))),
    ];
    let all = RecordBatch::try_from_iter(columns).unwrap();
    let (mut batches, mut start) = (Vec::new(), 0);
    while start < all.num_rows() {
        let rows = random.random_range(1..200).min(all.num_rows() - start);
        batches.push(all.slice(start, rows));
        start += rows;
    }
    batches
}

/// A session that knows the cluster's window functions, and these rows as a table in order.
pub(super) fn context(batches: Vec<RecordBatch>, batch_rows: usize, pool: usize) -> SessionContext {
    let pool = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(pool)));
    let config = SessionConfig::new()
        .with_batch_size(batch_rows)
        .with_target_partitions(1);
    let context = SessionContext::new_with_config_rt(config, pool.build_arc().unwrap());
    for function in window_functions() {
        context.register_udwf(function.as_ref().clone());
    }
    let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
    let order = vec![vec![col("p").sort(true, false), col("d").sort(true, false)]];
    context
        .register_table("t", Arc::new(table.with_sort_order(order)))
        .unwrap();
    context
}

/// The rows of a plan as sorted lines. What its nodes keep of an earlier run is left behind.
pub(super) async fn answer(plan: Arc<dyn ExecutionPlan>, context: &SessionContext) -> Vec<String> {
    let plan = reset_plan_states(plan).unwrap();
    let batches = collect(plan, context.task_ctx()).await.unwrap();
    let mut lines: Vec<String> = pretty_format_batches(&batches)
        .unwrap()
        .to_string()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    lines
}

/// A second table of patients, some of whom are not in the first.
pub(super) fn with_stays(context: &SessionContext) {
    let stays = rows(77, 260);
    let stays: Vec<RecordBatch> = stays
        .iter()
        .map(|rows| {
            let kept = rows.column(3).as_primitive::<Int64Type>().iter();
            let kept: BooleanArray = kept.map(|n| Some(n.is_none_or(|n| n % 3 == 0))).collect();
            arrow::compute::filter_record_batch(rows, &kept).unwrap()
        })
        .collect();
    let table = MemTable::try_new(stays[0].schema(), vec![stays]).unwrap();
    let order = vec![vec![col("p").sort(true, false), col("d").sort(true, false)]];
    context
        .register_table("s", Arc::new(table.with_sort_order(order)))
        .unwrap();
}

/// Two tables of patients, `t` and `s`, whose joins are planned as hash joins of one partition, or as merge joins of two.
pub(super) async fn both_tables(patients: usize, batch_rows: usize, hash: bool) -> SessionContext {
    let context = context(rows(9, patients), batch_rows, 1 << 30);
    with_stays(&context);
    let partitions = if hash { 1 } else { 2 };
    let context = if hash { context } else { projections_stay(&context) };
    for option in [
        format!("optimizer.prefer_hash_join = {hash}"),
        format!("execution.target_partitions = {partitions}"),
    ] {
        let set = context.sql(&format!("SET datafusion.{option}")).await.unwrap();
        set.collect().await.unwrap();
    }
    context
}

/// The same session, but that projections stay where they are: the engine moves them into the inputs of merge joins, whose
/// conditions then look at other columns than they were made for.
fn projections_stay(context: &SessionContext) -> SessionContext {
    let state = context.state();
    let rules = state.physical_optimizers().iter();
    let kept = rules
        .filter(|rule| rule.name() != "ProjectionPushdown")
        .cloned()
        .collect();
    let state = SessionStateBuilder::new_from_existing(state.clone()).with_physical_optimizer_rules(kept);
    SessionContext::new_with_state(state.build())
}

/// The engine's plan of a query.
pub(super) async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}
