//! What a source holds of a row that was set aside, as texts, for whoever corrects it. These are values of patients: no
//! message, no log and no list of bad rows has them, and a load keeps them in its encrypted tables or not at all.

use std::fmt;

use arrow::array::{Array, ArrayRef};
use arrow::util::display::array_value_to_string;
use serde_json::{Map, Value, json};

use super::error::BadRow;

/// A row that was set aside, with what its source holds of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// The table whose source it is in.
    pub table: String,
    /// Where it stands, and what is wrong with it.
    pub bad: BadRow,
    /// What it holds.
    pub values: RowValues,
}

/// What a source holds of a row, as JSON: the texts of its columns by the table's names of them, or, of a row with another
/// number of fields than its header, a list of its fields. A text that is not UTF-8 is `{"hex": "…"}`, NULL is `null`.
#[derive(Clone, PartialEq, Eq)]
pub struct RowValues(String);

impl RowValues {
    /// The values of columns, by their names.
    pub(crate) fn of_columns(columns: impl Iterator<Item = (String, Value)>) -> Self {
        Self(Value::Object(columns.collect::<Map<_, _>>()).to_string())
    }

    /// The fields of a row whose columns are not known.
    pub(super) fn of_fields<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Self {
        Self(Value::Array(fields.map(text).collect()).to_string())
    }

    /// The JSON, which holds values of patients.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RowValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowValues({} bytes)", self.0.len())
    }
}

/// A field as JSON.
pub(super) fn text(field: &[u8]) -> Value {
    match std::str::from_utf8(field) {
        Ok(text) => json!(text),
        Err(_) => {
            let hex: String = field.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

/// A value of a column as JSON: its text, as queries show it.
pub(crate) fn shown(column: &ArrayRef, row: usize) -> Value {
    match array_value_to_string(column, row) {
        _ if column.is_null(row) => Value::Null,
        Ok(text) => json!(text),
        Err(_) => json!({ "unreadable": column.data_type().to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_kept_and_none_is_shown() {
        let fields: [&[u8]; 3] = [b"SECRET", b"", b"caf\xe9"];
        let values = RowValues::of_fields(fields.into_iter());
        assert_eq!(values.as_json(), r#"["SECRET","",{"hex":"636166e9"}]"#);
        assert!(!format!("{values:?}").contains("SECRET"));
    }
}
