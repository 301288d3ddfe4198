//! The datasets as they stand now: each at its latest version, resolved from its log without a key. A background look
//! picks up new versions; queries that were planned before keep the version they were planned on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parcours_tables::{Catalog, Snapshot, SnapshotError, SnapshotTable, Stores};
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

/// Every dataset below one location.
#[derive(Debug)]
pub struct Datasets {
    location: Url,
    stores: Arc<Stores>,
    current: RwLock<Arc<ByName>>,
}

impl Datasets {
    /// Looks for datasets; a location without any is not an error, since loading may come later.
    pub async fn open(location: Url, stores: Arc<Stores>) -> Result<Self, SnapshotError> {
        let datasets = Self {
            location,
            stores,
            current: RwLock::default(),
        };
        datasets.refresh().await?;
        Ok(datasets)
    }

    /// The datasets as they stood at the last look.
    pub fn current(&self) -> Arc<ByName> {
        self.current.read().clone()
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

    async fn refresh(&self) -> Result<(), SnapshotError> {
        let known = self.current();
        let catalog = Catalog::discover(&self.location, &self.stores).await?;
        let mut next = ByName::new();
        for (name, version) in catalog.datasets() {
            let dataset = match known.get(name).filter(|dataset| dataset.snapshot.version() == version) {
                Some(dataset) => dataset.clone(),
                None => Arc::new(self.load(name, version).await?),
            };
            next.insert(name.to_owned(), dataset);
        }
        *self.current.write() = Arc::new(next);
        Ok(())
    }

    async fn load(&self, name: &str, version: u64) -> Result<Dataset, SnapshotError> {
        let snapshot = Snapshot::open(&self.location, name, Some(version), &self.stores).await?;
        let tables = snapshot
            .tables()
            .map(|table| (table.name().to_owned(), Arc::new(SnapshotTable::new(table.clone()))))
            .collect();
        tracing::info!(dataset = name, version, "dataset version is served");
        Ok(Dataset { snapshot, tables })
    }
}
