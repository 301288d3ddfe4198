//! Which versions of master keys a dataset needs. An operator asks before an old version is retired, so whatever is
//! doubtful counts: key material of files that no version names yet, and files that do not tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use parcours_keys::{FileContext, KeyError, KeyService, KeyUse, MasterKeyId};
use url::Url;

use super::material::{self, Found};
use super::{ClosedKey, KeyUsage, RewrapError, RewrapOptions, VersionUse, Work, current_versions, is_of_one_key};
use crate::named::NamedFile;
use crate::scan::file_context;
use crate::sidecar::{self, SidecarError};
use crate::store::Stores;

/// Counts the files of `dataset` inside `into` by the versions of master keys that they are wrapped under.
///
/// Keys are needed for files with their key material inside only, and to tell which versions are current.
///
/// # Errors
/// [`RewrapError`].
pub async fn key_usage(
    into: &Url,
    dataset: &str,
    stores: &Stores,
    keys: &Arc<dyn KeyService>,
    options: &RewrapOptions,
) -> Result<KeyUsage, RewrapError> {
    // The versions first, the folder second: what a load that ends in between publishes is seen in the folder.
    let work = Work::open(into, dataset, stores, keys, options).await?;
    let beside = all_beside(&work).await?;
    let mut counted = Counted::default();
    for (inside, needs, unknown) in work.each(&|file| needs_of(&work, file).boxed()).await? {
        counted.inside += usize::from(inside);
        counted.unknown.extend(unknown);
        needs
            .into_iter()
            .for_each(|id| counted.versions.entry(id).or_default().files += 1);
    }
    let named: BTreeSet<&Path> = work.named.iter().map(|file| &file.path).collect();
    let unnamed: Vec<&Path> = beside.iter().filter(|path| !named.contains(path)).collect();
    counted.add_unnamed(&work, &unnamed).await?;
    let current = current_versions(dataset, keys).await?;
    let in_use = counted.versions.into_iter().map(|(id, count)| VersionUse {
        current: current.get(&id.name).map(|current| *current == id),
        master_key: id.to_string(),
        files: count.files,
        unnamed: count.unnamed,
    });
    Ok(KeyUsage {
        dataset: dataset.to_string(),
        versions: work.named.versions.clone(),
        files: work.named.iter().count(),
        in_use: in_use.collect(),
        inside: counted.inside,
        unknown: counted.unknown,
    })
}

#[derive(Default)]
struct Count {
    files: usize,
    unnamed: usize,
}

#[derive(Default)]
struct Counted {
    versions: BTreeMap<MasterKeyId, Count>,
    inside: usize,
    unknown: Vec<ClosedKey>,
}

impl Counted {
    async fn add_unnamed(&mut self, work: &Work<'_>, files: &[&Path]) -> Result<(), RewrapError> {
        for path in files {
            match fetch_unnamed(work, path).await? {
                Ok(needs) => needs
                    .into_iter()
                    .for_each(|id| self.versions.entry(id).or_default().unnamed += 1),
                Err(unknown) => self.unknown.push(unknown),
            }
        }
        Ok(())
    }
}

/// The versions that one file needs, whether its keys are inside, and what of it stays unknown.
type Needs = (bool, BTreeSet<MasterKeyId>, Option<ClosedKey>);

async fn needs_of(work: &Work<'_>, file: &NamedFile) -> Result<Needs, RewrapError> {
    match material::find(work, file).await? {
        Found::Beside(material) => {
            let needs = material.iter().map(|(_, wrapped)| wrapped.master.clone());
            Ok((false, needs.collect(), None))
        }
        Found::Inside(keys) => {
            let missing: Vec<KeyUse> = file.uses().filter(|key_use| !keys.contains_key(key_use)).collect();
            let unknown = missing
                .first()
                .map(|key_use| ClosedKey::of_key(file, *key_use, None, &untold(file)));
            Ok((
                true,
                keys.into_values().map(|wrapped| wrapped.master).collect(),
                unknown,
            ))
        }
        Found::Closed(error) => Ok((false, BTreeSet::new(), Some(ClosedKey::of_file(file, &error)))),
    }
}

fn untold(file: &NamedFile) -> KeyError {
    KeyError::Material {
        object: file.context.to_string(),
        problem: "its footer, which holds its key material, does not open with these keys".to_string(),
    }
}

/// The data files whose key material lies in the dataset's folder.
async fn all_beside(work: &Work<'_>) -> Result<Vec<Path>, RewrapError> {
    let root = &work.root;
    let listed: Result<Vec<_>, _> = root.store.list(Some(&root.path)).try_collect().await;
    let listed = listed.map_err(|error| RewrapError::Store {
        path: root.path.clone(),
        reason: error.to_string(),
    })?;
    Ok(listed
        .iter()
        .filter_map(|object| sidecar::data_file_of(&object.location))
        .collect())
}

async fn fetch_unnamed(
    work: &Work<'_>,
    data_file: &Path,
) -> Result<Result<BTreeSet<MasterKeyId>, ClosedKey>, RewrapError> {
    let unknown = |reason: String| ClosedKey {
        file: data_file.to_string(),
        closes: None,
        master_key: None,
        reason: format!("no version names it, and {reason}; vacuum removes it"),
    };
    let context: FileContext = match file_context(data_file) {
        Ok(context) => context,
        Err(error) => return Ok(Err(unknown(error.to_string()))),
    };
    match sidecar::fetch(work.root.store.as_ref(), data_file, &context).await {
        // Removed since it was listed.
        Ok(None) => Ok(Ok(BTreeSet::new())),
        Ok(Some(material)) => Ok(Ok(material.iter().map(|(_, wrapped)| wrapped.master.clone()).collect())),
        Err(SidecarError::Key(error)) if is_of_one_key(&error) => Ok(Err(unknown(error.to_string()))),
        Err(error) => Err(error.into()),
    }
}
