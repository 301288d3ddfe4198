//! Columns and marks to a batch: bad rows go to the policy, good ones into a batch of exactly the table's schema.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::filter;
use arrow::error::ArrowError;
use serde_json::Value;

use super::ROW_BYTES;
use super::error::{BadRow, FieldCounts, Position, Reason, SourceError};
use super::marks::Marks;
use super::positions::Positions;
use super::reject::{OnBad, Rejected};
use super::rejected::RowValues;
use super::rule::Rules;

/// The rows of a batch as their source has them.
pub(super) trait SourceRows {
    /// Where a row stands.
    fn position(&self, row: usize) -> Position;

    /// What a row holds in a column of the table; none where the source does not have the column.
    fn value(&self, row: usize, column: usize) -> Option<Value>;
}

/// A row with another number of fields than its header.
pub(super) struct Uneven {
    pub position: Position,
    pub fields: FieldCounts,
    /// What it holds, where that is kept.
    pub values: Option<RowValues>,
}

/// The parts of a batch of `rows` rows, some of them marked bad.
pub(super) struct Assembly<'a> {
    pub file: &'a str,
    pub rules: &'a Rules,
    pub on_bad: &'a OnBad,
}

impl Assembly<'_> {
    /// Builds the batch of `rows`; `uneven` are rows that never had columns.
    pub(super) fn batch(
        &self,
        arrays: Vec<ArrayRef>,
        rows: usize,
        mut marks: Marks,
        uneven: Vec<Uneven>,
        source: &impl SourceRows,
    ) -> Result<RecordBatch, SourceError> {
        mark_long_rows(&arrays, &mut marks);
        let all_rows = (rows + uneven.len()) as u64;
        let marked = marks.iter().map(|mark| self.marked(source, mark));
        let mut bad: Vec<Rejected> = marked.chain(uneven.into_iter().map(|row| self.uneven(row))).collect();
        bad.sort_by_key(|row| row.bad.position);
        self.on_bad.take(&self.rules.table, self.file, all_rows, bad)?;
        let mut arrays = arrays;
        if self.rules.positions {
            arrays.extend(Positions::columns((0..rows).map(|row| source.position(row))));
        }
        self.good(arrays, rows, &marks).map_err(|source| SourceError::Build {
            file: self.file.to_owned(),
            source,
        })
    }

    fn good(&self, mut arrays: Vec<ArrayRef>, rows: usize, marks: &Marks) -> Result<RecordBatch, ArrowError> {
        let mut kept = rows;
        if !marks.is_empty() {
            let mask = marks.good(rows);
            kept = mask.true_count();
            arrays = arrays
                .iter()
                .map(|array| filter(array, &mask))
                .collect::<Result<_, _>>()?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(kept));
        RecordBatch::try_new_with_options(self.rules.schema.clone(), arrays, &options)
    }

    fn marked(&self, source: &impl SourceRows, (row, column, reason): (usize, usize, Reason)) -> Rejected {
        let column = self.rules.columns.get(column).map(|rule| rule.name.clone());
        Rejected {
            bad: BadRow {
                file: self.file.to_owned(),
                position: source.position(row),
                column,
                reason,
                fields: None,
            },
            values: self.on_bad.keeps_rows().then(|| self.values(source, row)),
        }
    }

    /// What a row holds in the columns that its source has.
    fn values(&self, source: &impl SourceRows, row: usize) -> RowValues {
        let columns = self.rules.columns.iter();
        RowValues::of_columns(columns.filter_map(|rule| Some((rule.name.clone(), source.value(row, rule.index)?))))
    }

    fn uneven(&self, row: Uneven) -> Rejected {
        Rejected {
            bad: BadRow {
                file: self.file.to_owned(),
                position: row.position,
                column: None,
                reason: Reason::WrongNumberOfFields,
                fields: Some(row.fields),
            },
            values: row.values,
        }
    }
}

/// Marks rows whose texts are longer together than a row may be: they could be written, and no message would hold them when
/// they are read.
fn mark_long_rows(arrays: &[ArrayRef], marks: &mut Marks) {
    let texts: Vec<(usize, &StringArray)> = arrays
        .iter()
        .enumerate()
        .filter_map(|(column, array)| Some((column, array.as_string_opt::<i32>()?)))
        .collect();
    let bytes = |text: &StringArray| text.value_offsets().last().map_or(0, |end| *end as usize);
    if texts.iter().map(|(_, text)| bytes(text)).sum::<usize>() <= ROW_BYTES {
        return;
    }
    for row in 0..arrays.first().map_or(0, |array| array.len()) {
        let length = |text: &StringArray| text.value_length(row) as usize;
        if texts.iter().map(|(_, text)| length(text)).sum::<usize>() > ROW_BYTES {
            let longest = texts.iter().max_by_key(|(_, text)| length(text));
            longest
                .into_iter()
                .for_each(|(column, _)| marks.mark(row, *column, Reason::RowTooLong));
        }
    }
}
