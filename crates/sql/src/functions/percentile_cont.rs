//! `percentile_cont(p) WITHIN GROUP (ORDER BY x)`, or `percentile_cont(x, p)`: the value at the fraction p of the way through
//! all values of x, in that order, and between two of them where need be. The engine's cuts the way between two values to
//! six digits, and so misses values that lie at the end of a step.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, ListArray, ListBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::encoded::list;
use super::percentile_disc::fraction;
use super::sum::list_of;

const NAME: &str = "percentile_cont";

/// The function.
pub(super) fn percentile_cont() -> AggregateUDF {
    AggregateUDF::from(PercentileCont {
        signature: Signature::user_defined(Volatility::Immutable),
        aliases: vec!["quantile_cont".to_owned()],
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PercentileCont {
    signature: Signature,
    aliases: Vec<String>,
}

/// Which value of all is asked for.
#[derive(Debug, Clone, Copy)]
struct Place {
    fraction: f64,
    descending: bool,
}

impl Place {
    fn of(args: &AccumulatorArgs) -> Result<Self> {
        Ok(Self {
            fraction: fraction(NAME, args)?,
            descending: args.order_bys.first().is_some_and(|order| order.options.descending),
        })
    }

    fn order(self, left: &f64, right: &f64) -> Ordering {
        match self.descending {
            true => right.total_cmp(left),
            false => left.total_cmp(right),
        }
    }

    /// Returns the percentile of these values; `None` if there are none.
    fn value(self, values: &mut [f64]) -> Option<f64> {
        let last = values.len().checked_sub(1)?;
        let place = self.fraction * last as f64;
        let below = (place.floor() as usize).min(last);
        let (_, low, above) = values.select_nth_unstable_by(below, |left, right| self.order(left, right));
        let (low, part) = (*low, place - below as f64);
        let high = above.iter().copied().min_by(|left, right| self.order(left, right));
        match high {
            Some(high) if part > 0.0 => Some(between(low, high, part)),
            _ => Some(low),
        }
    }
}

/// Returns what lies at this part of the way between two values.
fn between(low: f64, high: f64, part: f64) -> f64 {
    let way = high - low;
    match low == high {
        true => low,
        false if way.is_finite() => low + way * part,
        false => low * (1.0 - part) + high * part,
    }
}

/// A value as it is ordered: there is one zero and one NaN, which is the greatest number.
fn ordered(value: f64) -> f64 {
    match value.is_nan() {
        true => f64::NAN,
        false => value + 0.0,
    }
}

fn argument(values: &[ArrayRef]) -> Result<&Float64Array> {
    let values = values
        .first()
        .and_then(|values| values.as_primitive_opt::<Float64Type>());
    values.map_or_else(
        || exec_err!("{NAME} received values of another type than was planned"),
        Ok,
    )
}

fn lists(states: &[ArrayRef]) -> Result<&ListArray> {
    let states = states.first().and_then(|states| states.as_list_opt::<i32>());
    states.map_or_else(|| exec_err!("{NAME} received a state that is not its own"), Ok)
}

impl AggregateUDFImpl for PercentileCont {
    fn name(&self) -> &str {
        NAME
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_number = |of: &DataType| of.is_numeric() || of.is_null();
        match types {
            [value, fraction] if is_number(value) && fraction.is_numeric() => Ok(vec![DataType::Float64; 2]),
            [value, _] if !is_number(value) => plan_err!("{NAME} takes numbers, use percentile_disc for other values"),
            [_, _] => plan_err!("the fraction of {NAME} is a constant between 0 and 1"),
            _ => plan_err!("{NAME} takes a value and a fraction"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return not_impl_err!("{NAME} does not know DISTINCT, select distinct values in a subquery");
        }
        Ok(Box::new(Values {
            place: Place::of(&args)?,
            values: Vec::new(),
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "values");
        Ok(vec![Arc::new(Field::new(name, list_of(&DataType::Float64), true))])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(ValuesOfGroups {
            place: Place::of(&args)?,
            groups: Vec::new(),
        }))
    }

    own_order!();
}

/// All values there are.
#[derive(Debug)]
struct Values {
    place: Place,
    values: Vec<f64>,
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(argument(values)?.iter().flatten().map(ordered));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in argument(values)?.iter().flatten().map(ordered) {
            let same = |known: &f64| known.total_cmp(&value).is_eq();
            let Some(at) = self.values.iter().position(same) else {
                return exec_err!("{NAME} lost a value of a window");
            };
            self.values.swap_remove(at);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.place.value(&mut self.values)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Float64Array::from(std::mem::take(&mut self.values));
        Ok(vec![list(Arc::new(values))?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let mut states = lists(states)?.iter().flatten();
        states.try_for_each(|values| self.update_batch(&[values]))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }
}

/// All values of each group.
#[derive(Debug)]
struct ValuesOfGroups {
    place: Place,
    groups: Vec<Vec<f64>>,
}

impl ValuesOfGroups {
    fn resize(&mut self, groups: usize) {
        if self.groups.len() < groups {
            self.groups.resize(groups, Vec::new());
        }
    }
}

impl GroupsAccumulator for ValuesOfGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.resize(count);
        for (row, (value, group)) in argument(values)?.iter().zip(groups).enumerate() {
            let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let Some(value) = value.filter(|_| counts) {
                self.groups[*group].push(ordered(value));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let mut groups = emit.take_needed(&mut self.groups);
        let values = groups.iter_mut().map(|values| self.place.value(values));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut states = ListBuilder::new(Float64Builder::new());
        for values in emit.take_needed(&mut self.groups) {
            states.values().append_slice(&values);
            states.append(true);
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.resize(count);
        for (values, group) in lists(states)?.iter().zip(groups) {
            if let Some(values) = values {
                self.groups[*group].extend(argument(&[values])?.iter().flatten());
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut rows = Self {
            place: self.place,
            groups: Vec::new(),
        };
        let count = values.first().map_or(0, |values| values.len());
        let each: Vec<usize> = (0..count).collect();
        rows.update_batch(values, &each, filter, count)?;
        rows.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        let values: usize = self
            .groups
            .iter()
            .map(|values| values.capacity() * size_of::<f64>())
            .sum();
        self.groups.capacity() * size_of::<Vec<f64>>() + values
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{answers, found, refused, session};

    #[tokio::test]
    async fn values_between_two_are_found_to_the_last_bit() {
        let of = |fraction: &str, order: &str, values: &str| {
            format!("SELECT percentile_cont({fraction}) WITHIN GROUP (ORDER BY x{order}) FROM (VALUES {values}) t(x)")
        };
        let four = "(0), (1000000), (2000000), (3000000), (NULL)";
        for (fraction, order, expected) in [
            ("0.5", "", "1500000.0"),
            ("0", "", "0.0"),
            ("1", "", "3000000.0"),
            ("0.7", "", "2099999.9999999995"),
            ("0.123456789", "", "370370.36699999997"),
            ("0.25", " DESC", "2250000.0"),
            ("0", " DESC", "3000000.0"),
        ] {
            answers(&of(fraction, order, four), expected).await;
        }
        answers(&of("0.5", "", "(1e308), (-1e308)"), "0.0").await;
        answers(
            &of("0.5", "", "(CAST('Infinity' AS double)), (CAST('Infinity' AS double))"),
            "inf",
        )
        .await;
        answers(&of("0.5", "", "(CAST('NaN' AS double)), (1.0), (2.0)"), "2.0").await;
        answers(
            &of(
                "0.5",
                "",
                "(CAST(1.25 AS decimal(10, 2))), (CAST(2.25 AS decimal(10, 2)))",
            ),
            "1.75",
        )
        .await;
        answers(
            "SELECT percentile_cont(x, 0.5), quantile_cont(x, 0.75) FROM (VALUES (1), (2)) t(x)",
            "1.5,1.75",
        )
        .await;
        answers(
            "SELECT percentile_cont(x, 0.5) FROM (VALUES (1), (2)) t(x) WHERE x > 9",
            "NULL",
        )
        .await;
        refused(&of("1.5", "", "(1)"), "constant between 0 and 1").await;
        refused(&of("0.5", "", "('a')"), "percentile_disc").await;
    }

    #[tokio::test]
    async fn groups_partitions_and_frames_do_not_show() {
        let sql = "SELECT g, percentile_cont(0.3) WITHIN GROUP (ORDER BY x), \
                   percentile_cont(0.5) WITHIN GROUP (ORDER BY x DESC) FILTER (WHERE x > 50) FROM \
                   (SELECT value * 7 % 100 AS x, value % 2 AS g FROM generate_series(0, 99)) GROUP BY g ORDER BY g";
        for partitions in [1, 4] {
            assert_eq!(found(&session(partitions), sql).await, ["0,29.4,75.0", "1,30.4,75.0"]);
        }
        let frames = "SELECT percentile_cont(x, 0.5) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM \
                      (VALUES (1, 1.0), (2, 3.0), (3, NULL), (4, 8.0)) t(n, x) ORDER BY n";
        assert_eq!(found(&session(2), frames).await, ["1.0", "2.0", "3.0", "8.0"]);
    }
}
