//! Aggregates that count: `regr_count` and `approx_distinct`. The engine's are unsigned, and a number that is added to an
//! unsigned one becomes a DECIMAL; here they are BIGINT.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::{approx_distinct::approx_distinct_udaf, regr::regr_count_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

/// The functions.
pub(super) fn signed() -> [AggregateUDF; 2] {
    let of_any = Signature::user_defined(Volatility::Immutable);
    [
        Signed {
            unsigned: approx_distinct_udaf(),
            signature: of_any,
        },
        Signed {
            signature: regr_count_udaf().signature().clone(),
            unsigned: regr_count_udaf(),
        },
    ]
    .map(AggregateUDF::from)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Signed {
    unsigned: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for Signed {
    fn name(&self) -> &str {
        self.unsigned.name()
    }

    fn aliases(&self) -> &[String] {
        self.unsigned.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Those of `approx_distinct`, which counts all types but floats: they are counted by their texts.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [of] if of.is_floating() => Ok(vec![DataType::Utf8]),
            [of] => Ok(vec![of.clone()]),
            _ => plan_err!("{} takes one argument", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SignedAccumulator(self.unsigned.accumulator(args)?)))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SignedAccumulator(
            self.unsigned.create_sliding_accumulator(args)?,
        )))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.unsigned.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.unsigned.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(SignedGroups(self.unsigned.create_groups_accumulator(args)?)))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug)]
struct SignedAccumulator(Box<dyn Accumulator>);

impl Accumulator for SignedAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()?.cast_to(&DataType::Int64)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }
}

struct SignedGroups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for SignedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.0.update_batch(values, groups, filter, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(cast(&self.0.evaluate(emit)?, &DataType::Int64)?)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.0.merge_batch(states, groups, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::answers;

    #[tokio::test]
    async fn they_are_signed() {
        let t = "(VALUES (1e0, 2e0, 'a'), (3e0, NULL, 'b'), (2e0, 4e0, 'a')) t(y, x, c)";
        let sql =
            format!("SELECT arrow_typeof(regr_count(y, x) + 1), regr_count(y, x) - 3, approx_distinct(c) - 3 FROM {t}");
        answers(&sql, "Int64,-1,-1").await;
        let sql = format!("SELECT regr_count(y, x), approx_distinct(c) FROM {t} WHERE x > 9");
        answers(&sql, "0,0").await;
        let sql = format!("SELECT c, regr_count(y, x) - 2 FROM {t} GROUP BY c ORDER BY c LIMIT 1");
        answers(&sql, "a,0").await;
        answers(
            &format!("SELECT approx_distinct(y), approx_distinct(x) FROM {t}"),
            "3,2",
        )
        .await;
    }
}
