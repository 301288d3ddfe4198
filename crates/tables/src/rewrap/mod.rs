//! Putting a dataset under new versions of its master keys: every data key is unwrapped and wrapped again in the key
//! material beside its file, and no data file is touched. The files are those that any version names, since all of them
//! can be read. Also tells which versions of master keys are in use ([`key_usage`]) and which files do not open with the
//! keys at hand ([`verify_keys`]).
//!
//! **At any moment** a file's key material is the old one or the new one, whole, and both open while the old version of
//! the master key exists: queries go on, and a run that dies is simply run again. What is wrapped under the current
//! version already is left alone. Files that hold their key material inside, as loads once wrote them, are reported and
//! not touched. A fault of the key service or of the store ends the run; a key that does not open is reported with its
//! file, and the run goes on.

mod material;
mod report;
mod usage;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use parcours_keys::{ExternalMaterial, KeyError, KeyService, KeyUse, MasterKeyId, MasterKeyName, WrappedKey, external};
use url::Url;

use crate::named::{NamedError, NamedFile, NamedFiles};
use crate::sidecar::{self, SidecarError};
use crate::snapshot::{DatasetRoot, SnapshotError};
use crate::store::Stores;

use material::Found;
pub use report::{ClosedKey, KeyUsage, RewrapReport, VerifyReport, VersionUse};
pub use usage::key_usage;
pub use verify::verify_keys;

/// Why work on a dataset's keys stops.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// There is no such dataset.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The dataset's files cannot be told.
    #[error(transparent)]
    Named(#[from] NamedError),
    /// The key service cannot be used; what was done so far stays done.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Key material cannot be read or replaced.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// The store failed.
    #[error("object store at {path}: {reason}")]
    Store {
        /// The object or folder.
        path: Path,
        /// Its error.
        reason: String,
    },
}

/// Hears how far the work is.
pub trait FileProgress: Send + Sync + fmt::Debug {
    /// How many files there are.
    fn files(&self, total: usize);
    /// One of them is done.
    fn file_done(&self);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFileProgress;

impl FileProgress for NoFileProgress {
    fn files(&self, _total: usize) {}
    fn file_done(&self) {}
}

/// How work on a dataset's keys is done.
#[derive(Debug, Clone)]
pub struct RewrapOptions {
    /// Files in work at once; at least 1, by default 8.
    pub parallel: usize,
    /// Hears how far the work is.
    pub progress: Arc<dyn FileProgress>,
}

impl Default for RewrapOptions {
    fn default() -> Self {
        Self {
            parallel: 8,
            progress: Arc::new(NoFileProgress),
        }
    }
}

/// Wraps the data keys of `dataset` inside `into` under the current versions of their master keys.
///
/// # Errors
/// [`RewrapError`]; whatever it is, every file opens as it did before.
pub async fn rewrap(
    into: &Url,
    dataset: &str,
    stores: &Stores,
    keys: &Arc<dyn KeyService>,
    options: &RewrapOptions,
) -> Result<RewrapReport, RewrapError> {
    let work = Work::open(into, dataset, stores, keys, options).await?;
    let rewrapping = Rewrapping {
        work: &work,
        current: current_versions(dataset, keys).await?,
    };
    let outcomes = work.each(&|file| rewrapping.file(file).boxed()).await?;
    Ok(report::rewrapped(&work, outcomes))
}

/// What is done to the files of one dataset.
struct Work<'a> {
    root: DatasetRoot,
    named: NamedFiles,
    keys: &'a Arc<dyn KeyService>,
    options: &'a RewrapOptions,
}

impl<'a> Work<'a> {
    async fn open(
        into: &Url,
        dataset: &str,
        stores: &Stores,
        keys: &'a Arc<dyn KeyService>,
        options: &'a RewrapOptions,
    ) -> Result<Self, RewrapError> {
        let root = DatasetRoot::new(into, dataset, stores)?;
        let named = NamedFiles::by_all_versions(&root).await?;
        if named.versions.is_empty() {
            return Err(RewrapError::Snapshot(SnapshotError::NoDataset {
                dataset: dataset.to_string(),
                location: into.to_string(),
            }));
        }
        Ok(Self {
            root,
            named,
            keys,
            options,
        })
    }

    /// Does `what` to every file that a version names, some of them at once, until the first error.
    async fn each<'f, T: Send>(&'f self, what: &ForFile<'_, 'f, T>) -> Result<Vec<T>, RewrapError> {
        let mut files = self.named.iter().collect::<Vec<&NamedFile>>().into_iter();
        self.options.progress.files(files.len());
        let (mut running, mut done) = (FuturesOrdered::new(), Vec::new());
        loop {
            while running.len() < self.options.parallel.max(1)
                && let Some(file) = files.next()
            {
                running.push_back(what(file));
            }
            let Some(result) = running.next().await else {
                return Ok(done);
            };
            done.push(result?);
            self.options.progress.file_done();
        }
    }
}

/// What is done to one file.
type ForFile<'w, 'f, T> = dyn Fn(&'f NamedFile) -> BoxFuture<'f, Result<T, RewrapError>> + Sync + 'w;

/// What became of one file.
enum Outcome {
    /// As many of its keys were wrapped anew; these do not open and stay as they were.
    Beside { keys: u64, closed: Vec<ClosedKey> },
    /// Its key material is inside.
    Inside(String),
    /// Its key material cannot be had.
    Closed(ClosedKey),
}

struct Rewrapping<'a> {
    work: &'a Work<'a>,
    current: BTreeMap<MasterKeyName, MasterKeyId>,
}

impl Rewrapping<'_> {
    async fn file(&self, file: &NamedFile) -> Result<Outcome, RewrapError> {
        match material::find(self.work, file).await? {
            Found::Beside(material) => self.material(file, &material).await,
            Found::Inside(_) => Ok(Outcome::Inside(report::name_of(file))),
            Found::Closed(error) => Ok(Outcome::Closed(ClosedKey::of_file(file, &error))),
        }
    }

    async fn material(&self, file: &NamedFile, material: &ExternalMaterial) -> Result<Outcome, RewrapError> {
        let (mut anew, mut keys, mut closed) = (material.clone(), 0, Vec::new());
        for (key_use, wrapped) in material.iter() {
            match self.key(file, key_use, wrapped).await {
                Ok(None) => {}
                Ok(Some(key)) => {
                    anew.replace(key_use, key);
                    keys += 1;
                }
                Err(error) if is_of_one_key(&error) => {
                    closed.push(ClosedKey::of_key(file, key_use, Some(wrapped), &error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if keys > 0 {
            sidecar::write(&self.work.root, &file.path, &anew).await?;
        }
        Ok(Outcome::Beside { keys, closed })
    }

    async fn key(
        &self,
        file: &NamedFile,
        key_use: KeyUse,
        wrapped: &WrappedKey,
    ) -> Result<Option<WrappedKey>, KeyError> {
        let name = &wrapped.master.name;
        let current = self.current.get(name).ok_or_else(|| KeyError::Unknown {
            key: name.clone(),
            version: None,
        })?;
        external::rewrap(self.work.keys.as_ref(), &file.context, key_use, wrapped, current).await
    }
}

/// The current version of each master key of `dataset` that the key service holds.
async fn current_versions(
    dataset: &str,
    keys: &Arc<dyn KeyService>,
) -> Result<BTreeMap<MasterKeyName, MasterKeyId>, KeyError> {
    let mut current = BTreeMap::new();
    for key_use in KeyUse::all() {
        let name = MasterKeyName::new(format!("{dataset}/{key_use}"))?;
        match keys.current(&name).await {
            Ok(id) => current.insert(name, id),
            Err(error) if error.is_denial() => None,
            Err(error) => return Err(error),
        };
    }
    Ok(current)
}

/// Whether an error says something of one key or file, and nothing of the key service.
fn is_of_one_key(error: &KeyError) -> bool {
    error.is_denial() || matches!(error, KeyError::Tampered { .. } | KeyError::Material { .. })
}
