//! Resharding: a dataset in another number of shards. Every sharded table is written anew at new split points, under new data
//! keys, and one version makes all of them visible, with a split set of the next version; reference tables stay as they are.
//!
//! Nothing is sorted: the shards of a table are ranges of patients, one after the other, and each is in order, so that a new
//! shard is a piece of their concatenation. Rows are read as a stream and cut at the new points, in memory bounded by a batch
//! of each file of a shard, the sample that points are chosen from, and the row group being encoded. Older versions stay as
//! they were, with their own split points, until `vacuum` removes them. A crash leaves nothing visible, and a load that came
//! first makes the resharding start anew.

use std::sync::Arc;

use chrono::Utc;
use futures::TryStreamExt;
use parcours_keys::KeyService;
use serde::Serialize;
use url::Url;

use crate::delta::LoggedFile;
use crate::load::{LoadError, LoadOptions, Step, sort_error};
use crate::quantiles::{self, Sample};
use crate::reread::Reread;
use crate::snapshot::{DataFile, DatasetRoot, Snapshot, TableSnapshot, loads_of};
use crate::spec::MAX_SHARDS;
use crate::splits::{SplitError, Splits};
use crate::store::Stores;
use crate::version::{DatasetVersion, SplitSet, TableVersion};
use crate::writing::commit::{NewTable, commit_table, create_version};
use crate::writing::shape::TableShape;
use crate::writing::shards;
use crate::writing::write::{FileLitter, TableWriter};

/// How a dataset is resharded.
#[derive(Debug, Clone)]
pub struct ReshardOptions {
    /// The number of shards to have, 1 to 16384.
    pub shards: usize,
    /// How files are written; of the memory only the part of a row group counts.
    pub writing: LoadOptions,
}

/// What a resharding did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReshardReport {
    /// The dataset.
    pub dataset: String,
    /// The version created; none when the dataset had these split points already.
    pub created: Option<u64>,
    /// The version readers see now.
    pub version: u64,
    /// Shards before.
    pub before: usize,
    /// Shards now.
    pub shards: usize,
    /// Version of the split set that holds now.
    pub split_version: u32,
    /// The sharded tables; empty when nothing was done.
    pub tables: Vec<ReshardedTable>,
}

/// What a resharding did to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReshardedTable {
    /// The table.
    pub name: String,
    /// Files before.
    pub before: usize,
    /// Files now, one for each shard that has rows.
    pub after: usize,
    /// Rows, as many as before.
    pub rows: u64,
}

/// Reshards the newest version of `dataset` inside `into` into a new one.
///
/// # Errors
/// [`LoadError`]; whatever it is, readers still see the version they saw before.
pub async fn reshard(
    into: &Url,
    dataset: &str,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
    options: &ReshardOptions,
) -> Result<ReshardReport, LoadError> {
    options.writing.check()?;
    if !(1..=MAX_SHARDS).contains(&(options.shards as u64)) {
        return Err(LoadError::Option {
            option: "shards",
            reason: format!("a dataset has 1 to {MAX_SHARDS} shards"),
        });
    }
    let snapshot = Snapshot::open(into, dataset, None, stores).await?;
    let rows = Reread::new(dataset, stores, keys).map_err(|error| sort_error("", error))?;
    let resharding = Resharding {
        root: DatasetRoot::new(into, dataset, stores)?,
        rows: Arc::new(rows),
        snapshot: &snapshot,
        keys,
        options,
    };
    let mut litter = FileLitter::new(&resharding.root);
    let done = resharding.run(&mut litter).await;
    // As after a load: only what surely published nothing may be removed.
    if done.as_ref().is_err_and(LoadError::published_nothing) {
        litter.remove().await;
    }
    done
}

struct Resharding<'a> {
    root: DatasetRoot,
    snapshot: &'a Snapshot,
    rows: Arc<Reread>,
    keys: &'a Arc<dyn KeyService>,
    options: &'a ReshardOptions,
}

/// A table's files of the next version.
struct Resharded {
    shape: TableShape,
    files: Vec<LoggedFile>,
    report: ReshardedTable,
}

impl Resharding<'_> {
    async fn run(&self, litter: &mut FileLitter) -> Result<ReshardReport, LoadError> {
        let splits = self.new_splits().await?;
        if splits.points() == self.snapshot.splits().points() {
            return Ok(self.report(self.snapshot.splits(), None, Vec::new()));
        }
        let mut tables = Vec::new();
        for table in self.sharded_tables() {
            tables.push(self.table(table, &splits, litter).await?);
        }
        let created = self.publish(&tables, &splits).await?;
        Ok(self.report(&splits, Some(created), tables))
    }

    fn sharded_tables(&self) -> impl Iterator<Item = &Arc<TableSnapshot>> {
        self.snapshot.tables().filter(|table| table.is_sharded())
    }

    /// Split points for the number of shards asked for, as a first load would choose them.
    async fn new_splits(&self) -> Result<Splits, LoadError> {
        let before = self.snapshot.splits();
        let sample = match self.options.shards {
            1 => Sample::default(),
            _ => self.sample().await?,
        };
        let points = quantiles::points(sample, before.data_type(), self.options.shards);
        let splits =
            points.and_then(|points| Splits::try_new(before.version() + 1, before.data_type().clone(), points));
        splits.map_err(|source: SplitError| LoadError::Splits {
            dataset: self.root.dataset.clone(),
            source,
        })
    }

    async fn sample(&self) -> Result<Sample, LoadError> {
        let size = |table: &Arc<TableSnapshot>| (table.bytes(), table.name().to_owned());
        let tables = quantiles::tables_to_read(self.sharded_tables(), size);
        let progress = &self.options.writing.progress;
        progress.step(&Step::Sample {
            bytes: tables.iter().map(|table| table.bytes()).sum(),
        });
        let (mut sample, mut read) = (Sample::default(), 0);
        for table in tables {
            self.sample_table(table, &mut sample).await?;
            read += table.bytes();
            progress.read(read);
        }
        Ok(sample)
    }

    async fn sample_table(&self, table: &TableSnapshot, sample: &mut Sample) -> Result<(), LoadError> {
        let failed = |error| sort_error(table.name(), error);
        let Some(patient) = table.patient_id() else {
            return Ok(());
        };
        let files: Vec<&DataFile> = table.files().iter().collect();
        let mut ids = self.rows.column(table, &files, patient).map_err(failed)?;
        while let Some(batch) = ids.try_next().await.map_err(failed)? {
            sample.add(batch.column(0)).map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }

    async fn table(
        &self,
        table: &Arc<TableSnapshot>,
        splits: &Splits,
        litter: &mut FileLitter,
    ) -> Result<Resharded, LoadError> {
        let shape = TableShape::of(table);
        let progress = &self.options.writing.progress;
        progress.step(&Step::Table {
            name: shape.name.clone(),
            bytes: table.bytes(),
        });
        let rows = self.rows.in_order(table, progress);
        let writer = TableWriter::new(&self.root, &shape, self.keys, &self.options.writing);
        let mut files = shards::write_sorted(rows, &shape, splits, &writer, litter).await?;
        let loads = loads_of(&table.files().iter().collect::<Vec<_>>());
        files.iter_mut().for_each(|file| file.loads.clone_from(&loads));
        let rows = files.iter().map(|file| file.rows).sum();
        if rows != table.rows() {
            return Err(LoadError::Misplaced {
                table: shape.name,
                problem: "the new shards do not hold as many rows as the old ones",
            });
        }
        let report = ReshardedTable {
            name: shape.name.clone(),
            before: table.files().len(),
            after: files.len(),
            rows,
        };
        Ok(Resharded { shape, files, report })
    }

    async fn publish(&self, resharded: &[Resharded], splits: &Splits) -> Result<u64, LoadError> {
        self.options.writing.progress.step(&Step::Publish);
        let before = self.snapshot.record();
        let number = before.version + 1;
        let mut tables = before.tables.clone();
        for table in resharded {
            let known = before.tables.get(&table.shape.name);
            let anew = NewTable {
                shape: &table.shape,
                files: &table.files,
                origin: known.map(TableVersion::origin).unwrap_or_default(),
            };
            let entry = commit_table(&self.root, splits, anew).await?;
            tables.insert(table.shape.name.clone(), entry);
        }
        let record = DatasetVersion {
            version: number,
            previous: Some(before.version),
            created: Utc::now(),
            shards: splits.shards(),
            splits: SplitSet::of(splits),
            tables,
            ..before.clone()
        };
        create_version(&self.root, &record).await?;
        Ok(number)
    }

    fn report(&self, splits: &Splits, created: Option<u64>, tables: Vec<Resharded>) -> ReshardReport {
        ReshardReport {
            dataset: self.root.dataset.clone(),
            created,
            version: created.unwrap_or(self.snapshot.version()),
            before: self.snapshot.shards(),
            shards: splits.shards(),
            split_version: splits.version(),
            tables: tables.into_iter().map(|table| table.report).collect(),
        }
    }
}
