//! How a column looks to SQL clients: the name, size and scale of its type, as field metadata of results, parameters
//! and `GetTables`. Power BI and JDBC read these rather than the Arrow type; the type names are the ones that
//! [`super::type_info`] lists and `CAST` understands.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_flight::sql::XdbcDataType;

/// An Arrow type in SQL's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SqlType {
    /// As it is written in SQL.
    pub name: &'static str,
    /// The code ODBC and JDBC know it by.
    pub code: XdbcDataType,
    /// Digits of a number, characters of a date or time, bytes of fixed-size binary; unknown where there is no bound.
    pub precision: Option<i32>,
    /// Digits after the point, of a number or of seconds.
    pub scale: Option<i32>,
}

impl SqlType {
    /// The SQL type of values of this Arrow type; how they are encoded (dictionaries, views, runs) does not matter.
    pub fn of(arrow: &DataType) -> Self {
        number(arrow).or_else(|| moment(arrow)).unwrap_or_else(|| other(arrow))
    }
}

const fn sql(name: &'static str, code: XdbcDataType, precision: Option<i32>, scale: Option<i32>) -> SqlType {
    SqlType {
        name,
        code,
        precision,
        scale,
    }
}

fn number(arrow: &DataType) -> Option<SqlType> {
    use XdbcDataType::{XdbcBigint, XdbcDecimal, XdbcDouble, XdbcInteger, XdbcReal, XdbcSmallint, XdbcTinyint};
    Some(match arrow {
        DataType::Int8 => sql("TINYINT", XdbcTinyint, Some(3), Some(0)),
        DataType::Int16 => sql("SMALLINT", XdbcSmallint, Some(5), Some(0)),
        DataType::Int32 => sql("INTEGER", XdbcInteger, Some(10), Some(0)),
        DataType::Int64 => sql("BIGINT", XdbcBigint, Some(19), Some(0)),
        DataType::UInt8 => sql("TINYINT UNSIGNED", XdbcTinyint, Some(3), Some(0)),
        DataType::UInt16 => sql("SMALLINT UNSIGNED", XdbcSmallint, Some(5), Some(0)),
        DataType::UInt32 => sql("INTEGER UNSIGNED", XdbcInteger, Some(10), Some(0)),
        DataType::UInt64 => sql("BIGINT UNSIGNED", XdbcBigint, Some(20), Some(0)),
        DataType::Float16 | DataType::Float32 => sql("REAL", XdbcReal, Some(7), None),
        DataType::Float64 => sql("DOUBLE", XdbcDouble, Some(15), None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            sql("DECIMAL", XdbcDecimal, Some((*precision).into()), Some((*scale).into()))
        }
        _ => return None,
    })
}

fn moment(arrow: &DataType) -> Option<SqlType> {
    use XdbcDataType::{XdbcDate, XdbcInterval, XdbcTime, XdbcTimestamp};
    let with_seconds = |name, code, length, unit: &TimeUnit| {
        let digits = digits(unit);
        sql(
            name,
            code,
            Some(length + if digits == 0 { 0 } else { 1 + digits }),
            Some(digits),
        )
    };
    Some(match arrow {
        DataType::Date32 | DataType::Date64 => sql("DATE", XdbcDate, Some(10), None),
        DataType::Time32(unit) | DataType::Time64(unit) => with_seconds("TIME", XdbcTime, 8, unit),
        DataType::Timestamp(unit, None) => with_seconds("TIMESTAMP", XdbcTimestamp, 19, unit),
        DataType::Timestamp(unit, Some(_)) => with_seconds("TIMESTAMP WITH TIME ZONE", XdbcTimestamp, 25, unit),
        DataType::Interval(_) | DataType::Duration(_) => sql("INTERVAL", XdbcInterval, None, None),
        _ => return None,
    })
}

fn digits(unit: &TimeUnit) -> i32 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

fn other(arrow: &DataType) -> SqlType {
    use XdbcDataType::{XdbcBinary, XdbcBit, XdbcUnknownType, XdbcVarbinary, XdbcVarchar};
    match arrow {
        DataType::Boolean => sql("BOOLEAN", XdbcBit, Some(1), None),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => sql("VARCHAR", XdbcVarchar, None, None),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => sql("VARBINARY", XdbcVarbinary, None, None),
        DataType::FixedSizeBinary(bytes) => sql("BINARY", XdbcBinary, Some(*bytes), None),
        DataType::Dictionary(_, values) => SqlType::of(values),
        DataType::RunEndEncoded(_, values) => SqlType::of(values.data_type()),
        DataType::Null => sql("NULL", XdbcUnknownType, None, None),
        DataType::Struct(_) => sql("STRUCT", XdbcUnknownType, None, None),
        DataType::Map(..) => sql("MAP", XdbcUnknownType, None, None),
        DataType::Union(..) => sql("UNION", XdbcUnknownType, None, None),
        _ => sql("ARRAY", XdbcUnknownType, None, None),
    }
}

/// A schema whose fields say what they are in SQL's terms. Names, types, nullability and metadata stay as they are.
pub(super) fn described(schema: &Schema) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|field| describe(field, &[]))
        .collect::<Vec<_>>();
    Schema::new_with_metadata(fields, schema.metadata().clone()).into()
}

/// The same for a table's columns, which also say where they stand.
pub(super) fn described_in(schema: &Schema, catalog: &str, db_schema: &str, table: &str) -> Schema {
    let place = [
        ("CATALOG_NAME", catalog),
        ("SCHEMA_NAME", db_schema),
        ("TABLE_NAME", table),
    ];
    let fields = schema
        .fields()
        .iter()
        .map(|field| describe(field, &place))
        .collect::<Vec<_>>();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// A schema of parameters, described.
pub(super) fn described_parameters(parameters: &[Field]) -> SchemaRef {
    described(&Schema::new(parameters.to_vec()))
}

fn describe(field: &Field, place: &[(&str, &str)]) -> Field {
    let mut metadata = field.metadata().clone();
    let mut say = |key: &str, value: String| metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value);
    for (key, value) in properties(&SqlType::of(field.data_type())) {
        say(key, value);
    }
    for (key, value) in place {
        say(key, (*value).to_owned());
    }
    field.clone().with_metadata(metadata)
}

fn properties(of: &SqlType) -> HashMap<&'static str, String> {
    let flag = |set: bool| if set { "1" } else { "0" }.to_owned();
    let size = of.precision.map(|precision| ("PRECISION", precision.to_string()));
    let scale = of.scale.map(|scale| ("SCALE", scale.to_string()));
    let fixed = [
        ("TYPE_NAME", of.name.to_owned()),
        ("IS_AUTO_INCREMENT", flag(false)),
        ("IS_CASE_SENSITIVE", flag(of.code == XdbcDataType::XdbcVarchar)),
        ("IS_READ_ONLY", flag(true)),
        ("IS_SEARCHABLE", flag(true)),
    ];
    fixed.into_iter().chain(size).chain(scale).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn types_have_their_sql_name_size_and_scale() {
        let cases = [
            (DataType::Int64, "BIGINT", Some(19), Some(0)),
            (DataType::Decimal128(12, 2), "DECIMAL", Some(12), Some(2)),
            (DataType::Date32, "DATE", Some(10), None),
            (
                DataType::Timestamp(TimeUnit::Second, None),
                "TIMESTAMP",
                Some(19),
                Some(0),
            ),
            (
                DataType::Timestamp(TimeUnit::Microsecond, None),
                "TIMESTAMP",
                Some(26),
                Some(6),
            ),
            (DataType::Time64(TimeUnit::Nanosecond), "TIME", Some(18), Some(9)),
            (DataType::Utf8View, "VARCHAR", None, None),
            (
                DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
                "VARCHAR",
                None,
                None,
            ),
            (DataType::new_list(DataType::Int32, true), "ARRAY", None, None),
        ];
        for (arrow, name, precision, scale) in cases {
            let sql = SqlType::of(&arrow);
            assert_eq!(
                (sql.name, sql.precision, sql.scale),
                (name, precision, scale),
                "{arrow}"
            );
        }
    }

    #[test]
    fn a_described_schema_keeps_what_it_had() {
        let note = HashMap::from([("note".to_owned(), "kept".to_owned())]);
        let schema = Schema::new(vec![Field::new("sexe", DataType::Utf8, false).with_metadata(note)]);
        let described = described_in(&schema, "parcours", "snds", "beneficiaires");
        let field = described.field(0);
        assert_eq!(
            (field.name().as_str(), field.data_type(), field.is_nullable()),
            ("sexe", &DataType::Utf8, false)
        );
        let said = |key: &str| field.metadata().get(key).unwrap().as_str();
        assert_eq!(said("note"), "kept");
        assert_eq!(said("ARROW:FLIGHT:SQL:TYPE_NAME"), "VARCHAR");
        assert_eq!(said("ARROW:FLIGHT:SQL:SCHEMA_NAME"), "snds");
        assert_eq!(said("ARROW:FLIGHT:SQL:IS_CASE_SENSITIVE"), "1");
    }
}
