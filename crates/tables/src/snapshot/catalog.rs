//! The datasets inside a folder. A dataset is a folder with a version log; whatever else lies beside is not shown.

use object_store::ObjectStore;
use url::Url;

use super::{SnapshotError, is_plain_name, latest_version};
use crate::store::Stores;
use crate::version::VERSIONS_FOLDER;

/// The datasets of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    into: Url,
    datasets: Vec<(String, u64)>,
}

impl Catalog {
    /// Lists the datasets inside `into` that have at least one version.
    pub async fn discover(into: &Url, stores: &Stores) -> Result<Self, SnapshotError> {
        let (store, path) = stores.resolve(into)?;
        let listed = store.list_with_delimiter(Some(&path)).await;
        let listed = listed.map_err(|source| crate::version::VersionError::Store { path, source })?;
        let mut datasets = Vec::new();
        for folder in listed.common_prefixes {
            let Some(name) = folder
                .filename()
                .filter(|name| is_plain_name(name) && *name != VERSIONS_FOLDER)
            else {
                continue;
            };
            if let Some(version) = latest_version(into, name, stores).await? {
                datasets.push((name.to_string(), version));
            }
        }
        datasets.sort();
        Ok(Self {
            into: into.clone(),
            datasets,
        })
    }

    /// The folder that was looked into.
    pub fn location(&self) -> &Url {
        &self.into
    }

    /// Names and newest versions, by name.
    pub fn datasets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.datasets.iter().map(|(name, version)| (name.as_str(), *version))
    }
}
