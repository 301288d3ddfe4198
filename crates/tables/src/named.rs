//! The data files that the versions of a dataset name, over all versions: what must be kept and what readers may open.
//! Found from the version log and the Delta logs alone. Vacuum asks it what is not litter, rewrapping which keys are in use.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;
use parcours_keys::{ColumnClass, FileContext, KeyUse};

use crate::delta::DeltaError;
use crate::snapshot::{DatasetRoot, class_of};
use crate::version::VersionError;

/// Why the files cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NamedError {
    /// The version log cannot be read.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A Delta log cannot be read.
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

/// A data file that at least one version names.
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    /// Where it is in its store.
    pub(crate) path: Path,
    /// The place that its keys are bound to.
    pub(crate) context: FileContext,
    /// Bytes.
    pub(crate) size: u64,
    /// The classes of its columns, as the log has them.
    pub(crate) classes: BTreeSet<ColumnClass>,
}

impl NamedFile {
    /// The keys that the file must have: one for its footer and one a class.
    pub(crate) fn uses(&self) -> impl Iterator<Item = KeyUse> {
        let classes = self.classes.iter().copied().map(KeyUse::Class);
        classes.chain([KeyUse::Footer])
    }
}

/// What the dataset's versions name.
#[derive(Debug, Default)]
pub(crate) struct NamedFiles {
    /// The versions there are, ascending.
    pub(crate) versions: Vec<u64>,
    /// Files by table and path.
    tables: BTreeMap<String, BTreeMap<Path, NamedFile>>,
    /// The Delta version of each table in the newest version that has it.
    newest: BTreeMap<String, u64>,
}

impl NamedFiles {
    /// Reads every version of the dataset.
    pub(crate) async fn by_all_versions(root: &DatasetRoot) -> Result<Self, NamedError> {
        Self::by_versions(root, |_| true).await
    }

    /// Reads those versions of the dataset that count.
    pub(crate) async fn by_versions(root: &DatasetRoot, counts: impl Fn(u64) -> bool) -> Result<Self, NamedError> {
        let mut named = Self::default();
        let mut seen = BTreeSet::new();
        for version in root.log().list().await?.into_iter().filter(|version| counts(*version)) {
            let Some(record) = root.log().read(version).await? else {
                continue;
            };
            named.versions.push(version);
            for (table, entry) in &record.tables {
                named.newest.insert(table.clone(), entry.delta_version);
                if seen.insert((table.clone(), entry.delta_version)) {
                    named.add(root, table, entry.delta_version).await?;
                }
            }
        }
        Ok(named)
    }

    async fn add(&mut self, root: &DatasetRoot, table: &str, delta_version: u64) -> Result<(), DeltaError> {
        let state = root.delta(table).at(delta_version).await?;
        let folder = root.table_path(table);
        let classes: BTreeSet<ColumnClass> = state
            .schema
            .fields()
            .iter()
            .filter_map(|field| class_of(field))
            .collect();
        let files = state.files.iter().filter_map(|file| {
            let path = Path::parse(format!("{folder}/{}", file.path)).ok()?;
            let named = NamedFile {
                path: path.clone(),
                context: FileContext::new(&root.dataset, table, &file.path),
                size: file.size,
                classes: classes.clone(),
            };
            Some((path, named))
        });
        self.tables.entry(table.to_string()).or_default().extend(files);
        Ok(())
    }

    /// All files, by table and path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NamedFile> {
        self.tables.values().flat_map(BTreeMap::values)
    }

    /// Whether a version has this table.
    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether a version names this data file.
    pub(crate) fn has_file(&self, table: &str, path: &Path) -> bool {
        self.tables.get(table).is_some_and(|files| files.contains_key(path))
    }

    /// Tables and the Delta version that readers of the newest dataset version see.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (&str, u64)> {
        self.newest.iter().map(|(table, version)| (table.as_str(), *version))
    }
}
