//! The wrapped keys of one data file, wherever they are: beside it, or inside as loads once wrote them. A file that cannot
//! tell is an answer; a store or a key service that fails is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::Error as StoreFailure;
use parcours_keys::{
    CacheOptions, ExternalMaterial, FileKeys, KeyError, KeyMetadata, KeyUse, UnwrapCache, WrappedKey,
    material_file_name,
};
use parking_lot::Mutex;
use parquet::encryption::decrypt::{FileDecryptionProperties, KeyRetriever};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

use super::{RewrapError, Work, is_of_one_key};
use crate::file_end::FileEnd;
use crate::named::NamedFile;
use crate::sidecar::{self, SidecarError};

/// Bytes of a file's end that are read to find key material inside.
const END: usize = 64 * 1024;

/// Where the wrapped keys of a file are.
pub(super) enum Found {
    /// Beside it.
    Beside(ExternalMaterial),
    /// Inside. Which they are is known as far as its footer opens.
    Inside(BTreeMap<KeyUse, WrappedKey>),
    /// They cannot be had.
    Closed(KeyError),
}

pub(super) async fn find(work: &Work<'_>, file: &NamedFile) -> Result<Found, RewrapError> {
    match sidecar::fetch(work.root.store.as_ref(), &file.path, &file.context).await {
        Ok(Some(material)) => Ok(Found::Beside(material)),
        Ok(None) => look_inside(work, file).await,
        Err(SidecarError::Key(error)) if is_of_one_key(&error) => Ok(Found::Closed(error)),
        Err(error) => Err(error.into()),
    }
}

/// Decodes the footer for the key material that Parquet asks keys for. Column data is not read.
async fn look_inside(work: &Work<'_>, file: &NamedFile) -> Result<Found, RewrapError> {
    let cache = UnwrapCache::new(Arc::clone(work.keys), CacheOptions::default());
    let keys = FileKeys::new(cache, file.context.clone());
    let listener = Arc::new(Listener {
        keys: Arc::clone(&keys),
        heard: Mutex::default(),
    });
    let decoded = decode_footer(work, file, &listener).await;
    if let Some(error) = keys.denial().filter(|error| !is_of_one_key(error)) {
        return Err(error.into());
    }
    if keys.refers_outside() {
        let (_, name) = file.context.file.rsplit_once('/').unwrap_or(("", &file.context.file));
        let problem = format!(
            "{} is missing beside it, restore it from a backup",
            material_file_name(name)
        );
        return Ok(Found::Closed(material_error(file, problem)));
    }
    let inside = listener.wrapped_keys(file);
    match (inside.is_empty(), decoded) {
        (false, _) => Ok(Found::Inside(inside)),
        (true, Err(ParquetError::External(error))) => match error.downcast::<StoreFailure>().map(|error| *error) {
            Ok(StoreFailure::NotFound { .. }) => Ok(Found::Closed(material_error(
                file,
                "the data file is missing".to_string(),
            ))),
            Ok(error) => Err(RewrapError::Store {
                path: file.path.clone(),
                reason: error.to_string(),
            }),
            Err(error) => Ok(Found::Closed(material_error(file, error.to_string()))),
        },
        (true, _) => Ok(Found::Closed(material_error(
            file,
            "it is damaged or not encrypted, load the table again".to_string(),
        ))),
    }
}

async fn decode_footer(work: &Work<'_>, file: &NamedFile, listener: &Arc<Listener>) -> ParquetResult<()> {
    let retriever: Arc<dyn KeyRetriever> = Arc::clone(listener) as _;
    let properties = FileDecryptionProperties::with_key_retriever(retriever)
        .with_aad_prefix(file.context.aad())
        .build()?;
    let end = FileEnd::read(Arc::clone(&work.root.store), file.path.clone(), file.size, END).await?;
    let reader = ParquetMetaDataReader::new()
        .with_prefetch_hint(Some(END))
        .with_page_index_policy(PageIndexPolicy::Skip)
        .with_decryption_properties(Some(properties));
    reader.load_and_finish(end, file.size).await.map(|_| ())
}

fn material_error(file: &NamedFile, problem: String) -> KeyError {
    KeyError::Material {
        object: file.context.to_string(),
        problem,
    }
}

/// Hears for which key material Parquet asks for keys.
struct Listener {
    keys: Arc<FileKeys>,
    heard: Mutex<Vec<Vec<u8>>>,
}

impl KeyRetriever for Listener {
    fn retrieve_key(&self, key_metadata: &[u8]) -> ParquetResult<Vec<u8>> {
        self.heard.lock().push(key_metadata.to_vec());
        self.keys.retrieve_key(key_metadata)
    }
}

impl Listener {
    fn wrapped_keys(&self, file: &NamedFile) -> BTreeMap<KeyUse, WrappedKey> {
        let object = file.context.to_string();
        let heard = self.heard.lock();
        let inside = heard.iter().filter_map(|key_metadata| {
            let KeyMetadata::Inside(material) = KeyMetadata::from_bytes(key_metadata, &object).ok()? else {
                return None;
            };
            Some((material.wrapped.master.name.key_use()?, material.wrapped))
        });
        inside.collect()
    }
}
