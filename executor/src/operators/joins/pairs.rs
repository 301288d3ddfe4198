//! The join at work on a partition: goes through both sides patient by patient, and gives out pairs and rows alone.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, DynComparator, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::array::{make_comparator, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{Result, internal_err};
use datafusion::physical_plan::coalesce::LimitedBatchCoalescer;

use super::bounds::{Limits, Sorted};
use super::whole::{Patients, Whole};
use super::{Alone, Shape};
use crate::stop::Stop;

/// Both sides on their way, and what comes out.
pub(super) struct Pairs {
    shape: Arc<Shape>,
    leading: Side<Leading>,
    partners: Side<Partners>,
    /// Orders the patients at hand of one side by those of the other; none if one of them is new.
    compare: Option<DynComparator>,
    schema: SchemaRef,
    given: LimitedBatchCoalescer,
    /// Candidates that are looked at at once.
    enough: usize,
    ended: bool,
    /// Whether the task is to end.
    stop: Option<Arc<Stop>>,
}

/// One side: where it comes from, and the patients at hand.
struct Side<T> {
    from: Whole,
    hand: Option<T>,
}

impl<T> Side<T> {
    fn new(from: Whole) -> Self {
        Self { from, hand: None }
    }

    /// The next patients, if there are none at hand and not all have been.
    async fn next(&mut self) -> Result<Option<Patients>> {
        match self.hand {
            Some(_) => Ok(None),
            None => self.from.next().await,
        }
    }
}

/// Leading patients at hand.
struct Leading {
    patients: Patients,
    limits: Limits,
    /// The patient whose turn it is, and the first row that has not had its turn.
    at: usize,
    row: usize,
}

/// Partners at hand.
struct Partners {
    patients: Patients,
    sorted: Sorted,
    at: usize,
    /// Whether a row had a leading one; empty if nobody asks.
    matched: Vec<bool>,
}

/// Leading rows and those who may be their partners.
#[derive(Default)]
struct Candidates {
    leading: Vec<u32>,
    partners: Vec<u32>,
    /// Leading rows that have had their turn, and where their candidates end; empty if nobody asks.
    turns: Vec<(u32, usize)>,
    /// Whether there is a condition that they have not met yet.
    to_be_looked_at: bool,
}

impl Pairs {
    /// A join of this shape that puts out rows of `schema`, some `rows` at a time.
    pub(super) fn new(shape: Arc<Shape>, leading: Whole, partners: Whole, schema: SchemaRef, rows: usize) -> Self {
        Self {
            shape,
            leading: Side::new(leading),
            partners: Side::new(partners),
            compare: None,
            given: LimitedBatchCoalescer::new(Arc::clone(&schema), rows, None),
            schema,
            enough: rows,
            ended: false,
            stop: None,
        }
    }

    /// The same join, in a task that can be stopped.
    pub(super) fn until(mut self, stop: Option<Arc<Stop>>) -> Self {
        self.stop = stop;
        self
    }

    /// The next rows; none behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.given.next_completed_batch() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            self.stop.as_ref().map_or(Ok(()), |stop| stop.check())?;
            self.take().await?;
            if self.is_at_end() {
                self.ended = true;
                self.given.finish()?;
            } else {
                self.step()?;
                // Somebody may want to stop what takes long and gives nothing out.
                tokio::task::consume_budget().await;
            }
        }
    }

    /// Takes up the patients that are next, where there are none at hand.
    async fn take(&mut self) -> Result<()> {
        if let Some(patients) = self.leading.next().await? {
            self.compare = None;
            self.leading.hand = Some(Leading {
                limits: self.shape.bounds.limits(&patients.rows),
                patients,
                at: 0,
                row: 0,
            });
        }
        if let Some(patients) = self.partners.next().await? {
            self.compare = None;
            let asked = self.shape.partners_alone != Alone::Never;
            self.partners.hand = Some(Partners {
                sorted: self.shape.bounds.sorted(&patients),
                at: 0,
                matched: vec![false; if asked { patients.rows.num_rows() } else { 0 }],
                patients,
            });
        }
        Ok(())
    }

    /// Whether nothing more can come out.
    fn is_at_end(&self) -> bool {
        let leading = self.leading.hand.is_none() && self.shape.partners_alone == Alone::Never;
        let partners = self.partners.hand.is_none() && self.shape.leading_alone != Alone::Unmatched;
        leading || partners || (self.leading.hand.is_none() && self.partners.hand.is_none())
    }

    /// Some of what there is at hand.
    fn step(&mut self) -> Result<()> {
        let mut found = Candidates::default();
        self.find(&mut found)?;
        self.give(&found)?;
        self.leading.hand.take_if(|leading| leading.is_done());
        if let Some(done) = self.partners.hand.take_if(|partners| partners.is_done()) {
            self.give_partners(&done)?;
        }
        Ok(())
    }

    /// Finds candidates until there are enough, or one side has no patients at hand.
    fn find(&mut self, found: &mut Candidates) -> Result<()> {
        let alone = self.shape.leading_alone != Alone::Never;
        let (leading, partners) = match (&mut self.leading.hand, &mut self.partners.hand) {
            (Some(leading), Some(partners)) => (leading, partners),
            // There are no partners for any of them.
            (Some(leading), None) => {
                leading.all_alone(found);
                return Ok(());
            }
            (None, partners) => {
                partners.iter_mut().for_each(Partners::pass);
                return Ok(());
            }
        };
        if self.compare.is_none() {
            let (a, b) = (&leading.patients.who, &partners.patients.who);
            self.compare = Some(make_comparator(a, b, self.shape.order)?);
        }
        let Some(compare) = &self.compare else { return Ok(()) };
        while found.leading.len() < self.enough && !leading.is_done() && !partners.is_done() {
            match compare(leading.at, partners.at) {
                Ordering::Less => leading.alone(found, alone),
                Ordering::Greater => partners.at += 1,
                // NULL is nobody.
                Ordering::Equal if leading.patients.who.is_null(leading.at) => leading.alone(found, alone),
                Ordering::Equal => {
                    if leading.meet(partners, &self.shape, found, self.enough) {
                        leading.pass();
                        partners.at += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts out what is true of the candidates.
    fn give(&mut self, found: &Candidates) -> Result<()> {
        if found.leading.is_empty() && found.turns.is_empty() {
            return Ok(());
        }
        let held = match found.to_be_looked_at {
            true => Some(self.held(found)?),
            false => None,
        };
        let holds = |at: usize| held.as_ref().is_none_or(|held| held.is_valid(at) && held.value(at));
        if let Some(partners) = &mut self.partners.hand
            && !partners.matched.is_empty()
        {
            let matched = (0..found.partners.len()).filter(|at| holds(*at));
            matched.for_each(|at| partners.matched[found.partners[at] as usize] = true);
        }
        let (leading, partners) = match self.shape.leading_alone {
            Alone::Never => found.pairs(holds),
            Alone::Unmatched if self.shape.pairs => found.pairs_and_alone(holds),
            alone => (found.alone(holds, alone == Alone::Matched), UInt32Array::new_null(0)),
        };
        self.put_out(&leading, &partners)
    }

    /// Whether the condition holds for each of the candidates.
    fn held(&self, found: &Candidates) -> Result<BooleanArray> {
        let filter = &self.shape.filter;
        let leading = UInt32Array::from(found.leading.clone());
        let partners = UInt32Array::from(found.partners.clone());
        let (Some(from), Some(from_partners)) = self.at_hand() else {
            return internal_err!("candidates are of nobody");
        };
        let columns = filter
            .column_indices()
            .iter()
            .map(|of| match of.side == self.shape.leading {
                true => taken(from, of.index, &leading),
                false => taken(from_partners, of.index, &partners),
            });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(leading.len()));
        let pairs = RecordBatch::try_new_with_options(Arc::clone(filter.schema()), columns, &rows)?;
        let held = filter.expression().evaluate(&pairs)?.into_array(pairs.num_rows())?;
        Ok(as_boolean_array(&held)?.clone())
    }

    /// The rows at hand of both sides.
    fn at_hand(&self) -> (Option<&RecordBatch>, Option<&RecordBatch>) {
        let leading = self.leading.hand.as_ref().map(|hand| &hand.patients.rows);
        (leading, self.partners.hand.as_ref().map(|hand| &hand.patients.rows))
    }

    /// Puts pairs of rows out. There may be no partners, where only the leading side comes out.
    fn put_out(&mut self, leading: &UInt32Array, partners: &UInt32Array) -> Result<()> {
        let (from, from_partners) = self.at_hand();
        let columns = self.columns((from, leading), (from_partners, partners), leading.len())?;
        self.push(columns, leading.len())
    }

    /// Puts out the partners at hand that come out alone, now that all have been asked for.
    fn give_partners(&mut self, done: &Partners) -> Result<()> {
        if done.matched.is_empty() {
            return Ok(());
        }
        let alone = (0..).zip(&done.matched).filter(|(_, matched)| !**matched);
        let rows: UInt32Array = alone.map(|(row, _)| Some(row)).collect();
        let columns = self.columns((None, &rows), (Some(&done.patients.rows), &rows), rows.len())?;
        self.push(columns, rows.len())
    }

    /// The columns that come out of so many rows of both sides, NULL where there is nobody at hand.
    fn columns(&self, leading: At, partners: At, count: usize) -> Result<Vec<ArrayRef>> {
        let columns = self.shape.output.iter().zip(self.schema.fields());
        let columns = columns.map(|(of, field)| {
            let (from, rows) = if of.side == self.shape.leading {
                leading
            } else {
                partners
            };
            match from {
                Some(from) => taken(from, of.index, rows),
                None => Ok(new_null_array(field.data_type(), count)),
            }
        });
        columns.collect()
    }

    fn push(&mut self, columns: Vec<ArrayRef>, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows)?;
        self.given.push_batch(batch)?;
        Ok(())
    }
}

/// Rows of a batch, if there is one.
type At<'a> = (Option<&'a RecordBatch>, &'a UInt32Array);

fn taken(from: &RecordBatch, column: usize, rows: &UInt32Array) -> Result<ArrayRef> {
    match from.columns().get(column) {
        Some(column) => Ok(take(column, rows, None)?),
        None => internal_err!("a join has a column from nowhere"),
    }
}

impl Leading {
    fn is_done(&self) -> bool {
        self.at == self.patients.ranges.len()
    }

    /// The rows of this patient whose turn is still to come.
    fn rows(&self) -> Range<usize> {
        let rows = &self.patients.ranges[self.at];
        self.row.max(rows.start)..rows.end
    }

    /// Goes on to the next patient.
    fn pass(&mut self) {
        self.at += 1;
    }

    /// This patient has no partners.
    fn alone(&mut self, found: &mut Candidates, asked: bool) {
        if asked {
            let candidates = found.leading.len();
            found.turns.extend(self.rows().map(|row| (row as u32, candidates)));
        }
        self.pass();
    }

    /// None of the patients at hand has partners.
    fn all_alone(&mut self, found: &mut Candidates) {
        while !self.is_done() {
            self.alone(found, true);
        }
    }

    /// Finds the candidates among the same patient's partners until there are enough. Whether all rows have had their turn.
    fn meet(&mut self, partners: &mut Partners, shape: &Shape, found: &mut Candidates, enough: usize) -> bool {
        let bounds = &shape.bounds;
        found.to_be_looked_at |= !bounds.exact(&self.limits, &partners.sorted, partners.at);
        for row in self.rows() {
            if found.leading.len() >= enough {
                self.row = row;
                return false;
            }
            let at = bounds.partners(&self.limits, row, &mut partners.sorted, partners.at);
            found.leading.extend(std::iter::repeat_n(row as u32, at.len()));
            found.partners.extend(partners.sorted.rows(at));
            if shape.leading_alone != Alone::Never {
                found.turns.push((row as u32, found.leading.len()));
            }
        }
        true
    }
}

impl Partners {
    fn is_done(&self) -> bool {
        self.at == self.patients.ranges.len()
    }

    /// Nobody asks for any of them any more.
    fn pass(&mut self) {
        self.at = self.patients.ranges.len();
    }
}

impl Candidates {
    /// The pairs of those that hold.
    fn pairs(&self, holds: impl Fn(usize) -> bool) -> (UInt32Array, UInt32Array) {
        let held = (0..self.leading.len()).filter(|at| holds(*at));
        let (leading, partners): (Vec<u32>, Vec<u32>) = held.map(|at| (self.leading[at], self.partners[at])).unzip();
        (leading.into(), partners.into())
    }

    /// The same, and each leading row that has none with no partner, all in the order of leading rows.
    fn pairs_and_alone(&self, holds: impl Fn(usize) -> bool) -> (UInt32Array, UInt32Array) {
        let (mut leading, mut partners) = (Vec::new(), Vec::new());
        for (row, candidates) in self.turns() {
            let before = leading.len();
            for at in candidates.filter(|at| holds(*at)) {
                leading.push(row);
                partners.push(Some(self.partners[at]));
            }
            if leading.len() == before {
                leading.push(row);
                partners.push(None);
            }
        }
        (leading.into(), partners.into())
    }

    /// The leading rows that have a partner, or those that have none.
    fn alone(&self, holds: impl Fn(usize) -> bool, matched: bool) -> UInt32Array {
        let rows = self
            .turns()
            .filter(|(_, candidates)| candidates.clone().any(&holds) == matched);
        UInt32Array::from_iter_values(rows.map(|(row, _)| row))
    }

    /// Each leading row, and where its candidates are.
    fn turns(&self) -> impl Iterator<Item = (u32, Range<usize>)> + '_ {
        let starts = std::iter::once(0).chain(self.turns.iter().map(|(_, end)| *end));
        starts.zip(&self.turns).map(|(start, (row, end))| (*row, start..*end))
    }
}
