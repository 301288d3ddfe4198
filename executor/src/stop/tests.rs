//! Plans that would compute for minutes end when their task is stopped, at whichever node they are; others answer as ever.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use datafusion::arrow::array::Int64Array;
use datafusion::arrow::compute::concat_batches;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::nodes;

/// Within so long a task has ended that was stopped. On a machine with nothing else to do it is a few milliseconds.
const SOON: Duration = Duration::from_millis(500);

/// A session with a table `t` of a column of numbers below 50.
fn context(rows: i64, hash: bool) -> SessionContext {
    let config = SessionConfig::new()
        // Joins are merged where there are several partitions.
        .with_target_partitions(if hash { 1 } else { 2 })
        .set_bool("datafusion.optimizer.prefer_hash_join", hash);
    let context = SessionContext::new_with_config(config);
    let numbers: Int64Array = (0..rows).map(|n| n % 50).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([("n", Arc::new(numbers) as _, true)]).unwrap();
    let batches: Vec<_> = (0..batch.num_rows())
        .step_by(8192)
        .map(|start| batch.slice(start, 8192.min(batch.num_rows() - start)))
        .collect();
    let table = MemTable::try_new(batch.schema(), vec![batches]).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    context
}

async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

/// Has a plan stopped while it computes; how long it went on.
async fn stopped(context: &SessionContext, sql: &str, node: &str) -> Duration {
    let stop = Stop::of("J");
    let plan = stoppable(plan(context, sql).await, &stop).unwrap();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    assert!(shown.contains(node), "{sql}\n{shown}");
    let running = tokio::spawn(collect(plan, context.task_ctx()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!running.is_finished(), "{sql}: it was to take long");
    let since = Instant::now();
    stop.set();
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
    let error = ended.unwrap().unwrap().unwrap_err().to_string();
    assert!(error.contains("job J has ended"), "{sql}: {error}");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_computes_for_long_is_stopped() {
    let with_merge_joins = context(400_000, false);
    let context = context(400_000, true);
    let none = "a.n + b.n > 1000";
    for (context, node, sql) in [
        (
            &context,
            "CrossJoinExec",
            "SELECT sum(a.n * b.n) FROM t AS a CROSS JOIN t AS b".to_owned(),
        ),
        (
            &context,
            "NestedLoopJoinExec",
            format!("SELECT count(*) FROM t AS a JOIN t AS b ON {none}"),
        ),
        (
            &context,
            "HashJoinExec",
            format!("SELECT count(*) FROM t AS a JOIN t AS b ON a.n % 2 = b.n % 2 AND {none}"),
        ),
        (
            &with_merge_joins,
            "SortMergeJoinExec",
            "SELECT sum(a.n * b.n) FROM t AS a JOIN t AS b ON a.n % 2 = b.n % 2".to_owned(),
        ),
        (
            &context,
            "HashJoinExec",
            "SELECT sum(a.n * b.n) FROM t AS a JOIN t AS b ON a.n % 2 = b.n % 2".to_owned(),
        ),
    ] {
        let took = stopped(context, &sql, node).await;
        assert!(took < SOON, "{sql}: it went on for {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stopped_answers_as_ever_and_has_its_metrics() {
    let contexts = [context(2_000, true), context(2_000, false)];
    for context in &contexts {
        for sql in [
            "SELECT count(*) FROM t AS a JOIN t AS b ON a.n + b.n > 90",
            "SELECT count(*), max(b.n) FROM t AS a LEFT JOIN t AS b ON a.n = b.n + 1 AND a.n + b.n > 60",
            "SELECT n, count(*) FROM t GROUP BY n ORDER BY n LIMIT 7",
            "SELECT n, row_number() OVER (PARTITION BY n ORDER BY n) FROM t ORDER BY 1, 2 LIMIT 9",
        ] {
            let answer = async |plan: Arc<dyn ExecutionPlan>| {
                let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
                concat_batches(&plan.schema(), &batches).unwrap()
            };
            let expected = answer(plan(context, sql).await).await;
            let engines = plan(context, sql).await;
            let nodes = nodes::count(&engines);
            let ours = stoppable(engines, &Stop::of("J")).unwrap();
            assert_eq!(nodes::count(&ours), 2 * nodes, "{sql}");
            assert_eq!(answer(Arc::clone(&ours)).await, expected, "{sql}");
            let metrics: Vec<MetricsSet> = ballista_core::utils::collect_plan_metrics(ours.as_ref());
            assert!(metrics.len() <= nodes, "{sql}: edges have none");
            assert!(metrics.iter().any(|set| set.output_rows().is_some()), "{sql}");
        }
    }
}

#[tokio::test]
async fn what_was_stopped_does_not_begin() {
    let context = context(10, true);
    let stop = Stop::of("J");
    stop.check().unwrap();
    let plan = stoppable(plan(&context, "SELECT max(n) FROM t WHERE n > 3").await, &stop).unwrap();
    stop.set();
    assert!(collect(plan, context.task_ctx()).await.is_err());
}
