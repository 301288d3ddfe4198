//! `percentile_disc(p) WITHIN GROUP (ORDER BY x)`, or `percentile_disc(x, p)`: the first value of x, in that order,
//! whose place is at least the fraction p of all. Values of any type that has an order; NULLs do not count.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array, new_empty_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::scalar::copy_array_data;
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature, Volatility};

use super::encoded::{Encoding, comparable, complete, list};
use super::sum::list_of;

/// The function.
pub(super) fn percentile_disc() -> AggregateUDF {
    AggregateUDF::from(PercentileDisc {
        signature: Signature::user_defined(Volatility::Immutable),
        aliases: vec!["quantile_disc".to_owned()],
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PercentileDisc {
    signature: Signature,
    aliases: Vec<String>,
}

/// Returns the fraction that a call asks for, which has to be the same for all rows.
pub(super) fn fraction(name: &str, args: &AccumulatorArgs) -> Result<f64> {
    let none = RecordBatch::new_empty(Arc::new(args.schema.clone()));
    let value = match args.exprs {
        [_, fraction] => fraction.evaluate(&none)?,
        _ => return plan_err!("{name} takes a value and a fraction"),
    };
    match value {
        ColumnarValue::Scalar(ScalarValue::Float64(Some(fraction))) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
        _ => plan_err!("the fraction of {name} is a constant between 0 and 1"),
    }
}

impl AggregateUDFImpl for PercentileDisc {
    fn name(&self) -> &str {
        "percentile_disc"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [value, fraction] if fraction.is_numeric() => Ok(vec![value.clone(), DataType::Float64]),
            [_, _] => plan_err!("the fraction of percentile_disc is a constant between 0 and 1"),
            _ => plan_err!("percentile_disc takes a value and a fraction"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value, _] => Ok(value.clone()),
            _ => exec_err!("percentile_disc takes a value and a fraction"),
        }
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return not_impl_err!("percentile_disc does not know DISTINCT, select distinct values in a subquery");
        }
        let fraction = fraction("percentile_disc", &args)?;
        let descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        let of = args.return_type();
        Ok(Box::new(Values {
            encoding: Encoding::new("percentile_disc", &[(of, descending)])?,
            fraction,
            of: of.clone(),
            batches: Vec::new(),
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "values");
        Ok(vec![Arc::new(Field::new(name, list_of(args.return_type()), true))])
    }

    own_order!();
}

/// Returns the values alone. What comes may be a slice, which keeps all that it was cut from.
fn copied(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Utf8View => Arc::new(values.as_string_view().gc()),
        DataType::BinaryView => Arc::new(values.as_binary_view().gc()),
        _ => make_array(copy_array_data(&values.to_data())),
    }
}

/// All values there are.
#[derive(Debug)]
struct Values {
    encoding: Encoding,
    fraction: f64,
    of: DataType,
    batches: Vec<ArrayRef>,
}

impl Values {
    /// Returns which of so many values is asked for.
    fn place(&self, count: usize) -> usize {
        let place = (self.fraction * count as f64).ceil() as usize;
        place.saturating_sub(1).min(count.saturating_sub(1))
    }
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else {
            return exec_err!("percentile_disc takes a value and a fraction");
        };
        if values.is_empty() {
            return Ok(());
        }
        self.batches.push(comparable(&copied(values)));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let rows = self
            .batches
            .iter()
            .map(|batch| self.encoding.rows(std::slice::from_ref(batch)));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let mut known = Vec::new();
        for (at, (rows, batch)) in rows.iter().zip(&self.batches).enumerate() {
            let counts = complete(std::slice::from_ref(batch), None);
            known.extend(
                (0..rows.num_rows())
                    .filter(|row| counts(*row))
                    .map(|row| (rows.row(row), at, row)),
            );
        }
        if known.is_empty() {
            return ScalarValue::try_from(&self.of);
        }
        let place = self.place(known.len());
        let (_, (_, batch, row), _) = known.select_nth_unstable_by(place, |left, right| left.0.cmp(&right.0));
        match self.batches.get(*batch) {
            Some(batch) => ScalarValue::try_from_array(batch, *row),
            None => exec_err!("percentile_disc lost a value"),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let batches: Vec<&dyn Array> = self.batches.iter().map(AsRef::as_ref).collect();
        let values = match batches.is_empty() {
            true => new_empty_array(&self.of),
            false => concat(&batches)?,
        };
        Ok(vec![list(values)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first().and_then(|states| states.as_list_opt::<i32>()) else {
            return exec_err!("percentile_disc received a state that is not its own");
        };
        states
            .iter()
            .flatten()
            .try_for_each(|values| self.update_batch(&[values]))
    }

    fn size(&self) -> usize {
        let batches: usize = self.batches.iter().map(|batch| batch.get_array_memory_size()).sum();
        size_of_val(self) + self.encoding.size() + batches
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringViewArray};

    use super::super::testing::{answers, found, refused, session};
    use super::*;

    #[tokio::test]
    async fn the_first_value_at_or_past_the_fraction_is_found() {
        let t = "(VALUES (1), (2), (3), (4), (NULL)) t(x)";
        let of = |fraction: &str, order: &str| {
            format!("SELECT percentile_disc({fraction}) WITHIN GROUP (ORDER BY x{order}) FROM {t}")
        };
        for (fraction, order, expected) in [
            ("0.5", "", "2"),
            ("0.51", "", "3"),
            ("0", "", "1"),
            ("1", "", "4"),
            ("0.25", " DESC", "4"),
            ("0.26", " DESC", "3"),
            ("0.25 + 0.25", "", "2"),
        ] {
            answers(&of(fraction, order), expected).await;
        }
        answers(
            &format!("SELECT percentile_disc(x, 0.75), quantile_disc(x, 0.1) FROM {t}"),
            "3,1",
        )
        .await;
        answers(&format!("SELECT percentile_disc(x, 0.75) FROM {t} WHERE x > 9"), "NULL").await;
        answers(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY x) FROM (VALUES ('b'), ('a'), ('c')) t(x)",
            "b",
        )
        .await;
        refused(&of("1.5", ""), "constant between 0 and 1").await;
        refused(&of("x", ""), "constant between 0 and 1").await;
    }

    #[test]
    fn a_slice_does_not_keep_the_rest() {
        let whole: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values(
            (0..10_000).map(|n| format!("number {n:07}")),
        ));
        for values in [whole, views] {
            assert!(copied(&values.slice(5, 1)).get_array_memory_size() < 1000);
        }
    }

    #[tokio::test]
    async fn groups_and_partitions_do_not_show() {
        let sql = "SELECT g, percentile_disc(0.5) WITHIN GROUP (ORDER BY x) FROM \
                   (SELECT value * 7 % 100 AS x, value % 2 AS g FROM generate_series(0, 99)) GROUP BY g ORDER BY g";
        for partitions in [1, 4] {
            assert_eq!(found(&session(partitions), sql).await, ["0,48", "1,49"]);
        }
    }
}
