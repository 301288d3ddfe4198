//! The TOML file as it is written: every key there is, nothing checked beyond its kind. Unknown keys are refused here;
//! [`super::validate`] turns a document into a [`super::Dataset`].

use serde::Deserialize;
use toml::{Spanned, Value};

use super::dataset::{Booleans, Encoding, Format};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetDocument {
    pub name: Spanned<String>,
    pub patient_id: Option<Spanned<String>>,
    pub shards: Option<Spanned<u64>>,
    pub splits: Option<Spanned<Vec<Value>>>,
    #[serde(default)]
    pub tables: Vec<Spanned<TableDocument>>,
}

/// One `[[tables]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableDocument {
    pub name: Spanned<String>,
    #[serde(default)]
    pub sources: Vec<Spanned<String>>,
    pub format: Option<Format>,
    pub csv: Option<Spanned<CsvDocument>>,
    #[serde(default = "yes")]
    pub sharded: bool,
    #[serde(default)]
    pub order: Vec<Spanned<String>>,
    #[serde(default)]
    pub ignore: Vec<Spanned<String>>,
    pub date_min: Option<Spanned<Value>>,
    pub date_max: Option<Spanned<Value>>,
    pub zone: Option<Spanned<String>>,
    #[serde(default)]
    pub columns: Vec<Spanned<ColumnDocument>>,
    pub flatten: Option<Spanned<FlattenDocument>>,
}

/// The `flatten` of a table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlattenDocument {
    pub with: Spanned<String>,
    pub on: Vec<Spanned<String>>,
    #[serde(default)]
    pub columns: Vec<Spanned<String>>,
    #[serde(default = "yes")]
    pub keep_keys: bool,
}

/// The `csv` options of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CsvDocument {
    pub delimiter: Option<String>,
    pub quote: Option<String>,
    pub header: Option<bool>,
    pub null: Option<Vec<String>>,
    pub decimal: Option<String>,
    #[serde(default)]
    pub encoding: Encoding,
    #[serde(default)]
    pub skip_lines: u64,
    #[serde(default)]
    pub multiline: bool,
    #[serde(default)]
    pub stray_quotes: bool,
    pub escape: Option<String>,
    #[serde(default)]
    pub trailing_delimiter: bool,
    #[serde(default)]
    pub short_rows: bool,
    #[serde(default)]
    pub trim: bool,
    #[serde(default)]
    pub keep_empty: bool,
    pub thousands: Option<String>,
    pub booleans: Option<Booleans>,
    pub date_format: Option<Spanned<String>>,
}

/// One column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnDocument {
    pub name: Spanned<String>,
    pub class: Option<Spanned<String>>,
    #[serde(rename = "type")]
    pub column_type: Option<Spanned<String>>,
    pub from: Option<Spanned<String>>,
    pub folder: Option<Spanned<String>>,
    pub file: Option<Spanned<String>>,
    pub nullable: Option<bool>,
    #[serde(default)]
    pub optional: bool,
    #[serde(default)]
    pub missing: Vec<Spanned<Value>>,
    pub format: Option<Spanned<String>>,
    pub date_min: Option<Spanned<Value>>,
    pub date_max: Option<Spanned<Value>>,
    pub zone: Option<Spanned<String>>,
    pub any_time: Option<Spanned<bool>>,
}

fn yes() -> bool {
    true
}

/// The text of a value that may be written with or without quotes: a text, a number, a boolean or a date.
pub(super) fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
