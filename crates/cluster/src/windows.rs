//! Window functions that lose nothing on the wire. A plan of DataFusion 55 travels with the name of a window function alone:
//! that it ignores NULLs, and that it is looked at from the end (`lag` over descending days, where rows lie by ascending
//! ones), is not written down, and an executor would compute another number. The functions to which it matters are
//! wrapped in one that carries both itself, and that the codec writes in full.

use std::sync::Arc;

use ballista_core::extension::ballista_window_functions;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::windows::WindowUDFExpr;

use crate::ranks::Rank;

/// A window function, the direction in which it looks, and what it does with NULLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Directed {
    inner: Arc<WindowUDF>,
    backwards: bool,
    ignores_nulls: bool,
}

/// The engine's window functions; those that can look the other way carry it themselves, and ranks have a sign.
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    ballista_window_functions().into_iter().map(directed).collect()
}

fn directed(inner: Arc<WindowUDF>) -> Arc<WindowUDF> {
    if let Some(rank) = Rank::of(&inner) {
        return rank;
    }
    match inner.inner().reverse_expr() {
        ReversedUDWF::Reversed(_) => Directed {
            inner,
            backwards: false,
            ignores_nulls: false,
        }
        .shared(),
        ReversedUDWF::Identical | ReversedUDWF::NotSupported => inner,
    }
}

impl Directed {
    fn shared(self) -> Arc<WindowUDF> {
        Arc::new(WindowUDF::new_from_impl(self))
    }

    /// The same function, which ignores NULLs; none where the function has no such way.
    pub(crate) fn ignoring_nulls(function: &WindowUDF) -> Option<Arc<WindowUDF>> {
        let known = function.inner().downcast_ref::<Self>()?.clone();
        Some(
            Self {
                ignores_nulls: true,
                ..known
            }
            .shared(),
        )
    }

    /// What the name of a function does not say, for the wire; nothing of a function to which it does not matter.
    pub(crate) fn encode(function: &WindowUDF, bytes: &mut Vec<u8>) {
        if let Some(Self {
            backwards,
            ignores_nulls,
            ..
        }) = function.inner().downcast_ref()
        {
            bytes.extend([u8::from(*backwards), u8::from(*ignores_nulls)]);
        }
    }

    /// The function of this name of which `bytes` say the rest.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Arc<WindowUDF>> {
        let known = ballista_window_functions()
            .into_iter()
            .find(|known| known.name() == name);
        match (known, bytes) {
            (Some(inner), [backwards @ (0 | 1), ignores_nulls @ (0 | 1)]) => Ok(Self {
                inner,
                backwards: *backwards == 1,
                ignores_nulls: *ignores_nulls == 1,
            }
            .shared()),
            _ => internal_err!("the plan has a window function {name} that cannot be read"),
        }
    }
}

/// By how many rows a `lead` (or, below 0, a `lag`) looks ahead, where it takes every row for one and has no default; none for
/// any other function.
pub fn shift(function: &WindowUDFExpr) -> Option<i64> {
    let Directed {
        inner,
        backwards,
        ignores_nulls: false,
    } = function.fun().inner().downcast_ref()?
    else {
        return None;
    };
    let by = match function.args() {
        [_] => 1,
        [_, by] => match by.downcast_ref::<Literal>()?.value() {
            ScalarValue::Int64(by) => (*by)?,
            _ => return None,
        },
        _ => return None,
    };
    match (inner.name(), backwards) {
        ("lead", false) | ("lag", true) => Some(by),
        ("lag", false) | ("lead", true) => by.checked_neg(),
        _ => None,
    }
}

impl WindowUDFImpl for Directed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.inner().expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        // What the caller says of direction and NULLs is what may have been lost.
        let args = PartitionEvaluatorArgs::new(
            args.input_exprs(),
            args.input_fields(),
            self.backwards,
            self.ignores_nulls,
        );
        self.inner.inner().partition_evaluator(args)
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        self.inner.inner().simplify()
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        self.inner.inner().field(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.inner.inner().reverse_expr() {
            ReversedUDWF::Reversed(inner) => ReversedUDWF::Reversed(
                Self {
                    inner,
                    backwards: !self.backwards,
                    ignores_nulls: self.ignores_nulls,
                }
                .shared(),
            ),
            other => other,
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.inner().documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner.inner().limit_effect(args)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::session::{engine_config, engine_state, plan_codec};
    use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::logical_expr::col;
    use datafusion::physical_plan::{ExecutionPlan, collect};
    use datafusion::prelude::{SessionConfig, SessionContext};
    use datafusion_proto::bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    };

    /// Rows of three groups by ascending day, which the table declares; NULLs among the values.
    fn register(context: &SessionContext) {
        let groups = StringArray::from(vec!["a", "a", "a", "a", "b", "b", "c"]);
        let days = Int64Array::from(vec![1, 2, 3, 4, 1, 2, 1]);
        let values = Int64Array::from(vec![Some(7), None, Some(5), None, None, Some(2), Some(9)]);
        let columns = [
            ("p", Arc::new(groups) as _),
            ("d", Arc::new(days) as _),
            ("v", Arc::new(values) as _),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        let order = vec![vec![col("p").sort(true, false), col("d").sort(true, false)]];
        context
            .register_table("t", Arc::new(table.with_sort_order(order)))
            .unwrap();
    }

    fn ours() -> SessionContext {
        let config = engine_config().with_create_default_catalog_and_schema(true);
        let context = SessionContext::new_with_state(engine_state(config, Arc::default()).unwrap());
        register(&context);
        context
    }

    async fn rows(plan: Arc<dyn ExecutionPlan>, context: &SessionContext) -> String {
        let batches = collect(plan, context.task_ctx()).await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    /// What DataFusion answers in one process, and what the plan says once it has been over the wire.
    async fn both(sql: &str) -> (String, String) {
        let oracle = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        register(&oracle);
        let plan = oracle.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let expected = rows(plan, &oracle).await;
        let context = ours();
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let bytes = physical_plan_to_bytes_with_extension_codec(plan, plan_codec().as_ref()).unwrap();
        let arrived =
            physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), plan_codec().as_ref()).unwrap();
        (expected, rows(arrived, &context).await)
    }

    #[tokio::test]
    async fn what_a_window_function_does_arrives() {
        let down = "PARTITION BY p ORDER BY d DESC";
        let whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING";
        for function in [
            format!("lag(d) OVER ({down})"),
            format!("lead(d, 2, 40) OVER ({down})"),
            format!("nth_value(d, 2) OVER ({down} {whole})"),
            format!("first_value(v) OVER ({down} {whole})"),
            format!("last_value(v) IGNORE NULLS OVER ({down} {whole})"),
            "lag(v) IGNORE NULLS OVER (PARTITION BY p ORDER BY d)".to_owned(),
            "lead(v) IGNORE NULLS OVER (PARTITION BY p ORDER BY d DESC)".to_owned(),
            "first_value(v) IGNORE NULLS OVER (PARTITION BY p ORDER BY d)".to_owned(),
            "count(*) FILTER (WHERE v > 4) OVER (PARTITION BY p)".to_owned(),
            "sum(v) FILTER (WHERE d > 1) OVER (PARTITION BY p ORDER BY d)".to_owned(),
            "avg(v) FILTER (WHERE d > 1) OVER (ORDER BY p, d ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)".to_owned(),
            "count(DISTINCT v) FILTER (WHERE v > 4) OVER (PARTITION BY p)".to_owned(),
            "CAST(rank() OVER (ORDER BY v) AS BIGINT) + CAST(ntile(3) OVER (PARTITION BY p ORDER BY d) AS BIGINT)".to_owned(),
            "CAST(sum(d) FILTER (WHERE v IS NULL) OVER (PARTITION BY p) - lag(d) OVER (PARTITION BY p ORDER BY d) AS BIGINT)"
                .to_owned(),
        ] {
            let sql = format!("SELECT p, d, {function} AS n FROM t ORDER BY p, d");
            let (expected, arrived) = both(&sql).await;
            assert_eq!(arrived, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn columns_keep_their_names() {
        let sql =
            "SELECT count(*) FILTER (WHERE v > 4) OVER (PARTITION BY p), lag(v) IGNORE NULLS OVER (ORDER BY d) FROM t";
        let oracle = SessionContext::new();
        register(&oracle);
        let plain = oracle.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        let own = ours().sql(sql).await.unwrap().into_optimized_plan().unwrap();
        assert_eq!(own.schema().field_names(), plain.schema().field_names());
    }

    #[tokio::test]
    async fn ranks_have_a_sign() {
        let sql = "SELECT n, less, lead(n, 2, -1) OVER (ORDER BY p, d) AS ahead FROM (SELECT p, d, \
                   dense_rank() OVER (PARTITION BY p ORDER BY d) AS n, \
                   row_number() OVER (PARTITION BY p ORDER BY d) - rank() OVER (ORDER BY p, d) AS less FROM t) AS r \
                   ORDER BY p, d";
        let context = ours();
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let bytes = physical_plan_to_bytes_with_extension_codec(plan, plan_codec().as_ref()).unwrap();
        let arrived =
            physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), plan_codec().as_ref()).unwrap();
        let batches = collect(arrived, context.task_ctx()).await.unwrap();
        let batch = concat_batches(&batches[0].schema(), &batches).unwrap();
        let expected = [
            vec![1, 2, 3, 4, 1, 2, 1],
            vec![0, 0, 0, 0, -4, -4, -6],
            vec![3, 4, 1, 2, 1, -1, -1],
        ];
        for (column, expected) in batch.columns().iter().zip(expected) {
            assert_eq!(column.as_primitive::<Int64Type>().values(), expected.as_slice());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_said_is_refused() {
        for (function, said) in [
            (
                "array_agg(v) FILTER (WHERE d > 1) OVER (PARTITION BY p)",
                "FILTER is not supported for array_agg",
            ),
            (
                "row_number() IGNORE NULLS OVER (PARTITION BY p)",
                "row_number does not know IGNORE NULLS",
            ),
        ] {
            let sql = format!("SELECT {function} FROM t");
            let error = match ours().sql(&sql).await {
                Ok(frame) => frame.into_optimized_plan().unwrap_err(),
                Err(error) => error,
            };
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn altered_words_are_refused() {
        assert!(Directed::decode("lag", &[1, 0]).is_ok());
        for (name, bytes) in [("lag", &[2, 0][..]), ("lag", &[1]), ("lagg", &[1, 0])] {
            assert!(Directed::decode(name, bytes).is_err());
        }
    }
}
