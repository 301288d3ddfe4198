//! Window functions over whole partitions at once. The engine's windows keep an evaluator and a state for each partition, and
//! a patient, who is one, has few rows; here, rows are taken up to a patient's last, some thousand at a time, and a function is
//! computed for all of these patients in a few passes. Knows the functions of [`Windowed`]; a window of any other stays the
//! engine's.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{partition, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};
use parcours_cluster::windows::shift;

use super::aggregates::{Aggregate, values};
use super::held::{Groups, Held};
use super::node::{Node, Operator, Partition, Run};
use super::runs::groups_of;

/// A function that is computed for many partitions at once.
#[derive(Debug, Clone)]
enum Windowed {
    /// `row_number()`.
    RowNumber,
    /// `rank()` and, if dense, `dense_rank()`: rows that these expressions do not tell apart are peers.
    Rank {
        order: Vec<Arc<dyn PhysicalExpr>>,
        dense: bool,
    },
    /// `lag` and `lead`: the value of the row so many rows further on; NULL beyond the partition's ends.
    Shift { value: Arc<dyn PhysicalExpr>, by: i64 },
    /// An aggregate of all of the partition's rows.
    Total(Aggregate),
}

impl Windowed {
    /// The function of this expression, if it is one of these.
    fn of(expr: &Arc<dyn WindowExpr>) -> Option<Self> {
        let any = expr.as_any();
        if let Some(total) = any.downcast_ref::<PlainAggregateWindowExpr>() {
            whole(expr.get_window_frame(), expr.order_by().is_empty()).then_some(())?;
            let aggregate = Arc::new(total.get_aggregate_expr().clone());
            return Aggregate::of(&aggregate, None).map(Self::Total);
        }
        let function = any.downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
        let function = function.as_any().downcast_ref::<WindowUDFExpr>()?;
        let rank = |dense| Self::Rank {
            order: expr.order_by().iter().map(|by| Arc::clone(&by.expr)).collect(),
            dense,
        };
        match function.fun().name() {
            "row_number" => Some(Self::RowNumber),
            "rank" => Some(rank(false)),
            "dense_rank" => Some(rank(true)),
            _ => Some(Self::Shift {
                by: shift(function)?,
                value: expr.expressions().into_iter().next()?,
            }),
        }
    }

    /// The function's column for `rows`, whose partitions lie at `partitions`, one after the other.
    fn column(&self, rows: &RecordBatch, keys: &[ArrayRef], partitions: &[Range<usize>]) -> Result<ArrayRef> {
        match self {
            Self::RowNumber => {
                let places = partitions.iter().flat_map(|partition| 1..=partition.len());
                Ok(counted(places))
            }
            Self::Rank { order, dense } => {
                let peers = keys.iter().cloned().map(Ok).chain(values(order, rows));
                let peers = partition(&peers.collect::<Result<Vec<_>>>()?)?.ranges();
                Ok(counted(ranks(&peers, partitions, *dense)))
            }
            Self::Shift { value, by } => {
                let value = value.evaluate(rows)?.into_array(rows.num_rows())?;
                let from: UInt64Array = partitions
                    .iter()
                    .flat_map(|partition| partition.clone().map(|row| moved(row, *by, partition)))
                    .collect();
                Ok(take(&value, &from, None)?)
            }
            Self::Total(aggregate) => {
                let groups = groups_of(0, partitions);
                let mut totals = aggregate.begin()?;
                aggregate.add(totals.as_mut(), rows, &groups, partitions.len())?;
                let totals = totals.evaluate(EmitTo::All)?;
                let groups = groups.into_iter().map(|group| group as u64);
                Ok(take(&totals, &UInt64Array::from_iter_values(groups), None)?)
            }
        }
    }
}

/// Whether a window is the whole partition for every row of it.
fn whole(frame: &WindowFrame, unordered: bool) -> bool {
    let all_are_peers = unordered && frame.units == WindowFrameUnits::Range;
    [&frame.start_bound, &frame.end_bound]
        .into_iter()
        .all(|bound| bound.is_unbounded() || all_are_peers && matches!(bound, WindowFrameBound::CurrentRow))
}

/// Ranks are BIGINT, as `parcours_cluster` has them.
fn counted(numbers: impl Iterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(numbers.map(|number| number as i64)))
}

/// The row `by` rows from `row`, if it is in the same partition.
fn moved(row: usize, by: i64, partition: &Range<usize>) -> Option<u64> {
    let found = usize::try_from(i64::try_from(row).ok()?.checked_add(by)?).ok()?;
    partition.contains(&found).then_some(found as u64)
}

/// The rank of each row: of its peers' first row or, if dense, of its peers among those of its partition.
fn ranks<'a>(
    peers: &'a [Range<usize>],
    partitions: &'a [Range<usize>],
    dense: bool,
) -> impl Iterator<Item = usize> + 'a {
    let mut partitions = partitions.iter();
    let (mut partition, mut nth) = (0..0, 0);
    peers.iter().flat_map(move |peers| {
        if peers.start >= partition.end {
            partition = partitions.next().cloned().unwrap_or(peers.clone());
            nth = 0;
        }
        nth += 1;
        let rank = if dense { nth } else { peers.start - partition.start + 1 };
        std::iter::repeat_n(rank, peers.len())
    })
}

/// A window whose input is ordered by its partitions.
#[derive(Debug)]
struct WholeWindows {
    functions: Vec<Windowed>,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
}

/// Our operator for this node; none if it is no window, or one that stays the engine's.
pub(super) fn in_place_of(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let (exprs, input) = if let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() {
        (window.input_order_mode == InputOrderMode::Sorted).then(|| (window.window_expr(), window.input()))?
    } else {
        let window = node.downcast_ref::<WindowAggExec>()?;
        (window.window_expr(), window.input())
    };
    let partition_by = exprs.first().map_or(&[][..], |expr| expr.partition_by());
    let functions: Option<Vec<Windowed>> = exprs.iter().map(Windowed::of).collect();
    (!partition_by.is_empty()).then_some(())?;
    let ours = WholeWindows {
        functions: functions?,
        partition_by: partition_by.to_vec(),
    };
    Some(Node::over(Arc::clone(input), ours, node.properties()))
}

impl Operator for WholeWindows {
    const NAME: &'static str = "WholeWindows";

    fn begin(&self, partition: Partition) -> Result<Box<dyn Run>> {
        Ok(Box::new(Windows {
            functions: self.functions.clone(),
            output: partition.output,
            held: Held::new(self.partition_by.clone(), partition.batch, partition.memory),
        }))
    }
}

/// One partition of the plan at work.
struct Windows {
    functions: Vec<Windowed>,
    output: SchemaRef,
    held: Held,
}

impl Run for Windows {
    fn add(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>> {
        let windows = self.held.add(rows)?;
        windows.map(|windows| self.with_functions(&windows)).transpose()
    }

    fn end(&mut self) -> Result<Option<RecordBatch>> {
        let windows = self.held.end()?;
        windows.map(|windows| self.with_functions(&windows)).transpose()
    }
}

impl Windows {
    fn with_functions(&self, windows: &Groups) -> Result<RecordBatch> {
        let mut columns = windows.rows.columns().to_vec();
        for function in &self.functions {
            columns.push(function.column(&windows.rows, &windows.keys, &windows.ranges)?);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.output), columns)?)
    }
}
