//! A Parquet column to the table's type. Allowed are other encodings of the same values, other numbers that hold the
//! same value, and texts; every conversion that could lose something is undone and compared, row by row.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;

use super::super::error::Reason;
use super::super::marks::Marks;
use super::super::parse;
use super::super::rule::Rule;
use crate::spec::ColumnType;

/// How a file's column becomes a table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    /// The types are the same.
    Same,
    /// Another encoding of texts; bytes must be UTF-8.
    Encoding,
    /// Texts that hold values of the type.
    Text,
    /// Another type of number or date, exactly.
    Exact,
    /// A shorter floating-point number: rounded, but never to infinity.
    Round,
}

/// Failed casts become NULL, so that their rows can be told.
const NULL_ON_FAILURE: CastOptions<'static> = CastOptions {
    safe: true,
    format_options: arrow::util::display::FormatOptions::new(),
};

impl Conversion {
    /// How `found` becomes `wanted`, or `None` when their values do not mean the same.
    pub(super) fn plan(found: &DataType, wanted: ColumnType) -> Option<Self> {
        if *found == wanted.data_type() {
            return Some(Self::Same);
        }
        let plain = match found {
            DataType::Dictionary(_, values) => values,
            other => other,
        };
        match ColumnType::of(plain) {
            None if is_bytes(plain) && wanted == ColumnType::Utf8 => Some(Self::Encoding),
            None => None,
            Some(ColumnType::Utf8) if wanted == ColumnType::Utf8 => Some(Self::Encoding),
            Some(ColumnType::Utf8) => Some(Self::Text),
            Some(ColumnType::Float64) if wanted == ColumnType::Float32 => Some(Self::Round),
            Some(found) if found == wanted => Some(Self::Exact),
            Some(found) if is_number(found) && is_number(wanted) => Some(Self::Exact),
            Some(found) if found.has_date() && wanted.has_date() => Some(Self::Exact),
            Some(_) => None,
        }
    }

    /// The column in the rule's type; rows whose value does not survive are marked and NULL.
    pub(super) fn apply(self, array: &ArrayRef, rule: &Rule, marks: &mut Marks) -> Result<ArrayRef, ArrowError> {
        let target = rule.column_type.data_type();
        match self {
            Self::Same => Ok(array.clone()),
            Self::Text => {
                let texts = cast_with_options(array, &DataType::Utf8, &NULL_ON_FAILURE)?;
                Ok(parse::column(
                    texts.as_string::<i32>(),
                    rule.column_type,
                    &rule.notation,
                    rule.index,
                    marks,
                ))
            }
            Self::Encoding => {
                let texts = cast_with_options(array, &target, &NULL_ON_FAILURE)?;
                mark_lost(array, &texts, Reason::NotUtf8, rule, marks);
                Ok(texts)
            }
            Self::Exact => exact(array, &target, rule, marks),
            Self::Round => Ok(round(array, &target, rule, marks)?),
        }
    }
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    )
}

fn is_number(column_type: ColumnType) -> bool {
    column_type.data_type().is_numeric()
}

/// Casts there and back; a value that comes back as another one was not exact.
fn exact(array: &ArrayRef, target: &DataType, rule: &Rule, marks: &mut Marks) -> Result<ArrayRef, ArrowError> {
    let plain = unpacked(array)?;
    let there = cast_with_options(&plain, target, &NULL_ON_FAILURE)?;
    mark_lost(&plain, &there, Reason::OutOfRange, rule, marks);
    let back = cast_with_options(&there, plain.data_type(), &NULL_ON_FAILURE)?;
    let differs = cmp::distinct(&plain, &back)?;
    mark_true(&differs, Reason::LosesDigits, rule, marks);
    Ok(there)
}

fn round(array: &ArrayRef, target: &DataType, rule: &Rule, marks: &mut Marks) -> Result<ArrayRef, ArrowError> {
    let plain = unpacked(array)?;
    let there = cast_with_options(&plain, target, &NULL_ON_FAILURE)?;
    let (before, after) = (plain.as_primitive::<Float64Type>(), there.as_primitive::<Float32Type>());
    for (row, (before, after)) in before.iter().zip(after).enumerate() {
        if before.is_some_and(f64::is_finite) && after.is_some_and(f32::is_infinite) {
            marks.mark(row, rule.index, Reason::OutOfRange);
        }
    }
    Ok(there)
}

/// A dictionary's values, one a row.
fn unpacked(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => cast_with_options(array, values, &NULL_ON_FAILURE),
        _ => Ok(array.clone()),
    }
}

/// Marks rows that had a value and have none now.
fn mark_lost(before: &ArrayRef, after: &ArrayRef, reason: Reason, rule: &Rule, marks: &mut Marks) {
    if after.logical_null_count() > before.logical_null_count() {
        let (before, after) = (before.logical_nulls(), after.logical_nulls());
        let is_null = |nulls: &Option<arrow::buffer::NullBuffer>, row| nulls.as_ref().is_some_and(|n| n.is_null(row));
        let rows = after.as_ref().map_or(0, |nulls| nulls.len());
        let lost = (0..rows).filter(|row| is_null(&after, *row) && !is_null(&before, *row));
        lost.for_each(|row| marks.mark(row, rule.index, reason));
    }
}

fn mark_true(rows: &BooleanArray, reason: Reason, rule: &Rule, marks: &mut Marks) {
    if rows.true_count() > 0 {
        rows.values()
            .set_indices()
            .for_each(|row| marks.mark(row, rule.index, reason));
    }
}
