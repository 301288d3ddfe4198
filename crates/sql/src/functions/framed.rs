//! Aggregates over frames that slide. An aggregate of the engine that cannot take a row out again is refused there; here the
//! rows of the frame are kept and aggregated anew for each frame, which costs as many steps as a frame has rows. Nor does
//! `bit_xor(DISTINCT …)` of groups take a value twice, as the engine's does.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity,
    Signature, StatisticsArgs,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::sort_expr::PhysicalSortExpr;

/// Returns the aggregate, which slides whether or not the engine's does.
pub(super) fn framed(whole: impl Into<Arc<AggregateUDF>>) -> AggregateUDF {
    AggregateUDF::from(Framed { whole: whole.into() })
}

/// An aggregate and nothing else, but over frames.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Framed {
    whole: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Framed {
    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let parts = Parts::of(&args);
        let sliding = self.whole.create_sliding_accumulator(args)?;
        // The engine's `bit_xor` is 0 when all rows have been taken out.
        let is_right = self.name() != "bit_xor";
        Ok(match sliding.supports_retract_batch() && is_right {
            true => sliding,
            false => Box::new(Anew {
                function: Arc::clone(&self.whole),
                parts,
                rows: VecDeque::new(),
            }),
        })
    }

    fn name(&self) -> &str {
        self.whole.name()
    }

    fn aliases(&self) -> &[String] {
        self.whole.aliases()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.whole.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.whole.human_display(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.whole.window_function_schema_name(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.whole.display_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.whole.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.whole.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.whole.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.whole.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.whole.inner().is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.whole.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = self.whole.state_fields(args)?.into_iter();
        // The set of `bit_xor(DISTINCT …)` is declared as never NULL, and a group without rows has none.
        let nullable = |field: FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
        Ok(fields.map(nullable).collect())
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        // That of the engine counts every value of `bit_xor(DISTINCT …)`.
        let forgets_distinct = args.is_distinct && self.name() == "bit_xor";
        !forgets_distinct && self.whole.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.whole.create_groups_accumulator(args)
    }

    fn with_beneficial_ordering(self: Arc<Self>, beneficial: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let whole = Arc::clone(self.whole.inner()).with_beneficial_ordering(beneficial)?;
        Ok(whole.map(|whole| {
            let whole = Arc::new(AggregateUDF::new_from_shared_impl(whole));
            Arc::new(Self { whole }) as _
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.whole.order_sensitivity()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.whole.simplify()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.whole.reverse_udf() {
            ReversedUDAF::Reversed(whole) => ReversedUDAF::Reversed(Arc::new(framed(whole))),
            other => other,
        }
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.whole.coerce_types(types)
    }

    fn is_descending(&self) -> Option<bool> {
        self.whole.is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.whole.value_from_stats(args)
    }

    fn default_value(&self, of: &DataType) -> Result<ScalarValue> {
        self.whole.default_value(of)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.whole.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.whole.supports_within_group_clause()
    }

    fn set_monotonicity(&self, of: &DataType) -> SetMonotonicity {
        self.whole.inner().set_monotonicity(of)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.whole.documentation()
    }
}

/// What an accumulator is made of.
#[derive(Debug)]
struct Parts {
    return_field: FieldRef,
    schema: SchemaRef,
    expr_fields: Vec<FieldRef>,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
}

impl Parts {
    fn of(args: &AccumulatorArgs) -> Self {
        Self {
            return_field: Arc::clone(&args.return_field),
            schema: Arc::new(args.schema.clone()),
            expr_fields: args.expr_fields.to_vec(),
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys.to_vec(),
            is_reversed: args.is_reversed,
            name: args.name.to_owned(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
        }
    }

    fn args(&self) -> AccumulatorArgs<'_> {
        AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            expr_fields: &self.expr_fields,
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
        }
    }
}

/// The rows of a frame, of which the first go first.
#[derive(Debug)]
struct Anew {
    function: Arc<AggregateUDF>,
    parts: Parts,
    rows: VecDeque<Vec<ArrayRef>>,
}

fn rows_of(values: &[ArrayRef]) -> usize {
    values.first().map_or(0, |column| column.len())
}

impl Accumulator for Anew {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if rows_of(values) > 0 {
            self.rows.push_back(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut gone = rows_of(values);
        while let Some(first) = self.rows.front_mut().filter(|_| gone > 0) {
            let rows = rows_of(first);
            if gone < rows {
                for column in first {
                    *column = column.slice(gone, rows - gone);
                }
                return Ok(());
            }
            gone -= rows;
            self.rows.pop_front();
        }
        match gone {
            0 => Ok(()),
            _ => internal_err!("a frame of {} gives back more rows than it has", self.function.name()),
        }
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut whole = self.function.accumulator(self.parts.args())?;
        for rows in &self.rows {
            whole.update_batch(rows)?;
        }
        whole.evaluate()
    }

    fn size(&self) -> usize {
        let columns = self.rows.iter().flatten();
        size_of_val(self) + columns.map(|column| column.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a frame of {} has no state", self.function.name())
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("a frame of {} has no state", self.function.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{found, session};

    #[tokio::test]
    async fn a_value_is_taken_once_of_distinct_ones() {
        let t = "(VALUES (1, 6), (1, 6), (1, 3), (2, NULL), (3, 5), (3, 5)) t(g, v)";
        let sql = format!("SELECT g, bit_xor(DISTINCT v), count(*) FROM {t} GROUP BY g ORDER BY g");
        for partitions in [1, 4] {
            assert_eq!(found(&session(partitions), &sql).await, ["1,5,3", "2,NULL,1", "3,5,2"]);
        }
    }

    #[tokio::test]
    async fn frames_may_be_empty() {
        let t = "(VALUES (1, 6, true), (2, 3, false), (3, NULL, true)) t(n, v, b)";
        let w = "OVER (ORDER BY n ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING)";
        for function in [
            "bit_and(v)",
            "bit_or(v)",
            "bit_xor(v)",
            "bit_xor(DISTINCT v)",
            "max_by(n, v)",
            "mode(v)",
        ] {
            let rows = found(&session(1), &format!("SELECT {function} {w} FROM {t} ORDER BY n")).await;
            assert_eq!(rows[1..], ["NULL", "NULL"], "{function}");
        }
    }

    #[tokio::test]
    async fn frames_slide() {
        let t = "(VALUES (1, 6, true), (2, 3, false), (3, NULL, true), (4, 9, true)) t(n, v, b)";
        let w = "OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
        let of = |function: &str| format!("SELECT {function} {w} FROM {t} ORDER BY n");
        for (function, expected) in [
            ("bit_and(v)", "6 2 3 9"),
            ("bit_or(v)", "6 7 3 9"),
            ("bit_xor(v)", "6 5 3 9"),
            ("bit_xor(DISTINCT v)", "6 5 3 9"),
            ("bool_and(b)", "true false false true"),
            ("bool_or(b)", "true true true true"),
            ("max_by(n, v)", "1 1 2 4"),
            ("min_by(n, v)", "1 2 2 4"),
            ("mode(v)", "6 3 3 9"),
            ("approx_distinct(v)", "1 2 1 1"),
            ("string_agg(CAST(v AS varchar), '-')", "6 6-3 3 9"),
        ] {
            let rows = found(&session(1), &of(function)).await;
            assert_eq!(rows.join(" "), expected, "{function}");
        }
    }
}
