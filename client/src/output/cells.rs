//! One value as text, exactly: the shortest decimal that reads back to the same float, ISO dates, hexadecimal bytes.

use arrow::array::Array;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// The text forms of a batch's columns.
pub struct Cells<'a> {
    columns: Vec<(&'a dyn Array, ArrayFormatter<'a>)>,
}

impl<'a> Cells<'a> {
    pub fn of(batch: &'a RecordBatch, options: &'a FormatOptions<'a>) -> Result<Self, ArrowError> {
        let formatter = |column: &'a std::sync::Arc<dyn Array>| {
            Ok((column.as_ref(), ArrayFormatter::try_new(column.as_ref(), options)?))
        };
        Ok(Self {
            columns: batch
                .columns()
                .iter()
                .map(formatter)
                .collect::<Result<_, ArrowError>>()?,
        })
    }

    /// Appends the value to `text`; false, and nothing appended, for NULL.
    pub fn append(&self, row: usize, column: usize, text: &mut String) -> Result<bool, ArrowError> {
        let (array, formatter) = &self.columns[column];
        // Logical nulls: a dictionary's value, or the null type, which has no validity bits of its own.
        if array.is_null(row) || array.data_type() == &DataType::Null || null_in_dictionary(*array, row) {
            return Ok(false);
        }
        formatter.value(row).write(text)?;
        Ok(true)
    }
}

fn null_in_dictionary(array: &dyn Array, row: usize) -> bool {
    matches!(
        array.data_type(),
        DataType::Dictionary(..) | DataType::RunEndEncoded(..)
    ) && array.logical_nulls().is_some_and(|nulls| nulls.is_null(row))
}

/// Formatting that keeps every digit; nulls inside nested values read `null`, errors are not hidden in cells.
pub fn exact() -> FormatOptions<'static> {
    FormatOptions::new().with_display_error(false).with_null("null")
}

/// Which columns are numbers, to be aligned on the right.
pub fn numeric(schema: &Schema) -> Vec<bool> {
    let number = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, values) => values.is_numeric(),
        data_type => data_type.is_numeric(),
    };
    schema.fields().iter().map(|field| number(field.data_type())).collect()
}

/// Text without control characters: what a row holds must not steer the terminal that shows it.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional overrides reorder what is around them, so they are spelt out as well.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
