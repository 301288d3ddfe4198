//! Window functions over whole partitions at once. The engine's windows keep an evaluator and a state for each partition, and
//! a patient, who is one, has few rows; here, rows are taken up to a patient's last, some thousand at a time, and a function is
//! computed for all of these patients in a few passes. Knows the functions of [`Windowed`]; a window of any other stays the
//! engine's.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, partition, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use parcours_cluster::windows::shift;

use super::aggregates::values;

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
    Total {
        aggregate: Arc<AggregateFunctionExpr>,
        arguments: Vec<Arc<dyn PhysicalExpr>>,
    },
}

impl Windowed {
    /// The function of this expression, if it is one of these.
    fn of(expr: &Arc<dyn WindowExpr>) -> Option<Self> {
        let any = expr.as_any();
        if let Some(total) = any.downcast_ref::<PlainAggregateWindowExpr>() {
            let aggregate = total.get_aggregate_expr();
            let known =
                whole(expr.get_window_frame(), expr.order_by().is_empty()) && aggregate.groups_accumulator_supported();
            return known.then(|| Self::Total {
                aggregate: Arc::new(aggregate.clone()),
                arguments: expr.expressions(),
            });
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
                Ok(numbers(partitions.iter().flat_map(|partition| {
                    partition.clone().map(|row| row - partition.start + 1)
                })))
            }
            Self::Rank { order, dense } => {
                let peers = keys.iter().cloned().map(Ok).chain(values(order, rows));
                let peers = partition(&peers.collect::<Result<Vec<_>>>()?)?.ranges();
                Ok(numbers(ranks(&peers, partitions, *dense)))
            }
            Self::Shift { value, by } => {
                let value = value.evaluate(rows)?.into_array(rows.num_rows())?;
                let from: UInt64Array = partitions
                    .iter()
                    .flat_map(|partition| partition.clone().map(|row| moved(row, *by, partition)))
                    .collect();
                Ok(take(&value, &from, None)?)
            }
            Self::Total { aggregate, arguments } => {
                let arguments = values(arguments, rows).collect::<Result<Vec<_>>>()?;
                let groups = partitions.iter().enumerate();
                let groups: Vec<usize> = groups
                    .flat_map(|(group, partition)| std::iter::repeat_n(group, partition.len()))
                    .collect();
                let mut totals = aggregate.create_groups_accumulator()?;
                totals.update_batch(&arguments, &groups, None, partitions.len())?;
                let totals = totals.evaluate(EmitTo::All)?;
                Ok(take(&totals, &numbers(groups.into_iter()), None)?)
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

fn numbers(numbers: impl Iterator<Item = usize>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(numbers.map(|number| number as u64)))
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
    input: Arc<dyn ExecutionPlan>,
    functions: Vec<Windowed>,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
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
    Some(Arc::new(WholeWindows {
        input: Arc::clone(input),
        functions: functions?,
        partition_by: partition_by.to_vec(),
        properties: Arc::clone(node.properties()),
        metrics: ExecutionPlanMetricsSet::new(),
    }))
}

impl DisplayAs for WholeWindows {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WholeWindows: functions={}", self.functions.len())
    }
}

impl ExecutionPlan for WholeWindows {
    fn name(&self) -> &str {
        "WholeWindows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else {
            return internal_err!("a window has one input");
        };
        Ok(Arc::new(Self {
            input,
            functions: self.functions.clone(),
            partition_by: self.partition_by.clone(),
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn execute(&self, n: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = context.session_config().batch_size();
        let windows = Windows {
            functions: self.functions.clone(),
            partition_by: self.partition_by.clone(),
            schema: self.schema(),
            held: Vec::new(),
            rows: 0,
            batch: rows,
            enough: rows,
            memory: MemoryConsumer::new("WholeWindows").register(context.memory_pool()),
        };
        let measured = BaselineMetrics::new(&self.metrics, n);
        let input = self.input.execute(n, context)?;
        let ends = futures::stream::once(async { Ok(None) });
        let batches = input
            .map_ok(Some)
            .chain(ends)
            .scan(windows, |windows, batch| {
                let done = batch.and_then(|batch| windows.take(batch));
                futures::future::ready(Some(done))
            })
            .map_ok(move |done| {
                measured.record_output(done.as_ref().map_or(0, RecordBatch::num_rows));
                futures::stream::iter(done.into_iter().flat_map(move |done| split(&done, rows)).map(Ok))
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The batch in parts of at most so many rows.
pub(super) fn split(batch: &RecordBatch, rows: usize) -> VecDeque<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(rows.max(1));
    starts
        .map(|start| batch.slice(start, rows.min(batch.num_rows() - start)))
        .collect()
}

/// One partition of the plan at work: the rows of which the last window may go on.
struct Windows {
    functions: Vec<Windowed>,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    held: Vec<RecordBatch>,
    rows: usize,
    /// How many rows a batch has.
    batch: usize,
    /// How many rows are awaited before it is looked for a window's end again.
    enough: usize,
    memory: MemoryReservation,
}

impl Windows {
    /// Takes the input's next batch, or its end. The rows whose windows are whole by now, with their functions.
    fn take(&mut self, batch: Option<RecordBatch>) -> Result<Option<RecordBatch>> {
        let last = batch.is_none();
        if let Some(batch) = batch {
            self.memory.try_grow(batch.get_array_memory_size())?;
            self.rows += batch.num_rows();
            self.held.push(batch);
        }
        if self.rows == 0 || (!last && self.rows < self.enough) {
            return Ok(None);
        }
        let Some(schema) = self.held.first().map(RecordBatch::schema) else {
            return Ok(None);
        };
        let rows = concat_batches(&schema, &self.held)?;
        let keys = values(&self.partition_by, &rows).collect::<Result<Vec<_>>>()?;
        let mut partitions = partition(&keys)?.ranges();
        if !last {
            partitions.pop();
        }
        let end = partitions.last().map_or(0, |partition| partition.end);
        self.hold(rows.slice(end, rows.num_rows() - end));
        if end == 0 {
            return Ok(None);
        }
        let keys: Vec<ArrayRef> = keys.iter().map(|key| key.slice(0, end)).collect();
        self.with_functions(&rows.slice(0, end), &keys, &partitions).map(Some)
    }

    /// Keeps the rows of a window that goes on. It is looked at again when there are twice as many, so that a long one costs
    /// a copy or two a row.
    fn hold(&mut self, rest: RecordBatch) {
        self.enough = self.batch.max(2 * rest.num_rows());
        self.rows = rest.num_rows();
        self.memory.resize(if self.rows == 0 {
            0
        } else {
            rest.get_array_memory_size()
        });
        self.held = vec![rest];
    }

    fn with_functions(
        &self,
        rows: &RecordBatch,
        keys: &[ArrayRef],
        partitions: &[Range<usize>],
    ) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for function in &self.functions {
            columns.push(function.column(rows, keys, partitions)?);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
