//! The bounds of a join: conditions `a <= b` (or `<`, `>=`, `>`) of something of one side and something of the other, both
//! whole numbers in the end, as days and moments are.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinSide, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::joins::utils::JoinFilter;

use super::whole::Patients;

/// One bound: `partner` is so to `leading`.
#[derive(Debug)]
struct Bound {
    leading: Arc<dyn PhysicalExpr>,
    partner: Arc<dyn PhysicalExpr>,
    is: Is,
}

/// How a partner's value is to the leading row's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Less,
    AtMost,
    AtLeast,
    More,
}

impl Is {
    /// What this says of its left side to its right one.
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Lt => Is::Less,
            Operator::LtEq => Is::AtMost,
            Operator::GtEq => Is::AtLeast,
            Operator::Gt => Is::More,
            _ => return None,
        })
    }

    /// The same, seen from the other side.
    fn turned(self) -> Self {
        match self {
            Is::Less => Is::More,
            Is::AtMost => Is::AtLeast,
            Is::AtLeast => Is::AtMost,
            Is::More => Is::Less,
        }
    }

    /// Those of `values`, which ascend, that are so to `limit`. Where they begin or end is looked for from `near` on, which
    /// is there afterwards.
    fn within(self, values: &[i64], limit: i64, near: &mut usize) -> Range<usize> {
        *near = match self {
            Is::Less | Is::AtLeast => end_of(values, *near, |value| value < limit),
            Is::AtMost | Is::More => end_of(values, *near, |value| value <= limit),
        };
        match self {
            Is::Less | Is::AtMost => 0..*near,
            Is::AtLeast | Is::More => *near..values.len(),
        }
    }
}

/// Where the first values end, which are `below` something, when all others are not. Rows that follow each other in time mostly
/// find their partners close to those of the row before: it is looked near there, and twice as far each time.
fn end_of(values: &[i64], near: usize, below: impl Fn(i64) -> bool) -> usize {
    let mut low = near.min(values.len());
    let (mut high, mut step) = (low, 1);
    if values.get(low).is_some_and(|value| below(*value)) {
        while values.get(high).is_some_and(|value| below(*value)) {
            low = high + 1;
            high = (high + step).min(values.len());
            step *= 2;
        }
    } else {
        while low > 0 && !below(values[low - 1]) {
            high = low - 1;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    low + values[low..high].partition_point(|value| below(*value))
}

/// The bounds of a join's condition.
#[derive(Debug)]
pub(super) struct Bounds {
    bounds: Vec<Bound>,
    /// Whether the condition has nothing else.
    alone: bool,
}

impl Bounds {
    /// Those of this condition.
    pub(super) fn of(filter: &JoinFilter, leading: JoinSide) -> Self {
        let conditions = split_conjunction(filter.expression());
        let bounds: Vec<Bound> = conditions
            .iter()
            .filter_map(|condition| bound(condition, filter, leading))
            .collect();
        Self {
            alone: bounds.len() == conditions.len(),
            bounds,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// The expressions over the leading side, or over the other.
    pub(super) fn expressions(&mut self, leading: bool) -> impl Iterator<Item = &mut Arc<dyn PhysicalExpr>> {
        self.bounds.iter_mut().map(move |bound| match leading {
            true => &mut bound.leading,
            false => &mut bound.partner,
        })
    }

    /// What the leading rows say of their partners.
    pub(super) fn limits(&self, rows: &RecordBatch) -> Limits {
        Limits(self.bounds.iter().map(|bound| numbers(&bound.leading, rows)).collect())
    }

    /// The partners in an order in which they are found by halving.
    pub(super) fn sorted(&self, partners: &Patients) -> Sorted {
        let values = self.bounds.iter().map(|bound| numbers(&bound.partner, &partners.rows));
        Sorted::new(values.collect(), partners)
    }

    /// Where partners of the leading row are, in their order, among those of patient `n`; others may be there, too, unless
    /// it is [`exact`](Self::exact).
    pub(super) fn partners(&self, limits: &Limits, row: usize, sorted: &mut Sorted, n: usize) -> Range<usize> {
        let rows = sorted.ranges[n].clone();
        let mut found = 0..rows.len();
        for ((bound, limit), values) in self.bounds.iter().zip(&limits.0).zip(&mut sorted.values) {
            let Some(limit) = limit else { continue };
            // NULL is within no bounds.
            if limit.is_null(row) {
                return rows.start..rows.start;
            }
            if let Some(known) = values.known[n] {
                let of_patient = &values.values[rows.start..rows.start + known];
                let within = bound.is.within(of_patient, limit.value(row), &mut values.near);
                found = found.start.max(within.start)..found.end.min(within.end);
            }
        }
        rows.start + found.start..rows.start + found.end.max(found.start)
    }

    /// Whether no condition is left to be looked at for the partners of patient `n`.
    pub(super) fn exact(&self, limits: &Limits, sorted: &Sorted, n: usize) -> bool {
        let known = |(limit, values): (&Option<Int64Array>, &Values)| limit.is_some() && values.known[n].is_some();
        self.alone && limits.0.iter().zip(&sorted.values).all(known)
    }
}

/// The values of each bound for leading rows, if they could be computed.
pub(super) struct Limits(Vec<Option<Int64Array>>);

/// Partners in the order of what is bound.
pub(super) struct Sorted {
    values: Vec<Values>,
    ranges: Vec<Range<usize>>,
    /// The row of each, where they are not in that order already.
    rows: Option<Vec<u32>>,
}

/// The values of a bound for partners in their order.
struct Values {
    values: Vec<i64>,
    /// For each patient how many of the values ascend, where all others are behind them and NULL, which is within no bounds.
    known: Vec<Option<usize>>,
    /// Where something was found last among those of a patient.
    near: usize,
}

impl Sorted {
    fn new(values: Vec<Option<Int64Array>>, partners: &Patients) -> Self {
        let ranges = &partners.ranges;
        let rows = order(&values, ranges, partners.rows.num_rows());
        let values = values.into_iter().map(|values| match values {
            Some(values) => in_order(&values, rows.as_deref(), ranges),
            None => Values {
                values: Vec::new(),
                known: vec![None; ranges.len()],
                near: 0,
            },
        });
        Self {
            values: values.collect(),
            ranges: ranges.clone(),
            rows,
        }
    }

    /// The rows of the partners that lie here in the order.
    pub(super) fn rows(&self, at: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let rows = self.rows.as_deref();
        at.map(move |at| rows.map_or(at as u32, |rows| rows[at]))
    }
}

/// The order of each patient's rows by the first bound that could be computed, NULL last; none if all rows are in it as they
/// come.
fn order(values: &[Option<Int64Array>], ranges: &[Range<usize>], count: usize) -> Option<Vec<u32>> {
    let values = values.iter().flatten().next()?;
    let mut rows: Option<Vec<u32>> = None;
    for range in ranges {
        if known(values, range.clone()).is_none() {
            let rows = rows.get_or_insert_with(|| (0..count as u32).collect());
            rows[range.clone()].sort_by_key(|row| {
                let row = *row as usize;
                (values.is_null(row), values.value(row))
            });
        }
    }
    rows
}

fn in_order(values: &Int64Array, rows: Option<&[u32]>, ranges: &[Range<usize>]) -> Values {
    let sorted = match rows {
        Some(rows) => rows
            .iter()
            .map(|row| values.is_valid(*row as usize).then(|| values.value(*row as usize)))
            .collect(),
        None => values.clone(),
    };
    Values {
        known: ranges.iter().map(|range| known(&sorted, range.clone())).collect(),
        values: sorted.values().to_vec(),
        near: 0,
    }
}

/// How many of these values ascend, if all others are behind them and NULL.
fn known(values: &Int64Array, range: Range<usize>) -> Option<usize> {
    let end = match values.null_count() {
        0 => range.end,
        _ => range.clone().find(|row| values.is_null(*row)).unwrap_or(range.end),
    };
    let ascends = values.values()[range.start..end].is_sorted();
    let null_behind = (end..range.end).all(|row| values.is_null(row));
    (ascends && null_behind).then_some(end - range.start)
}

/// The values of an expression as whole numbers. None where it fails: for a row that has no partner it need not be computed,
/// and the condition as a whole will be looked at.
fn numbers(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Option<Int64Array> {
    let values = expr
        .evaluate(rows)
        .and_then(|values| values.into_array(rows.num_rows()));
    let values = cast(&values.ok()?, &DataType::Int64).ok()?;
    values.as_primitive_opt::<Int64Type>().cloned()
}

/// The bound that this condition is.
fn bound(condition: &Arc<dyn PhysicalExpr>, filter: &JoinFilter, leading: JoinSide) -> Option<Bound> {
    let binary = condition.downcast_ref::<BinaryExpr>()?;
    let is = Is::of(*binary.op())?;
    let (left, right) = (binary.left(), binary.right());
    let schema = filter.schema();
    let types = (left.data_type(schema).ok()?, right.data_type(schema).ok()?);
    (types.0 == types.1 && is_whole(&types.0) && !is_volatile(condition)).then_some(())?;
    let of_leading = side(left, filter)? == leading;
    (of_leading != (side(right, filter)? == leading)).then_some(())?;
    let [left, right] = [left, right].map(|expr| over_side(expr, filter));
    Some(match of_leading {
        true => Bound {
            leading: left.ok()?,
            partner: right.ok()?,
            is: is.turned(),
        },
        false => Bound {
            leading: right.ok()?,
            partner: left.ok()?,
            is,
        },
    })
}

/// Types whose order is that of the numbers that they are cast to.
fn is_whole(of: &DataType) -> bool {
    let unsigned = matches!(of, DataType::UInt8 | DataType::UInt16 | DataType::UInt32);
    let days = matches!(of, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
    of.is_signed_integer() || unsigned || days
}

/// The side whose columns an expression of a join's condition has; none if it has none, or both sides'.
fn side(expr: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Option<JoinSide> {
    let columns = collect_columns(expr);
    let mut sides = columns
        .iter()
        .map(|column| filter.column_indices().get(column.index()).map(|of| of.side));
    let first = sides.next()??;
    sides.all(|side| side == Some(first)).then_some(first)
}

/// The same expression over the columns of the side that it is of.
fn over_side(expr: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Result<Arc<dyn PhysicalExpr>> {
    Arc::clone(expr)
        .transform(|node| {
            let column = node.downcast_ref::<Column>();
            let of = column.and_then(|column| Some((column.name(), filter.column_indices().get(column.index())?)));
            Ok(match of {
                Some((name, of)) => Transformed::yes(Arc::new(Column::new(name, of.index)) as _),
                None => Transformed::no(node),
            })
        })
        .data()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn ends_are_found_from_everywhere() {
        let values = [1, 1, 3, 3, 3, 4, 7, 9, 9, 12, 15, 15, 15, 20];
        for length in 0..=values.len() {
            let values = &values[..length];
            for (limit, near) in (0..22).flat_map(|limit| (0..20).map(move |near| (limit, near))) {
                let end = values.partition_point(|value| *value < limit);
                assert_eq!(end_of(values, near, |value| value < limit), end, "{limit} {near}");
                for is in [Is::Less, Is::AtMost, Is::AtLeast, Is::More] {
                    let found = is.within(values, limit, &mut near.clone());
                    let all = (0..length).filter(|at| match is {
                        Is::Less => values[*at] < limit,
                        Is::AtMost => values[*at] <= limit,
                        Is::AtLeast => values[*at] >= limit,
                        Is::More => values[*at] > limit,
                    });
                    assert_eq!(
                        found.collect::<Vec<_>>(),
                        all.collect::<Vec<_>>(),
                        "{is:?} {limit} {near}"
                    );
                }
            }
        }
    }
    #[test]
    fn bounds_are_of_what_is_ordered_as_bigint() {
        let ordered = [
            DataType::Int8,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt32,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
        ];
        assert!(ordered.iter().all(is_whole));
        let others = [
            DataType::UInt64,
            DataType::Float64,
            DataType::Decimal128(10, 0),
            DataType::Utf8,
            DataType::Boolean,
        ];
        assert!(!others.iter().any(is_whole));
    }

    #[test]
    fn a_bound_from_the_other_side_is_turned() {
        for (operator, turned) in [
            (Operator::Lt, Operator::Gt),
            (Operator::LtEq, Operator::GtEq),
            (Operator::GtEq, Operator::LtEq),
            (Operator::Gt, Operator::Lt),
        ] {
            assert_eq!(Is::of(operator).map(Is::turned), Is::of(turned), "{operator}");
            assert!(Is::of(operator).is_some());
        }
        assert_eq!(Is::of(Operator::Eq), None);
    }
}
