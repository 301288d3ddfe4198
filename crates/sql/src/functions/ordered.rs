//! `array_agg`, `string_agg` and `nth_value` put the values of a group in order themselves. The engine has one order for all
//! aggregates of a GROUP BY, and turns those around that ask for its opposite; where rows come from several tasks, or
//! groups are of several sets, DataFusion 55 loses which were turned. Here no order is asked of the input, and none relied
//! on.

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err, plan_err};
use datafusion::functions_aggregate::{array_agg, nth_value, string_agg};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature};
use datafusion::physical_expr::expressions::Literal;

/// The functions.
pub(super) fn ordered() -> [AggregateUDF; 3] {
    [
        AggregateUDF::from(Ordered {
            of: array_agg::array_agg_udaf(),
        }),
        AggregateUDF::from(Ordered {
            of: string_agg::string_agg_udaf(),
        }),
        AggregateUDF::from(Nth {
            of: nth_value::nth_value_udaf(),
            values: array_agg::array_agg_udaf(),
        }),
    ]
}

/// The engine's aggregate, which sorts if it is not told that its input is in order.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordered {
    of: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Ordered {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn aliases(&self) -> &[String] {
        self.of.aliases()
    }

    fn signature(&self) -> &Signature {
        self.of.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.of.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.of.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.of.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.of.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.of.create_groups_accumulator(args)
    }

    own_order!();

    fn supports_null_handling_clause(&self) -> bool {
        self.of.supports_null_handling_clause()
    }
}

/// The value at a place of the list of all values.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Nth {
    of: Arc<AggregateUDF>,
    values: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Nth {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn signature(&self) -> &Signature {
        self.of.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let number = args.exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
        let Some(ScalarValue::Int64(Some(place))) = number.map(Literal::value) else {
            return not_impl_err!("nth_value takes a constant number");
        };
        let (Some(value), Some(of)) = (args.exprs.first(), args.expr_fields.first()) else {
            return plan_err!("nth_value takes a value and a number");
        };
        let list = Field::new_list(args.name, Field::new_list_field(of.data_type().clone(), true), true);
        let values = AccumulatorArgs {
            return_field: Arc::new(list),
            exprs: std::slice::from_ref(value),
            expr_fields: std::slice::from_ref(of),
            ..args
        };
        Ok(Box::new(NthOfList {
            place: *place,
            of: of.data_type().clone(),
            values: self.values.accumulator(values)?,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.values.state_fields(args)
    }

    own_order!();
}

#[derive(Debug)]
struct NthOfList {
    /// From 1 on; from -1 on, backwards from the last.
    place: i64,
    of: DataType,
    values: Box<dyn Accumulator>,
}

impl NthOfList {
    fn taken_from(&self, list: &ArrayRef) -> Result<ScalarValue> {
        let places = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let at = match self.place {
            place if place > 0 => place - 1,
            place => places.saturating_add(place),
        };
        match usize::try_from(at) {
            Ok(at) if self.place != 0 && at < list.len() => ScalarValue::try_from_array(list, at),
            _ => ScalarValue::try_from(&self.of),
        }
    }
}

impl Accumulator for NthOfList {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        // The number stands between the value and what it is ordered by.
        let rest = values.get(2..).unwrap_or_default();
        let values: Vec<ArrayRef> = values.iter().take(1).chain(rest).cloned().collect();
        self.values.update_batch(&values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.values.evaluate()? {
            ScalarValue::List(lists) if lists.len() == 1 && lists.is_valid(0) => self.taken_from(&lists.value(0)),
            ScalarValue::List(_) => ScalarValue::try_from(&self.of),
            other => exec_err!("the values of nth_value are a list, not {}", other.data_type()),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, session};

    #[tokio::test]
    async fn each_aggregate_has_its_own_order() {
        let rows = "(VALUES (1, 'a', 3), (1, 'b', 1), (1, 'c', 2), (2, 'd', 1), (2, NULL, 2)) t(g, c, n)";
        let sql = format!(
            "SELECT g, nth_value(c, 2 ORDER BY n DESC), array_agg(n ORDER BY n), string_agg(c, '' ORDER BY n DESC), \
             array_agg(c ORDER BY n DESC), nth_value(c, -1 ORDER BY n), nth_value(c, 9 ORDER BY n) FROM {rows} GROUP BY g ORDER BY g"
        );
        for partitions in [1, 3] {
            assert_eq!(
                found(&session(partitions), &sql).await,
                ["1,c,[1, 2, 3],acb,[a, c, b],a,NULL", "2,d,[1, 2],d,[NULL, d],NULL,NULL"]
            );
        }
    }
}
