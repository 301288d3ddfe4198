//! Why a load stops. Each names the object and the remedy; none holds a value of a row.

use std::path::PathBuf;

use datafusion::error::DataFusionError;
use object_store::path::Path;
use parcours_keys::KeyError;
use parcours_sealed::SealError;

use crate::delta::DeltaError;
use crate::snapshot::SnapshotError;
use crate::source::SourceError;
use crate::splits::SplitError;
use crate::version::VersionError;

/// Why a load stopped.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An option cannot be.
    #[error("option {option} is refused: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// Why, and what would do.
        reason: String,
    },
    /// A source cannot be read, or holds a bad row.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A source was loaded before under this path with other bytes.
    #[error(
        "source {path} of table {table} has changed since version {version} loaded it: give new rows a file of their \
         own, or load with --replace to build anew what was loaded with it"
    )]
    SourceChanged {
        /// The table.
        table: String,
        /// The source.
        path: String,
        /// The version that loaded it.
        version: u64,
    },
    /// The description says otherwise how values are read than when sources were loaded.
    #[error(
        "sources of table {table} would be read otherwise than when version {version} loaded them{}: describe them as then, or \
         load with --replace to build the table anew from its present sources",
        list(changes)
    )]
    ReadingChanged {
        /// The table.
        table: String,
        /// The version that loaded one of them.
        version: u64,
        /// What has changed, as far as it is known.
        changes: Vec<String>,
    },
    /// Columns are described otherwise than the version before has them, and have not only grown.
    #[error(
        "table {table} is described otherwise than it was loaded ({}): describe it as before, or load with --replace to build \
         it anew from its present sources",
        changes.join(", ")
    )]
    ColumnsChanged {
        /// The table.
        table: String,
        /// What has changed, in words.
        changes: Vec<String>,
    },
    /// A table would be built anew without rows that it has.
    #[error(
        "rows of table {table} would be built anew without {count} sources that were loaded together with them and are no \
         longer there, the first of them {first}: bring them back, or say --forget-missing to leave their rows out"
    )]
    SourcesMissing {
        /// The table.
        table: String,
        /// How many.
        count: usize,
        /// Where the first of them was.
        first: String,
    },
    /// The description differs from what was loaded before.
    #[error("dataset {dataset} cannot be loaded as described: {difference}, load it into another folder")]
    Description {
        /// The dataset.
        dataset: String,
        /// What differs.
        difference: String,
    },
    /// A table is described as sharded and was not, or the other way round.
    #[error(
        "table {table} is described {} and was loaded {}, which --replace does not change: say sharded = {} as before, give it \
         another name, or load it into another folder",
        lies(*sharded), lies(!*sharded), !*sharded
    )]
    OtherSharding {
        /// The table.
        table: String,
        /// Whether it is described as sharded.
        sharded: bool,
    },
    /// The description has another number of shards than the dataset.
    #[error(
        "dataset {dataset} has {shards} shards and is described with {described}: say shards = {shards}, or give it \
         {described} with parcours reshard"
    )]
    OtherShards {
        /// The dataset.
        dataset: String,
        /// Shards in the description.
        described: usize,
        /// Shards of the dataset.
        shards: usize,
    },
    /// The description has other split points than the dataset.
    #[error(
        "dataset {dataset} has other split points than are described, those of split set {version}: leave splits out of its \
         description, or load it into another folder"
    )]
    OtherSplits {
        /// The dataset.
        dataset: String,
        /// Version of the split set that the dataset has.
        version: u32,
    },
    /// Split points cannot be chosen or used.
    #[error("split points of dataset {dataset}: {source}")]
    Splits {
        /// The dataset.
        dataset: String,
        /// Why.
        source: SplitError,
    },
    /// A row came to a place where it must not be.
    #[error("table {table} is not written: {problem}")]
    Misplaced {
        /// The table.
        table: String,
        /// What was found; no value.
        problem: &'static str,
    },
    /// Two rows of a main table have the same keys: what is flattened with it cannot tell them apart.
    #[error(
        "table {table} has rows with the same {}: {places}; rows of table {flattened} with these keys could be of either, \
         correct the source",
        columns.join(", ")
    )]
    DuplicateKeys {
        /// The main table.
        table: String,
        /// The table flattened with it.
        flattened: String,
        /// The key columns.
        columns: Vec<String>,
        /// Where the rows are; no value.
        places: String,
    },
    /// Sorting failed.
    #[error("sorting table {table}: {source}")]
    Sort {
        /// The table.
        table: String,
        /// DataFusion's error.
        source: Box<DataFusionError>,
    },
    /// A data file cannot be written.
    #[error("data file {path}: {reason}")]
    Write {
        /// The file.
        path: Path,
        /// What failed.
        reason: String,
    },
    /// Keys for a data file cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Spill files cannot be made.
    #[error("spill directory {}: {source}", path.display())]
    Spill {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// The version before this one cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A Delta log refused the commit.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The dataset version was not created.
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// Where a table's rows lie.
fn lies(sharded: bool) -> &'static str {
    match sharded {
        true => "as sharded by patient",
        false => "as a reference table",
    }
}

/// What has changed, in parentheses.
fn list(changes: &[String]) -> String {
    match changes {
        [] => String::new(),
        changes => format!(" ({})", changes.join(", ")),
    }
}

impl LoadError {
    /// Whether surely no version came of this load. False only when the store failed while the version was being created:
    /// the request may have arrived all the same.
    pub fn published_nothing(&self) -> bool {
        !matches!(self, Self::Version(VersionError::Store { .. }))
    }
}
