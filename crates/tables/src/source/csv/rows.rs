//! The rows of one batch as text: all fields end to end in one buffer, so that a million cells cost no allocation each.
//! A row with the wrong number of fields is dropped as soon as it ends, and only its position kept.

use super::super::error::Position;
use super::super::parse::Cells;
use super::super::rule::Rule;

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
    broken: Vec<Position>,
    width: Width,
    /// Whether an empty field follows the last.
    trailing: bool,
    limit: usize,
    /// Bytes of whole rows, so that a batch is never full in the middle of one.
    whole_bytes: usize,
    /// The row under way: its position, its first byte in `data` and its first field in `ends`.
    open: (Position, usize, usize),
}

impl Rows {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            data: Vec::new(),
            ends: Vec::new(),
            positions: Vec::new(),
            broken: Vec::new(),
            width: Width::Header,
            trailing: false,
            limit: limit.max(1),
            whole_bytes: 0,
            open: (Position::Row(0), 0, 0),
        }
    }

    pub(super) fn expect_header(&mut self) {
        self.width = Width::Header;
    }

    /// Expects rows of so many fields; `trailing` if a delimiter stands behind the last.
    pub(super) fn expect_fields(&mut self, fields: usize, trailing: bool) {
        self.width = Width::Fields(fields);
        self.trailing = trailing;
    }

    pub(super) fn clear(&mut self) {
        self.data.clear();
        self.whole_bytes = 0;
        self.ends.clear();
        self.positions.clear();
        self.broken.clear();
    }

    /// Whether a batch is full. Broken rows count too, so that a file of nothing else stays within bounds.
    pub(super) fn is_full(&self) -> bool {
        let rows = self.positions.len() + self.broken.len();
        rows >= if self.width == Width::Header { 1 } else { self.limit } || self.whole_bytes >= BATCH_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(super) fn position(&self, row: usize) -> Option<Position> {
        self.positions.get(row).copied()
    }

    /// Rows with the wrong number of fields.
    pub(super) fn broken(&self) -> &[Position] {
        &self.broken
    }

    /// The fields of the first row.
    pub(super) fn first(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|field| self.field(field))
    }

    /// One column's fields; texts that stand for NULL are `None`.
    pub(super) fn column<'a>(&'a self, field: usize, rule: &'a Rule) -> RowColumn<'a> {
        let width = match self.width {
            Width::Fields(fields) => fields,
            Width::Header => self.ends.len(),
        };
        RowColumn {
            rows: self,
            field,
            width,
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
        let (position, bytes, fields) = self.open;
        if self.trailing && self.width != Width::Header {
            self.leave_out_trailing(fields);
        }
        let found = self.ends.len() - fields;
        if self.width == Width::Header || self.width == Width::Fields(found) {
            self.positions.push(position);
        } else {
            self.data.truncate(bytes);
            self.ends.truncate(fields);
            self.broken.push(position);
        }
        self.whole_bytes = self.data.len();
    }

    /// Leaves the empty field out that a delimiter at the end of a line makes; without one the row is broken.
    fn leave_out_trailing(&mut self, first: usize) {
        let last = self.ends.len() - 1;
        match last > first && self.field(last).is_empty() {
            true => self.ends.truncate(last),
            false => self.ends.push(self.data.len()),
        }
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
        let text = self.rows.field(row * self.width + self.field);
        let text = if self.rule.trim { text.trim_ascii() } else { text };
        (!self.rule.is_null_text(text)).then_some(text)
    }
}
