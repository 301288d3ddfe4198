//! Distinct patients, counted as they go by. A query that asks for them is planned as two groupings, one by patient and all
//! else, and one over it (ADR 14): that needs no exchange by patient, but a group for nearly every row. Where rows come in the
//! order of patients, it is enough to know of each group which patient it was counted for last; both groupings become one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::GroupsAccumulator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use parcours_tables::scan::compute_in_scan;

use super::aggregates::{Aggregate, first, values};
use super::runs::{Neighbours, NewToRun, Runs};
use super::windows::split;

/// What is computed for each group.
#[derive(Debug, Clone)]
enum Part {
    Patients,
    Of(Aggregate),
}

/// Two groupings as one.
#[derive(Debug)]
struct CountedPatients {
    input: Arc<dyn ExecutionPlan>,
    group_by: Vec<Arc<dyn PhysicalExpr>>,
    patient: Arc<dyn PhysicalExpr>,
    parts: Vec<Part>,
    /// Those of the outer grouping, which is a partial one.
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// Our operator for this node; none if it is not the outer one of two such groupings.
pub(super) fn in_place_of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(mut ours) = of(node) else { return Ok(None) };
    let parts = ours.parts.iter_mut().filter_map(|part| match part {
        Part::Patients => None,
        Part::Of(aggregate) => Some(aggregate.expressions()),
    });
    let expressions = parts.flatten().chain(&mut ours.group_by).chain([&mut ours.patient]);
    if let Some(scan) = compute_in_scan(&ours.input, expressions.collect())? {
        ours.input = scan;
    }
    Ok(Some(Arc::new(ours)))
}

fn of(node: &Arc<dyn ExecutionPlan>) -> Option<CountedPatients> {
    let outer = node.downcast_ref::<AggregateExec>()?;
    let inner = outer.input().downcast_ref::<AggregateExec>()?;
    let whole = matches!(inner.mode(), AggregateMode::Single | AggregateMode::SinglePartitioned);
    if *outer.mode() != AggregateMode::Partial || !whole || !is_plain(outer) || !is_plain(inner) {
        return None;
    }
    let exprs = inner.group_expr().expr();
    let by: Option<Vec<usize>> = outer.group_expr().expr().iter().map(|(by, _)| column(by)).collect();
    let by = by?;
    let mut others = (0..exprs.len()).filter(|n| !by.contains(n));
    let (Some(patient), None) = (others.next(), others.next()) else {
        return None;
    };
    let group_by: Option<Vec<_>> = by.iter().map(|n| Some(Arc::clone(&exprs.get(*n)?.0))).collect();
    let ordering = inner.input().output_ordering()?;
    let parts = outer.aggr_expr().iter().map(|part| of_both(part, inner, patient));
    let parts: Option<Vec<Part>> = parts.collect();
    let patient = &exprs.get(patient)?.0;
    (ordering.first().expr.as_ref() == patient.as_ref() && !by.is_empty()).then_some(())?;
    Some(CountedPatients {
        input: Arc::clone(inner.input()),
        group_by: group_by?,
        patient: Arc::clone(patient),
        parts: parts?,
        properties: Arc::clone(node.properties()),
        metrics: ExecutionPlanMetricsSet::new(),
    })
}

fn is_plain(grouping: &AggregateExec) -> bool {
    grouping.group_expr().is_single()
        && grouping.limit_options().is_none()
        && grouping.filter_expr().iter().all(Option::is_none)
}

fn column(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

/// What the outer aggregate comes to over the inner grouping's input: the count of patients, or an inner aggregate of all
/// rows of a group, where both add up.
fn of_both(outer: &Arc<AggregateFunctionExpr>, inner: &AggregateExec, patient: usize) -> Option<Part> {
    let arguments = outer.expressions();
    let ([argument], false, true) = (arguments.as_slice(), outer.is_distinct(), outer.order_bys().is_empty()) else {
        return None;
    };
    let (name, argument) = (outer.fun().name(), column(argument)?);
    if name == "count" && argument == patient {
        return Some(Part::Patients);
    }
    let of = argument.checked_sub(inner.group_expr().expr().len())?;
    let of = inner.aggr_expr().get(of)?;
    match (name, of.fun().name()) {
        ("sum", "count" | "sum") | ("min", "min") | ("max", "max") => Aggregate::of(of, None).map(Part::Of),
        _ => None,
    }
}

impl DisplayAs for CountedPatients {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountedPatients: aggregates={}", self.parts.len())
    }
}

impl ExecutionPlan for CountedPatients {
    fn name(&self) -> &str {
        "CountedPatients"
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

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else {
            return internal_err!("a grouping has one input");
        };
        Ok(Arc::new(Self {
            input,
            group_by: self.group_by.clone(),
            patient: Arc::clone(&self.patient),
            parts: self.parts.clone(),
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn execute(&self, n: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = context.session_config().batch_size();
        let groups = Groups::begin(self, &context)?;
        let measured = BaselineMetrics::new(&self.metrics, n);
        let input = self.input.execute(n, context)?;
        let ends = futures::stream::once(async { Ok(None) });
        let results = input
            .map_ok(Some)
            .chain(ends)
            .scan(groups, |groups, rows| {
                let results = rows.and_then(|rows| match rows {
                    Some(rows) => groups.add(&rows),
                    None => groups.results(),
                });
                futures::future::ready(Some(results))
            })
            .map_ok(move |results| {
                measured.record_output(results.as_ref().map_or(0, RecordBatch::num_rows));
                let parts: VecDeque<RecordBatch> = results.iter().flat_map(|results| split(results, rows)).collect();
                futures::stream::iter(parts).map(Ok)
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), results)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// One partition of the grouping at work.
struct Groups {
    group_by: Vec<Arc<dyn PhysicalExpr>>,
    /// Alone, as expressions are evaluated.
    patient: [Arc<dyn PhysicalExpr>; 1],
    schema: SchemaRef,
    neighbours: Neighbours,
    /// How many patients there were.
    patients: u64,
    groups: NewToRun,
    counts: Vec<i64>,
    states: Vec<Option<(Aggregate, Box<dyn GroupsAccumulator>)>>,
    memory: MemoryReservation,
    /// Memory is short: what there is is given out when the next patient begins.
    short: bool,
}

impl Groups {
    fn begin(node: &CountedPatients, context: &TaskContext) -> Result<Self> {
        let input = node.input.schema();
        let field = |by: &Arc<dyn PhysicalExpr>| Ok(Arc::new(Field::new("group", by.data_type(&input)?, true)));
        let fields = node.group_by.iter().map(field).collect::<Result<Vec<_>>>()?;
        let states = node.parts.iter().map(|part| match part {
            Part::Patients => Ok(None),
            Part::Of(aggregate) => Ok(Some((aggregate.clone(), aggregate.begin()?))),
        });
        Ok(Self {
            group_by: node.group_by.clone(),
            patient: [Arc::clone(&node.patient)],
            schema: node.schema(),
            neighbours: Neighbours::default(),
            patients: 0,
            groups: NewToRun::new(fields)?,
            counts: Vec::new(),
            states: states.collect::<Result<_>>()?,
            memory: MemoryConsumer::new("CountedPatients").register(context.memory_pool()),
            short: false,
        })
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<Option<RecordBatch>> {
        let Some(patients) = values(&self.patient, rows).next().transpose()? else {
            return internal_err!("a count of patients has a patient");
        };
        let runs = self.neighbours.runs(&patients)?;
        if !self.short {
            self.add_runs(rows, &patients, &runs)?;
            return self.reserve().map(|()| None);
        }
        // A patient who was counted must not come again once the counts are given out.
        let next = runs.ranges.get(usize::from(runs.goes_on));
        let start = next.map_or(rows.num_rows(), |next| next.start);
        let (before, after) = (rows.slice(0, start), rows.slice(start, rows.num_rows() - start));
        let head = Runs {
            ranges: runs.ranges.iter().take(usize::from(runs.goes_on)).cloned().collect(),
            goes_on: runs.goes_on,
        };
        self.add_runs(&before, &patients.slice(0, start), &head)?;
        if next.is_none() {
            return self.reserve().map(|()| None);
        }
        let results = self.results()?;
        self.short = false;
        let tail = runs.ranges.iter().skip(head.ranges.len());
        let tail = Runs {
            ranges: tail.map(|run| run.start - start..run.end - start).collect(),
            goes_on: false,
        };
        self.add_runs(&after, &patients.slice(start, rows.num_rows() - start), &tail)?;
        self.reserve().map(|()| results)
    }

    fn add_runs(&mut self, rows: &RecordBatch, patients: &ArrayRef, runs: &Runs) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let columns = values(&self.group_by, rows).collect::<Result<Vec<_>>>()?;
        let ids = self.groups.number(&columns)?.to_vec();
        let count = self.groups.len();
        self.counts.resize(count, 0);
        for (n, run) in runs.ranges.iter().enumerate() {
            self.patients += u64::from(n > 0 || !runs.goes_on);
            let known = i64::from(patients.is_valid(run.start));
            let counts = &mut self.counts;
            self.groups
                .each_new(run.clone(), self.patients, |_, group| counts[group] += known);
        }
        for (aggregate, state) in self.states.iter_mut().flatten() {
            aggregate.add(state.as_mut(), rows, &ids, count)?;
        }
        Ok(())
    }

    fn reserve(&mut self) -> Result<()> {
        let states = self.states.iter().flatten().map(|(_, state)| state.size());
        let size = states.sum::<usize>() + self.groups.size() + self.counts.capacity() * 8;
        match self.memory.try_resize(size) {
            Ok(()) => Ok(()),
            Err(error) if self.short => Err(error),
            Err(_) => {
                self.short = true;
                Ok(())
            }
        }
    }

    /// What was counted so far, as a partial grouping gives it out.
    fn results(&mut self) -> Result<Option<RecordBatch>> {
        let count = self.groups.len();
        if count == 0 {
            return Ok(None);
        }
        let mut columns = self.groups.emit()?;
        let counts: ArrayRef = Arc::new(Int64Array::from(std::mem::take(&mut self.counts)));
        for state in &mut self.states {
            columns.push(match state {
                Some((_, state)) => first(state.as_mut(), count)?,
                None => Arc::clone(&counts),
            });
        }
        let columns = columns.into_iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| as_type(column, field.data_type()));
        let results = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_>>()?)?;
        Ok(Some(results))
    }
}

/// The sum of sums may have a wider type than the sum.
fn as_type(column: ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if column.data_type() == wanted {
        return Ok(column);
    }
    Ok(cast(&column, wanted)?)
}
