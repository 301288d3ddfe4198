//! Operators of our own, in the place of the engine's where rows come ordered by patient and a faster way leads to the same
//! rows. A plan is made, shown and sent as the engine knows it; the executor puts them in when the plan is about to run.

mod aggregates;
mod by_patient;
mod conditions;
mod counted;
#[cfg(test)]
mod fixtures;
mod held;
mod joins;
mod node;
mod orders;
mod runs;
mod sorted;
mod windows;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::ExecutionPlan;
use parcours_cluster::placement::without_marks;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

pub(crate) use conditions::with_filter;
pub(crate) use orders::windows_in_order;

/// The names of all operators here.
const NAMES: [&str; 6] = [
    "AsTheyCome",
    "ByPatient",
    "CountedPatients",
    "PatientJoin",
    "SortedWithin",
    "WholeWindows",
];

/// How often each operator was part of a task's plan.
#[derive(Clone, Debug)]
pub(crate) struct Counters(Family<[(&'static str, &'static str); 1], Counter>);

impl Default for Counters {
    /// Every operator is there from the start, so that one that never runs can be told from one that is not known.
    fn default() -> Self {
        let counters = Self(Family::default());
        for name in NAMES {
            drop(counters.0.get_or_create(&[("operator", name)]));
        }
        counters
    }
}

impl Counters {
    /// Returns the counters as metrics, by the operators' names.
    pub(crate) fn family(&self) -> Family<[(&'static str, &'static str); 1], Counter> {
        self.0.clone()
    }

    /// Counts the operators of a plan that is about to run.
    pub(crate) fn count(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
        plan.apply(|node| {
            if let Some(name) = NAMES.into_iter().find(|name| *name == node.name()) {
                self.0.get_or_create(&[("operator", name)]).inc();
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map(drop)
    }
}

/// The plan with our operators in it.
pub(crate) fn put_into(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    // From above, since some stand in the place of two.
    orders::kept(&conditions::of_rows_alone(without_marks(plan)?)?)?
        .transform_down(|node| {
            let mut ours = counted::in_place_of(&node)?;
            if ours.is_none() {
                ours = by_patient::in_place_of(&node)?;
            }
            if ours.is_none() {
                ours = joins::in_place_of(&node)?;
            }
            if ours.is_none() {
                ours = orders::within_runs(&node)?;
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
    use super::fixtures::{answer, context, plan, rows};
    use super::*;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::functions_aggregate::count::count_udaf;
    use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
    use datafusion::functions_aggregate::sum::sum_udaf;
    use datafusion::logical_expr::AggregateUDF;
    use datafusion::physical_expr::PhysicalExpr;
    use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::SessionContext;

    /// What the engine's plan answers, and what it answers with our operators in it, of which this one must be one.
    async fn same(operator: &'static str, sql: &str, seed: u64, batch_rows: usize) {
        let context = context(rows(seed, 200), batch_rows, 1 << 30);
        let plan = plan(&context, sql).await;
        let ours = put_into(Arc::clone(&plan)).unwrap();
        let shown = displayable(ours.as_ref()).indent(false).to_string();
        assert!(shown.contains(operator), "{sql}\n{shown}");
        let counters = Counters::default();
        counters.count(&ours).unwrap();
        assert!(counters.0.get_or_create(&[("operator", operator)]).get() > 0, "{shown}");
        assert_eq!(ours.schema(), plan.schema());
        assert_eq!(answer(ours, &context).await, answer(plan, &context).await, "{sql}");
    }

    async fn all_the_same(operator: &'static str, queries: &[String]) {
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
                same("WholeWindows", &sql, 4, 16).await;
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
            let plan = plan(&context, &sql).await;
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
        let inner = plan(&context, sql).await;
        let twice = Twice::over(inner, groups, aggregates);
        let ours = twice.answer(&context, |partial| {
            let ours = put_into(partial).unwrap();
            let shown = displayable(ours.as_ref()).indent(false).to_string();
            assert!(shown.contains("CountedPatients"), "{sql}\n{shown}");
            ours
        });
        let plain = super::fixtures::context(rows(5, 400), 8192, 1 << 30);
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
