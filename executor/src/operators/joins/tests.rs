//! Joins within bounds beside the engine's.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortOptions, concat_batches};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::logical_expr::{Operator, col};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions, reset_plan_states};
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect_partitioned, displayable};
use datafusion::prelude::{ParquetReadOptions, SessionContext};

use crate::operators::fixtures::{answer, both_tables, context, plan, rows};
use crate::operators::put_into;

/// Whether the rows of each partition come in the order that their plan declares.
async fn in_declared_order(plan: &Arc<dyn ExecutionPlan>, context: &SessionContext) -> bool {
    let plan = &reset_plan_states(Arc::clone(plan)).unwrap();
    let partitions = collect_partitioned(Arc::clone(plan), context.task_ctx()).await;
    let partitions = partitions.unwrap();
    partitions.iter().all(|rows| is_in_declared_order(plan, rows))
}

fn is_in_declared_order(plan: &Arc<dyn ExecutionPlan>, rows: &[RecordBatch]) -> bool {
    let Some(order) = plan.output_ordering() else {
        return true;
    };
    let rows = concat_batches(&plan.schema(), rows).unwrap();
    let by = order.iter().map(|by| by.evaluate_to_sort_column(&rows).unwrap());
    let (fields, columns): (Vec<_>, Vec<_>) = by
        .map(|by| {
            let options = by.options.unwrap_or_default();
            (
                SortField::new_with_options(by.values.data_type().clone(), options),
                by.values,
            )
        })
        .unzip();
    let rows = RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap();
    rows.iter().is_sorted()
}

async fn joined(sql: &str, hash: bool, batch_rows: usize) {
    let context = both_tables(200, batch_rows, hash).await;
    let plan = plan(&context, sql).await;
    let ours = put_into(Arc::clone(&plan)).unwrap();
    let shown = displayable(ours.as_ref()).indent(false).to_string();
    assert!(!patient_joins(&ours).is_empty(), "{sql}\n{shown}");
    assert_eq!(ours.schema(), plan.schema());
    assert!(in_declared_order(&ours, &context).await, "{sql}\n{shown}");
    // The engine's merge joins with a condition fail, where rows without a partner have columns that are not nullable.
    let theirs = both_tables(200, 8192, true).await;
    let expected = answer(self::plan(&theirs, sql).await, &theirs).await;
    assert_eq!(answer(ours, &context).await, expected, "{sql}\n{shown}");
}

#[tokio::test]
async fn joins_with_bounds_are_the_engines() {
    let bounds = [
        "s.d BETWEEN t.d AND t.d + INTERVAL '30' DAY",
        "s.d > t.d AND s.d < t.d + INTERVAL '7' DAY AND s.c <> t.c",
        "s.n >= t.n",
        "s.n < t.n AND s.d >= t.d AND t.n * s.n > 50",
        "t.d - INTERVAL '3' DAY <= s.d AND t.n > 5 AND s.n + 10 > t.n * 2",
        "s.d <= CASE WHEN t.n > 20 THEN t.d END",
        "CASE WHEN s.n > 20 THEN s.d END BETWEEN t.d - INTERVAL '9' DAY AND t.d",
    ];
    let (on, outer) = ("s.p = t.p", ["LEFT", "RIGHT", "FULL"]);
    let mut queries = Vec::new();
    for bounds in bounds {
        queries.push(format!("SELECT t.p, t.d, t.n, s.* FROM t JOIN s ON {on} AND {bounds}"));
        queries.extend(outer.map(|kind| format!("SELECT s.d, t.*, s.n FROM t {kind} JOIN s ON {on} AND {bounds}")));
        for (a, b) in [("t", "s"), ("s", "t")] {
            for exists in ["EXISTS", "NOT EXISTS"] {
                queries.push(format!(
                    "SELECT * FROM {a} WHERE {exists} (SELECT 1 FROM {b} WHERE {on} AND {bounds})"
                ));
            }
        }
    }
    queries.push(format!(
        "SELECT s.d, t.n FROM t JOIN s ON {on} AND s.d > t.d ORDER BY t.p, t.d, s.d LIMIT 1000000"
    ));
    for sql in &queries {
        for (hash, batch_rows) in [(true, 8192), (false, 8192), (true, 7), (false, 64)] {
            joined(sql, hash, batch_rows).await;
        }
    }
}

#[tokio::test]
async fn other_joins_stay_the_engines() {
    let context = both_tables(10, 8192, true).await;
    for on in [
        "s.p = t.p",
        "s.p = t.p AND s.n <> t.n",
        "s.p = t.p AND s.n + t.n > 3",
        "s.p = t.p AND s.c < t.c",
        "s.d = t.d AND s.n < t.n",
        "(s.p IS NOT DISTINCT FROM t.p) AND s.n < t.n",
        "s.p = t.p AND CAST(s.n AS DOUBLE) < CAST(t.n AS DOUBLE)",
        "s.p = t.p AND s.n < t.n + CAST(random() AS BIGINT)",
        // Half of its numbers are none of BIGINT.
        "s.p = t.p AND arrow_cast(s.n, 'UInt64') < arrow_cast(t.n, 'UInt64')",
    ] {
        let sql = format!("SELECT t.n FROM t JOIN s ON {on}");
        let ours = put_into(plan(&context, &sql).await).unwrap();
        assert!(patient_joins(&ours).is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn joins_of_unordered_sides_stay_the_engines() {
    let context = both_tables(10, 64, true).await;
    for sides in [
        "t JOIN (SELECT * FROM s ORDER BY n LIMIT 1000000) AS s",
        "(SELECT * FROM t ORDER BY n LIMIT 1000000) AS t JOIN s",
    ] {
        let sql = format!("SELECT t.n FROM {sides} ON s.p = t.p AND s.d > t.d");
        let ours = put_into(plan(&context, &sql).await).unwrap();
        assert!(patient_joins(&ours).is_empty(), "{sql}");
    }
}

/// The joins by patient of a plan.
fn patient_joins(plan: &Arc<dyn ExecutionPlan>) -> Vec<Arc<dyn ExecutionPlan>> {
    let mut found = Vec::new();
    plan.apply(|node| {
        if node.name() == "PatientJoin" {
            found.push(Arc::clone(node));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    found
}

#[tokio::test]
async fn a_join_has_two_inputs_and_keeps_the_order_of_the_leading_one() {
    let context = both_tables(10, 64, false).await;
    for (kind, kept) in [
        ("JOIN", [true, false]),
        ("LEFT JOIN", [true, false]),
        ("RIGHT JOIN", [false, true]),
        ("FULL JOIN", [false, false]),
    ] {
        let sql = format!("SELECT t.n, s.n AS m FROM t {kind} s ON s.p = t.p AND s.d > t.d");
        let ours = put_into(plan(&context, &sql).await).unwrap();
        let found = patient_joins(&ours);
        let join = found.first().unwrap();
        assert_eq!(join.maintains_input_order(), kept, "{kind}");
        let inputs: Vec<_> = join.children().into_iter().map(Arc::clone).collect();
        assert_eq!(inputs.len(), 2, "{kind}");
        let over = |inputs: &[_]| {
            Arc::clone(join).replace_children(
                inputs.to_vec(),
                ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
            )
        };
        assert!(over(&inputs[..1]).is_err() && over(&inputs).is_ok());
    }
}

/// A join of `p` to `p` where the left `n` is less than the right one, over two sides of two partitions in order.
fn of_two_partitions(mode: PartitionMode) -> Arc<dyn ExecutionPlan> {
    let side = |seeds: [u64; 2]| {
        let partitions = seeds.map(|seed| rows(seed, 30));
        let schema = partitions[0][0].schema();
        let by_patient = PhysicalSortExpr::new(Arc::new(Column::new("p", 0)), SortOptions::new(false, false));
        let source = MemorySourceConfig::try_new(&partitions, schema, None).unwrap();
        let order = LexOrdering::new([by_patient]).unwrap();
        DataSourceExec::from_data_source(source.try_with_sort_information(vec![order]).unwrap())
    };
    let column = |name: &str, at| Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>;
    let of = |side| ColumnIndex { index: 3, side };
    let numbers = ["left", "right"].map(|name| Field::new(name, DataType::Int64, true));
    let filter = JoinFilter::new(
        Arc::new(BinaryExpr::new(column("left", 0), Operator::Lt, column("right", 1))),
        vec![of(JoinSide::Left), of(JoinSide::Right)],
        Arc::new(Schema::new(numbers.to_vec())),
    );
    let join = HashJoinExec::try_new(
        side([1, 2]),
        side([3, 4]),
        vec![(column("p", 0), column("p", 0))],
        Some(filter),
        &JoinType::Left,
        None,
        mode,
        NullEquality::NullEqualsNothing,
        false,
    );
    Arc::new(join.unwrap())
}

#[tokio::test]
async fn partitions_are_joined_one_by_one() {
    let context = context(rows(1, 1), 64, 1 << 30);
    let theirs = of_two_partitions(PartitionMode::Partitioned);
    let ours = put_into(Arc::clone(&theirs)).unwrap();
    assert_eq!(patient_joins(&ours).len(), 1);
    assert!(in_declared_order(&ours, &context).await);
    assert_eq!(answer(ours, &context).await, answer(theirs, &context).await);
    // One left side for all partitions of the right one.
    let collected = put_into(of_two_partitions(PartitionMode::CollectLeft)).unwrap();
    assert!(patient_joins(&collected).is_empty());
}

#[tokio::test]
async fn what_fails_for_nobody_does_not_fail() {
    let context = both_tables(50, 64, true).await;
    // Divides by zero for a patient who is not on the other side.
    let sql = "SELECT t.p, s.n FROM (SELECT *, CASE WHEN p = 'p000010' THEN 0 ELSE 1 END AS z FROM t) AS t \
               LEFT JOIN (SELECT * FROM s WHERE p <> 'p000010') AS s ON s.p = t.p AND s.n >= 10 / t.z";
    let plan = plan(&context, sql).await;
    let ours = put_into(Arc::clone(&plan)).unwrap();
    assert_eq!(patient_joins(&ours).len(), 1);
    assert_eq!(answer(ours, &context).await, answer(plan, &context).await);
}

/// Both tables, read from files of their own. A scan can put patients out as codes, which tables in memory cannot.
async fn scanned(folder: &Path) -> SessionContext {
    let memory = both_tables(200, 64, true).await;
    let files = SessionContext::new_with_state(memory.state());
    let text = "SET datafusion.execution.parquet.schema_force_view_types = false";
    files.sql(text).await.unwrap().collect().await.unwrap();
    let order = || vec![vec![col("p").sort(true, false), col("d").sort(true, false)]];
    for table in ["t", "s"] {
        let rows = memory.table(table).await.unwrap().collect().await.unwrap();
        let path = folder.join(format!("{table}.parquet"));
        let mut file = ArrowWriter::try_new(File::create(&path).unwrap(), rows[0].schema(), None).unwrap();
        rows.iter().for_each(|rows| file.write(rows).unwrap());
        file.close().unwrap();
        let options = ParquetReadOptions::default().file_sort_order(order());
        let path = path.to_str().unwrap();
        files.deregister_table(table).unwrap();
        files.register_parquet(table, path, options).await.unwrap();
    }
    files
}

#[tokio::test]
async fn patients_that_nobody_reads_are_joined_by_code() {
    let folder = tempfile::tempdir().unwrap();
    let context = scanned(folder.path()).await;
    for sql in [
        "SELECT t.n, s.d FROM t JOIN s ON s.p = t.p AND s.d > t.d",
        "SELECT s.n, t.d, t.c FROM t JOIN s ON s.p = t.p AND s.d BETWEEN t.d AND t.d + INTERVAL '30' DAY AND s.c <> t.c",
        "SELECT t.n, s.c FROM t LEFT JOIN s ON s.p = t.p AND s.n < t.n",
        "SELECT t.c, s.d, s.n FROM t FULL JOIN s ON s.p = t.p AND s.n >= t.n AND s.d <> t.d",
        "SELECT t.d, t.n FROM t WHERE NOT EXISTS (SELECT 1 FROM s WHERE s.p = t.p AND s.n > t.n)",
    ] {
        let plan = plan(&context, sql).await;
        let ours = put_into(Arc::clone(&plan)).unwrap();
        let shown = displayable(ours.as_ref()).indent(false).to_string();
        let joins = patient_joins(&ours);
        assert_eq!(joins.len(), 1, "{sql}\n{shown}");
        for side in joins[0].children() {
            let is_code = |field: &Arc<Field>| matches!(field.data_type(), DataType::Dictionary(..));
            let schema = side.schema();
            assert_eq!(
                schema.fields().iter().filter(|field| is_code(field)).count(),
                1,
                "{sql}\n{shown}"
            );
            assert!(schema.field_with_name("p").is_err(), "{sql}\n{shown}");
        }
        assert_eq!(
            answer(ours, &context).await,
            answer(plan, &context).await,
            "{sql}\n{shown}"
        );
    }
    // Whose text comes out is read as text.
    let plan = plan(
        &context,
        "SELECT t.p, s.p AS q FROM t LEFT JOIN s ON s.p = t.p AND s.d > t.d",
    )
    .await;
    let ours = put_into(Arc::clone(&plan)).unwrap();
    let joins = patient_joins(&ours);
    let sides = joins[0].children();
    assert!(sides.iter().all(|side| side.schema().field_with_name("p").is_ok()));
    assert_eq!(answer(ours, &context).await, answer(plan, &context).await);
}
