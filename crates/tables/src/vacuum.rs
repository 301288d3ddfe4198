//! Drops old versions of a dataset when told how many are to stay, and finds, and on demand removes, what no version names: files of loads that died or lost, their key material,
//! logs of tables that never came to be, half-written files. Key material stays as long as a version names its data file.
//! Refuses to touch anything younger than a stated age, because a running load's files look just like litter, and anything
//! that does not look like ours.
//!
//! Parts of an unfinished S3 upload cannot be listed through the object store's interface: let the bucket's lifecycle
//! rule (`AbortIncompleteMultipartUpload`) remove them. A load that fails aborts its uploads itself.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreFailure, ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Serialize;
use url::Url;

use crate::delta::DeltaError;
use crate::named::{NamedError, NamedFiles};
use crate::sidecar;
use crate::snapshot::{DatasetRoot, SnapshotError};
use crate::store::Stores;
use crate::version::VERSIONS_FOLDER;

/// Why vacuum stops.
#[derive(Debug, thiserror::Error)]
pub enum VacuumError {
    /// The dataset's versions cannot be read, so nothing is known to be litter.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What the versions name cannot be told.
    #[error(transparent)]
    Named(#[from] NamedError),
    /// A Delta log cannot be read or mended.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The store failed.
    #[error("object store at {path}: {source}")]
    Store {
        /// The object or folder.
        path: Path,
        /// The store's error.
        source: StoreFailure,
    },
    /// The local file system failed.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file or folder.
        path: PathBuf,
        /// Its error.
        source: std::io::Error,
    },
}

/// What vacuum looks for and does.
#[derive(Debug, Clone)]
pub struct VacuumOptions {
    /// Younger files are left alone; must exceed the longest load. Default: 7 days.
    pub older_than: TimeDelta,
    /// Removes what is found; otherwise it is only listed. Default: false.
    pub delete: bool,
    /// Drops versions but for so many of the newest, once their successor is older than `older_than`: whatever reads them
    /// then must have ended. Their files become litter. Default: every version stays.
    pub keep_versions: Option<NonZeroUsize>,
}

impl Default for VacuumOptions {
    fn default() -> Self {
        Self {
            older_than: TimeDelta::days(7),
            delete: false,
            keep_versions: None,
        }
    }
}

/// Something that no version names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Litter {
    /// Its path inside the dataset's folder.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

/// What vacuum found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VacuumReport {
    /// Versions dropped, ascending.
    pub versions: Vec<u64>,
    /// Litter older than the stated age, by path.
    pub litter: Vec<Litter>,
    /// Litter younger than that, left alone.
    pub too_young: usize,
    /// Whether the litter was removed.
    pub deleted: bool,
}

impl VacuumReport {
    /// Bytes of the litter found.
    pub fn bytes(&self) -> u64 {
        self.litter.iter().map(|litter| litter.size).sum()
    }
}

/// Looks through the folder of `dataset` inside `into`.
pub async fn vacuum(
    into: &Url,
    dataset: &str,
    stores: &Stores,
    options: &VacuumOptions,
) -> Result<VacuumReport, VacuumError> {
    let root = DatasetRoot::new(into, dataset, stores)?;
    // Objects first, versions second: a version created in between then only makes fewer of them litter.
    let objects = list(&root).await?;
    let halves = half_written(&root).await?;
    let limit = Utc::now() - options.older_than;
    let dropped = dropped(&root, options.keep_versions, limit).await?;
    let named = NamedFiles::by_versions(&root, |version| !dropped.contains(&version)).await?;
    let litter = objects
        .iter()
        .filter(|object| !is_needed(&named, &root, &object.location))
        .map(|o| litter(&root, o));
    let (mut old, young): (Vec<Litter>, Vec<Litter>) =
        litter.chain(halves).partition(|litter| litter.modified <= limit);
    old.sort();
    if options.delete {
        // Versions before their files: if this is broken off, what is left of them is litter that is found again.
        for version in &dropped {
            delete(&root, &root.log().path(*version)).await?;
        }
        heal(&named, &root).await?;
        remove(&root, &old).await?;
    }
    Ok(VacuumReport {
        versions: dropped,
        litter: old,
        too_young: young.len(),
        deleted: options.delete,
    })
}

/// Versions that are to go: not among the newest `keep`, and followed by another since before `limit`.
async fn dropped(
    root: &DatasetRoot,
    keep: Option<NonZeroUsize>,
    limit: DateTime<Utc>,
) -> Result<Vec<u64>, VacuumError> {
    let Some(keep) = keep else { return Ok(Vec::new()) };
    let versions = root.log().list().await.map_err(NamedError::from)?;
    let mut dropped = Vec::new();
    for pair in versions.windows(2).take(versions.len().saturating_sub(keep.get())) {
        let successor = root.log().read(pair[1]).await.map_err(NamedError::from)?;
        if successor.is_some_and(|successor| successor.created <= limit) {
            dropped.push(pair[0]);
        }
    }
    Ok(dropped)
}

async fn list(root: &DatasetRoot) -> Result<Vec<ObjectMeta>, VacuumError> {
    let listed = root.store.list(Some(&root.path)).try_collect().await;
    listed.map_err(|source| VacuumError::Store {
        path: root.path.clone(),
        source,
    })
}

/// Whether a version needs this object. A foreign file is nobody's litter.
fn is_needed(named: &NamedFiles, root: &DatasetRoot, object: &Path) -> bool {
    let Some(inside) = object.prefix_match(&root.path) else {
        return true;
    };
    let parts: Vec<String> = inside.map(|part| part.as_ref().to_string()).collect();
    match parts.as_slice() {
        [table, log, ..] if log == "_delta_log" => named.has_table(table),
        [folder, ..] if folder == VERSIONS_FOLDER => true,
        [table, .., file] if is_data_file(file) => named.has_file(table, object),
        [table, .., file] => match sidecar::data_file_of(object) {
            Some(data_file) if parcours_keys::data_file_name(file).is_some_and(is_data_file) => {
                named.has_file(table, &data_file)
            }
            _ => true,
        },
        _ => true,
    }
}

/// Takes files of loads that died out of the Delta logs' tips, so that other readers of Delta do not miss them.
async fn heal(named: &NamedFiles, root: &DatasetRoot) -> Result<(), VacuumError> {
    for (table, delta_version) in named.newest() {
        let log = root.delta(table);
        let (wanted, tip) = (log.at(delta_version).await?, log.tip().await?);
        if let Some(tip) = tip {
            log.restore(&tip, &wanted).await?;
        }
    }
    Ok(())
}

fn is_data_file(name: &str) -> bool {
    name.starts_with("part-") && name.ends_with(".parquet")
}

fn litter(root: &DatasetRoot, object: &ObjectMeta) -> Litter {
    let inside = object
        .location
        .as_ref()
        .strip_prefix(root.path.as_ref())
        .unwrap_or(object.location.as_ref());
    Litter {
        path: inside.trim_start_matches('/').to_string(),
        size: object.size,
        modified: object.last_modified,
    }
}

async fn remove(root: &DatasetRoot, litter: &[Litter]) -> Result<(), VacuumError> {
    for litter in litter {
        if is_half_written(&litter.path) {
            remove_half_written(root, litter)?;
            continue;
        }
        let path = Path::parse(format!("{}/{}", root.path, litter.path)).unwrap_or_default();
        delete(root, &path).await?;
    }
    Ok(())
}

async fn delete(root: &DatasetRoot, path: &Path) -> Result<(), VacuumError> {
    match root.store.delete(path).await {
        Ok(()) | Err(StoreFailure::NotFound { .. }) => Ok(()),
        Err(source) => Err(VacuumError::Store {
            path: path.clone(),
            source,
        }),
    }
}

/// The local store writes `name#1` and renames; its listings hide such files, so they are looked for by hand.
async fn half_written(root: &DatasetRoot) -> Result<Vec<Litter>, VacuumError> {
    let Some(folder) = local_folder(root) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        let failed = |source| VacuumError::Local {
            path: next.clone(),
            source,
        };
        let entries = match std::fs::read_dir(&next) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry
                .path()
                .strip_prefix(&folder)
                .unwrap_or(&entry.path())
                .to_string_lossy()
                .to_string();
            let meta = match entry.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                meta => meta.map_err(failed)?,
            };
            if meta.is_dir() {
                folders.push(entry.path());
            } else if is_half_written(&name) {
                let modified = meta.modified().map_err(failed)?.into();
                found.push(Litter {
                    path: name,
                    size: meta.len(),
                    modified,
                });
            }
        }
    }
    Ok(found)
}

fn is_half_written(path: &str) -> bool {
    path.rsplit_once('#')
        .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn remove_half_written(root: &DatasetRoot, litter: &Litter) -> Result<(), VacuumError> {
    let Some(folder) = local_folder(root) else {
        return Ok(());
    };
    let path = folder.join(&litter.path);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(VacuumError::Local { path, source: error }),
        _ => Ok(()),
    }
}

fn local_folder(root: &DatasetRoot) -> Option<PathBuf> {
    (root.url.scheme() == "file")
        .then(|| root.url.to_file_path().ok())
        .flatten()
}
