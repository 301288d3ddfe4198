//! A Parquet column to the table's type. Allowed are other encodings of the same values, other numbers that hold the
//! same value, and texts; every conversion that could lose something is undone and compared, row by row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::super::error::Reason;
use super::super::marks::Marks;
use super::super::parse::{self, MICROS_PER_DAY};
use super::super::rule::Rule;
use crate::spec::{ColumnType, Zone};

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
    /// A shorter floating-point number, which is written with the same digits.
    Shorter,
    /// An instant: what a clock of this zone shows.
    Clock(Zone),
    /// A column of no type, all of whose values are NULL.
    Nothing,
    /// Sixteen bytes as the text of a UUID.
    Uuid,
}

/// A column as its file has it.
pub(super) struct FileColumn<'a> {
    pub(super) data_type: &'a DataType,
    /// Whether Parquet says that its bytes are UUIDs, which Arrow's type does not.
    pub(super) is_uuid: bool,
}

/// Why a file's column does not become the table's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoConversion {
    /// Values do not mean the same.
    Meaning,
    /// It holds instants, and no zone is said.
    Zone,
}

/// Times on the table's clock.
const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Failed casts become NULL, so that their rows can be told.
const NULL_ON_FAILURE: CastOptions<'static> = CastOptions {
    safe: true,
    format_options: arrow::util::display::FormatOptions::new(),
};

impl Conversion {
    /// How a file's column becomes what the rule says.
    pub(super) fn plan(found: &FileColumn<'_>, rule: &Rule) -> Result<Self, NoConversion> {
        let (wanted, zone) = (rule.column_type, rule.zone);
        let plain = match found.data_type {
            DataType::Dictionary(_, values) => values,
            other => other,
        };
        match (plain, zone) {
            (DataType::Timestamp(_, Some(_)), _) if !wanted.has_date() => Err(NoConversion::Meaning),
            (DataType::Timestamp(_, Some(_)), None) => Err(NoConversion::Zone),
            (DataType::Timestamp(_, Some(_)), Some(zone)) => Ok(Self::Clock(zone)),
            (DataType::FixedSizeBinary(16), _) if found.is_uuid && wanted == ColumnType::Utf8 => Ok(Self::Uuid),
            (whole, _) if whole.is_integer() && rule.notation.dates.reads_digits() && wanted == ColumnType::Date32 => {
                Ok(Self::Text)
            }
            _ => Self::of_values(found.data_type, plain, wanted).ok_or(NoConversion::Meaning),
        }
    }

    /// How `found`, which is `plain` without its dictionary, becomes `wanted`; none where their values do not mean the same.
    fn of_values(found: &DataType, plain: &DataType, wanted: ColumnType) -> Option<Self> {
        if *found == wanted.data_type() {
            return Some(Self::Same);
        }
        match ColumnType::of(plain) {
            None if *plain == DataType::Null => Some(Self::Nothing),
            None if is_bytes(plain) && wanted == ColumnType::Utf8 => Some(Self::Encoding),
            None => None,
            Some(ColumnType::Utf8) if wanted == ColumnType::Utf8 => Some(Self::Encoding),
            Some(ColumnType::Utf8) => Some(Self::Text),
            Some(ColumnType::Float64) if wanted == ColumnType::Float32 => Some(Self::Shorter),
            Some(found) if found == wanted => Some(Self::Exact),
            Some(found) if is_number(found) && is_number(wanted) => Some(Self::Exact),
            Some(found) if found.is_integer() && matches!(wanted, ColumnType::Bool | ColumnType::Utf8) => {
                Some(Self::Text)
            }
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
                let bytes = match array.data_type() {
                    DataType::FixedSizeBinary(_) => &cast_with_options(array, &DataType::Binary, &NULL_ON_FAILURE)?,
                    _ => array,
                };
                let texts = cast_with_options(bytes, &target, &NULL_ON_FAILURE)?;
                mark_lost(array, &texts, Reason::NotUtf8, rule, marks);
                Ok(texts)
            }
            Self::Exact if rule.any_time => {
                let times = exact(array, &TIME, rule, marks)?;
                Ok(days(times.as_primitive(), rule, marks))
            }
            Self::Exact => exact(array, &target, rule, marks),
            Self::Clock(zone) => on_clock(array, zone, &target, rule, marks),
            Self::Nothing => Ok(new_null_array(&target, array.len())),
            Self::Uuid => Ok(uuids(&unpacked(array)?)),
            Self::Shorter => Ok(shorter(array, &target, rule, marks)?),
        }
    }
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

/// The texts of UUIDs.
fn uuids(array: &ArrayRef) -> ArrayRef {
    let text = |bytes: &[u8]| {
        uuid::Uuid::from_slice(bytes)
            .map(|uuid| uuid.hyphenated().to_string())
            .ok()
    };
    let texts: StringArray = array
        .as_fixed_size_binary()
        .iter()
        .map(|bytes| bytes.and_then(text))
        .collect();
    Arc::new(texts)
}

/// Instants as what a clock shows, and as its day where the table has days; the day is the whole value at midnight alone.
fn on_clock(
    array: &ArrayRef,
    zone: Zone,
    target: &DataType,
    rule: &Rule,
    marks: &mut Marks,
) -> Result<ArrayRef, ArrowError> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let instants = exact(array, &utc, rule, marks)?;
    let shown = |(row, instant): (usize, Option<i64>)| {
        let clock = parse::on_clock(instant?, zone);
        clock.map_err(|reason| marks.mark(row, rule.index, reason)).ok()
    };
    let instants = instants.as_primitive::<TimestampMicrosecondType>();
    let clock: TimestampMicrosecondArray = instants.iter().enumerate().map(shown).collect();
    Ok(match target == clock.data_type() {
        true => Arc::new(clock),
        false => days(&clock, rule, marks),
    })
}

/// The days of times on the table's clock, which are to be midnights unless the description says otherwise.
fn days(times: &TimestampMicrosecondArray, rule: &Rule, marks: &mut Marks) -> ArrayRef {
    let day = |(row, time): (usize, Option<i64>)| {
        let time = time?;
        if time.rem_euclid(MICROS_PER_DAY) != 0 && !rule.any_time {
            marks.mark(row, rule.index, Reason::NotMidnight);
            return None;
        }
        i32::try_from(time.div_euclid(MICROS_PER_DAY)).ok()
    };
    Arc::new(times.iter().enumerate().map(day).collect::<Date32Array>())
}

fn is_number(column_type: ColumnType) -> bool {
    column_type.data_type().is_numeric()
}

/// Casts there and back; a value that comes back as another one was not exact.
fn exact(array: &ArrayRef, target: &DataType, rule: &Rule, marks: &mut Marks) -> Result<ArrayRef, ArrowError> {
    let plain = unpacked(array)?;
    let there = cast_with_options(&plain, target, &NULL_ON_FAILURE)?;
    if !target.is_floating() {
        mark_nan(&plain, rule, marks)?;
    }
    mark_lost(&plain, &there, Reason::OutOfRange, rule, marks);
    let back = cast_with_options(&there, plain.data_type(), &NULL_ON_FAILURE)?;
    let differs = cmp::distinct(&plain, &back)?;
    mark_true(&differs, Reason::LosesDigits, rule, marks);
    Ok(there)
}

/// Marks rows that hold no number, where the table's column has one.
fn mark_nan(array: &ArrayRef, rule: &Rule, marks: &mut Marks) -> Result<(), ArrowError> {
    if array.data_type().is_floating() {
        let numbers = cast_with_options(array, &DataType::Float64, &NULL_ON_FAILURE)?;
        let numbers = numbers.as_primitive::<Float64Type>().iter().enumerate();
        let nan = numbers.filter(|(_, number)| number.is_some_and(f64::is_nan));
        nan.for_each(|(row, _)| marks.mark(row, rule.index, Reason::NotANumber));
    }
    Ok(())
}

/// Shorter floating-point numbers, of the same digits: `0.1` stays `0.1`.
fn shorter(array: &ArrayRef, target: &DataType, rule: &Rule, marks: &mut Marks) -> Result<ArrayRef, ArrowError> {
    let plain = unpacked(array)?;
    let there = cast_with_options(&plain, target, &NULL_ON_FAILURE)?;
    let (before, after) = (plain.as_primitive::<Float64Type>(), there.as_primitive::<Float32Type>());
    for (row, (before, after)) in before.iter().zip(after).enumerate() {
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        if before.is_finite() && after.is_infinite() {
            marks.mark(row, rule.index, Reason::OutOfRange);
        } else if f64::from(after) != before && !before.is_nan() && after.to_string() != before.to_string() {
            marks.mark(row, rule.index, Reason::LosesDigits);
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
