//! Which files of a dataset open with the keys at hand. Each data key is unwrapped and nothing is read with it, so that the
//! loss of a master key is known for exactly the files and classes that it locks.

use std::sync::Arc;

use futures::FutureExt;
use parcours_keys::{KeyError, KeyService, KeyUse, WrappedKey};
use url::Url;

use super::material::{self, Found};
use super::{ClosedKey, RewrapError, RewrapOptions, VerifyReport, Work, is_of_one_key};
use crate::named::NamedFile;
use crate::store::Stores;

/// Unwraps every data key of `dataset` inside `into`.
///
/// # Errors
/// [`RewrapError`] where the key service or the store fails; a key that does not open is part of the report.
pub async fn verify_keys(
    into: &Url,
    dataset: &str,
    stores: &Stores,
    keys: &Arc<dyn KeyService>,
    options: &RewrapOptions,
) -> Result<VerifyReport, RewrapError> {
    let work = Work::open(into, dataset, stores, keys, options).await?;
    let verified = work.each(&|file| verify_file(&work, file).boxed()).await?;
    let mut report = VerifyReport {
        dataset: dataset.to_string(),
        versions: work.named.versions.clone(),
        files: verified.len(),
        opened: 0,
        closed: Vec::new(),
    };
    for (opened, closed) in verified {
        report.opened += opened;
        report.closed.extend(closed);
    }
    Ok(report)
}

/// How many keys of the file open, and those that do not.
async fn verify_file(work: &Work<'_>, file: &NamedFile) -> Result<(u64, Vec<ClosedKey>), RewrapError> {
    let found = match material::find(work, file).await? {
        Found::Closed(error) => return Ok((0, vec![ClosedKey::of_file(file, &error)])),
        found => found,
    };
    let (mut opened, mut closed) = (0, Vec::new());
    for key_use in file.uses() {
        let wrapped = match &found {
            Found::Beside(material) => material.get(key_use),
            Found::Inside(keys) => keys.get(&key_use),
            Found::Closed(_) => None,
        };
        match open(work, file, key_use, wrapped).await {
            Ok(()) => opened += 1,
            Err(error) if is_of_one_key(&error) => closed.push(ClosedKey::of_key(file, key_use, wrapped, &error)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((opened, closed))
}

async fn open(
    work: &Work<'_>,
    file: &NamedFile,
    key_use: KeyUse,
    wrapped: Option<&WrappedKey>,
) -> Result<(), KeyError> {
    let wrapped = wrapped.ok_or_else(|| KeyError::Material {
        object: file.context.to_string(),
        problem: format!("no wrapped key for {key_use} can be read"),
    })?;
    work.keys
        .unwrap(wrapped, &file.context.wrap_aad(key_use))
        .await
        .map(|_| ())
}
