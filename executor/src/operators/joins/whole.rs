//! The rows of an input as patients have them: each batch has all rows of the patients that it has rows of.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use futures::TryStreamExt;

use super::super::held::size;
use super::super::runs::{Neighbours, rows_of};

/// Rows of patients, all that each of them has; rows of nobody (NULL) may come in several parts.
pub(super) struct Patients {
    pub(super) rows: RecordBatch,
    /// Who they are, one after the other.
    pub(super) who: ArrayRef,
    /// The rows of each.
    pub(super) ranges: Vec<Range<usize>>,
    /// Counted for a patient who had more rows than a batch, as long as they are here.
    _memory: Option<MemoryReservation>,
}

/// Bytes that are counted for what a join makes of each row: numbers of bounds, an order, a mark.
const BESIDE: usize = 32;

/// An input that is ordered by patient, on its way.
pub(super) struct Whole {
    input: SendableRecordBatchStream,
    ended: bool,
    patient: Arc<dyn PhysicalExpr>,
    neighbours: Neighbours,
    /// Rows of the patient who may go on.
    held: Vec<RecordBatch>,
    /// That patient, if there is one.
    held_who: Option<ArrayRef>,
    ready: VecDeque<Patients>,
    memory: MemoryReservation,
}

impl Whole {
    /// Over this input, which is ordered by `patient`; the rows of a patient who has many are counted in `memory`.
    pub(super) fn new(
        input: SendableRecordBatchStream,
        patient: Arc<dyn PhysicalExpr>,
        memory: MemoryReservation,
    ) -> Self {
        Self {
            input,
            ended: false,
            patient,
            neighbours: Neighbours::default(),
            held: Vec::new(),
            held_who: None,
            ready: VecDeque::new(),
            memory,
        }
    }

    /// The next patients; none behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Patients>> {
        while self.ready.is_empty() && !self.ended {
            match self.input.try_next().await? {
                Some(rows) => self.add(&rows)?,
                None => {
                    self.ended = true;
                    self.close()?;
                }
            }
        }
        Ok(self.ready.pop_front())
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let patients = self.patient.evaluate(rows)?.into_array(rows.num_rows())?;
        let runs = self.neighbours.runs(&patients)?;
        let mut others = runs.ranges.into_iter();
        if runs.goes_on
            && let Some(run) = others.next()
        {
            self.hold(rows.slice(run.start, run.len()))?;
        }
        let mut others: Vec<_> = others.collect();
        let Some(last) = others.pop() else { return Ok(()) };
        self.close()?;
        if let Some(first) = others.first().map(|run| run.start) {
            self.ready.push_back(Patients {
                rows: rows.slice(first, last.start - first),
                who: rows_of(&patients, others.iter().map(|run| run.start))?,
                ranges: others.iter().map(|run| run.start - first..run.end - first).collect(),
                _memory: None,
            });
        }
        self.held_who = Some(rows_of(&patients, [last.start].into_iter())?);
        self.hold(rows.slice(last.start, last.len()))
    }

    /// Keeps rows of the patient who may go on; not those of nobody, who have no partners and need not be together.
    fn hold(&mut self, rows: RecordBatch) -> Result<()> {
        if let Some(who) = self.held_who.as_ref().filter(|who| who.is_null(0)) {
            self.ready.push_back(Patients {
                who: Arc::clone(who),
                ranges: std::iter::once(0..rows.num_rows()).collect(),
                rows,
                _memory: None,
            });
            return Ok(());
        }
        // A patient who goes on from one batch to the next has more rows than those that were just read.
        if !self.held.is_empty() {
            self.memory.try_grow(size(&rows) + BESIDE * rows.num_rows())?;
        }
        self.held.push(rows);
        Ok(())
    }

    /// Makes the patient ready who was held, and of whom there are no more rows.
    fn close(&mut self) -> Result<()> {
        let (who, held) = (self.held_who.take(), std::mem::take(&mut self.held));
        let Some(who) = who.filter(|_| !held.is_empty()) else {
            return Ok(());
        };
        let (rows, memory) = match held.as_slice() {
            [rows] => (rows.clone(), None),
            many => (concat_batches(&self.input.schema(), many)?, Some(self.memory.take())),
        };
        self.ready.push_back(Patients {
            ranges: std::iter::once(0..rows.num_rows()).collect(),
            rows,
            who,
            _memory: memory,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{Int64Array, StringArray};
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    use super::*;

    fn rows(patients: &[&str]) -> RecordBatch {
        let numbers: Int64Array = (0..patients.len() as i64).collect();
        let columns: [(&str, ArrayRef); 2] = [
            ("p", Arc::new(StringArray::from(patients.to_vec()))),
            ("n", Arc::new(numbers)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// Of a patient who goes on, the batches behind the first are counted, as long as their rows are here.
    #[tokio::test]
    async fn a_patient_of_several_batches_is_counted() {
        let batches = [rows(&["a", "b"]), rows(&["b", "b", "b"]), rows(&["b", "c"])];
        let behind = [batches[1].clone(), batches[2].slice(0, 1)];
        let counted: usize = behind.iter().map(|rows| size(rows) + BESIDE * rows.num_rows()).sum();
        let schema = batches[0].schema();
        let input = RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.map(Ok)));
        let pool = Arc::new(GreedyMemoryPool::new(1 << 20)) as Arc<dyn MemoryPool>;
        let memory = MemoryConsumer::new("test").register(&pool);
        let mut whole = Whole::new(Box::pin(input), Arc::new(Column::new("p", 0)), memory);
        for (rows, held) in [(1, 0), (5, counted), (1, 0)] {
            let patients = whole.next().await.unwrap().unwrap();
            assert_eq!((patients.rows.num_rows(), patients.ranges.len()), (rows, 1));
            assert_eq!(pool.reserved(), held);
        }
        assert!(whole.next().await.unwrap().is_none());
    }
}
