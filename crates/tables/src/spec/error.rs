//! Why a specification is refused. Every fault names its table and column and says what to write instead; no fault
//! quotes data, because a specification holds none.

use std::io;
use std::path::PathBuf;

use super::place::Place;

/// A specification that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file cannot be read.
    #[error("cannot read specification {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is not TOML, or has a key that no specification has.
    #[error("{place}: {message}")]
    Syntax {
        /// Where it stands.
        place: Place,
        /// What the reader of TOML said; for an unknown key, the keys there are.
        message: String,
    },
    /// The text is TOML with known keys but says something that cannot be.
    #[error("{place}: {fault}")]
    Invalid {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        fault: SpecFault,
    },
}

/// What is wrong with a specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SpecFault {
    #[error("name {name} is not usable: use lower-case letters, digits and _, starting with a letter, at most 63")]
    Name { name: String },
    #[error("column name shard is taken by the layout: choose another name and say from = \"shard\"")]
    ReservedName,
    #[error("{shards} shards: say 1 to 16384")]
    Shards { shards: u64 },
    #[error("dataset has no tables: add [[tables]]")]
    NoTables,
    #[error("table {table} is described twice")]
    DuplicateTable { table: String },
    #[error("table {table} has no sources")]
    NoSources { table: String },
    #[error("table {table} has no columns")]
    NoColumns { table: String },
    #[error("table {table} describes column {column} twice")]
    DuplicateColumn { table: String, column: String },
    #[error("table {table} reads source column {from} twice")]
    DuplicateFrom { table: String, from: String },
    #[error("column {column} of table {table} has no class: say identity, quasi, health or plain")]
    NoClass { table: String, column: String },
    #[error("class {written} of column {column} of table {table} is unknown: say identity, quasi, health or plain")]
    UnknownClass {
        table: String,
        column: String,
        written: String,
    },
    #[error("column {column} of table {table} has no type, which its sources do not say: say one")]
    NoType { table: String, column: String },
    #[error(
        "type {written} is unknown: say bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, utf8, \
         date32, timestamp(us) or decimal(precision,scale)"
    )]
    UnknownType { written: String },
    #[error("table {table} has no patient id column {column}: describe it, or say sharded = false")]
    NoPatientId { table: String, column: String },
    #[error("table {table} is not sharded but holds the patient id {column}: shard it, or leave that column out")]
    PatientIdUnsharded { table: String, column: String },
    #[error("patient id {column} of table {table} must have class identity")]
    PatientIdClass { table: String, column: String },
    #[error("patient id {column} of table {table} cannot be nullable")]
    PatientIdNullable { table: String, column: String },
    #[error("patient id {column} of table {table} has type {found}: say utf8 or an integer type")]
    PatientIdType {
        table: String,
        column: String,
        found: String,
    },
    #[error("patient id has type {found} in table {table} but {expected} before: use one type in all tables")]
    PatientIdTypes {
        table: String,
        found: String,
        expected: String,
    },
    #[error("missing key `{key}`: say it, or sharded = false in every table")]
    MissingKey { key: &'static str },
    #[error("table {table} is ordered by {column}, which it does not have")]
    OrderColumn { table: String, column: String },
    #[error("table {table} is ordered by {column} twice")]
    OrderTwice { table: String, column: String },
    #[error("order of table {table} names the patient id, which always comes first: leave it out")]
    OrderPatientId { table: String },
    #[error("{found} split points for {shards} shards: give {expected}, or leave splits out")]
    SplitCount { found: usize, shards: u32, expected: usize },
    #[error("split points are not ascending at position {position}")]
    SplitOrder { position: usize },
    #[error("split point at position {position} is not of the patient id's type {expected}")]
    SplitType { position: usize, expected: String },
    #[error("cannot tell the format of {written}: say format = \"csv\" or format = \"parquet\"")]
    NoFormat { written: String },
    #[error("{written} is no csv and no parquet, which is what is read: {remedy}")]
    OtherFormat { written: String, remedy: &'static str },
    #[error("table {table} has both csv and parquet sources: make two tables, or say format")]
    MixedFormats { table: String },
    #[error("csv options on table {table}, whose sources are parquet: remove them")]
    CsvOnParquet { table: String },
    #[error("csv {option} must be one ascii character, or for quote an empty text")]
    CsvCharacter { option: &'static str },
    #[error("csv delimiter, quote, escape, decimal and thousands must differ")]
    CsvAmbiguous,
    #[error(
        "csv booleans need texts for true and others for false, such as booleans = {{ true = [\"O\"], false = [\"N\"] }}"
    )]
    CsvBooleans,
    #[error("csv thousands must be one character that is no part of a number, such as a blank or a point")]
    CsvThousands,
    #[error("table {table} has no header: columns are taken in order, so from and ignore mean nothing")]
    FromWithoutHeader { table: String },
    #[error("table {table} reads source column {column} and ignores it")]
    IgnoredAndRead { table: String, column: String },
    #[error("variable {name} is not set: set it in the environment")]
    UndefinedVariable { name: String },
    #[error("source {written} has ${{ without }}")]
    OpenVariable { written: String },
    #[error("source {written} is not usable: {reason}")]
    Source { written: String, reason: String },
    #[error("date format {written} is refused: {reason}")]
    DateFormat { written: String, reason: String },
    #[error("zone {written} is unknown: say UTC, or a name of the tz database such as Europe/Paris")]
    Zone { written: String },
    #[error("zone on column {column} of table {table}, which is no date or timestamp: remove it")]
    ZoneOnOther { table: String, column: String },
    #[error(
        "any_time on column {column} of table {table}, which is not said to be a date32: remove it, or say the type"
    )]
    AnyTimeOnOther { table: String, column: String },
    #[error("column {column} of table {table} is optional, so that it can be NULL: leave nullable = false out")]
    OptionalNotNullable { table: String, column: String },
    #[error("column {column} of table {table} comes from a folder and from a column: say folder or from")]
    FolderAndFrom { table: String, column: String },
    #[error("folder of column {column} of table {table} is a name alone, such as year for folders year=2023")]
    FolderName { table: String, column: String },
    #[error("column {column} of table {table} comes from a file's name and from a column or a folder: say one of them")]
    FileAndOther { table: String, column: String },
    #[error("file {written} is refused: {reason}")]
    FileName { written: String, reason: String },
    #[error(
        "column {column} of table {table} comes from a folder or a file's name, where values have no type: say one"
    )]
    FolderType { table: String, column: String },
    #[error("patient id {column} of table {table} cannot come from a folder or a file's name")]
    FolderPatientId { table: String, column: String },
    #[error("format on column {column} of table {table}, which is no date or timestamp: remove it")]
    FormatOnOther { table: String, column: String },
    #[error("date bounds on column {column} of table {table}, which is no date or timestamp: remove them")]
    BoundsOnOther { table: String, column: String },
    #[error("{written} is not a date: write it as 2008-11-29")]
    Date { written: String },
    #[error("date_min is after date_max")]
    BoundsOrder,
    #[error("missing value {written} is not a value of type {expected}")]
    Missing { written: String, expected: String },
    #[error(
        "table {table} is flattened and says sharded = false: leave sharded out, its rows go where their patients are"
    )]
    FlattenUnsharded { table: String },
    #[error(
        "table {table} is flattened and describes the patient id {column}, which it is given: leave that column out"
    )]
    FlattenPatientId { table: String, column: String },
    #[error("table {table} is flattened with {with}, which is no table of the dataset")]
    FlattenUnknown { table: String, with: String },
    #[error("table {table} is flattened with {with}, which has no patient id in its sources: name a table that has")]
    FlattenWith { table: String, with: String },
    #[error("table {table} is flattened on no column: name the keys that it shares with {with}")]
    FlattenNoKeys { table: String, with: String },
    #[error("table {table} is flattened on {column}, which table {lacking} does not have: describe it in both")]
    FlattenKey {
        table: String,
        column: String,
        lacking: String,
    },
    #[error(
        "table {table} is flattened on {column}, which has type {found} here and {expected} in {with}: use one type"
    )]
    FlattenKeyType {
        table: String,
        column: String,
        with: String,
        found: String,
        expected: String,
    },
    #[error("flatten of table {table} names {column} twice")]
    FlattenTwice { table: String, column: String },
    #[error("table {table} takes {column} from {with}, which does not have it")]
    FlattenColumn {
        table: String,
        column: String,
        with: String,
    },
    #[error("table {table} takes {column}, which it has already: leave it out of flatten, or out of columns")]
    FlattenHas { table: String, column: String },
    #[error("flatten of table {table} names the patient id, which is always taken: leave it out")]
    FlattenTakesPatient { table: String },
}
