//! Joins by patient with bounds, such as a dispensing within 30 days of a stay. The engine looks at every pair of a patient's
//! rows, and there are as many as the rows of one side times those of the other; here, where both sides come in the order of
//! patients, a patient's rows are put in the order of what is bound, and those within the bounds are looked for there. Nothing is
//! kept of a side but the rows of the patients at hand.
//!
//! One side leads: its rows are taken in their order, and each with its partners on the other side, so that what comes out
//! is in the order of the leading side.

mod bounds;
mod pairs;
#[cfg(test)]
mod tests;
mod whole;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{JoinSide, JoinType, NullEquality, Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter, build_join_schema};
use datafusion::physical_plan::joins::{HashJoinExec, JoinOnRef, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::TryStreamExt;
use parcours_tables::scan::{Wanted, compute_in_scan};

use bounds::Bounds;
use pairs::Pairs;
use whole::Whole;

use crate::stop::Stop;

/// Which rows of a side come out alone, and not with each of their partners.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Alone {
    Never,
    /// Those that have no partner.
    Unmatched,
    /// Those that have one, once each.
    Matched,
}

/// What a join does, in terms of the leading side and its partners.
#[derive(Debug)]
struct Shape {
    join_type: JoinType,
    /// The side that leads.
    leading: JoinSide,
    /// Whether pairs come out.
    pairs: bool,
    leading_alone: Alone,
    /// The same of the other side; anything but `Never` only where both sides are kept.
    partners_alone: Alone,
    /// The patient of the leading side, and of its partners.
    patient: [Arc<dyn PhysicalExpr>; 2],
    /// How patients are ordered.
    order: SortOptions,
    filter: JoinFilter,
    bounds: Bounds,
    /// Where each column that comes out is from.
    output: Vec<ColumnIndex>,
}

/// A join of the engine, whichever it is.
pub(super) struct Join<'a> {
    pub(super) inputs: [&'a Arc<dyn ExecutionPlan>; 2],
    pub(super) on: JoinOnRef<'a>,
    pub(super) join_type: JoinType,
    /// The side whose order comes out where the type leaves it open.
    leading: JoinSide,
    filter: Option<&'a JoinFilter>,
    pub(super) projection: Option<&'a [usize]>,
    /// Whether each partition of it is one of two partitions, and NULL is nobody's partner.
    plain: bool,
}

impl<'a> Join<'a> {
    /// The join that this node is.
    pub(super) fn of(node: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            // One build side for all partitions is that of each if there is but one.
            let one = node.output_partitioning().partition_count() == 1;
            let by_partition = *join.partition_mode() == PartitionMode::Partitioned || one;
            return Some(Self {
                inputs: [join.left(), join.right()],
                on: join.on(),
                join_type: *join.join_type(),
                leading: JoinSide::Right,
                filter: join.filter(),
                projection: join.projection.as_deref(),
                plain: by_partition
                    && join.null_equality() == NullEquality::NullEqualsNothing
                    && node.fetch().is_none()
                    && !join.null_aware,
            });
        }
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            return Some(Self {
                inputs: [join.left(), join.right()],
                on: &[],
                join_type: *join.join_type(),
                leading: JoinSide::Right,
                filter: join.filter(),
                projection: join.projection().as_deref(),
                plain: false,
            });
        }
        let join = node.downcast_ref::<SortMergeJoinExec>()?;
        Some(Self {
            inputs: [join.left(), join.right()],
            on: join.on(),
            join_type: join.join_type(),
            leading: JoinSide::Left,
            filter: join.filter().as_ref(),
            projection: None,
            plain: join.null_equality() == NullEquality::NullEqualsNothing,
        })
    }

    /// What comes out before some of its columns are chosen, and where each column is from.
    pub(super) fn whole_output(&self) -> (Schema, Vec<ColumnIndex>) {
        let [left, right] = self.inputs.map(|input| input.schema());
        build_join_schema(&left, &right, &self.join_type)
    }

    /// Where each column that comes out is from.
    fn output(&self) -> Vec<ColumnIndex> {
        let (_, columns) = self.whole_output();
        match self.projection {
            Some(kept) => kept.iter().filter_map(|n| columns.get(*n).cloned()).collect(),
            None => columns,
        }
    }

    /// The same as we join; none without a bound, or where the sides are not in the order of one key.
    fn shape(&self) -> Result<Option<Shape>> {
        let (true, [(left, right)], Some(filter)) = (self.plain, self.on, self.filter) else {
            return Ok(None);
        };
        let Some((leading, leading_alone, partners_alone)) = roles(self.join_type, self.leading) else {
            return Ok(None);
        };
        let bounds = Bounds::of(filter, leading);
        if bounds.is_empty() {
            return Ok(None);
        }
        let Some(order) = self.order(left, right)? else {
            return Ok(None);
        };
        Ok(Some(Shape {
            join_type: self.join_type,
            leading,
            pairs: matches!(
                self.join_type,
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
            ),
            leading_alone,
            partners_alone,
            patient: leading_first(leading, [left, right].map(Arc::clone)),
            order,
            filter: filter.clone(),
            bounds,
            output: self.output(),
        }))
    }

    /// How both sides are ordered by their keys, if they are.
    fn order(&self, left: &Arc<dyn PhysicalExpr>, right: &Arc<dyn PhysicalExpr>) -> Result<Option<SortOptions>> {
        let alike = self.inputs[0].output_partitioning().partition_count()
            == self.inputs[1].output_partitioning().partition_count();
        for nulls_first in [false, true] {
            let options = SortOptions::new(false, nulls_first);
            let in_order = |side: usize, key: &Arc<dyn PhysicalExpr>| {
                let by = PhysicalSortExpr::new(Arc::clone(key), options);
                self.inputs[side].equivalence_properties().ordering_satisfy([by])
            };
            if alike && in_order(0, left)? && in_order(1, right)? {
                return Ok(Some(options));
            }
        }
        Ok(None)
    }
}

/// The side that leads, and which rows of it and of the other come out alone.
fn roles(join_type: JoinType, open: JoinSide) -> Option<(JoinSide, Alone, Alone)> {
    Some(match join_type {
        JoinType::Inner => (open, Alone::Never, Alone::Never),
        JoinType::Left => (JoinSide::Left, Alone::Unmatched, Alone::Never),
        JoinType::Right => (JoinSide::Right, Alone::Unmatched, Alone::Never),
        JoinType::Full => (JoinSide::Right, Alone::Unmatched, Alone::Unmatched),
        JoinType::LeftSemi => (JoinSide::Left, Alone::Matched, Alone::Never),
        JoinType::LeftAnti => (JoinSide::Left, Alone::Unmatched, Alone::Never),
        JoinType::RightSemi => (JoinSide::Right, Alone::Matched, Alone::Never),
        JoinType::RightAnti => (JoinSide::Right, Alone::Unmatched, Alone::Never),
        JoinType::LeftMark | JoinType::RightMark => return None,
    })
}

/// What there is of the left and the right, that of the leading side first.
fn leading_first<T>(leading: JoinSide, [left, right]: [T; 2]) -> [T; 2] {
    match leading {
        JoinSide::Left => [left, right],
        JoinSide::Right | JoinSide::None => [right, left],
    }
}

/// Our operator for this node; none if it is no join by patient with bounds.
pub(super) fn in_place_of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(join) = Join::of(node) else { return Ok(None) };
    let Some(mut shape) = join.shape()? else {
        return Ok(None);
    };
    let [left, right] = join.inputs.map(Arc::clone);
    let inputs = [
        shape.by_code(JoinSide::Left, left)?,
        shape.by_code(JoinSide::Right, right)?,
    ];
    Ok(Some(Arc::new(PatientJoin {
        shape: Arc::new(shape),
        inputs,
        properties: Arc::clone(node.properties()),
        metrics: ExecutionPlanMetricsSet::new(),
    })))
}

impl Shape {
    /// The input of a side, which has patients as codes if it is a scan and nobody reads their texts: they are only told
    /// apart.
    fn by_code(&mut self, side: JoinSide, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let (leads, schema) = (side == self.leading, input.schema());
        let read = self.output.iter().chain(self.filter.column_indices());
        let read: BTreeSet<usize> = read.filter(|of| of.side == side).map(|of| of.index).collect();
        let patient = &mut self.patient[usize::from(!leads)];
        if collect_columns(patient)
            .iter()
            .any(|column| read.contains(&column.index()))
        {
            return Ok(input);
        }
        let column = |n: &usize| Arc::new(Column::new(schema.field(*n).name(), *n)) as Arc<dyn PhysicalExpr>;
        let mut columns: Vec<_> = read.iter().map(column).collect();
        let wanted = columns
            .iter_mut()
            .chain(self.bounds.expressions(leads))
            .map(Wanted::Values);
        let Some(scan) = compute_in_scan(&input, wanted.chain([Wanted::Codes(patient)]).collect())? else {
            return Ok(input);
        };
        let moved = columns.iter().filter_map(|column| column.downcast_ref::<Column>());
        let moved: HashMap<usize, usize> = read.into_iter().zip(moved.map(Column::index)).collect();
        let moved = |of: &ColumnIndex| ColumnIndex {
            index: moved
                .get(&of.index)
                .copied()
                .filter(|_| of.side == side)
                .unwrap_or(of.index),
            side: of.side,
        };
        self.output = self.output.iter().map(moved).collect();
        self.filter = JoinFilter::new(
            Arc::clone(self.filter.expression()),
            self.filter.column_indices().iter().map(moved).collect(),
            Arc::clone(self.filter.schema()),
        );
        Ok(scan)
    }
}

/// The node: its two inputs, left and right, have as many partitions as it has.
#[derive(Debug)]
struct PatientJoin {
    shape: Arc<Shape>,
    inputs: [Arc<dyn ExecutionPlan>; 2],
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

const NAME: &str = "PatientJoin";

impl DisplayAs for PatientJoin {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}: {}", self.shape.join_type)
    }
}

impl ExecutionPlan for PatientJoin {
    fn name(&self) -> &str {
        NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        let keeps = self.shape.partners_alone == Alone::Never;
        [JoinSide::Left, JoinSide::Right]
            .map(|side| keeps && side == self.shape.leading)
            .to_vec()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 2]>::try_from(children) {
            Ok(inputs) => Ok(Arc::new(Self {
                shape: Arc::clone(&self.shape),
                inputs,
                properties: Arc::clone(&self.properties),
                metrics: ExecutionPlanMetricsSet::new(),
            })),
            Err(_) => internal_err!("{NAME} has two inputs"),
        }
    }

    fn execute(&self, n: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let [left, right] = &self.inputs;
        let inputs = [
            left.execute(n, Arc::clone(&context))?,
            right.execute(n, Arc::clone(&context))?,
        ];
        let memory = || MemoryConsumer::new(NAME).register(context.memory_pool());
        let [leading, partners] = leading_first(self.shape.leading, inputs);
        let [a, b] = &self.shape.patient;
        let pairs = Pairs::new(
            Arc::clone(&self.shape),
            Whole::new(leading, Arc::clone(a), memory()),
            Whole::new(partners, Arc::clone(b), memory()),
            self.schema(),
            context.session_config().batch_size(),
        );
        let pairs = pairs.until(context.session_config().get_extension::<Stop>());
        let measured = BaselineMetrics::new(&self.metrics, n);
        let rows = futures::stream::try_unfold(pairs, |mut pairs| async move {
            Ok(pairs.next().await?.map(|batch| (batch, pairs)))
        })
        .inspect_ok(move |batch| measured.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
