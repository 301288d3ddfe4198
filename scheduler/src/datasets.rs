//! The datasets as they stand now: each at its latest version, resolved from its log without a key. A background look
//! picks up new versions; queries that were planned before keep the version they were planned on. What is wrong with one
//! dataset's folder concerns that dataset alone: its last known version stays, and the others go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::object_store::ObjectStore;
use parcours_tables::{Snapshot, SnapshotError, SnapshotTable, Stores, latest_version};
use parking_lot::RwLock;
use url::Url;

/// One dataset at one version, with a table provider for each of its tables.
#[derive(Debug)]
pub struct Dataset {
    /// The version's content.
    pub snapshot: Snapshot,
    /// Its tables, ready to be planned.
    pub tables: BTreeMap<String, Arc<SnapshotTable>>,
}

type ByName = BTreeMap<String, Arc<Dataset>>;

/// Why the location of the datasets cannot be looked through.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It cannot be used.
    #[error(transparent)]
    Location(#[from] parcours_tables::StoreError),
    /// What is there cannot be listed.
    #[error("the datasets cannot be listed: {0}")]
    List(#[from] datafusion::object_store::Error),
}

/// Every dataset below one location.
#[derive(Debug)]
pub struct Datasets {
    location: Url,
    stores: Arc<Stores>,
    current: RwLock<Arc<ByName>>,
    /// What is wrong with datasets of which no newer version could be had at the last look.
    stale: RwLock<BTreeMap<String, String>>,
}

impl Datasets {
    /// Looks for datasets; a location without any is not an error, since loading may come later. One that cannot be opened is
    /// not served until it can.
    pub async fn open(location: Url, stores: Arc<Stores>) -> Result<Self, LookError> {
        let datasets = Self {
            location,
            stores,
            current: RwLock::default(),
            stale: RwLock::default(),
        };
        datasets.refresh().await?;
        Ok(datasets)
    }

    /// The datasets as they stood at the last look.
    pub fn current(&self) -> Arc<ByName> {
        self.current.read().clone()
    }

    /// How many datasets could not be looked up, or not be opened at their latest version, at the last look.
    pub fn stale(&self) -> usize {
        self.stale.read().len()
    }

    /// Looks again every `interval` until dropped; a look that fails leaves things as they were.
    pub async fn keep_fresh(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "datasets could not be looked up, the last known versions stay");
            }
        }
    }

    async fn refresh(&self) -> Result<(), LookError> {
        let known = self.current();
        let (mut next, mut stale) = (ByName::new(), BTreeMap::new());
        for name in self.folders().await? {
            let known = known.get(&name);
            match self.look(&name, known).await {
                Ok(Some(dataset)) => drop(next.insert(name, dataset)),
                Ok(None) | Err(SnapshotError::Name { .. }) => {}
                Err(error) => {
                    next.extend(known.map(|dataset| (name.clone(), dataset.clone())));
                    stale.insert(name, error.to_string());
                }
            }
        }
        *self.current.write() = Arc::new(next);
        self.tell(stale);
        Ok(())
    }

    /// The folders in which a dataset may lie.
    async fn folders(&self) -> Result<Vec<String>, LookError> {
        let (store, path) = self.stores.resolve(&self.location)?;
        let listed = store.list_with_delimiter(Some(&path)).await?;
        let folders = listed.common_prefixes.iter();
        Ok(folders
            .filter_map(|folder| folder.filename().map(str::to_owned))
            .collect())
    }

    /// A dataset at its latest version; none if there is no version in the folder.
    async fn look(&self, name: &str, known: Option<&Arc<Dataset>>) -> Result<Option<Arc<Dataset>>, SnapshotError> {
        let Some(version) = latest_version(&self.location, name, &self.stores).await? else {
            return Ok(None);
        };
        match known.filter(|dataset| dataset.snapshot.version() == version) {
            Some(dataset) => Ok(Some(dataset.clone())),
            None => self.load(name, version).await.map(Some),
        }
    }

    async fn load(&self, name: &str, version: u64) -> Result<Arc<Dataset>, SnapshotError> {
        let snapshot = Snapshot::open(&self.location, name, Some(version), &self.stores).await?;
        let tables = snapshot
            .tables()
            .map(|table| (table.name().to_owned(), Arc::new(SnapshotTable::new(table.clone()))))
            .collect();
        tracing::info!(dataset = name, version, "dataset version is served");
        Ok(Arc::new(Dataset { snapshot, tables }))
    }

    /// Tells the operator what is wrong, and that it is no longer: once each, since it is looked every few seconds.
    fn tell(&self, stale: BTreeMap<String, String>) {
        let before = std::mem::replace(&mut *self.stale.write(), stale.clone());
        for (dataset, error) in stale.iter().filter(|(name, error)| before.get(*name) != Some(*error)) {
            tracing::error!(
                dataset,
                error,
                "a dataset cannot be looked up, its last known version stays"
            );
        }
        for dataset in before.keys().filter(|name| !stale.contains_key(*name)) {
            tracing::info!(dataset, "a dataset can be looked up again");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::query::testing::Claims;

    /// A copy of a folder, and of all in it.
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &to),
                false => {
                    std::fs::copy(entry.path(), to).unwrap();
                }
            }
        }
    }

    /// The file of a version of a dataset.
    fn version(folder: &Path, dataset: &str, number: u64) -> PathBuf {
        folder.join(dataset).join(format!("_versions/{number:020}.json"))
    }

    /// Puts the content of the first version under another number, and under the name of its folder.
    fn put(folder: &Path, dataset: &str, number: u64) {
        let text = std::fs::read_to_string(version(folder, dataset, 1)).unwrap();
        let numbered = text.replacen("\"version\": 1", &format!("\"version\": {number}"), 1);
        let named = numbered.replacen("\"dataset\": \"claims\"", &format!("\"dataset\": \"{dataset}\""), 1);
        std::fs::write(version(folder, dataset, number), named).unwrap();
    }

    fn versions(datasets: &Datasets) -> Vec<(String, u64)> {
        let current = datasets.current();
        let versions = current
            .iter()
            .map(|(name, dataset)| (name.clone(), dataset.snapshot.version()));
        versions.collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broken_dataset_stops_its_own_updates() {
        let claims = Claims::load().await;
        let folder = claims.tables();
        copy(&folder.join("claims"), &folder.join("other"));
        put(&folder, "other", 1);
        let url = Url::from_file_path(&folder).unwrap();
        let datasets = Datasets::open(url.clone(), Arc::new(Stores::default())).await.unwrap();
        let served = |claims, other| vec![("claims".to_owned(), claims), ("other".to_owned(), other)];
        assert_eq!((versions(&datasets), datasets.stale()), (served(1, 1), 0));

        std::fs::write(version(&folder, "claims", 2), "no version").unwrap();
        put(&folder, "other", 2);
        datasets.refresh().await.unwrap();
        assert_eq!((versions(&datasets), datasets.stale()), (served(1, 2), 1));

        // Who starts now does not know what stood there before.
        let anew = Datasets::open(url, Arc::new(Stores::default())).await.unwrap();
        assert_eq!((versions(&anew), anew.stale()), (vec![("other".to_owned(), 2)], 1));

        put(&folder, "claims", 2);
        datasets.refresh().await.unwrap();
        assert_eq!((versions(&datasets), datasets.stale()), (served(2, 2), 0));

        // What is gone is served no longer.
        std::fs::remove_dir_all(folder.join("other")).unwrap();
        datasets.refresh().await.unwrap();
        assert_eq!(
            (versions(&datasets), datasets.stale()),
            (vec![("claims".to_owned(), 2)], 0)
        );
    }

    #[tokio::test]
    async fn folders_that_are_no_datasets_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["empty", "with space", "_versions", ".hidden"] {
            std::fs::create_dir_all(folder.path().join(name).join("inside")).unwrap();
            std::fs::write(folder.path().join(name).join("inside/file"), "text").unwrap();
        }
        let url = Url::from_file_path(folder.path()).unwrap();
        let datasets = Datasets::open(url, Arc::new(Stores::default())).await.unwrap();
        assert_eq!((datasets.current().len(), datasets.stale()), (0, 0));
    }
}
