//! The key material beside a data file: where it lies, how much of it is read, and how it is put there in one step. What
//! stands in it is `parcours_keys::external`'s; nothing here needs a key.

use object_store::path::{Path, PathPart};
use object_store::{Error as StoreFailure, ObjectStore, ObjectStoreExt};
use parcours_keys::{ExternalMaterial, FileContext, KeyError, MAX_MATERIAL_BYTES, data_file_name, material_file_name};

use crate::snapshot::DatasetRoot;
use crate::store::replace;

/// Why key material cannot be read or put down.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// The store failed.
    #[error("key material at {path}: {source}")]
    Store {
        /// The object.
        path: Path,
        /// The store's error.
        source: StoreFailure,
    },
    /// It is not the key material of its data file.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Where the key material of `data_file` lies.
pub(crate) fn path_of(data_file: &Path) -> Path {
    renamed(data_file, |name| Some(material_file_name(name))).unwrap_or_default()
}

/// The data file whose key material lies at `path`; none if it is named otherwise.
pub(crate) fn data_file_of(path: &Path) -> Option<Path> {
    renamed(path, |name| data_file_name(name).map(str::to_string))
}

fn renamed(path: &Path, name: impl Fn(&str) -> Option<String>) -> Option<Path> {
    let mut parts: Vec<PathPart<'_>> = path.parts().collect();
    let last = parts.pop()?;
    let name = name(last.as_ref())?;
    Some(parts.into_iter().chain([PathPart::from(name)]).collect())
}

/// Reads the key material of `data_file`, whose place is `context`; none if there is none.
pub(crate) async fn fetch(
    store: &dyn ObjectStore,
    data_file: &Path,
    context: &FileContext,
) -> Result<Option<ExternalMaterial>, SidecarError> {
    let path = path_of(data_file);
    let failed = |source| SidecarError::Store {
        path: path.clone(),
        source,
    };
    let found = match store.get(&path).await {
        Ok(found) => found,
        Err(StoreFailure::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    // An object of another size is somebody's mistake, or meant to fill our memory.
    if found.meta.size > MAX_MATERIAL_BYTES {
        return Err(SidecarError::Key(KeyError::Material {
            object: format!("key material of {context}"),
            problem: format!("it is larger than {MAX_MATERIAL_BYTES} bytes, restore it from a backup"),
        }));
    }
    let bytes = found.bytes().await.map_err(failed)?;
    Ok(Some(ExternalMaterial::from_bytes(&bytes, context)?))
}

/// Puts the key material of `data_file` down, or in the place of what lies there: a reader finds the one or the other,
/// whole, also after a power cut.
pub(crate) async fn write(
    root: &DatasetRoot,
    data_file: &Path,
    material: &ExternalMaterial,
) -> Result<(), SidecarError> {
    let path = path_of(data_file);
    let written = replace(&root.url, root.store.as_ref(), &path, material.to_bytes()?.into()).await;
    written.map_err(|source| SidecarError::Store { path, source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use url::Url;

    use super::*;
    use crate::store::Stores;

    #[test]
    fn a_path_leads_to_the_material_and_back() {
        let data = Path::from("tables/claims/stay/shard=0003/part-1.parquet");
        let beside = path_of(&data);
        assert_eq!(
            beside.as_ref(),
            "tables/claims/stay/shard=0003/_KEY_MATERIAL_FOR_part-1.parquet.json"
        );
        assert_eq!(data_file_of(&beside), Some(data.clone()));
        assert_eq!(data_file_of(&data), None);
    }

    #[tokio::test]
    async fn too_much_is_not_read() {
        let store = InMemory::new();
        let (data, context) = (
            Path::from("t/part-1.parquet"),
            FileContext::new("d", "t", "part-1.parquet"),
        );
        assert!(fetch(&store, &data, &context).await.unwrap().is_none());
        let bytes = vec![b' '; MAX_MATERIAL_BYTES as usize + 1];
        store.put(&path_of(&data), bytes.into()).await.unwrap();
        let error = fetch(&store, &data, &context).await.unwrap_err().to_string();
        assert!(error.contains("larger") && error.contains("part-1.parquet"), "{error}");
    }

    #[tokio::test]
    async fn what_is_replaced_is_whole_in_every_store() {
        let dir = tempfile::tempdir().unwrap();
        let local = Url::from_file_path(dir.path()).unwrap();
        let memory = Url::parse("memory://data/").unwrap();
        let stores = Stores::default().with_store(&memory, Arc::new(InMemory::new()));
        let wrapped = |version: u32| parcours_keys::WrappedKey {
            master: format!("claims/footer#{version}").parse().unwrap(),
            text: "x".repeat(version as usize),
        };
        for into in [local, memory] {
            let root = DatasetRoot::new(&into, "claims", &stores).unwrap();
            let data = root.table_path("stay").join("part-1.parquet");
            let context = FileContext::new("claims", "stay", "part-1.parquet");
            for version in [9, 1, 5] {
                let material = ExternalMaterial::new([(parcours_keys::KeyUse::Footer, wrapped(version))]);
                write(&root, &data, &material).await.unwrap();
                let found = fetch(root.store.as_ref(), &data, &context).await.unwrap();
                assert_eq!(found, Some(material), "{into}");
            }
        }
        let left: Vec<_> = std::fs::read_dir(dir.path().join("claims/stay")).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file");
    }
}
