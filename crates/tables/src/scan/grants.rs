//! What a query may open, and for whom: datasets, tables and column classes, each named. Nothing is granted by default. A key
//! service behind [`GrantedService`] answers for granted classes only, so that no cache ever holds a key that the query must
//! not use. Caches belong to what is granted of one table: queries of one person that read the same classes of it share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use parcours_keys::{ColumnClass, DataKey, KeyError, KeyService, KeyUse, MasterKeyId, MasterKeyName, WrappedKey};
use parking_lot::RwLock;

/// Datasets and the classes of columns granted in each, or in tables of them, to one holder.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grants {
    holder: String,
    /// Granted in every table.
    datasets: BTreeMap<String, BTreeSet<ColumnClass>>,
    /// Granted in tables, by dataset. The footers of a table that stands here are granted, too.
    tables: BTreeMap<String, BTreeMap<String, BTreeSet<ColumnClass>>>,
}

impl Grants {
    /// Grants nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same for a holder, who shares keys and footers in memory with no other.
    #[must_use]
    pub fn held_by(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// Also grants `classes` of every table of `dataset`.
    #[must_use]
    pub fn with(mut self, dataset: &str, classes: impl IntoIterator<Item = ColumnClass>) -> Self {
        self.datasets.entry(dataset.to_string()).or_default().extend(classes);
        self
    }

    /// Also grants `classes` of `table` in `dataset`; if these are none, how many rows it has.
    #[must_use]
    pub fn with_table(mut self, dataset: &str, table: &str, classes: impl IntoIterator<Item = ColumnClass>) -> Self {
        let tables = self.tables.entry(dataset.to_string()).or_default();
        tables.entry(table.to_string()).or_default().extend(classes);
        self
    }

    /// Whether columns of `class` in `table` of `dataset` may be read.
    pub fn allow(&self, dataset: &str, table: &str, class: ColumnClass) -> bool {
        let in_all = self.datasets.get(dataset);
        let classes = in_all.into_iter().chain(self.in_table(dataset, table));
        classes.flatten().any(|granted| *granted == class)
    }

    fn in_table(&self, dataset: &str, table: &str) -> Option<&BTreeSet<ColumnClass>> {
        self.tables.get(dataset)?.get(table)
    }

    /// Whether keys of `class` in `dataset` may be used for some table.
    fn allow_class(&self, dataset: &str, class: ColumnClass) -> bool {
        let tables = self.tables.get(dataset).into_iter().flat_map(BTreeMap::values);
        let mut classes = self.datasets.get(dataset).into_iter().chain(tables).flatten();
        classes.any(|granted| *granted == class)
    }

    /// Whether footers in `dataset` may be read, of some table at least.
    fn allow_footers(&self, dataset: &str) -> bool {
        let in_all = self.datasets.get(dataset).is_some_and(|classes| !classes.is_empty());
        in_all || self.tables.get(dataset).is_some_and(|tables| !tables.is_empty())
    }

    /// What is granted of one table, to the same holder.
    pub(super) fn of_table(&self, dataset: &str, table: &str) -> Self {
        let in_all = self.datasets.get(dataset).filter(|classes| !classes.is_empty());
        let named = Self::none().held_by(&self.holder);
        let granted = [in_all, self.in_table(dataset, table)];
        granted.into_iter().flatten().fold(named, |named, classes| {
            named.with_table(dataset, table, classes.iter().copied())
        })
    }

    /// The classes that are granted of one table.
    pub(super) fn classes(&self, dataset: &str, table: &str) -> BTreeSet<ColumnClass> {
        let classes = ColumnClass::ALL.into_iter();
        classes.filter(|class| self.allow(dataset, table, *class)).collect()
    }
}

/// A key service narrowed to some grants: unwraps only, and only what they name.
#[derive(Debug)]
pub(super) struct GrantedService {
    inner: RwLock<Arc<dyn KeyService>>,
    grants: Arc<Grants>,
}

impl GrantedService {
    pub(super) fn new(inner: &Arc<dyn KeyService>, grants: &Arc<Grants>) -> Self {
        Self {
            inner: RwLock::new(Arc::clone(inner)),
            grants: Arc::clone(grants),
        }
    }

    /// Asks this service from now on: the same keys, in the name of a newer task.
    pub(super) fn ask_through(&self, service: &Arc<dyn KeyService>) {
        *self.inner.write() = Arc::clone(service);
    }

    fn inner(&self) -> Arc<dyn KeyService> {
        Arc::clone(&self.inner.read())
    }

    fn check(&self, name: &MasterKeyName) -> Result<(), KeyError> {
        let granted = match name.key_use() {
            Some(KeyUse::Class(class)) => self.grants.allow_class(name.dataset(), class),
            Some(KeyUse::Footer) => self.grants.allow_footers(name.dataset()),
            None => false,
        };
        if granted {
            return Ok(());
        }
        Err(KeyError::Denied {
            key: name.clone(),
            reason: "the query was not granted it".to_string(),
        })
    }
}

#[async_trait]
impl KeyService for GrantedService {
    async fn wrap(&self, name: &MasterKeyName, _key: &DataKey, _aad: &[u8]) -> Result<WrappedKey, KeyError> {
        Err(KeyError::Denied {
            key: name.clone(),
            reason: "a query writes nothing".to_string(),
        })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        self.check(&wrapped.master.name)?;
        self.inner().unwrap(wrapped, aad).await
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.check(name)?;
        self.inner().current(name).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parcours_keys::{Keyring, Unlock, class_key, create_key_file, ensure_dataset_keys};

    use super::*;

    async fn keyring(folder: &std::path::Path) -> Arc<dyn KeyService> {
        let unlock = folder.join("keys.key");
        create_key_file(&unlock).unwrap();
        let keys = Keyring::create(folder.join("keys.ring"), Unlock::key_file(&unlock)).unwrap();
        ensure_dataset_keys(&keys, "claims").await.unwrap();
        Arc::new(keys)
    }

    #[tokio::test]
    async fn keys_of_granted_classes_alone_are_opened() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (first, second) = (keyring(folders[0].path()).await, keyring(folders[1].path()).await);
        let grants = Grants::none().with("claims", [ColumnClass::Health]);
        let granted = GrantedService::new(&first, &Arc::new(grants));
        let [health, plain] =
            [ColumnClass::Health, ColumnClass::Plain].map(|class| class_key("claims", class).unwrap());
        let key = DataKey::random().unwrap();
        let wrapped = async |keys: &Arc<dyn KeyService>, name| keys.wrap(name, &key, b"place").await.unwrap();
        let of_health = wrapped(&first, &health).await;
        let of_plain = wrapped(&first, &plain).await;
        granted.unwrap(&of_health, b"place").await.unwrap();
        granted.current(&health).await.unwrap();
        for refused in [
            granted.unwrap(&of_plain, b"place").await.map(drop),
            granted.current(&plain).await.map(drop),
            granted.wrap(&health, &key, b"place").await.map(drop),
        ] {
            assert!(refused.unwrap_err().is_denial());
        }
        // From now on the other one is asked, whose keys these are not.
        granted.ask_through(&second);
        assert!(granted.unwrap(&of_health, b"place").await.is_err());
        let of_second = wrapped(&second, &health).await;
        granted.unwrap(&of_second, b"place").await.unwrap();
    }

    #[test]
    fn holders_share_nothing() {
        let of = |holder| Grants::none().with("claims", [ColumnClass::Health]).held_by(holder);
        assert_ne!(of("alice"), of("bob"));
        assert!(of("alice").allow("claims", "stay", ColumnClass::Health));
    }

    #[test]
    fn queries_share_what_is_granted_of_a_table() {
        let holder = || Grants::none().held_by("alice");
        let (health, plain) = ([ColumnClass::Health], [ColumnClass::Plain]);
        let one = holder()
            .with_table("claims", "stay", health)
            .with_table("claims", "label", plain);
        let other = holder()
            .with_table("claims", "stay", health)
            .with_table("omop", "stay", plain);
        let of_stay = |grants: &Grants| grants.of_table("claims", "stay");
        assert_eq!(of_stay(&one), of_stay(&other));
        assert_eq!(of_stay(&one), of_stay(&holder().with("claims", health)));
        assert_ne!(
            of_stay(&one),
            of_stay(&Grants::none().with("claims", health)),
            "another holder"
        );
        assert_eq!(one.of_table("omop", "stay"), holder());
        assert_eq!(one.of_table("claims", "visit"), holder());
        assert_eq!(one.classes("claims", "stay"), health.into());
    }

    #[test]
    fn only_what_is_named_is_granted() {
        let grants = Grants::none().with("claims", [ColumnClass::Health]).with("empty", []);
        assert!(grants.allow("claims", "stay", ColumnClass::Health));
        assert!(!grants.allow("claims", "stay", ColumnClass::Plain), "another class");
        assert!(!grants.allow("omop", "stay", ColumnClass::Health), "another dataset");
        assert!(grants.allow_footers("claims") && !grants.allow_footers("empty") && !grants.allow_footers("omop"));
        assert!(!Grants::none().allow("claims", "stay", ColumnClass::Plain));
    }

    #[test]
    fn what_is_granted_of_a_table_is_not_granted_of_another() {
        let grants = Grants::none().with_table("claims", "stay", [ColumnClass::Health]);
        assert!(grants.allow("claims", "stay", ColumnClass::Health));
        assert!(!grants.allow("claims", "label", ColumnClass::Health), "another table");
        assert!(!grants.allow("claims", "stay", ColumnClass::Plain), "another class");
        let counted = Grants::none().with_table("claims", "visit", []);
        assert!(counted.allow_footers("claims") && counted.classes("claims", "visit").is_empty());
        assert!(counted.of_table("claims", "visit").allow_footers("claims"));
        assert!(!counted.of_table("claims", "stay").allow_footers("claims"));
    }
}
