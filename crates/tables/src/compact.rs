//! Compaction: the files of each shard become one, in order, under data keys of its own. What loads month by month leave in
//! many files is read as quickly again as if it had been loaded at once; and since every file written gets new data keys,
//! rewriting all files ([`CompactOptions::all_files`]) is how data keys are rotated.
//!
//! Files that are each sorted are merged, in memory bounded by a batch of each and the row group being encoded. The new
//! version has the same rows and the same sources; older versions stay as they were until `vacuum` removes them. A crash
//! leaves nothing visible, and a load that came first makes the compaction start anew.

use std::sync::Arc;

use chrono::Utc;
use parcours_keys::KeyService;
use serde::Serialize;
use url::Url;

use crate::delta::LoggedFile;
use crate::load::{LoadError, LoadOptions, Step, is_of_rejects, sort_error};
use crate::reread::Reread;
use crate::snapshot::{DataFile, DatasetRoot, Snapshot, TableSnapshot, loads_of};
use crate::store::Stores;
use crate::version::{DatasetVersion, TableVersion};
use crate::writing::commit::{NewTable, commit_table, create_version};
use crate::writing::shape::TableShape;
use crate::writing::shards;
use crate::writing::write::{FileLitter, TableWriter};

/// How tables are compacted.
#[derive(Debug, Clone, Default)]
pub struct CompactOptions {
    /// Write files anew that are alone in their shard, too: every file then has new data keys. Default: false.
    pub all_files: bool,
    /// The tables; empty means all.
    pub tables: Vec<String>,
    /// How files are written; of the memory only the part of a row group counts.
    pub writing: LoadOptions,
}

/// What a compaction did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    /// The dataset.
    pub dataset: String,
    /// The version created; none when there was nothing to do.
    pub created: Option<u64>,
    /// The version readers see now.
    pub version: u64,
    /// The tables looked at.
    pub tables: Vec<CompactedTable>,
}

/// What a compaction did to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompactedTable {
    /// The table.
    pub name: String,
    /// Files before.
    pub before: usize,
    /// Files now.
    pub after: usize,
    /// Of which written anew.
    pub written: usize,
    /// Rows written.
    pub rows: u64,
}

/// Compacts the newest version of `dataset` inside `into` into a new one.
///
/// # Errors
/// [`LoadError`]; whatever it is, readers still see the version they saw before.
pub async fn compact(
    into: &Url,
    dataset: &str,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
    options: &CompactOptions,
) -> Result<CompactReport, LoadError> {
    options.writing.check()?;
    let snapshot = Snapshot::open(into, dataset, None, stores).await?;
    let compaction = Compaction {
        root: DatasetRoot::new(into, dataset, stores)?,
        tables: chosen(&snapshot, options)?,
        rows: Reread::new(dataset, stores, keys).map_err(|error| sort_error("", error))?,
        snapshot: &snapshot,
        keys,
        options,
    };
    let mut litter = FileLitter::new(&compaction.root);
    let done = compaction.run(&mut litter).await;
    // As after a load: only what surely published nothing may be removed.
    if done.as_ref().is_err_and(LoadError::published_nothing) {
        litter.remove().await;
    }
    done
}

fn chosen<'a>(snapshot: &'a Snapshot, options: &CompactOptions) -> Result<Vec<&'a Arc<TableSnapshot>>, LoadError> {
    if options.tables.is_empty() {
        // Rows that were set aside leave with the load that set them aside, in a file of their own, if they can.
        let is_chosen = |table: &&Arc<TableSnapshot>| options.all_files || !is_of_rejects(table.name());
        return Ok(snapshot.all_tables().filter(is_chosen).collect());
    }
    let find = |name: &String| {
        let unknown = || LoadError::Option {
            option: "table",
            reason: format!("dataset {} has no table {name}", snapshot.dataset()),
        };
        snapshot.table(name).ok_or_else(unknown)
    };
    options.tables.iter().map(find).collect()
}

struct Compaction<'a> {
    root: DatasetRoot,
    snapshot: &'a Snapshot,
    tables: Vec<&'a Arc<TableSnapshot>>,
    rows: Reread,
    keys: &'a Arc<dyn KeyService>,
    options: &'a CompactOptions,
}

/// A table's files of the next version.
struct Compacted {
    shape: TableShape,
    files: Vec<LoggedFile>,
    report: CompactedTable,
}

impl Compaction<'_> {
    async fn run(&self, litter: &mut FileLitter) -> Result<CompactReport, LoadError> {
        let mut compacted = Vec::new();
        for table in &self.tables {
            compacted.push(self.table(table, litter).await?);
        }
        let changed = compacted.iter().any(|table| table.report.written > 0);
        let created = match changed {
            true => Some(self.publish(&compacted).await?),
            false => None,
        };
        Ok(CompactReport {
            dataset: self.root.dataset.clone(),
            created,
            version: created.unwrap_or(self.snapshot.version()),
            tables: compacted.into_iter().map(|table| table.report).collect(),
        })
    }

    async fn table(&self, table: &TableSnapshot, litter: &mut FileLitter) -> Result<Compacted, LoadError> {
        let shape = TableShape::of(table);
        let progress = &self.options.writing.progress;
        progress.step(&Step::Table {
            name: shape.name.clone(),
            bytes: table.bytes(),
        });
        let mut report = CompactedTable {
            name: shape.name.clone(),
            before: table.files().len(),
            after: 0,
            written: 0,
            rows: 0,
        };
        let (mut files, mut read) = (Vec::new(), 0);
        for group in table.files_by_shard() {
            read += group.iter().map(|file| file.size()).sum::<u64>();
            if group.len() > 1 || (self.options.all_files && !group.is_empty()) {
                let written = self.group(table, &shape, &group, litter).await?;
                report.written += 1;
                report.rows += written.rows;
                files.push(written);
            } else {
                files.extend(group.iter().map(|file| file.logged().clone()));
            }
            progress.read(read);
        }
        report.after = files.len();
        Ok(Compacted { shape, files, report })
    }

    /// Merges the files of one shard, or of an unsharded table, into one.
    async fn group(
        &self,
        table: &TableSnapshot,
        shape: &TableShape,
        files: &[&DataFile],
        litter: &mut FileLitter,
    ) -> Result<LoggedFile, LoadError> {
        let rows = self.rows.merged(table, files);
        let rows = rows.map_err(|error| sort_error(&shape.name, error))?;
        let writer = TableWriter::new(&self.root, shape, self.keys, &self.options.writing);
        let mut written = shards::write_sorted(rows, shape, self.snapshot.splits(), &writer, litter).await?;
        let (shard, expected) = (
            files.first().and_then(|file| file.shard()),
            files.iter().map(|file| file.rows()).sum::<u64>(),
        );
        match (written.pop(), written.is_empty()) {
            (Some(file), true) if (file.shard, file.rows) == (shard, expected) => Ok(LoggedFile {
                loads: loads_of(files),
                ..file
            }),
            _ => Err(LoadError::Misplaced {
                table: shape.name.clone(),
                problem: "the merged files do not hold the rows that they are logged with",
            }),
        }
    }

    async fn publish(&self, compacted: &[Compacted]) -> Result<u64, LoadError> {
        self.options.writing.progress.step(&Step::Publish);
        let before = self.snapshot.record();
        let number = before.version + 1;
        let mut tables = before.tables.clone();
        for table in compacted.iter().filter(|table| table.report.written > 0) {
            let known = before.tables.get(&table.shape.name);
            let anew = NewTable {
                shape: &table.shape,
                files: &table.files,
                origin: known.map(TableVersion::origin).unwrap_or_default(),
            };
            let entry = commit_table(&self.root, self.snapshot.splits(), anew).await?;
            tables.insert(table.shape.name.clone(), entry);
        }
        let record = DatasetVersion {
            version: number,
            previous: Some(before.version),
            created: Utc::now(),
            tables,
            ..before.clone()
        };
        create_version(&self.root, &record).await?;
        Ok(number)
    }
}
