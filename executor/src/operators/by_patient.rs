//! Groupings by patient, where rows come in the order of patients. The engine's grouping looks every row's patient up in a
//! table; here a patient's rows are a run, and their number is counted up from one run to the next. `count(DISTINCT x)` of
//! each patient, for which the engine keeps a set a patient, is a number for each value and the patient who had it last.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};
use parcours_tables::scan::{Wanted, compute_in_scan};

use super::aggregates::{Aggregate, as_type, is_whole};
use super::node::{Node, Operator, Partition, Run};
use super::runs::{Neighbours, NewToRun, groups_of, rows_of};

/// What is computed for each patient.
#[derive(Debug, Clone)]
enum Computed {
    Aggregate(Aggregate),
    /// How many different values of an expression there are.
    Distinct(Arc<dyn PhysicalExpr>),
}

impl Computed {
    fn of(function: &Arc<AggregateFunctionExpr>, filter: Option<&Arc<dyn PhysicalExpr>>) -> Option<Self> {
        if !function.is_distinct() {
            return Aggregate::of(function, filter).map(Self::Aggregate);
        }
        match function.expressions().as_slice() {
            [value] if function.fun().name() == "count" && filter.is_none() => Some(Self::Distinct(Arc::clone(value))),
            _ => None,
        }
    }

    /// What it computes of a row.
    fn expressions(&mut self) -> Vec<Wanted<'_>> {
        match self {
            Self::Aggregate(aggregate) => aggregate.expressions().map(Wanted::Values).collect(),
            Self::Distinct(value) => vec![Wanted::Codes(value)],
        }
    }

    fn begin(&self, input: &SchemaRef) -> Result<State> {
        Ok(match self {
            Self::Aggregate(aggregate) => State::Aggregate(aggregate.clone(), aggregate.begin()?),
            Self::Distinct(value) => {
                let field = Arc::new(Field::new("value", value.data_type(input)?, true));
                State::Distinct {
                    value: Arc::clone(value),
                    values: NewToRun::new(vec![field])?,
                    counts: Vec::new(),
                }
            }
        })
    }
}

/// The same, on its way.
enum State {
    Aggregate(Aggregate, Box<dyn GroupsAccumulator>),
    Distinct {
        value: Arc<dyn PhysicalExpr>,
        values: NewToRun,
        counts: Vec<i64>,
    },
}

/// The groups to which a batch adds.
struct Open {
    /// The runs of its rows, each of which is a group's, from `first` on.
    runs: Vec<Range<usize>>,
    first: usize,
    of_rows: Vec<usize>,
    /// How many groups are open.
    count: usize,
    /// How many patients there were, the last group's included.
    patients: u64,
}

impl State {
    /// Adds rows, each to its open group.
    fn add(&mut self, rows: &RecordBatch, groups: &Open) -> Result<()> {
        match self {
            Self::Aggregate(aggregate, state) => aggregate.add(state.as_mut(), rows, &groups.of_rows, groups.count),
            Self::Distinct { value, values, counts } => {
                let column = value.evaluate(rows)?.into_array(rows.num_rows())?;
                values.number(std::slice::from_ref(&column))?;
                counts.resize(groups.count, 0);
                // A dictionary may have NULL among its values.
                let nulls = column.logical_nulls();
                let known = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                for (group, rows) in (groups.first..).zip(&groups.runs) {
                    let patient = groups.patients - (groups.count - 1 - group) as u64;
                    values.each_new(rows.clone(), patient, |row, _| {
                        counts[group] += i64::from(known(row));
                    });
                }
                values.forget_all_but(groups.patients)
            }
        }
    }

    /// Results of the first so many groups, which are closed.
    fn close(&mut self, groups: usize) -> Result<ArrayRef> {
        match self {
            Self::Aggregate(_, state) => state.evaluate(EmitTo::First(groups)),
            Self::Distinct { counts, .. } => Ok(Arc::new(counts.drain(..groups).collect::<Int64Array>())),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Aggregate(_, state) => state.size(),
            Self::Distinct { values, counts, .. } => values.size() + counts.capacity() * 8,
        }
    }
}

/// A grouping by one expression, by which its input is ordered.
#[derive(Debug)]
struct ByPatient {
    patient: Arc<dyn PhysicalExpr>,
    computed: Vec<Computed>,
}

/// Our operator for this node; none if it is no grouping by patient alone, or has an aggregate that stays the engine's.
pub(super) fn in_place_of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some((mut ours, mut input)) = of(node) else {
        return Ok(None);
    };
    let computed = ours.computed.iter_mut().flat_map(Computed::expressions);
    let expressions = computed.chain([Wanted::Codes(&mut ours.patient)]).collect();
    if let Some(scan) = compute_in_scan(&input, expressions)? {
        input = scan;
    }
    Ok(Some(Node::over(input, ours, node.properties())))
}

fn of(node: &Arc<dyn ExecutionPlan>) -> Option<(ByPatient, Arc<dyn ExecutionPlan>)> {
    let grouping = node.downcast_ref::<AggregateExec>()?;
    let ordered = *grouping.input_order_mode() == InputOrderMode::Sorted;
    let group_by = grouping.group_expr();
    let [(patient, _)] = group_by.expr() else { return None };
    if !is_whole(grouping) || !ordered {
        return None;
    }
    let computed = grouping.aggr_expr().iter().zip(grouping.filter_expr());
    let computed: Option<Vec<Computed>> = computed.map(|(of, filter)| Computed::of(of, filter.as_ref())).collect();
    let ours = ByPatient {
        patient: Arc::clone(patient),
        computed: computed?,
    };
    Some((ours, Arc::clone(grouping.input())))
}

impl Operator for ByPatient {
    const NAME: &'static str = "ByPatient";

    fn begin(&self, partition: Partition) -> Result<Box<dyn Run>> {
        let states = self.computed.iter().map(|computed| computed.begin(&partition.input));
        Ok(Box::new(Groups {
            patient: Arc::clone(&self.patient),
            states: states.collect::<Result<_>>()?,
            partition,
            neighbours: Neighbours::default(),
            keys: Vec::new(),
            open: 0,
            patients: 0,
        }))
    }
}

/// One partition of the grouping at work.
struct Groups {
    patient: Arc<dyn PhysicalExpr>,
    partition: Partition,
    neighbours: Neighbours,
    /// The patients of the open groups.
    keys: Vec<ArrayRef>,
    open: usize,
    /// How many patients there were, the open ones included.
    patients: u64,
    states: Vec<State>,
}

impl Run for Groups {
    fn add(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>> {
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        let patients = self.patient.evaluate(&rows)?.into_array(rows.num_rows())?;
        let runs = self.neighbours.runs(&patients)?;
        let first = if runs.goes_on { self.open - 1 } else { self.open };
        let starts = runs.ranges.iter().skip(usize::from(runs.goes_on));
        self.keys.push(rows_of(&patients, starts.map(|range| range.start))?);
        let count = first + runs.ranges.len();
        self.patients += (count - self.open) as u64;
        self.open = count;
        let groups = Open {
            of_rows: groups_of(first, &runs.ranges),
            runs: runs.ranges,
            first,
            count,
            patients: self.patients,
        };
        for state in &mut self.states {
            state.add(&rows, &groups)?;
        }
        self.partition
            .memory
            .try_resize(self.states.iter().map(State::size).sum())?;
        match self.open > self.partition.batch {
            true => self.close(self.open - 1).map(Some),
            false => Ok(None),
        }
    }

    fn end(&mut self) -> Result<Option<RecordBatch>> {
        match self.open {
            0 => Ok(None),
            open => self.close(open).map(Some),
        }
    }
}

impl Groups {
    /// The first so many groups, which no row will be added to.
    fn close(&mut self, groups: usize) -> Result<RecordBatch> {
        let keys: Vec<&dyn Array> = self.keys.iter().map(AsRef::as_ref).collect();
        let keys = concat(&keys)?;
        let key = self.partition.output.field(0).data_type();
        let mut columns = vec![as_type(keys.slice(0, groups), key)?];
        for state in &mut self.states {
            columns.push(state.close(groups)?);
        }
        self.keys = vec![rows_of(&keys, groups..keys.len())?];
        self.open -= groups;
        Ok(RecordBatch::try_new(Arc::clone(&self.partition.output), columns)?)
    }
}
