//! Operators of our own, in the place of the engine's where rows come ordered by patient and a faster way leads to the same
//! rows. A plan is made, shown and sent as the engine knows it; the executor puts them in when the plan is about to run.

mod aggregates;
mod by_patient;
mod counted;
mod held;
mod joins;
mod node;
mod orders;
mod runs;
mod sorted;
mod windows;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_plan::ExecutionPlan;

/// The plan with our operators in it.
pub(crate) fn put_into(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    // From above, since some stand in the place of two.
    orders::kept(&plan)?
        .transform_down(|node| {
            let mut ours = counted::in_place_of(&node)?;
            if ours.is_none() {
                ours = by_patient::in_place_of(&node)?;
            }
            if ours.is_none() {
                ours = joins::in_place_of(&node)?;
            }
            Ok(match ours.or_else(|| windows::in_place_of(&node)) {
                Some(ours) => Transformed::yes(ours),
                None => Transformed::no(node),
            })
        })
        .data()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;
    use arrow::row::{RowConverter, SortField};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::execution::memory_pool::FairSpillPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::functions_aggregate::count::count_udaf;
    use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
    use datafusion::functions_aggregate::sum::sum_udaf;
    use datafusion::logical_expr::{AggregateUDF, col};
    use datafusion::physical_expr::PhysicalExpr;
    use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
    use datafusion::physical_plan::{ExecutionPlanProperties, collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};
    use parcours_cluster::session::engine_config;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    /// Rows of patients in their order, by day: some of one row, one of many; NULLs everywhere, a NULL patient at the end.
    fn rows(seed: u64, patients: usize) -> Vec<RecordBatch> {
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

    fn context(batches: Vec<RecordBatch>, batch_rows: usize, pool: usize) -> SessionContext {
        let pool = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(pool)));
        let config = SessionConfig::new()
            .with_batch_size(batch_rows)
            .with_target_partitions(1);
        let context = SessionContext::new_with_config_rt(config, pool.build_arc().unwrap());
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
        let order = vec![vec![col("p").sort(true, false), col("d").sort(true, false)]];
        context
            .register_table("t", Arc::new(table.with_sort_order(order)))
            .unwrap();
        context
    }

    async fn answer(plan: Arc<dyn ExecutionPlan>, context: &SessionContext) -> Vec<String> {
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

    /// What the engine's plan answers, and what it answers with our operators in it, of which this one must be one.
    async fn same(operator: &str, sql: &str, seed: u64, batch_rows: usize) {
        let context = context(rows(seed, 200), batch_rows, 1 << 30);
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let ours = put_into(Arc::clone(&plan)).unwrap();
        let shown = displayable(ours.as_ref()).indent(false).to_string();
        assert!(shown.contains(operator), "{sql}\n{shown}");
        assert_eq!(ours.schema(), plan.schema());
        assert_eq!(answer(ours, &context).await, answer(plan, &context).await, "{sql}");
    }

    async fn all_the_same(operator: &str, queries: &[String]) {
        for sql in queries {
            for (seed, batch_rows) in [(1, 8192), (2, 7), (3, 64)] {
                same(operator, sql, seed, batch_rows).await;
            }
        }
    }

    #[tokio::test]
    async fn windows_are_the_engines() {
        let by = "PARTITION BY p ORDER BY d";
        let queries = [
            format!("row_number() OVER ({by})"),
            format!("rank() OVER ({by})"),
            format!("dense_rank() OVER ({by})"),
            "sum(n) OVER (PARTITION BY p)".to_owned(),
            "count(c) OVER (PARTITION BY p)".to_owned(),
            "avg(n) OVER (PARTITION BY p ORDER BY d ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
                .to_owned(),
            format!("rank() OVER ({by}), max(d) OVER (PARTITION BY p), min(c) OVER (PARTITION BY p)"),
        ];
        let queries = queries.map(|functions| format!("SELECT p, d, c, n, {functions} FROM t"));
        all_the_same("WholeWindows", &queries).await;
    }

    #[tokio::test]
    async fn dictionaries_of_a_query_are_grouped() {
        let of = |key: &str| format!("arrow_cast(c, 'Dictionary({key}, Utf8)')");
        let queries = [
            format!(
                "SELECT p, count(DISTINCT {}), count(DISTINCT n) FROM t GROUP BY p",
                of("UInt8")
            ),
            format!(
                "SELECT p, count(DISTINCT {}), count(DISTINCT n) FROM t GROUP BY p",
                of("Int32")
            ),
        ];
        all_the_same("ByPatient", &queries).await;
    }

    #[tokio::test]
    async fn shifts_are_the_engines() {
        // `lag` and `lead` say how they look only where they come from a session of ours.
        for shift in [
            "lag(d)",
            "lead(d)",
            "lag(n, 3)",
            "lead(c, 2)",
            "lead(n, 0)",
            "lag(n, -1)",
        ] {
            for order in ["d", "d DESC"] {
                let sql = format!("SELECT p, d, c, n, {shift} OVER (PARTITION BY p ORDER BY {order}) FROM t");
                let plain = context(rows(4, 100), 16, 1 << 30);
                let config = engine_config().with_batch_size(16).with_target_partitions(1);
                let config = config.with_create_default_catalog_and_schema(true);
                let state = parcours_cluster::session::engine_state(config, plain.runtime_env()).unwrap();
                let context = SessionContext::new_with_state(state);
                context
                    .register_table("t", plain.table_provider("t").await.unwrap())
                    .unwrap();
                let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
                let ours = put_into(Arc::clone(&plan)).unwrap();
                let shown = displayable(ours.as_ref()).indent(false).to_string();
                assert!(shown.contains("WholeWindows"), "{sql}\n{shown}");
                assert_eq!(answer(ours, &context).await, answer(plan, &context).await, "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn windows_of_other_functions_stay_the_engines() {
        let context = context(rows(1, 10), 8192, 1 << 30);
        for function in [
            "ntile(2) OVER (PARTITION BY p ORDER BY d)",
            "sum(n) OVER (PARTITION BY p ORDER BY d)",
            "lag(n, 1, 5) OVER (PARTITION BY p ORDER BY d)",
            "row_number() OVER (ORDER BY p, d)",
        ] {
            let sql = format!("SELECT {function} FROM t");
            let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let shown = displayable(put_into(plan).unwrap().as_ref()).indent(false).to_string();
            assert!(!shown.contains("WholeWindows"), "{sql}\n{shown}");
        }
    }

    #[tokio::test]
    async fn groupings_by_patient_are_the_engines() {
        let queries = [
            "count(*), sum(n), min(d), max(c), avg(n)",
            "count(DISTINCT c), count(DISTINCT d), count(DISTINCT n)",
            "count(*) FILTER (WHERE n > 10), count(DISTINCT c), sum(n) FILTER (WHERE c = 'C01')",
            "stddev(n), bool_and(n > 3)",
        ];
        let mut queries: Vec<String> = queries.map(|of| format!("SELECT p, {of} FROM t GROUP BY p")).to_vec();
        queries.push("SELECT DISTINCT p FROM t WHERE n > 25".to_owned());
        all_the_same("ByPatient", &queries).await;
    }

    /// Whether rows come in the order that their plan declares.
    async fn in_declared_order(plan: &Arc<dyn ExecutionPlan>, context: &SessionContext) -> bool {
        let Some(order) = plan.output_ordering() else {
            return true;
        };
        let rows = collect(Arc::clone(plan), context.task_ctx()).await.unwrap();
        let rows = arrow::compute::concat_batches(&plan.schema(), &rows).unwrap();
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

    /// A second table of patients, some of whom are not in the first.
    fn with_stays(context: &SessionContext) {
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

    async fn joined(sql: &str, hash: bool, batch_rows: usize) {
        let context = context(rows(9, 200), batch_rows, 1 << 30);
        with_stays(&context);
        let prefer = format!("SET datafusion.optimizer.prefer_hash_join = {hash}");
        context.sql(&prefer).await.unwrap().collect().await.unwrap();
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let ours = put_into(Arc::clone(&plan)).unwrap();
        let shown = displayable(ours.as_ref()).indent(false).to_string();
        assert!(shown.contains("PatientJoin"), "{sql}\n{shown}");
        assert_eq!(ours.schema(), plan.schema());
        assert!(in_declared_order(&ours, &context).await, "{sql}\n{shown}");
        assert_eq!(
            answer(ours, &context).await,
            answer(plan, &context).await,
            "{sql}\n{shown}"
        );
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
    async fn orders_that_joins_declare_are_kept() {
        let joins = [
            "t JOIN s ON s.p = t.p",
            "t LEFT JOIN s ON s.p = t.p",
            "s RIGHT JOIN t ON s.p = t.p AND s.d > t.d",
        ];
        let asked = [
            "t.p, t.d, s.d, count(*) FROM {} GROUP BY t.p, t.d, s.d",
            "s.p, s.d, t.d, sum(t.n) FROM {} GROUP BY s.p, s.d, t.d",
            "t.p, rank() OVER (PARTITION BY t.p ORDER BY t.d, s.d) FROM {}",
            "s.p, dense_rank() OVER (PARTITION BY s.p ORDER BY s.d, t.d) FROM {}",
            "x.d, dense_rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e) FROM (SELECT t.p, t.d, s.d AS e FROM {}) AS x",
            "s.c, rank() OVER (PARTITION BY s.c, t.p ORDER BY t.d, s.d) FROM {} WHERE s.c = 'C01'",
            "x.p, rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e) \
             FROM (SELECT t.p, t.d, s.d AS e, unnest(make_array(1, 2)) AS u FROM {}) AS x",
            "x.p, rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e) \
             FROM (SELECT t.p, t.d, s.d AS e FROM {} UNION ALL SELECT p, d, d AS e FROM t) AS x",
            "x.r, rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e, x.r) \
             FROM (SELECT t.p, t.d, s.d AS e, rank() OVER (PARTITION BY t.p ORDER BY t.d, s.d) AS r FROM {}) AS x",
            "x.p, rank() OVER (PARTITION BY x.p ORDER BY x.r) \
             FROM (SELECT y.p, y.r FROM (SELECT p, d, row_number() OVER (PARTITION BY p ORDER BY d) AS r FROM t) AS y \
                   JOIN s ON s.p = y.p) AS x",
        ];
        for (join, asked) in joins.iter().flat_map(|join| asked.map(|asked| (join, asked))) {
            let sql = format!("SELECT {}", asked.replace("{}", join));
            for hash in [true, false] {
                let context = context(rows(9, 60), 64, 1 << 30);
                with_stays(&context);
                let prefer = format!("SET datafusion.optimizer.prefer_hash_join = {hash}");
                context.sql(&prefer).await.unwrap().collect().await.unwrap();
                let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
                let shown = displayable(plan.as_ref()).indent(false).to_string();
                let ours = answer(put_into(plan).unwrap(), &context).await;
                let unordered = self::context(rows(9, 60), 64, 1 << 30);
                for table in ["t", "s"] {
                    let all = context
                        .sql(&format!("SELECT * FROM {table}"))
                        .await
                        .unwrap()
                        .collect()
                        .await
                        .unwrap();
                    let all = MemTable::try_new(all[0].schema(), vec![all]).unwrap();
                    unordered.deregister_table(table).unwrap();
                    unordered.register_table(table, Arc::new(all)).unwrap();
                }
                let plan = unordered.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
                assert_eq!(ours, answer(plan, &unordered).await, "{sql}\n{shown}");
            }
        }
    }

    #[tokio::test]
    async fn other_joins_stay_the_engines() {
        let context = context(rows(1, 10), 8192, 1 << 30);
        with_stays(&context);
        for on in [
            "s.p = t.p",
            "s.p = t.p AND s.n <> t.n",
            "s.p = t.p AND s.n + t.n > 3",
            "s.p = t.p AND s.c < t.c",
            "s.d = t.d AND s.n < t.n",
            "(s.p IS NOT DISTINCT FROM t.p) AND s.n < t.n",
            "s.p = t.p AND CAST(s.n AS DOUBLE) < CAST(t.n AS DOUBLE)",
            "s.p = t.p AND s.n < t.n + CAST(random() AS BIGINT)",
        ] {
            let sql = format!("SELECT t.n FROM t JOIN s ON {on}");
            let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let shown = displayable(put_into(plan).unwrap().as_ref()).indent(false).to_string();
            assert!(!shown.contains("PatientJoin"), "{sql}\n{shown}");
        }
    }

    #[tokio::test]
    async fn what_fails_for_nobody_does_not_fail() {
        let context = context(rows(3, 50), 64, 1 << 30);
        with_stays(&context);
        // Divides by zero for a patient who is not on the other side.
        let sql = "SELECT t.p, s.n FROM (SELECT *, CASE WHEN p = 'p000010' THEN 0 ELSE 1 END AS z FROM t) AS t \
                   LEFT JOIN (SELECT * FROM s WHERE p <> 'p000010') AS s ON s.p = t.p AND s.n >= 10 / t.z";
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let ours = put_into(Arc::clone(&plan)).unwrap();
        let shown = displayable(ours.as_ref()).indent(false).to_string();
        assert!(shown.contains("PatientJoin"), "{shown}");
        assert_eq!(answer(ours, &context).await, answer(plan, &context).await);
    }

    /// A partial grouping of the first so many columns over `inner`, and the final one over what it gives out.
    struct Twice {
        by: PhysicalGroupBy,
        aggregates: Vec<Arc<AggregateFunctionExpr>>,
        inner: Arc<dyn ExecutionPlan>,
    }

    impl Twice {
        fn over(inner: Arc<dyn ExecutionPlan>, groups: usize, aggregates: &[(Arc<AggregateUDF>, usize)]) -> Self {
            let schema = inner.schema();
            let column = |n: usize| Arc::new(Column::new(schema.field(n).name(), n)) as Arc<dyn PhysicalExpr>;
            let by = (0..groups).map(|n| (column(n), schema.field(n).name().clone()));
            let aggregate = |(n, (function, of)): (usize, &(Arc<AggregateUDF>, usize))| {
                let builder = AggregateExprBuilder::new(Arc::clone(function), vec![column(*of)]);
                Arc::new(builder.schema(inner.schema()).alias(format!("a{n}")).build().unwrap())
            };
            Self {
                by: PhysicalGroupBy::new_single(by.collect()),
                aggregates: aggregates.iter().enumerate().map(aggregate).collect(),
                inner,
            }
        }

        fn grouping(&self, mode: AggregateMode, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
            let by = if mode == AggregateMode::Final {
                self.by.as_final()
            } else {
                self.by.clone()
            };
            let none = vec![None; self.aggregates.len()];
            let schema = self.inner.schema();
            Arc::new(AggregateExec::try_new(mode, by, self.aggregates.clone(), none, input, schema).unwrap())
        }

        /// What comes out of both, the partial one run by the plan that `with` makes of it, in `context`.
        async fn answer(
            &self,
            context: &SessionContext,
            with: impl Fn(Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan>,
        ) -> Vec<String> {
            let partial = with(self.grouping(AggregateMode::Partial, Arc::clone(&self.inner)));
            let schema = partial.schema();
            let batches = collect(partial, context.task_ctx()).await.unwrap();
            let batches = MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap();
            answer(self.grouping(AggregateMode::Final, batches), &SessionContext::new()).await
        }
    }

    async fn counted(
        sql: &str,
        groups: usize,
        aggregates: &[(Arc<AggregateUDF>, usize)],
        (rows_of, pool): (usize, usize),
    ) {
        let context = context(rows(5, 400), rows_of, pool);
        let inner = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let twice = Twice::over(inner, groups, aggregates);
        let ours = twice.answer(&context, |partial| {
            let ours = put_into(partial).unwrap();
            let shown = displayable(ours.as_ref()).indent(false).to_string();
            assert!(shown.contains("CountedPatients"), "{sql}\n{shown}");
            ours
        });
        let plain = self::context(rows(5, 400), 8192, 1 << 30);
        assert_eq!(ours.await, twice.answer(&plain, |partial| partial).await, "{sql}");
    }

    #[tokio::test]
    async fn counts_of_patients_are_the_engines() {
        // Little memory makes it give its groups out many times.
        for limits in [(8192, 1 << 30), (7, 1 << 30), (64, 1 << 30), (16, 40_000)] {
            let sql = "SELECT c, d, p, count(n), sum(n), min(n), max(d) FROM t GROUP BY c, d, p";
            let aggregates = [
                (count_udaf(), 2),
                (sum_udaf(), 3),
                (sum_udaf(), 4),
                (min_udaf(), 5),
                (max_udaf(), 6),
            ];
            counted(sql, 2, &aggregates, limits).await;
            let sql = "SELECT substr(c, 1, 2), p, count(n) FROM t WHERE n IS NOT NULL GROUP BY substr(c, 1, 2), p";
            counted(sql, 1, &[(sum_udaf(), 2), (count_udaf(), 1)], limits).await;
        }
    }
}
