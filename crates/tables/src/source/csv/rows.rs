//! The rows of one batch as text: all fields end to end in one buffer, so that a million cells cost no allocation each.
//! A row with the wrong number of fields is dropped as soon as it ends, and only its position kept, with its fields where
//! bad rows are kept; a row that ends before its last columns is filled up where the description says that rows may.

use std::collections::BTreeMap;

use super::super::assemble::Uneven;
use super::super::error::{FieldCounts, Position};
use super::super::parse::Cells;
use super::super::rejected::RowValues;
use super::super::rule::Rule;
use crate::spec::CsvOptions;

/// The most bytes of text in a batch: long rows make smaller batches.
const BATCH_BYTES: usize = 16 << 20;

/// What a row must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// The header: one row of any width.
    Header,
    Fields(usize),
}

/// Rows collected for a batch.
pub(super) struct Rows {
    data: Vec<u8>,
    /// Where each field ends in `data`; a field begins where the one before it ends.
    ends: Vec<usize>,
    positions: Vec<Position>,
    uneven: Vec<Uneven>,
    /// The rows that end before their last columns, and how many fields each has.
    short: BTreeMap<usize, usize>,
    width: Width,
    /// Whether an empty field follows the last.
    trailing: bool,
    /// Whether rows may end before their last columns.
    may_be_short: bool,
    /// Whether the fields of dropped rows are kept.
    keeps: bool,
    limit: usize,
    /// Bytes of whole rows, so that a batch is never full in the middle of one.
    whole_bytes: usize,
    /// Bytes of what is kept of dropped rows.
    dropped_bytes: usize,
    /// The row under way: its position, its first byte in `data` and its first field in `ends`.
    open: (Position, usize, usize),
}

impl Rows {
    /// Collects at most `limit` rows a batch; `keeps` says whether the fields of dropped rows are kept.
    pub(super) fn new(limit: usize, csv: &CsvOptions, keeps: bool) -> Self {
        Self {
            data: Vec::new(),
            ends: Vec::new(),
            positions: Vec::new(),
            uneven: Vec::new(),
            short: BTreeMap::new(),
            width: Width::Header,
            trailing: csv.trailing_delimiter,
            may_be_short: csv.short_rows,
            keeps,
            limit: limit.max(1),
            whole_bytes: 0,
            dropped_bytes: 0,
            open: (Position::Row(0), 0, 0),
        }
    }

    pub(super) fn expect_header(&mut self) {
        self.width = Width::Header;
    }

    /// Expects rows of so many fields.
    pub(super) fn expect_fields(&mut self, fields: usize) {
        self.width = Width::Fields(fields);
    }

    pub(super) fn clear(&mut self) {
        self.data.clear();
        (self.whole_bytes, self.dropped_bytes) = (0, 0);
        self.ends.clear();
        self.positions.clear();
        self.uneven.clear();
        self.short.clear();
    }

    /// Whether a batch is full. Dropped rows count too, so that a file of nothing else stays within bounds.
    pub(super) fn is_full(&self) -> bool {
        let rows = self.positions.len() + self.uneven.len();
        rows >= if self.width == Width::Header { 1 } else { self.limit }
            || self.whole_bytes + self.dropped_bytes >= BATCH_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(super) fn position(&self, row: usize) -> Option<Position> {
        self.positions.get(row).copied()
    }

    /// Takes the rows with the wrong number of fields.
    pub(super) fn take_uneven(&mut self) -> Vec<Uneven> {
        std::mem::take(&mut self.uneven)
    }

    /// A field as it was written; none where its row ends before it.
    pub(super) fn text(&self, row: usize, field: usize) -> Option<&[u8]> {
        (!self.lacks(row, field)).then(|| self.field(row * self.width() + field))
    }

    fn lacks(&self, row: usize, field: usize) -> bool {
        !self.short.is_empty() && self.short.get(&row).is_some_and(|fields| field >= *fields)
    }

    fn width(&self) -> usize {
        match self.width {
            Width::Fields(fields) => fields,
            Width::Header => self.ends.len(),
        }
    }

    /// The fields of the first row.
    pub(super) fn first(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|field| self.field(field))
    }

    /// One column's fields; texts that stand for NULL are `None`.
    pub(super) fn column<'a>(&'a self, field: usize, rule: &'a Rule) -> RowColumn<'a> {
        RowColumn {
            rows: self,
            field,
            width: self.width(),
            rule,
        }
    }

    pub(super) fn begin_row(&mut self, position: Position) {
        self.open = (position, self.data.len(), self.ends.len());
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    /// Bytes of the row under way.
    pub(super) fn open_bytes(&self) -> usize {
        self.data.len() - self.open.1 + self.ends.len() - self.open.2
    }

    /// Where the row under way begins.
    pub(super) fn open_position(&self) -> Position {
        self.open.0
    }

    pub(super) fn end_field(&mut self) {
        self.ends.push(self.data.len());
    }

    pub(super) fn end_row(&mut self) {
        let first = self.open.2;
        match self.width {
            Width::Header => self.positions.push(self.open.0),
            Width::Fields(width) => {
                let ended = !self.trailing || self.leave_out_trailing(first);
                let found = self.ends.len() - first;
                // Without the last delimiter, the empty field behind it is one of those that are expected.
                let expected = if ended || found > width { width } else { width + 1 };
                match ended && self.fill_up(found, width) {
                    true => self.positions.push(self.open.0),
                    false => self.drop_row(FieldCounts { found, expected }),
                }
            }
        }
        self.whole_bytes = self.data.len();
    }

    /// Whether the row has all fields, or may be short and is: it gets empty ones then.
    fn fill_up(&mut self, found: usize, width: usize) -> bool {
        if found < width && self.may_be_short {
            self.short.insert(self.positions.len(), found);
            self.ends.resize(self.ends.len() + width - found, self.data.len());
            return true;
        }
        found == width
    }

    /// Drops the row under way, and keeps its fields where that is asked for.
    fn drop_row(&mut self, counts: FieldCounts) {
        let (position, bytes, first) = self.open;
        let fields = (first..self.ends.len()).map(|field| self.field(field));
        let values = self.keeps.then(|| RowValues::of_fields(fields));
        self.dropped_bytes += values.as_ref().map_or(0, |values| values.as_json().len());
        self.uneven.push(Uneven {
            position,
            fields: counts,
            values,
        });
        self.data.truncate(bytes);
        self.ends.truncate(first);
    }

    /// Leaves the empty field out that a delimiter at the end of a line makes; whether there is one.
    fn leave_out_trailing(&mut self, first: usize) -> bool {
        let last = self.ends.len() - 1;
        let is_there = last > first && self.field(last).is_empty();
        if is_there {
            self.ends.truncate(last);
        }
        is_there
    }

    fn field(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.data[start..self.ends[at]]
    }
}

/// One column of the rows.
pub(super) struct RowColumn<'a> {
    rows: &'a Rows,
    field: usize,
    width: usize,
    rule: &'a Rule,
}

impl Cells for RowColumn<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        if self.rows.lacks(row, self.field) {
            return None;
        }
        let text = self.rows.field(row * self.width + self.field);
        let text = if self.rule.trim { text.trim_ascii() } else { text };
        (!self.rule.is_null_text(text)).then_some(text)
    }
}
