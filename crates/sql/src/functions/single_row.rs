//! `single_row(x)`: the x of the only row, NULL without one. A subquery that stands for one value is rewritten to it,
//! so that a second row is an error rather than a second result. A row counts whether its x is NULL or not.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array, new_null_array};
use datafusion::arrow::compute::interleave;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

/// The function.
pub(super) fn single_row() -> AggregateUDF {
    AggregateUDF::from(SingleRow {
        signature: Signature::any(1, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleRow {
    signature: Signature,
}

fn argument_type(args: &AccumulatorArgs) -> Result<DataType> {
    match args.expr_fields {
        _ if args.is_distinct => not_impl_err!("single_row does not know DISTINCT"),
        [value] => Ok(value.data_type().clone()),
        _ => exec_err!("single_row takes one argument"),
    }
}

impl AggregateUDFImpl for SingleRow {
    fn name(&self) -> &str {
        "single_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value] => Ok(value.clone()),
            _ => exec_err!("single_row takes one argument"),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Row {
            count: 0,
            value: ScalarValue::try_from(argument_type(&args)?)?,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |kind, of: &DataType| Arc::new(Field::new(format_state_name(args.name, kind), of.clone(), true));
        Ok(vec![
            field("count", &DataType::UInt64),
            field("value", args.return_type()),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Rows::new(&argument_type(&args)?)))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn several<T>() -> Result<T> {
    exec_err!("a subquery that stands for one value returned more than one row")
}

/// Returns the counts and the values of states.
fn parts(states: &[ArrayRef]) -> Result<(&UInt64Array, &ArrayRef)> {
    match states {
        [counts, values] => match counts.as_primitive_opt::<UInt64Type>() {
            Some(counts) => Ok((counts, values)),
            None => exec_err!("single_row received a state that is not its own"),
        },
        _ => exec_err!("single_row received a state that is not its own"),
    }
}

/// Whether a state is of a row.
fn is_row(counts: &UInt64Array, at: usize) -> bool {
    counts.is_valid(at) && counts.value(at) > 0
}

/// The only row of all.
#[derive(Debug)]
struct Row {
    count: u64,
    value: ScalarValue,
}

impl Row {
    fn add(&mut self, values: &ArrayRef, at: usize) -> Result<()> {
        if self.count > 0 {
            return several();
        }
        self.count = 1;
        self.value = ScalarValue::try_from_array(values, at)?;
        self.value.compact();
        Ok(())
    }
}

impl Accumulator for Row {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else {
            return exec_err!("single_row takes one argument");
        };
        (0..values.len()).try_for_each(|at| self.add(values, at))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (counts, values) = parts(states)?;
        let mut rows = (0..counts.len()).filter(|at| is_row(counts, *at));
        rows.try_for_each(|at| self.add(values, at))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::UInt64(Some(self.count)), self.value.clone()])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }
}

/// The only row of each group. Batches are kept as they are: no row of them is in vain, or there would be two in a
/// group.
struct Rows {
    /// A NULL, and the batches.
    batches: Vec<ArrayRef>,
    /// In which batch, and where, is the row of each group.
    places: Vec<(usize, usize)>,
}

/// Where the NULL is.
const NONE: (usize, usize) = (0, 0);

impl Rows {
    fn new(of: &DataType) -> Self {
        Self {
            batches: vec![new_null_array(of, 1)],
            places: Vec::new(),
        }
    }

    fn add(&mut self, values: &ArrayRef, groups: &[usize], count: usize, counts: impl Fn(usize) -> bool) -> Result<()> {
        self.places.resize(count.max(self.places.len()), NONE);
        let batch = self.batches.len();
        for (at, group) in groups.iter().enumerate().filter(|(at, _)| counts(*at)) {
            let place = &mut self.places[*group];
            if *place != NONE {
                return several();
            }
            *place = (batch, at);
        }
        self.batches.push(Arc::clone(values));
        Ok(())
    }

    fn take(&mut self, emit: EmitTo) -> Result<(Vec<(usize, usize)>, ArrayRef)> {
        let places = emit.take_needed(&mut self.places);
        let batches: Vec<&dyn Array> = self.batches.iter().map(AsRef::as_ref).collect();
        let values = interleave(&batches, &places)?;
        if self.places.is_empty() {
            self.batches.truncate(1);
        }
        Ok((places, values))
    }
}

impl GroupsAccumulator for Rows {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        let Some(values) = values.first() else {
            return exec_err!("single_row takes one argument");
        };
        let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        self.add(values, groups, count, counts)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        let (counts, values) = parts(states)?;
        self.add(values, groups, count, |at| is_row(counts, at))
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.take(emit).map(|(_, values)| values)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (places, values) = self.take(emit)?;
        let counts: UInt64Array = places.iter().map(|place| Some(u64::from(*place != NONE))).collect();
        Ok(vec![Arc::new(counts), values])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(values) = values.first() else {
            return exec_err!("single_row takes one argument");
        };
        let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let counts: UInt64Array = (0..values.len()).map(|row| Some(u64::from(counts(row)))).collect();
        Ok(vec![Arc::new(counts), Arc::clone(values)])
    }

    fn size(&self) -> usize {
        let batches: usize = self.batches.iter().map(|batch| batch.get_array_memory_size()).sum();
        batches + self.places.capacity() * size_of::<(usize, usize)>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    const SEVERAL: &str = "a subquery that stands for one value returned more than one row";

    #[tokio::test]
    async fn one_row_is_given_and_none_is_null() {
        answers("SELECT single_row(x) FROM (VALUES (5)) t(x)", "5").await;
        answers("SELECT single_row(x) FROM (VALUES (5)) t(x) WHERE x > 5", "NULL").await;
        answers(
            "SELECT single_row(x) FILTER (WHERE x > 5) FROM (VALUES (5), (6)) t(x)",
            "6",
        )
        .await;
        refused("SELECT single_row(x) FROM (VALUES (5), (5)) t(x)", SEVERAL).await;
        refused("SELECT single_row(x) FROM (VALUES (NULL), (NULL)) t(x)", SEVERAL).await;
        let types =
            "SELECT single_row([x]), single_row(struct(x)), single_row(arrow_cast('a', 'Dictionary(Int8, Utf8)'))";
        answers(&format!("{types} FROM (VALUES (5)) t(x)"), "[5],{c0: 5},a").await;
    }

    #[tokio::test]
    async fn each_group_has_its_row() {
        let t = "(SELECT value AS x, value / 2 AS g FROM generate_series(0, 99))";
        let sql = format!("SELECT g, single_row(x) FILTER (WHERE x % 2 = 0 AND x <> 4) FROM {t} GROUP BY g ORDER BY g");
        let rows: Vec<String> = (0..50)
            .map(|g| {
                if g == 2 {
                    "2,NULL".to_owned()
                } else {
                    format!("{g},{}", 2 * g)
                }
            })
            .collect();
        assert_eq!(found(&session(3), &sql).await, rows);
        refused(
            &format!("SELECT g, single_row(x) FROM {t} WHERE x < 3 GROUP BY g"),
            SEVERAL,
        )
        .await;
    }
}
