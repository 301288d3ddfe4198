//! Why a source cannot be read, and why a row of it is bad. Messages name the file, the line, the column and the class
//! of the fault; a value of a row is in none of them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;

use super::limit::RejectLimit;
use crate::spec::SpecFault;
use crate::store::StoreError;

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SourceError {
    /// A row is bad and the policy is to stop.
    #[error("{0}")]
    BadRow(BadRow),
    #[error(
        "table {table}: source {pattern} matches no file{}",
        if pattern.contains('[') { ": a bracket in a name is written [[] or []]" } else { "" }
    )]
    NoMatch { table: String, pattern: String },
    #[error("source {pattern} is not usable: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("source {location}: {source}")]
    Store { location: String, source: StoreError },
    #[error("cannot read {file}: {source}")]
    Read { file: String, source: object_store::Error },
    #[error("{file} changed while it was read: start again")]
    Changed { file: String },
    #[error("{file} has columns that table {table} does not use: {}: describe them, or list them under ignore", columns.join(", "))]
    UnknownColumns {
        file: String,
        table: String,
        columns: Vec<String>,
    },
    #[error("{file} lacks columns of table {table}: {}: check names, say from, or optional = true if others have them", columns.join(", "))]
    MissingColumns {
        file: String,
        table: String,
        columns: Vec<String>,
    },
    #[error(
        "{file} lies in no folder {folder}=…, which column {column} of table {table} comes from: check the source's pattern, or \
         say optional = true if others do"
    )]
    NoFolder {
        file: String,
        table: String,
        column: String,
        folder: String,
    },
    #[error("{file}: the folder {folder}=… is no value of column {column} of table {table}: {reason}")]
    FolderValue {
        file: String,
        table: String,
        column: String,
        folder: String,
        reason: Reason,
    },
    #[error(
        "{file} has no name like {pattern}, which column {column} of table {table} comes from: check the source's pattern, or say \
         optional = true if others do"
    )]
    NoFileName {
        file: String,
        table: String,
        column: String,
        pattern: String,
    },
    #[error(
        "the name of {file} can be read as {pattern} in several ways: say how long the value of column {column} of table {table} \
         is, such as {{????}}, or what stands around it"
    )]
    FileNameOpen {
        file: String,
        table: String,
        column: String,
        pattern: String,
    },
    #[error(
        "{file}: what stands in its name, as {pattern} says, is no value of column {column} of table {table}: {reason}"
    )]
    FileNameValue {
        file: String,
        table: String,
        column: String,
        pattern: String,
        reason: Reason,
    },
    #[error("{file} has several columns that could be {column} of table {table}: say from")]
    AmbiguousColumn {
        file: String,
        table: String,
        column: String,
    },
    #[error("{file} has column {column} twice")]
    DuplicateColumn { file: String, column: String },
    #[error("columns {first} and {second} of table {table} would both read one column of {file}: say from")]
    SharedColumn {
        file: String,
        table: String,
        first: String,
        second: String,
    },
    #[error(
        "{file} has no {expected} in its header, and {found} instead: say csv = {{ delimiter = \"{}\" }}", found.escape_default()
    )]
    OtherDelimiter { file: String, expected: char, found: char },
    #[error("{file} is empty: a header is expected, or say csv = {{ header = false }}")]
    NoHeader { file: String },
    #[error(
        "{file} has a delimiter behind the last column of its header: if every line ends with one, say csv = {{ \
         trailing_delimiter = true }}"
    )]
    TrailingDelimiter { file: String },
    #[error("{file} has no delimiter behind the last column of its header: leave trailing_delimiter out")]
    NoTrailingDelimiter { file: String },
    #[error("{file} is {found}: {remedy}")]
    NotCsv {
        file: String,
        found: &'static str,
        remedy: &'static str,
    },
    #[error("{file} cannot be decompressed: {source}")]
    Compression { file: String, source: io::Error },
    #[error(
        "{file} is not written in {encoding}: say which encoding it has, such as csv = {{ encoding = \"windows-1252\" }}"
    )]
    Characters { file: String, encoding: &'static str },
    #[error("{file} is not utf-8: {found}: say csv = {{ encoding = \"windows-1252\" }} or another, or convert it")]
    Encoding { file: String, found: String },
    #[error("{file} line {line} (byte {byte}): {problem}; if the file does not quote, say csv = {{ quote = \"\" }}")]
    Quotes {
        file: String,
        line: u64,
        byte: u64,
        problem: &'static str,
    },
    #[error("{file} line {line} (byte {byte}): row is longer than {limit} bytes: check its quotes")]
    RowTooLong {
        file: String,
        line: u64,
        byte: u64,
        limit: usize,
    },
    #[error(
        "{file} has columns of parquet types that are not known here: {}: write it anew without them, or as texts or numbers",
        columns.join(", ")
    )]
    ParquetType { file: String, columns: Vec<String> },
    #[error(
        "{file} carries an Arrow schema with a type that is not known here: write it anew without that schema, as \
         pyarrow does with store_schema=False"
    )]
    ArrowSchema { file: String },
    #[error("{file} is not readable as parquet: {source}")]
    Parquet {
        file: String,
        source: ::parquet::errors::ParquetError,
    },
    #[error(
        "column {column} of {file} has type {found}, which table {table} cannot hold: ignore it, or convert the file"
    )]
    UnsupportedType {
        file: String,
        table: String,
        column: String,
        found: String,
    },
    #[error("column {column} of {file} has type {found}, which does not convert to {expected} of table {table}")]
    Conversion {
        file: String,
        table: String,
        column: String,
        found: String,
        expected: String,
    },
    #[error(
        "column {column} of {file} holds instants: say the zone whose clock table {table} shows, such as zone = \"UTC\" or \
         zone = \"Europe/Paris\""
    )]
    Instants {
        file: String,
        table: String,
        column: String,
    },
    #[error("column {column} of table {table} has type {found} in {file} but {expected} in other files: say type")]
    DifferentTypes {
        file: String,
        table: String,
        column: String,
        found: String,
        expected: String,
    },
    #[error("schema given for table {table} is not its own at column {column}")]
    Schema { table: String, column: String },
    #[error("{0}")]
    Spec(#[from] SpecFault),
    #[error(
        "{} is there and is no list of bad rows: name a file that is not there, nothing was written", path.display()
    )]
    RejectTaken { path: PathBuf },
    #[error(
        "{} would be read as a source of table {table} by the next load: name a file that no source matches", path.display()
    )]
    RejectIsSource { path: PathBuf, table: String },
    #[error(
        "{bad} of the {rows} rows read of {file} are bad, more than {limit}: see {}, and mend the description or the source, or \
         allow more with --reject-limit",
        path.display()
    )]
    TooManyBad {
        file: String,
        bad: u64,
        rows: u64,
        limit: RejectLimit,
        path: PathBuf,
    },
    #[error(
        "the rows that were set aside come to more than the {bytes} bytes that a load keeps: mend the description or the source, \
         or load without --keep-rejects, or with more --memory"
    )]
    TooManyKept { bytes: usize },
    #[error("cannot write reject file {}: {source}", path.display())]
    Reject { path: PathBuf, source: io::Error },
    #[error("cannot build rows of {file}: {source}")]
    Build { file: String, source: ArrowError },
}

/// A row that does not fit its table. Holds no value of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The file's URL.
    pub file: String,
    /// Where in the file.
    pub position: Position,
    /// The table's column, or `None` when the row as a whole is bad.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: Reason,
    /// How many fields it has, where that is what is wrong.
    pub fields: Option<FieldCounts>,
}

/// How many fields a row has, and how many it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldCounts {
    /// Those it has.
    pub found: usize,
    /// Those it should have, as its header has.
    pub expected: usize,
}

impl BadRow {
    /// What is wrong, with the numbers of fields where they are what is wrong.
    pub fn problem(&self) -> String {
        match self.fields {
            Some(FieldCounts { found, expected }) => format!("{}: {found}, not {expected}", self.reason),
            None => self.reason.to_string(),
        }
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.position)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.problem())?;
        match self.fields {
            Some(fields) if fields.found < fields.expected => {
                write!(
                    f,
                    "; if rows may end before their last columns, say csv = {{ short_rows = true }}"
                )
            }
            _ => Ok(()),
        }
    }
}

/// Where a row stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// A row of a CSV file: the physical line it begins on, from 1 and counting the header and line ends in quotes, and
    /// the byte it begins at, from 0.
    Line {
        /// The line, from 1.
        line: u64,
        /// The byte, from 0.
        byte: u64,
    },
    /// A row of a Parquet file, from 1.
    Row(u64),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, byte } => write!(f, "line {line} (byte {byte})"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[allow(missing_docs)]
pub enum Reason {
    #[error("missing patient id")]
    MissingPatientId,
    #[error("missing value")]
    MissingValue,
    #[error("wrong number of fields")]
    WrongNumberOfFields,
    #[error("not a boolean")]
    NotABoolean,
    #[error("not an integer")]
    NotAnInteger,
    #[error("not a number")]
    NotANumber,
    #[error("not a date")]
    NotADate,
    #[error("not a timestamp")]
    NotATimestamp,
    #[error("no day of the calendar, or no time of the day")]
    ImpossibleDate,
    #[error(
        "a date outside date_min and date_max of its column, which are 1800-01-01 and 2200-12-31 unless they are said"
    )]
    OutsideBounds,
    #[error("a date with a time of day: say timestamp(us), a format, or any_time = true")]
    HasATime,
    #[error("no midnight on the clock of its zone: say timestamp(us), or any_time = true")]
    NotMidnight,
    #[error("a time with an offset from UTC: say the zone of the column's clock")]
    OffsetWithoutZone,
    #[error("value out of range")]
    OutOfRange,
    #[error("value would lose digits")]
    LosesDigits,
    #[error("not utf-8")]
    NotUtf8,
    #[error("a row of more than 8 MiB")]
    RowTooLong,
    #[error("no parent row has its keys")]
    NoParent,
}
