//! What holds for a column's values wherever they came from: missing values become NULL, dates lie within bounds, and
//! NULL stands only where the table allows it.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::nullif;
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::NaiveDate;

use super::error::Reason;
use super::marks::Marks;
use super::parse::MICROS_PER_DAY;
use super::rule::Rule;
use crate::spec::ColumnType;

/// Checks a column of the rule's type; rows that fail are marked.
pub(super) fn column(array: ArrayRef, rule: &Rule, marks: &mut Marks) -> Result<ArrayRef, ArrowError> {
    let array = without_missing(array, rule)?;
    check_dates(&array, rule, marks);
    check_present(&array, rule, marks);
    Ok(array)
}

/// Values that stand for NULL become NULL.
fn without_missing(array: ArrayRef, rule: &Rule) -> Result<ArrayRef, ArrowError> {
    let Some(missing) = &rule.missing else { return Ok(array) };
    let mut array = array;
    for at in 0..missing.len() {
        let equal: BooleanArray = cmp::eq(&array, &Scalar::new(missing.slice(at, 1)))?;
        array = nullif(&array, &equal)?;
    }
    Ok(array)
}

fn check_dates(array: &ArrayRef, rule: &Rule, marks: &mut Marks) {
    let (min, max) = (days(rule.bounds.min), days(rule.bounds.max));
    match rule.column_type {
        ColumnType::Date32 => {
            let dates = array.as_primitive::<Date32Type>();
            mark_outside(dates.iter().map(|date| date.map(i64::from)), min, max, rule, marks);
        }
        ColumnType::Timestamp => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            let (min, max) = (min * MICROS_PER_DAY, (max + 1) * MICROS_PER_DAY - 1);
            mark_outside(times.iter(), min, max, rule, marks);
        }
        _ => {}
    }
}

fn mark_outside(values: impl Iterator<Item = Option<i64>>, min: i64, max: i64, rule: &Rule, marks: &mut Marks) {
    for (row, value) in values.enumerate() {
        if value.is_some_and(|value| value < min || value > max) {
            marks.mark(row, rule.index, Reason::OutsideBounds);
        }
    }
}

/// NULL only where allowed; a patient id of nothing but spaces is no patient id either.
fn check_present(array: &ArrayRef, rule: &Rule, marks: &mut Marks) {
    let reason = if rule.patient {
        Reason::MissingPatientId
    } else {
        Reason::MissingValue
    };
    if !rule.nullable && array.null_count() > 0 {
        (0..array.len())
            .filter(|row| array.is_null(*row))
            .for_each(|row| marks.mark(row, rule.index, reason));
    }
    if rule.patient && rule.column_type == ColumnType::Utf8 {
        let ids = array.as_string::<i32>().iter().enumerate();
        let blank = ids.filter(|(_, id)| id.is_some_and(|id| id.trim().is_empty()));
        blank.for_each(|(row, _)| marks.mark(row, rule.index, reason));
    }
}

/// Days since 1970-01-01.
fn days(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}
