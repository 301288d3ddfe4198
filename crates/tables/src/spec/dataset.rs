//! The valid description of a dataset: what the rest of the crate works with. Values are made by
//! [`Dataset::from_file`] and its siblings only, so whoever holds one need not check it again.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use parcours_keys::ColumnClass;
use serde::{Deserialize, Serialize, Serializer};

use super::column_type::ColumnType;
use super::dates::{DateBounds, DateFormat};
use super::error::SpecError;
use super::validate;

/// A dataset: tables about the same patients, sharded alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dataset {
    /// Its name, `[a-z][a-z0-9_]{0,62}`.
    pub name: String,
    /// The column that every sharded table has, and by which rows are sharded.
    pub patient_id: String,
    /// The number of shards, 1 to 16384.
    pub shards: u32,
    /// The split points as written, `shards - 1` of them; see [`Dataset::split_points`] for their values.
    pub splits: Option<Vec<String>>,
    /// The tables, in the order of the file; at least one is sharded.
    pub tables: Vec<Table>,
}

/// One table of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Table {
    /// Its name, `[a-z][a-z0-9_]{0,62}`.
    pub name: String,
    /// The sources as written, variables not replaced: what the digest covers.
    pub sources: Vec<String>,
    /// The sources as URLs without a scheme for local paths: absolute, variables replaced, globs kept.
    #[serde(skip)]
    pub patterns: Vec<String>,
    /// The format of all its sources.
    pub format: Format,
    /// How its CSV sources are written.
    pub csv: CsvOptions,
    /// Whether rows are sharded by patient; otherwise a reference table, held whole.
    pub sharded: bool,
    /// The columns that order rows inside a shard, after the patient id (or alone, in a reference table).
    pub order: Vec<String>,
    /// The columns of its sources, in the order of the table's schema. A flattened table has others before them: the patient
    /// id and what it takes from its main table.
    pub columns: Vec<Column>,
    /// Source columns that are left out on purpose.
    pub ignore: Vec<String>,
    /// The patient id's position in `columns`; `None` in a reference table, and in a flattened one, which is given it.
    pub patient: Option<usize>,
    /// How its rows get their patient, when its sources have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flatten: Option<Flatten>,
}

/// How the rows of a table whose sources have no patient id get one: from the row of a main table that has the same keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Flatten {
    /// The main table, which is sharded and has the patient id in its sources.
    pub with: String,
    /// The key columns, described in both tables and of the same types; at least one.
    pub on: Vec<String>,
    /// Columns taken from the main table beside the patient id, in this order; they keep their class and type.
    pub columns: Vec<String>,
    /// Whether the key columns stay columns of the flattened table; true by default.
    pub keep_keys: bool,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Column {
    /// Its name, `[a-z][a-z0-9_]{0,62}`.
    pub name: String,
    /// Its class, which decides the key it is encrypted under.
    pub class: ColumnClass,
    /// Its type; `None` only for Parquet sources, whose files then say it (see [`crate::source::resolve_schema`]).
    #[serde(rename = "type", serialize_with = "optional_text")]
    pub column_type: Option<ColumnType>,
    /// The source column to read, when the specification names it.
    pub from: Option<String>,
    /// Whether it may hold NULL; a patient id never may.
    pub nullable: bool,
    /// Values that stand for NULL, besides the CSV options' `null` texts. Dates are written `1600-01-01`.
    pub missing: Vec<String>,
    /// How a CSV source writes its dates or timestamps.
    #[serde(serialize_with = "format_text")]
    pub format: DateFormat,
    /// The days its dates or timestamps may have.
    #[serde(serialize_with = "bounds_text")]
    pub bounds: DateBounds,
}

/// The format of a table's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values, or another delimiter; UTF-8.
    Csv,
    /// Apache Parquet, not encrypted.
    Parquet,
}

/// How CSV sources are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CsvOptions {
    /// The character between fields; `,` by default.
    pub delimiter: u8,
    /// The character around fields that hold delimiters or line ends; `"` by default, `None` when files do not quote.
    pub quote: Option<u8>,
    /// Whether the first line names the columns; true by default.
    pub header: bool,
    /// Texts that stand for NULL in every column; the empty text by default.
    pub null: Vec<String>,
    /// The decimal mark of numbers; `.` by default.
    pub decimal: u8,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            header: true,
            null: vec![String::new()],
            decimal: b'.',
        }
    }
}

impl Dataset {
    /// Reads a specification. Sources are relative to the file's folder; `${NAME}` in them is taken from the environment.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SpecError> {
        Self::from_file_with(path, &|name| std::env::var(name).ok())
    }

    /// Reads a specification with `variables` in the place of the environment.
    pub fn from_file_with(
        path: impl AsRef<Path>,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SpecError> {
        let path = path.as_ref();
        let read = |source| SpecError::Read {
            path: path.to_path_buf(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let folder = std::path::absolute(path).map_err(read)?;
        let folder = folder.parent().unwrap_or(Path::new("/"));
        validate::dataset(&text, Some(path), folder, variables)
    }

    /// Reads a specification from a text. Sources are relative to `folder`, an absolute path.
    pub fn parse(text: &str, folder: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Result<Self, SpecError> {
        validate::dataset(text, None, folder, variables)
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Table {
    /// The schema of what is read from the table's sources, when every column has a type; otherwise the files have to say: [`crate::source::resolve_schema`].
    pub fn schema(&self) -> Option<SchemaRef> {
        let fields = self
            .columns
            .iter()
            .map(|column| column.column_type.map(|known| column.field(known)));
        fields
            .collect::<Option<Vec<_>>>()
            .map(|fields| Arc::new(Schema::new(fields)))
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The patient id column of its sources; `None` in a reference table and in a flattened one.
    pub fn patient_column(&self) -> Option<&Column> {
        self.columns.get(self.patient?)
    }
}

impl Column {
    /// The column as a field of a schema, of the type given.
    pub fn field(&self, column_type: ColumnType) -> Field {
        Field::new(&self.name, column_type.data_type(), self.nullable)
    }
}

fn optional_text<S: Serializer>(column_type: &Option<ColumnType>, serializer: S) -> Result<S::Ok, S::Error> {
    column_type.map(|known| known.to_string()).serialize(serializer)
}

fn format_text<S: Serializer>(format: &DateFormat, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(format.pattern())
}

fn bounds_text<S: Serializer>(bounds: &DateBounds, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}/{}", bounds.min, bounds.max))
}
