//! Columns and marks to a batch: bad rows go to the policy, good ones into a batch of exactly the table's schema.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::filter;
use arrow::error::ArrowError;

use super::ROW_BYTES;
use super::error::{BadRow, Position, Reason, SourceError};
use super::marks::Marks;
use super::positions::Positions;
use super::reject::OnBad;
use super::rule::Rules;

/// The parts of a batch of `rows` rows, some of them marked bad.
pub(super) struct Assembly<'a> {
    pub file: &'a str,
    pub rules: &'a Rules,
    pub on_bad: &'a OnBad,
}

impl Assembly<'_> {
    /// Builds the batch. `position` tells where a row stands; `broken` are rows that never had columns.
    pub(super) fn batch(
        &self,
        arrays: Vec<ArrayRef>,
        rows: usize,
        mut marks: Marks,
        broken: &[Position],
        position: impl Fn(usize) -> Position + Copy,
    ) -> Result<RecordBatch, SourceError> {
        mark_long_rows(&arrays, &mut marks);
        let marked = marks
            .iter()
            .map(|(row, column, reason)| self.bad(position(row), Some(column), reason));
        let bad_rows = broken.len();
        let broken = broken.iter().map(|at| self.bad(*at, None, Reason::WrongNumberOfFields));
        let mut bad: Vec<BadRow> = marked.chain(broken).collect();
        bad.sort_by_key(|row| row.position);
        self.on_bad.take(self.file, (rows + bad_rows) as u64, bad)?;
        let mut arrays = arrays;
        if self.rules.positions {
            arrays.extend(Positions::columns((0..rows).map(position)));
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

    fn bad(&self, position: Position, column: Option<usize>, reason: Reason) -> BadRow {
        let column = column
            .and_then(|at| self.rules.columns.get(at))
            .map(|rule| rule.name.clone());
        BadRow {
            file: self.file.to_owned(),
            position,
            column,
            reason,
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
