//! The SQL types there are (`GetXdbcTypeInfo`). Power BI loads no table without this list; it agrees with the type names
//! that [`super::columns`] puts on fields.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use arrow_flight::{
    error::FlightError,
    sql::{
        Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode,
        metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
    },
};

use super::columns::SqlType;

/// All types, by code and name.
pub(super) fn type_info() -> Result<XdbcTypeInfoData, FlightError> {
    let mut info = XdbcTypeInfoDataBuilder::new();
    types().iter().for_each(|arrow| info.append(describe(arrow)));
    info.build()
}

/// One Arrow type for each SQL type.
fn types() -> [DataType; 19] {
    [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal256(76, 0),
        DataType::Utf8,
        DataType::Binary,
        DataType::Date32,
        DataType::Time64(TimeUnit::Nanosecond),
        DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        DataType::Interval(IntervalUnit::MonthDayNano),
    ]
}

fn describe(arrow: &DataType) -> XdbcTypeInfo {
    let sql = SqlType::of(arrow);
    let (prefix, suffix) = literal(arrow);
    let (data_type, subcode) = verbose(arrow, sql.code);
    XdbcTypeInfo {
        type_name: sql.name.into(),
        data_type: sql.code,
        column_size: sql.precision,
        literal_prefix: prefix.map(Into::into),
        literal_suffix: suffix.map(Into::into),
        create_params: matches!(arrow, DataType::Decimal256(..)).then(|| vec!["precision".into(), "scale".into()]),
        nullable: Nullable::NullabilityNullable,
        case_sensitive: matches!(arrow, DataType::Utf8),
        searchable: Searchable::Full,
        unsigned_attribute: arrow.is_numeric().then(|| arrow.is_unsigned_integer()),
        fixed_prec_scale: false,
        auto_increment: arrow.is_numeric().then_some(false),
        local_type_name: Some(sql.name.into()),
        minimum_scale: scales(arrow).map(|(least, _)| least),
        maximum_scale: scales(arrow).map(|(_, most)| most),
        sql_data_type: data_type,
        datetime_subcode: subcode,
        num_prec_radix: arrow.is_numeric().then_some(10),
        interval_precision: None,
    }
}

/// What stands around a literal of the type.
fn literal(arrow: &DataType) -> (Option<&'static str>, Option<&'static str>) {
    match arrow {
        DataType::Utf8 => (Some("'"), Some("'")),
        DataType::Binary => (Some("X'"), Some("'")),
        DataType::Date32 => (Some("DATE '"), Some("'")),
        DataType::Time64(_) => (Some("TIME '"), Some("'")),
        DataType::Timestamp(..) => (Some("TIMESTAMP '"), Some("'")),
        DataType::Interval(_) => (Some("INTERVAL '"), Some("'")),
        _ => (None, None),
    }
}

/// ODBC names dates and times twice: a concise code, and a verbose one with a subcode.
fn verbose(arrow: &DataType, concise: XdbcDataType) -> (XdbcDataType, Option<XdbcDatetimeSubcode>) {
    use XdbcDatetimeSubcode::{
        XdbcSubcodeTime, XdbcSubcodeTimestamp, XdbcSubcodeTimestampWithTimezone, XdbcSubcodeYear,
    };
    let subcode = match arrow {
        // The specification has no name for 1, which ODBC calls a date.
        DataType::Date32 => XdbcSubcodeYear,
        DataType::Time64(_) => XdbcSubcodeTime,
        DataType::Timestamp(_, None) => XdbcSubcodeTimestamp,
        DataType::Timestamp(_, Some(_)) => XdbcSubcodeTimestampWithTimezone,
        _ => return (concise, None),
    };
    (XdbcDataType::XdbcDatetime, Some(subcode))
}

fn scales(arrow: &DataType) -> Option<(i32, i32)> {
    match arrow {
        DataType::Decimal256(precision, _) => Some((0, i32::from(*precision))),
        DataType::Time64(_) | DataType::Timestamp(..) => Some((0, 9)),
        arrow if arrow.is_integer() => Some((0, 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::{
        array::{Array, AsArray},
        datatypes::Int32Type,
    };

    use super::*;

    #[test]
    fn types_are_listed_once_each_in_order_of_their_code() {
        let batch = type_info().unwrap().record_batch(None).unwrap();
        let codes = batch.column(1).as_primitive::<Int32Type>().values().to_vec();
        assert_eq!(codes.len(), types().len());
        assert!(codes.is_sorted());
        let names = batch.column(0).as_string::<i32>();
        let mut distinct = names.iter().flatten().collect::<Vec<_>>();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn one_code_can_be_asked_for() {
        let integers = type_info()
            .unwrap()
            .record_batch(XdbcDataType::XdbcInteger as i32)
            .unwrap();
        let names = integers
            .column(0)
            .as_string::<i32>()
            .iter()
            .flatten()
            .collect::<Vec<_>>();
        assert_eq!(names, ["INTEGER", "INTEGER UNSIGNED"]);
    }
}
