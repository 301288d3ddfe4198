//! Loading: sources in, a new version of a dataset out, all of it or nothing. The order of a load is the order of
//! [`load`]'s body: plan, choose split points once, sort and write each table's files, flattened tables last (`flatten`),
//! then publish. Nothing before `publish.rs` creates the dataset version is visible to any reader; a row in the wrong place
//! stops the load.
//!
//! **Memory.** Bounded by [`LoadOptions::memory_bytes`]: 70 % sort buffers, 15 % the row group being encoded, the rest
//! reading and uploads. What does not fit is spilled, sealed, under [`LoadOptions::spill_dir`].
//!
//! **Again.** A source whose bytes were loaded before is skipped. A source of a known path with other bytes is refused,
//! unless [`LoadOptions::replace`]: then the rows of the load that brought it are built anew from their sources.

mod anew;
mod diff;
mod draft;
mod error;
mod flatten;
mod growth;
mod kept;
mod options;
mod patients;
mod plan;
mod pool;
mod profile;
mod publish;
mod rejects;
mod report;
mod sample;
mod sort;
mod sources;

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use parcours_keys::KeyService;
use parcours_sealed::SpillFiles;
use parking_lot::Mutex;
use url::Url;

use crate::snapshot::DatasetRoot;
use crate::spec::Dataset;
use crate::splits::Splits;
use crate::store::Stores;
use crate::writing::shards;
use crate::writing::write::{FileLitter, TableWriter};

pub use diff::{DatasetDiff, TableDiff, diff};
pub use error::LoadError;
pub(crate) use kept::is_of_loads;
pub use kept::reports;
pub use options::{LoadOptions, NoProgress, Progress, Step};
pub(crate) use rejects::is_of_rejects;
pub use rejects::{KeptReject, rejects};
pub use report::{ColumnReport, LoadReport, PatientsReport, SourceReport, TableReport};
pub(crate) use sort::sort_error;

use options::Rejects;
use plan::{LoadPlan, TablePlan};
use profile::{Profile, RowsRead};
use publish::WrittenTable;
use sort::Sorter;

/// Loads the new sources of `dataset` into the folder `into` and publishes one new version, or none if nothing is new.
///
/// # Errors
/// [`LoadError`]; whatever it is, readers still see the version they saw before.
pub async fn load(
    dataset: &Dataset,
    into: &Url,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
    options: &LoadOptions,
) -> Result<LoadReport, LoadError> {
    options.check()?;
    options.check_rejects(dataset)?;
    let root = DatasetRoot::new(into, &dataset.name, stores)?;
    let mut plan = plan::make(dataset, &root, into, stores, options).await?;
    if plan.is_empty() {
        return Ok(report::nothing_new(&plan));
    }
    let rejects = options.open_rejects()?;
    let splits = plan.splits(dataset, stores, options).await?;
    let mut litter = FileLitter::new(&root);
    let place = Place {
        root: &root,
        splits: &splits,
        stores,
        keys,
        options,
    };
    let published = async {
        place.grow(&mut plan, &mut litter).await?;
        let writing = Writing {
            place,
            plan: &plan,
            rejects: &rejects,
        };
        let written = writing.all_tables(&mut litter).await?;
        publish::publish(&writing, written, &mut litter).await
    }
    .await;
    // A version that may exist may name these files: only a load that surely published nothing removes them.
    if published.as_ref().is_err_and(LoadError::published_nothing) {
        litter.remove().await;
    }
    published
}

/// Where a load writes, and how.
#[derive(Clone, Copy)]
struct Place<'a> {
    root: &'a DatasetRoot,
    splits: &'a Splits,
    stores: &'a Arc<Stores>,
    keys: &'a Arc<dyn KeyService>,
    options: &'a LoadOptions,
}

/// Everything that writing a load's files needs.
struct Writing<'a> {
    place: Place<'a>,
    plan: &'a LoadPlan,
    rejects: &'a Rejects,
}

impl Writing<'_> {
    async fn all_tables(&self, litter: &mut FileLitter) -> Result<Vec<WrittenTable>, LoadError> {
        self.place.options.sweep();
        let dir = &self.place.options.spill_dir;
        let made_here = !dir.exists();
        let refuse = |source| LoadError::Spill {
            path: dir.clone(),
            source,
        };
        let spill = SpillFiles::open(dir, self.place.options.spill_bytes).map_err(refuse)?;
        let written = self
            .each_table(&Sorter::new(self.place.options, &spill, self.place.stores)?, litter)
            .await;
        drop(spill);
        if made_here && let Err(error) = std::fs::remove_dir_all(dir) {
            tracing::warn!(dir = %dir.display(), %error, "spill directory not removed");
        }
        written
    }

    /// Tables that are flattened come last, for they are joined to what was written of others.
    async fn each_table(&self, sorter: &Sorter, litter: &mut FileLitter) -> Result<Vec<WrittenTable>, LoadError> {
        let mut written = Vec::new();
        let (flattened, others): (Vec<_>, Vec<_>) = self.plan.tables.iter().partition(|table| table.flatten.is_some());
        for table in others.into_iter().filter(|table| table.has_work()) {
            let rows =
                |read: &Arc<RowsRead>| sorter.sorted(table, self.place.stores, self.place.options, self.rejects, read);
            written.push(self.table(table, rows, litter).await?);
        }
        for table in flattened.into_iter().filter(|table| table.has_work()) {
            let files = self.flattened(table, sorter, &written, litter).await?;
            written.push(files);
        }
        Ok(written)
    }

    /// Writes the rows of a table, which count those of each source as they are read.
    async fn table(
        &self,
        table: &TablePlan,
        rows: impl FnOnce(&Arc<RowsRead>) -> Result<SendableRecordBatchStream, LoadError>,
        litter: &mut FileLitter,
    ) -> Result<WrittenTable, LoadError> {
        self.place.options.progress.step(&Step::Table {
            name: table.name().to_string(),
            bytes: table.new_bytes(),
        });
        let failed = |error| sort_error(table.name(), error);
        let read = Arc::<RowsRead>::default();
        let profile = Arc::new(Mutex::new(Profile::new(&table.shape).map_err(failed)?));
        let rows = profile::seen(rows(&read)?, &profile);
        let writer = TableWriter::new(self.place.root, &table.shape, self.place.keys, self.place.options);
        let files = shards::write_sorted(rows, &table.shape, self.place.splits, &writer, litter).await?;
        let mut profile = profile.lock();
        Ok(WrittenTable {
            name: table.name().to_string(),
            files,
            read: std::mem::take(&mut *read.lock()),
            columns: profile.columns().map_err(failed)?,
            repeated: profile.repeated(),
        })
    }
}
