//! Joins two streams that are sorted by the same keys: rows of a table, and rows of the main table that they belong to. One
//! batch of each is in memory. A row's parent is the one row of the main table with its keys; NULL in a key has no parent.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{BatchCoalescer, take};
use arrow::datatypes::{SchemaRef, UInt32Type};
use arrow::row::{OwnedRow, RowConverter, Rows};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::load::sort::external;
use crate::source::{BadRow, OnBad, Positions, Reason, Rejected, RowValues, shown};

/// Rows of a joined batch.
const BATCH_ROWS: usize = 4096;

/// What a join found that ends it.
#[derive(Default)]
pub(super) struct Findings {
    /// Keys that several rows of the main table have.
    pub(super) duplicate: Option<OwnedRow>,
    /// Whether a row had no parent, where that was not to be reported.
    pub(super) orphan: bool,
}

/// What becomes of a row without a parent.
#[derive(Clone)]
pub(super) enum Orphans {
    /// The join ends, and says so in its findings: there are more parents to look at.
    End,
    /// It is a bad row of one of these sources.
    Bad(OnBad, Arc<Sources>),
}

/// The sources that rows come from.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Their table.
    pub(super) table: String,
    /// Their URLs; a row's last column says which.
    pub(super) files: Vec<String>,
    /// The names of their columns, which stand first in a row.
    pub(super) columns: Vec<String>,
}

/// How two streams are joined.
pub(super) struct Joining {
    /// What comes of it: the columns taken of the parent, then the row's own.
    pub(super) schema: SchemaRef,
    /// What makes keys of both sides comparable.
    pub(super) converter: Arc<RowConverter>,
    /// The row's own columns.
    pub(super) own: Vec<usize>,
    /// The columns taken of the parent.
    pub(super) taken: Vec<usize>,
    pub(super) orphans: Orphans,
    pub(super) findings: Arc<Mutex<Findings>>,
}

/// One of the two streams: its present batch and the row that it is at.
pub(super) struct Side {
    rows: SendableRecordBatchStream,
    keys: Vec<usize>,
    batch: Option<Keyed>,
    at: usize,
    ended: bool,
}

struct Keyed {
    batch: RecordBatch,
    keys: Rows,
    /// Where a key is NULL.
    nulls: Option<NullBuffer>,
}

impl Side {
    pub(super) fn new(rows: SendableRecordBatchStream, keys: Vec<usize>) -> Self {
        Self {
            rows,
            keys,
            batch: None,
            at: 0,
            ended: false,
        }
    }

    /// Whether the batch is used up, or none was read yet, and there may be another.
    fn is_used_up(&self) -> bool {
        !self.ended && self.batch.as_ref().is_none_or(|batch| self.at >= batch.keys.num_rows())
    }

    /// Reads the next batch that has rows; none at the end.
    async fn read(&mut self, converter: &RowConverter) -> Result<()> {
        (self.batch, self.at) = (None, 0);
        while let Some(batch) = self.rows.try_next().await? {
            if batch.num_rows() > 0 {
                self.batch = Some(Keyed::new(batch, &self.keys, converter)?);
                return Ok(());
            }
        }
        self.ended = true;
        Ok(())
    }
}

impl Keyed {
    fn new(batch: RecordBatch, keys: &[usize], converter: &RowConverter) -> Result<Self> {
        let columns: Vec<ArrayRef> = keys.iter().map(|at| Arc::clone(batch.column(*at))).collect();
        let nulls = columns.iter().fold(None, |nulls, column| {
            NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
        });
        Ok(Self {
            keys: converter.convert_columns(&columns)?,
            nulls,
            batch,
        })
    }

    fn has_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

/// The join under way.
pub(super) struct Merge {
    joining: Joining,
    rows: Side,
    parents: Side,
    /// The keys of the last parent of the batch before.
    last_parent: Option<OwnedRow>,
    /// Rows and their parents in the present batches.
    pairs: (Vec<u32>, Vec<u32>),
    /// Rows of the present batch without a parent.
    lone: Vec<usize>,
    joined: BatchCoalescer,
    ended: bool,
}

impl Merge {
    pub(super) fn new(joining: Joining, rows: Side, parents: Side) -> Self {
        Self {
            joined: BatchCoalescer::new(Arc::clone(&joining.schema), BATCH_ROWS),
            joining,
            rows,
            parents,
            last_parent: None,
            pairs: Default::default(),
            lone: Vec::new(),
            ended: false,
        }
    }

    /// The next joined rows; none at the end. Parents that no row asks for are looked at too, for their keys.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.joined.next_completed_batch() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// Compares the batches at hand until one is used up, and reads the next in its place.
    async fn advance(&mut self) -> Result<()> {
        if self.rows.is_used_up() {
            self.settle()?;
            self.rows.read(&self.joining.converter).await?;
        }
        if self.parents.is_used_up() {
            self.settle()?;
            self.read_parents().await?;
        }
        match (&self.rows.batch, &self.parents.batch) {
            (None, None) => {
                self.joined.finish_buffered_batch()?;
                self.ended = true;
            }
            (None, Some(parents)) => self.parents.at = parents.keys.num_rows(),
            (Some(rows), None) => {
                self.lone.extend(self.rows.at..rows.keys.num_rows());
                self.rows.at = rows.keys.num_rows();
            }
            (Some(_), Some(_)) => self.compare(),
        }
        Ok(())
    }

    fn compare(&mut self) {
        let (Some(rows), Some(parents)) = (&self.rows.batch, &self.parents.batch) else {
            return;
        };
        let (row_count, parent_count) = (rows.keys.num_rows(), parents.keys.num_rows());
        let (mut row, mut parent) = (self.rows.at, self.parents.at);
        while row < row_count && parent < parent_count {
            if rows.has_null(row) {
                self.lone.push(row);
                row += 1;
                continue;
            }
            match rows.keys.row(row).cmp(&parents.keys.row(parent)) {
                std::cmp::Ordering::Greater => parent += 1,
                std::cmp::Ordering::Less => {
                    self.lone.push(row);
                    row += 1;
                }
                std::cmp::Ordering::Equal => {
                    self.pairs.0.push(row as u32);
                    self.pairs.1.push(parent as u32);
                    row += 1;
                }
            }
        }
        (self.rows.at, self.parents.at) = (row, parent);
    }

    async fn read_parents(&mut self) -> Result<()> {
        if let Some(batch) = self.parents.batch.as_ref() {
            let last = batch.keys.num_rows() - 1;
            self.last_parent = (!batch.has_null(last)).then(|| batch.keys.row(last).owned());
        }
        self.parents.read(&self.joining.converter).await?;
        let Some(batch) = &self.parents.batch else {
            return Ok(());
        };
        let as_before = self
            .last_parent
            .as_ref()
            .is_some_and(|last| last.row() == batch.keys.row(0));
        let twice = |row: &usize| !batch.has_null(*row) && batch.keys.row(row - 1) == batch.keys.row(*row);
        let twice = as_before
            .then_some(0)
            .or_else(|| (1..batch.keys.num_rows()).find(twice));
        let Some(twice) = twice else { return Ok(()) };
        self.joining.findings.lock().duplicate = Some(batch.keys.row(twice).owned());
        Err(ended("two rows of the main table have the same keys"))
    }

    /// Joins the pairs found in the batches at hand, and reports the rows without a parent.
    fn settle(&mut self) -> Result<()> {
        let (rows, parents) = std::mem::take(&mut self.pairs);
        if let (false, Some(row), Some(parent)) = (rows.is_empty(), &self.rows.batch, &self.parents.batch) {
            let (rows, parents) = (UInt32Array::from(rows), UInt32Array::from(parents));
            let taken = self
                .joining
                .taken
                .iter()
                .map(|at| take(parent.batch.column(*at), &parents, None));
            let own = self
                .joining
                .own
                .iter()
                .map(|at| take(row.batch.column(*at), &rows, None));
            let columns = taken.chain(own).collect::<std::result::Result<Vec<_>, _>>()?;
            self.joined
                .push_batch(RecordBatch::try_new(Arc::clone(&self.joining.schema), columns)?)?;
        }
        let lone = std::mem::take(&mut self.lone);
        match (lone.is_empty(), &self.rows.batch) {
            (false, Some(rows)) => self.report(&rows.batch, lone),
            _ => Ok(()),
        }
    }

    fn report(&self, batch: &RecordBatch, lone: Vec<usize>) -> Result<()> {
        let Orphans::Bad(on_bad, from) = &self.joining.orphans else {
            self.joining.findings.lock().orphan = true;
            return Err(ended("a row has no parent among those loaded with it"));
        };
        let mut by_file: BTreeMap<String, Vec<Rejected>> = BTreeMap::new();
        for row in lone {
            let orphan = from.orphan(batch, row, on_bad.keeps_rows());
            by_file.entry(orphan.bad.file.clone()).or_default().push(orphan);
        }
        // The rows of each file were counted as they were read.
        let mut by_file = by_file.into_iter();
        by_file
            .try_for_each(|(file, rows)| on_bad.take(&from.table, &file, 0, rows))
            .map_err(external)
    }
}

impl Sources {
    /// A row without a parent, with what it holds where that is kept.
    fn orphan(&self, batch: &RecordBatch, row: usize, keeps: bool) -> Rejected {
        let last = batch.num_columns() - 1;
        let source = batch.column(last).as_primitive::<UInt32Type>().value(row) as usize;
        let value = |(name, column): (&String, &ArrayRef)| (name.clone(), shown(column, row));
        let values = || RowValues::of_columns(self.columns.iter().zip(batch.columns()).map(value));
        Rejected {
            bad: BadRow {
                file: self.files.get(source).cloned().unwrap_or_default(),
                position: Positions::read(batch, last - Positions::COUNT, row),
                column: None,
                reason: Reason::NoParent,
                fields: None,
            },
            values: keeps.then(values),
        }
    }
}

fn ended(why: &str) -> DataFusionError {
    DataFusionError::Execution(why.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use arrow::array::{Int32Array, RecordBatchOptions, StringArray, UInt64Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;

    use super::*;
    use crate::order;

    /// Keys of two columns, sorted as files are; the value tells each row.
    type Keys = Vec<(Option<i32>, &'static str)>;

    fn batch(keys: &[(Option<i32>, &str)], first: usize) -> RecordBatch {
        let count = keys.len();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter(keys.iter().map(|key| key.0))),
            Arc::new(StringArray::from_iter_values(keys.iter().map(|key| key.1))),
            Arc::new(UInt64Array::from_iter_values(
                (first..first + count).map(|row| row as u64),
            )),
            Arc::new(UInt64Array::from(vec![None; count])),
            Arc::new(UInt32Array::from(vec![0; count])),
        ];
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(schema(), columns, &options).unwrap()
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("key", DataType::Int32, true),
            Field::new("part", DataType::Utf8, true),
            Field::new("row", DataType::UInt64, false),
            Field::new("byte", DataType::UInt64, true),
            Field::new("source", DataType::UInt32, false),
        ]))
    }

    /// The keys in batches of so many rows, an empty one among them.
    fn side(keys: &Keys, rows: usize) -> Side {
        let mut batches: Vec<Result<RecordBatch>> = keys
            .chunks(rows)
            .enumerate()
            .map(|(at, chunk)| Ok(batch(chunk, at * rows)))
            .collect();
        batches.insert(batches.len() / 2, Ok(batch(&[], 0)));
        let rows = RecordBatchStreamAdapter::new(schema(), stream::iter(batches));
        Side::new(Box::pin(rows), vec![0, 1])
    }

    /// Pairs of (row of the parent, row), or what ended the join.
    async fn joined(
        rows: (&Keys, usize),
        parents: (&Keys, usize),
        orphans: Orphans,
    ) -> (Result<Vec<(u64, u64)>>, Findings) {
        let findings = Arc::<Mutex<Findings>>::default();
        let joining = Joining {
            schema: Arc::new(Schema::new(vec![
                Field::new("parent", DataType::UInt64, false),
                Field::new("row", DataType::UInt64, false),
            ])),
            converter: Arc::new(order::converter(&schema(), &[0, 1]).unwrap()),
            own: vec![2],
            taken: vec![2],
            orphans,
            findings: Arc::clone(&findings),
        };
        let mut merge = Merge::new(joining, side(rows.0, rows.1), side(parents.0, parents.1));
        let mut pairs = Vec::new();
        let done = loop {
            match merge.next().await {
                Ok(Some(batch)) => {
                    let column = |at: usize| batch.column(at).as_primitive::<arrow::datatypes::UInt64Type>().values();
                    pairs.extend(column(0).iter().copied().zip(column(1).iter().copied()));
                }
                Ok(None) => break Ok(pairs),
                Err(error) => break Err(error),
            }
        };
        let findings = std::mem::take(&mut *findings.lock());
        (done, findings)
    }

    fn parents() -> Keys {
        (0..60)
            .map(|n| (Some(n / 3), ["a", "b", "c"][n as usize % 3]))
            .chain([(None, "a"), (None, "a")])
            .collect()
    }

    #[tokio::test]
    async fn every_size_of_batches_gives_the_same_pairs() {
        let parents = parents();
        let rows: Keys = (0..40).flat_map(|n| vec![parents[n * 3 / 2]; n % 4]).collect();
        let expected: Vec<(u64, u64)> = rows
            .iter()
            .enumerate()
            .map(|(at, key)| {
                (
                    parents.iter().position(|parent| parent == key).unwrap() as u64,
                    at as u64,
                )
            })
            .collect();
        for of_rows in [1, 2, 5, 100] {
            for of_parents in [1, 3, 7, 100] {
                let (found, _) = joined((&rows, of_rows), (&parents, of_parents), Orphans::End).await;
                assert_eq!(found.unwrap(), expected, "{of_rows} {of_parents}");
            }
        }
    }

    #[tokio::test]
    async fn rows_without_a_parent_are_set_aside_or_end_it() {
        let keys: Keys = vec![
            (Some(-1), "a"),
            (Some(4), "b"),
            (Some(4), "d"),
            (Some(99), "a"),
            (None, "a"),
        ];
        for size in [1, 2, 100] {
            let from = Arc::new(Sources {
                files: vec!["file".to_owned()],
                ..Sources::default()
            });
            let skip = Orphans::Bad(OnBad::Skip, Arc::clone(&from));
            let (found, _) = joined((&keys, size), (&parents(), size), skip).await;
            assert_eq!(found.unwrap(), [(13, 1)]);
            let stop = Orphans::Bad(OnBad::Stop, from);
            let (found, findings) = joined((&keys, size), (&parents(), size), stop).await;
            let said = found.unwrap_err().to_string();
            assert!(said.contains("file row 0: no parent row has its keys"), "{said}");
            assert!(!findings.orphan);
            let (found, findings) = joined((&keys, size), (&parents(), size), Orphans::End).await;
            assert!(found.is_err() && findings.orphan);
        }
    }

    #[tokio::test]
    async fn equal_keys_of_parents_are_found_wherever_batches_end() {
        for size in [1, 2, 3, 100] {
            for at in [0, 5, 59] {
                let mut twice = parents();
                twice.insert(at, twice[at]);
                let (found, findings) = joined((&Keys::new(), size), (&twice, size), Orphans::End).await;
                assert!(found.is_err() && findings.duplicate.is_some(), "{size} {at}");
            }
            let (found, findings) = joined((&Keys::new(), size), (&parents(), size), Orphans::End).await;
            assert!(
                found.unwrap().is_empty() && findings.duplicate.is_none(),
                "NULL is equal to nothing"
            );
        }
    }
}
