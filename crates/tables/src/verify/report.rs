//! What verifying found, for people and for scripts. Places and kinds; nothing here is a value of a row.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// What verifying one version of a dataset found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The dataset.
    pub dataset: String,
    /// The version verified.
    pub version: u64,
    /// The tables looked at.
    pub tables: Vec<VerifiedTable>,
    /// The faults, by table and file; empty when all is well.
    pub faults: Vec<Fault>,
}

impl Verified {
    /// How many files have a fault.
    pub fn faulty_files(&self) -> usize {
        let places = self.faults.iter().map(|fault| (&fault.table, &fault.file));
        places.collect::<BTreeSet<_>>().len()
    }
}

/// How much of a table was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedTable {
    /// The table.
    pub name: String,
    /// Its files.
    pub files: usize,
    /// Rows read.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// One kind of fault in one file: the first place and how many rows have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The table.
    pub table: String,
    /// The file's path inside the table's folder.
    pub file: String,
    /// Its kind.
    pub kind: FaultKind,
    /// The column concerned, where it is about one.
    pub column: Option<String>,
    /// The row group of the first such row, from 1; none where it is about the whole file.
    pub row_group: Option<usize>,
    /// The first such row, counted through the file from 1.
    pub row: Option<u64>,
    /// Rows that have this fault; 0 where it is about the whole file.
    pub rows: u64,
    /// What is wrong, with the remedy where there is one; no value.
    pub problem: String,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The file is not there.
    Missing,
    /// The file has not the size that the log gives.
    Size,
    /// The file lies in the folder of another shard than the log says.
    Place,
    /// A key of the file does not open for this process.
    Closed,
    /// The file, or its key material, was altered, moved or damaged.
    Unreadable,
    /// The file has other columns than the table.
    Schema,
    /// The file has not the number of rows that the log gives.
    Rows,
    /// Rows without a patient id.
    NoPatient,
    /// Rows with NULL in another column that has none.
    Null,
    /// Rows of patients of another shard.
    WrongShard,
    /// Rows that are smaller than the row before them.
    OutOfOrder,
    /// The log, which is not encrypted, gives bounds of a column.
    Disclosure,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.file)?;
        if let (Some(group), Some(row)) = (self.row_group, self.row) {
            write!(f, " row group {group} row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.problem)?;
        match self.rows {
            0 | 1 => Ok(()),
            rows => write!(f, " ({rows} rows, this is the first)"),
        }
    }
}
