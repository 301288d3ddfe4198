//! `max_by(x, y)` and `min_by(x, y)`: the x of the row with the greatest or the least y. Of several such rows it is
//! the least x, so that no order of rows shows. Rows without an x or a y do not count, as in DuckDB.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::encoded::{Encoding, comparable, complete};

/// Both functions.
pub(super) fn max_by_and_min_by() -> [AggregateUDF; 2] {
    let function = |name, aliases: [&str; 2]| {
        AggregateUDF::from(Extreme {
            name,
            aliases: aliases.map(str::to_owned).to_vec(),
            signature: Signature::any(2, Volatility::Immutable),
        })
    };
    [
        function(MAX_BY, ["arg_max", "argmax"]),
        function("min_by", ["arg_min", "argmin"]),
    ]
}

const MAX_BY: &str = "max_by";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl Extreme {
    fn begin(&self, args: &AccumulatorArgs) -> Result<Best> {
        let [value, by] = args.expr_fields else {
            return exec_err!("{} takes two arguments", self.name);
        };
        // The row that is wanted is always the least.
        let columns = [(by.data_type(), self.name == MAX_BY), (value.data_type(), false)];
        Ok(Best {
            encoding: Encoding::new(self.name, &columns)?,
            of: value.data_type().clone(),
            rows: Vec::new(),
        })
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value, _] => Ok(value.clone()),
            _ => exec_err!("{} takes two arguments", self.name),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let mut best = self.begin(&args)?;
        best.rows.push(None);
        Ok(Box::new(best))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let names = ["value", "by"].map(|part| format_state_name(args.name, part));
        let fields = args.input_fields.iter().zip(names);
        let fields = fields.map(|(field, name)| Arc::new(Field::new(name, field.data_type().clone(), true)));
        Ok(fields.collect())
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.begin(&args)?))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The best row of each group as bytes, of which the least is the best; none where there was none.
#[derive(Debug)]
struct Best {
    encoding: Encoding,
    of: DataType,
    rows: Vec<Option<Box<[u8]>>>,
}

impl Best {
    fn add(
        &mut self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
        group_of: impl Fn(usize) -> usize,
    ) -> Result<()> {
        let [value, by] = values else {
            return exec_err!("max_by and min_by take two arguments");
        };
        let counts = complete(values, filter);
        let rows = self.encoding.rows(&[comparable(by), Arc::clone(value)])?;
        for (at, row) in rows.iter().enumerate().filter(|(at, _)| counts(*at)) {
            let best = &mut self.rows[group_of(at)];
            if best.as_ref().is_none_or(|best| row.data() < best.as_ref()) {
                *best = Some(row.data().into());
            }
        }
        Ok(())
    }

    /// Returns the values and what they are best by.
    fn columns(&self, rows: &[Option<Box<[u8]>>]) -> Result<[ArrayRef; 2]> {
        let columns = self.encoding.columns(rows.iter().flatten().map(AsRef::as_ref))?;
        let mut known = 0;
        let places = rows.iter().map(|row| {
            let place = row.is_some().then_some(known);
            known += u32::from(row.is_some());
            place
        });
        let places = UInt32Array::from_iter(places);
        match columns.as_slice() {
            [by, value] if !value.is_empty() => Ok([take(value, &places, None)?, take(by, &places, None)?]),
            [by, _] => Ok([&self.of, by.data_type()].map(|of| new_null_array(of, rows.len()))),
            _ => exec_err!("max_by and min_by lost a column"),
        }
    }

    fn bytes(&self) -> usize {
        let rows: usize = self.rows.iter().flatten().map(|row| row.len()).sum();
        self.encoding.size() + rows + self.rows.capacity() * size_of::<Option<Box<[u8]>>>()
    }
}

impl Accumulator for Best {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, None, |_| 0)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(states, None, |_| 0)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let [values, _] = self.columns(&self.rows)?;
        ScalarValue::try_from_array(&values, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = self.columns(&self.rows)?;
        columns
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0))
            .collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes()
    }
}

impl GroupsAccumulator for Best {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.rows.resize(count.max(self.rows.len()), None);
        self.add(values, filter, |row| groups[row])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        GroupsAccumulator::update_batch(self, states, groups, None, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let rows = emit.take_needed(&mut self.rows);
        let [values, _] = self.columns(&rows)?;
        Ok(values)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let rows = emit.take_needed(&mut self.rows);
        Ok(self.columns(&rows)?.to_vec())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let counts = complete(values, filter);
        let each = 0..values.first().map_or(0, |values| values.len());
        let each = each.map(|row| u32::try_from(row).ok().filter(|_| counts(row)));
        let each = UInt32Array::from_iter(each);
        Ok(values
            .iter()
            .map(|values| take(values, &each, None))
            .collect::<Result<_, _>>()?)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, session};

    #[tokio::test]
    async fn the_row_is_found_and_ties_go_to_the_least() {
        let t = "(VALUES ('a', 1, 1), ('c', 3, 1), ('b', 3, 2), (NULL, 9, 2), ('z', NULL, 2)) t(x, y, g)";
        answers(
            &format!("SELECT max_by(x, y), min_by(x, y), arg_max(x, y), arg_min(y, x) FROM {t}"),
            "b,a,b,1",
        )
        .await;
        let grouped = format!("SELECT g, max_by(x, y), min_by(x, y) FROM {t} GROUP BY g ORDER BY g");
        assert_eq!(found(&session(3), &grouped).await, ["1,c,a", "2,b,b"]);
        let filtered = format!("SELECT g, max_by(x, y) FILTER (WHERE y < 3) FROM {t} GROUP BY g ORDER BY g");
        assert_eq!(found(&session(3), &filtered).await, ["1,a", "2,NULL"]);
        answers(&format!("SELECT max_by(x, y) FROM {t} WHERE g > 5"), "NULL").await;
    }

    #[tokio::test]
    async fn values_may_be_of_any_type() {
        let t =
            "(VALUES (date '2020-02-01', 1.5e0), (date '2019-01-01', 'NaN'), (date '2018-01-01', '-Infinity')) t(d, y)";
        answers(
            &format!("SELECT max_by(d, y), min_by(d, y), max_by(y, d) FROM {t}"),
            "2019-01-01,2018-01-01,1.5",
        )
        .await;
        let t = "(VALUES (1, 'x'), (2, 'y')) t(a, b)";
        let sql = "SELECT max_by(arrow_cast(b, 'Dictionary(Int32, Utf8)'), a), max_by([a], b), min_by(struct(a), b), max_by(NULL, a)";
        answers(&format!("{sql} FROM {t}"), "y,[2],{c0: 1},NULL").await;
    }
}
