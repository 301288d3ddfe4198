//! `mode(x)` and `mode() WITHIN GROUP (ORDER BY x)`: the most frequent value; of several, the first in that order,
//! which is ascending if nothing is said. NULLs do not count.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature, Volatility};

use super::encoded::{Encoding, comparable, complete, list};
use super::sum::{argument_type, list_of};

/// The function.
pub(super) fn mode() -> AggregateUDF {
    AggregateUDF::from(Mode {
        signature: Signature::any(1, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mode {
    signature: Signature,
}

impl AggregateUDFImpl for Mode {
    fn name(&self) -> &str {
        "mode"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value] => Ok(value.clone()),
            _ => exec_err!("mode takes one argument"),
        }
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return not_impl_err!("mode does not know DISTINCT: every value would be as frequent as any other");
        }
        let descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        let of = argument_type(&args);
        Ok(Box::new(Counts {
            encoding: Encoding::new("mode", &[(of, descending)])?,
            of: of.clone(),
            counts: HashMap::new(),
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |kind, of| Arc::new(Field::new(format_state_name(args.name, kind), list_of(of), true));
        Ok(vec![
            field("values", args.return_type()),
            field("counts", &DataType::UInt64),
        ])
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// How often each value is there.
#[derive(Debug)]
struct Counts {
    encoding: Encoding,
    of: DataType,
    counts: HashMap<Box<[u8]>, u64>,
}

impl Counts {
    fn add(&mut self, values: &ArrayRef, times: impl Fn(usize) -> u64) -> Result<()> {
        let values = comparable(values);
        let rows = self.encoding.rows(std::slice::from_ref(&values))?;
        let counts = complete(std::slice::from_ref(&values), None);
        for (at, row) in rows.iter().enumerate().filter(|(at, _)| counts(*at)) {
            match self.counts.get_mut(row.data()) {
                Some(count) => *count = count.saturating_add(times(at)),
                None => {
                    self.counts.insert(row.data().into(), times(at));
                }
            }
        }
        Ok(())
    }

    fn values<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        match self.encoding.columns(rows)?.pop() {
            Some(values) => Ok(values),
            None => exec_err!("mode lost its column"),
        }
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [values] => self.add(values, |_| 1),
            _ => exec_err!("mode takes one argument"),
        }
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else {
            return exec_err!("mode takes one argument");
        };
        let values = comparable(values);
        let rows = self.encoding.rows(std::slice::from_ref(&values))?;
        for row in &rows {
            let Some(count) = self.counts.get_mut(row.data()) else {
                continue;
            };
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(row.data());
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let best = self.counts.iter().reduce(|best, next| {
            let after = next.1.cmp(best.1).then_with(|| best.0.cmp(next.0)).is_lt();
            if after { best } else { next }
        });
        match best {
            Some((row, _)) => ScalarValue::try_from_array(&self.values(std::iter::once(row.as_ref()))?, 0),
            None => ScalarValue::try_from(&self.of),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = self.values(self.counts.keys().map(AsRef::as_ref))?;
        let counts: UInt64Array = self.counts.values().map(|count| Some(*count)).collect();
        Ok(vec![list(values)?, list(Arc::new(counts))?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = |at: usize| states.get(at).and_then(|states| states.as_list_opt::<i32>());
        let (Some(values), Some(counts)) = (lists(0), lists(1)) else {
            return exec_err!("mode received a state that is not its own");
        };
        for (values, counts) in values.iter().zip(counts.iter()) {
            let (Some(values), Some(counts)) = (values, counts) else {
                continue;
            };
            match counts.as_primitive_opt::<UInt64Type>() {
                Some(counts) if counts.len() == values.len() => self.add(&values, |at| counts.value(at))?,
                _ => return exec_err!("mode received a state that is not its own"),
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        let rows: usize = self.counts.keys().map(|row| row.len()).sum();
        size_of_val(self) + self.encoding.size() + rows + self.counts.capacity() * size_of::<(Box<[u8]>, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, session};

    const T: &str = "(VALUES ('a', 1), ('b', 1), ('b', 1), ('a', 2), (NULL, 2), (NULL, 2), ('c', 1), ('c', 1)) t(x, g)";

    #[tokio::test]
    async fn the_most_frequent_value_is_the_first_of_its_equals() {
        answers(
            &format!("SELECT mode(x), mode() WITHIN GROUP (ORDER BY x) FROM {T}"),
            "a,a",
        )
        .await;
        answers(&format!("SELECT mode() WITHIN GROUP (ORDER BY x DESC) FROM {T}"), "c").await;
        answers(&format!("SELECT mode(x) FROM {T} WHERE x IS NULL"), "NULL").await;
        let grouped = format!("SELECT g, mode(x) FROM {T} GROUP BY g ORDER BY g");
        assert_eq!(found(&session(3), &grouped).await, ["1,b", "2,a"]);
        answers("SELECT mode(x) FROM (VALUES (0e0), (-0e0), (1e0)) t(x)", "0.0").await;
    }

    #[tokio::test]
    async fn frames_may_slide() {
        let sql = "SELECT mode(x) OVER (ORDER BY n ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) \
                   FROM (VALUES (1, 5), (2, 5), (3, 1), (4, 1), (5, NULL), (6, NULL), (7, NULL)) t(n, x) ORDER BY n";
        assert_eq!(found(&session(1), sql).await, ["5", "5", "5", "1", "1", "1", "NULL"]);
    }
}
