//! Distinct patients, counted as they go by. A query that asks for them is planned as two groupings, one by patient and all
//! else, and one over it (ADR 14): that needs no exchange by patient, but a group for nearly every row. Where rows come in the
//! order of patients, it is enough to know of each group which patient it was counted for last; both groupings become one.
//! When memory is short, what was counted is given out, and counting begins again.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::Field;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use parcours_tables::scan::{Wanted, compute_in_scan};

use super::aggregates::{Aggregate, as_type, is_plain, is_whole, values};
use super::node::{Node, Operator, Partition, Run};
use super::runs::{Neighbours, NewToRun};

/// What is computed for each group.
#[derive(Debug, Clone)]
enum Part {
    Patients,
    Of(Aggregate),
}

/// Two groupings as one.
#[derive(Debug)]
struct CountedPatients {
    group_by: Vec<Arc<dyn PhysicalExpr>>,
    patient: Arc<dyn PhysicalExpr>,
    parts: Vec<Part>,
}

/// Our operator for this node; none if it is not the outer one of two such groupings.
pub(super) fn in_place_of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some((mut ours, mut input)) = of(node) else {
        return Ok(None);
    };
    let parts = ours.parts.iter_mut().filter_map(|part| match part {
        Part::Patients => None,
        Part::Of(aggregate) => Some(aggregate.expressions()),
    });
    let values = parts.flatten().map(Wanted::Values);
    let keys = ours.group_by.iter_mut().chain([&mut ours.patient]).map(Wanted::Codes);
    if let Some(scan) = compute_in_scan(&input, values.chain(keys).collect())? {
        input = scan;
    }
    // The outer grouping is a partial one, and so is what ours gives out.
    Ok(Some(Node::over(input, ours, node.properties())))
}

fn of(node: &Arc<dyn ExecutionPlan>) -> Option<(CountedPatients, Arc<dyn ExecutionPlan>)> {
    let outer = node.downcast_ref::<AggregateExec>()?;
    let inner = outer.input().downcast_ref::<AggregateExec>()?;
    if *outer.mode() != AggregateMode::Partial
        || !is_plain(outer)
        || !is_whole(inner)
        || filters(outer)
        || filters(inner)
    {
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
    let ours = CountedPatients {
        group_by: group_by?,
        patient: Arc::clone(patient),
        parts: parts?,
    };
    Some((ours, Arc::clone(inner.input())))
}

fn filters(grouping: &AggregateExec) -> bool {
    grouping.filter_expr().iter().any(Option::is_some)
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
    match (name, of.fun().name(), of.is_distinct()) {
        ("sum", "count" | "sum", false) | ("min", "min", false) | ("max", "max", false) => {
            Aggregate::of(of, None).map(Part::Of)
        }
        _ => None,
    }
}

impl Operator for CountedPatients {
    const NAME: &'static str = "CountedPatients";

    fn begin(&self, partition: Partition) -> Result<Box<dyn Run>> {
        let field = |by: &Arc<dyn PhysicalExpr>| {
            let of = by.data_type(&partition.input)?;
            Ok(Arc::new(Field::new("group", of, true)))
        };
        let fields = self.group_by.iter().map(field).collect::<Result<Vec<_>>>()?;
        let states = self.parts.iter().map(|part| match part {
            Part::Patients => Ok(None),
            Part::Of(aggregate) => Ok(Some((aggregate.clone(), aggregate.begin()?))),
        });
        Ok(Box::new(Groups {
            group_by: self.group_by.clone(),
            patient: Arc::clone(&self.patient),
            states: states.collect::<Result<_>>()?,
            partition,
            neighbours: Neighbours::default(),
            patients: 0,
            groups: NewToRun::new(fields)?,
            counts: Vec::new(),
        }))
    }
}

/// One partition of the grouping at work.
struct Groups {
    group_by: Vec<Arc<dyn PhysicalExpr>>,
    patient: Arc<dyn PhysicalExpr>,
    partition: Partition,
    neighbours: Neighbours,
    /// How many patients there were.
    patients: u64,
    groups: NewToRun,
    counts: Vec<i64>,
    states: Vec<Option<(Aggregate, Box<dyn GroupsAccumulator>)>>,
}

impl Run for Groups {
    fn add(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>> {
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        self.add_runs(&rows)?;
        if self.partition.memory.try_resize(self.size()).is_ok() {
            return Ok(None);
        }
        let given = self.give()?;
        self.partition.memory.try_resize(self.size())?;
        Ok(Some(given))
    }

    fn end(&mut self) -> Result<Option<RecordBatch>> {
        match self.groups.len() {
            0 => Ok(None),
            _ => self.give().map(Some),
        }
    }
}

impl Groups {
    fn add_runs(&mut self, rows: &RecordBatch) -> Result<()> {
        let patients = self.patient.evaluate(rows)?.into_array(rows.num_rows())?;
        let runs = self.neighbours.runs(&patients)?;
        let columns = values(&self.group_by, rows).collect::<Result<Vec<_>>>()?;
        self.groups.number(&columns)?;
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
            aggregate.add(state.as_mut(), rows, self.groups.ids(), count)?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        let states = self.states.iter().flatten().map(|(_, state)| state.size());
        states.sum::<usize>() + self.groups.size() + self.counts.capacity() * 8
    }

    /// What was counted so far, as a partial grouping gives it out. The groups for which the last patient was counted stay,
    /// with nothing in them, since that patient may go on.
    fn give(&mut self) -> Result<RecordBatch> {
        let none = RecordBatch::new_empty(Arc::clone(&self.partition.input));
        let count = self.groups.len();
        let mut columns = self.groups.emit_but_keep(self.patients)?;
        let counts = std::mem::replace(&mut self.counts, vec![0; self.groups.len()]);
        let counts: ArrayRef = Arc::new(Int64Array::from(counts));
        for state in &mut self.states {
            columns.push(match state {
                Some((aggregate, state)) => {
                    // A group that stayed may have had no row since.
                    aggregate.add(state.as_mut(), &none, &[], count)?;
                    match aggregate.name() {
                        // What was added up so far is kept exact until all of it is known.
                        "sum" => only(state.state(EmitTo::All)?)?,
                        _ => state.evaluate(EmitTo::All)?,
                    }
                }
                None => Arc::clone(&counts),
            });
        }
        // The sum of sums may have a wider type than the sum.
        let columns = columns.into_iter().zip(self.partition.output.fields());
        let columns = columns.map(|(column, field)| as_type(column, field.data_type()));
        let schema = Arc::clone(&self.partition.output);
        Ok(RecordBatch::try_new(schema, columns.collect::<Result<_>>()?)?)
    }
}

fn only(columns: Vec<ArrayRef>) -> Result<ArrayRef> {
    match <[_; 1]>::try_from(columns) {
        Ok([column]) => Ok(column),
        Err(_) => internal_err!("the state of a sum is one column"),
    }
}
