//! What the Delta log may say of a file: its rows, and bounds of columns of class `plain` only. The log is not encrypted:
//! no value of any other class goes there.

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use datafusion::common::ScalarValue;
use parcours_keys::ColumnClass;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};

use crate::snapshot::class_of;

/// Delta's file statistics as JSON.
pub(crate) fn log_statistics(schema: &Schema, metadata: &ParquetMetaData, rows: u64) -> String {
    let (mut least, mut most) = (Map::new(), Map::new());
    for field in schema
        .fields()
        .iter()
        .filter(|field| class_of(field) == Some(ColumnClass::Plain))
    {
        if let Some((low, high)) = bounds(field, schema, metadata) {
            least.insert(field.name().clone(), low);
            most.insert(field.name().clone(), high);
        }
    }
    json!({ "numRecords": rows, "minValues": least, "maxValues": most }).to_string()
}

fn bounds(field: &Field, schema: &Schema, metadata: &ParquetMetaData) -> Option<(Value, Value)> {
    let parquet = metadata.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(field.name(), schema, parquet).ok()?;
    let low = extreme(&converter.row_group_mins(metadata.row_groups()).ok()?, Ordering::Less)?;
    let high = extreme(
        &converter.row_group_maxes(metadata.row_groups()).ok()?,
        Ordering::Greater,
    )?;
    Some((delta_value(&low)?, delta_value(&high)?))
}

/// The most extreme of the row groups' bounds; none if one of them is unknown.
fn extreme(values: &ArrayRef, wanted: Ordering) -> Option<ScalarValue> {
    let mut found: Option<ScalarValue> = None;
    for row in 0..values.len() {
        let value = ScalarValue::try_from_array(values, row)
            .ok()
            .filter(|value| !value.is_null())?;
        if found
            .as_ref()
            .is_none_or(|best| value.partial_cmp(best) == Some(wanted))
        {
            found = Some(value);
        }
    }
    found
}

/// A value as Delta writes it in statistics; none for types whose bounds we do not log. Texts may be cut in Parquet's own
/// statistics, so they are left out.
fn delta_value(value: &ScalarValue) -> Option<Value> {
    match value {
        ScalarValue::Date32(Some(_)) => Some(Value::from(value.to_string())),
        ScalarValue::Float32(Some(number)) => Some(json!(number)),
        ScalarValue::Float64(Some(number)) => Some(json!(number)),
        // Delta's longs end where UInt64's upper half begins: one such bound would spoil the file's whole statistics.
        ScalarValue::UInt64(_) => None,
        number if number.data_type().is_integer() => serde_json::from_str(&number.to_string()).ok(),
        _ => None,
    }
}
