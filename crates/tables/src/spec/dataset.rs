//! The valid description of a dataset: what the rest of the crate works with. Values are made by
//! [`Dataset::from_file`] and its siblings only, so whoever holds one need not check it again.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use parcours_keys::ColumnClass;
use serde::{Deserialize, Serialize, Serializer};

use super::column_type::ColumnType;
use super::dates::{DateBounds, DateFormat, Zone};
use super::error::{SpecError, SpecFault};
use super::file_name::FileName;
use super::validate;

/// A dataset: tables about the same patients, sharded alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dataset {
    /// Its name, `[a-z][a-z0-9_]{0,62}`.
    pub name: String,
    /// The column that every sharded table has, and by which rows are sharded; empty where no table is and none is said.
    pub patient_id: String,
    /// The number of shards, 1 to 16384; 1 where no table is sharded and none is said.
    pub shards: u32,
    /// The split points as written, `shards - 1` of them; see [`Dataset::split_points`] for their values.
    pub splits: Option<Vec<String>>,
    /// The tables, in the order of the file; at least one.
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
    /// The name in `name=value` of a folder that its sources lie in, where their folders say its value and they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The pattern of its sources' names of which one part is its value, where their rows do not have it.
    #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub file: Option<FileName>,
    /// Whether it may hold NULL; a patient id never may.
    pub nullable: bool,
    /// Whether a source may lack it, as those of earlier years do: it is NULL then. False by default.
    #[serde(skip_serializing_if = "is_default")]
    pub optional: bool,
    /// Values that stand for NULL, besides the CSV options' `null` texts. Dates are written `1600-01-01`.
    pub missing: Vec<String>,
    /// How a CSV source writes its dates or timestamps.
    #[serde(serialize_with = "format_text")]
    pub format: DateFormat,
    /// The zone whose clock its timestamps show, or whose days it has, where sources have instants: offsets, or Parquet's
    /// times in UTC.
    #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Whether a date takes the day of any time, and drops the time; by default it has to be midnight.
    #[serde(skip_serializing_if = "is_default")]
    pub any_time: bool,
    /// The days its dates or timestamps may have.
    #[serde(serialize_with = "bounds_text")]
    pub bounds: DateBounds,
}

/// The format of a table's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values, or another delimiter; as they are, or compressed with gzip, zstd or bzip2.
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
    /// Texts that stand for NULL in every column, besides the empty one.
    pub null: Vec<String>,
    /// The decimal mark of numbers; `.` by default.
    pub decimal: u8,
    /// How characters are written; UTF-8 by default. A byte order mark says UTF-16 whatever stands here.
    #[serde(skip_serializing_if = "Encoding::is_utf8")]
    pub encoding: Encoding,
    /// Lines before the header that are no rows, such as a title; none by default.
    #[serde(skip_serializing_if = "is_default")]
    pub skip_lines: u64,
    /// Whether quoted fields may hold line ends. By default they may not: a quote that is never closed would join lines.
    #[serde(skip_serializing_if = "is_default")]
    pub multiline: bool,
    /// Whether a quote inside a field that does not begin with one is a character like any other; refused by default.
    #[serde(skip_serializing_if = "is_default")]
    pub stray_quotes: bool,
    /// The character before a quote inside quotes, where files do not double it; none by default.
    #[serde(skip_serializing_if = "is_default")]
    pub escape: Option<u8>,
    /// Whether every line, the header too, ends with a delimiter behind its last field; false by default.
    #[serde(skip_serializing_if = "is_default")]
    pub trailing_delimiter: bool,
    /// Whether a row may end before its last columns, which are NULL then; refused by default.
    #[serde(skip_serializing_if = "is_default")]
    pub short_rows: bool,
    /// Whether blanks around fields are left out, so that a field of blanks is empty; false by default.
    #[serde(skip_serializing_if = "is_default")]
    pub trim: bool,
    /// Whether empty fields of text columns are empty texts; by default an empty field is NULL.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_empty: bool,
    /// The character between groups of three digits; none by default.
    #[serde(skip_serializing_if = "is_default")]
    pub thousands: Option<char>,
    /// Texts that are true and false, such as `O` and `N`; by default `true`, `t`, `yes`, `y`, `1` and their opposites, in any
    /// case.
    #[serde(skip_serializing_if = "is_default")]
    pub booleans: Option<Booleans>,
}

/// Texts that stand for truths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Booleans {
    /// Those that are true, to the letter.
    #[serde(rename = "true")]
    pub yes: Vec<String>,
    /// Those that are false, to the letter.
    #[serde(rename = "false")]
    pub no: Vec<String>,
}

/// How the characters of a CSV file are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// With a byte order mark.
    #[serde(rename = "utf-16")]
    Utf16,
    #[serde(rename = "windows-1252")]
    Windows1252,
    #[serde(rename = "iso-8859-1")]
    Iso8859_1,
    #[serde(rename = "iso-8859-15")]
    Iso8859_15,
}

impl Encoding {
    fn is_utf8(&self) -> bool {
        *self == Self::Utf8
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            header: true,
            null: Vec::new(),
            decimal: b'.',
            encoding: Encoding::default(),
            skip_lines: 0,
            multiline: false,
            stray_quotes: false,
            escape: None,
            trailing_delimiter: false,
            short_rows: false,
            trim: false,
            keep_empty: false,
            thousands: None,
            booleans: None,
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
    /// Whether its value is that of a folder or of a file's name, and no column of its sources.
    pub fn is_of_path(&self) -> bool {
        self.folder.is_some() || self.file.is_some()
    }

    /// Whether its format reads the whole of a value of this type, or says why not.
    pub(crate) fn check_format(&self, column_type: ColumnType) -> Result<(), SpecFault> {
        self.format.check(column_type, self.bounds, self.zone, self.any_time)
    }

    /// The column as a field of a schema, of the type given.
    pub fn field(&self, column_type: ColumnType) -> Field {
        Field::new(&self.name, column_type.data_type(), self.nullable)
    }
}

fn optional_text<T: ToString, S: Serializer>(said: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    said.as_ref().map(T::to_string).serialize(serializer)
}

fn format_text<S: Serializer>(format: &DateFormat, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(format.pattern())
}

fn bounds_text<S: Serializer>(bounds: &DateBounds, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}/{}", bounds.min, bounds.max))
}
