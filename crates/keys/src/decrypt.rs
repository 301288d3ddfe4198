//! Decryption of one data file: Parquet asks for keys by key material, the cache answers, the file's place is checked.
//!
//! The expected AAD prefix comes from where the reader was told to read, never from the file: Parquet uses the
//! reader's prefix over the stored one, so a swapped file fails. Parquet also swallows key errors and opens plaintext
//! files without a word: [`FileKeys::require`] finds both. A file that only refers to its wrapped keys opens once its key
//! material was supplied ([`FileKeys::supply`]); fetching it is the reader's. See [`crate::encrypt`] for how files are
//! written.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use parquet::encryption::decrypt::{FileDecryptionProperties, KeyRetriever};
use parquet::errors::ParquetError;
use parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use crate::cache::UnwrapCache;
use crate::class::ColumnClass;
use crate::context::FileContext;
use crate::error::KeyError;
use crate::external::{ExternalMaterial, material_file_name};
use crate::material::KeyMetadata;
use crate::name::{KeyUse, MasterKeyName};
use crate::secret::DataKey;
use crate::service::WrappedKey;

/// Decryption properties for the file at `context`; [`UnwrapCache::last_denial`] tells which key was refused.
///
/// A reader that also wants [`FileKeys::require`] makes a [`FileKeys`] itself.
///
/// # Errors
/// [`KeyError::Material`] should Parquet refuse the properties.
pub fn decryption_properties(
    keys: Arc<UnwrapCache>,
    context: FileContext,
) -> Result<Arc<FileDecryptionProperties>, KeyError> {
    FileKeys::new(keys, context).properties()
}

/// The keys of one data file as a reader sees them.
///
/// Metadata decoded with these properties keeps a reference, so one `FileKeys` serves every query that shares the
/// decoded footer.
pub struct FileKeys {
    cache: Arc<UnwrapCache>,
    context: FileContext,
    /// Of which classes columns are opened.
    classes: BTreeSet<ColumnClass>,
    footer_opened: AtomicBool,
    /// The wrapped keys beside the file, once they were supplied.
    beside: RwLock<Option<ExternalMaterial>>,
    /// Whether the file refers to wrapped keys beside it.
    refers: AtomicBool,
    /// The refusal of a key, and which one if it came so far.
    denial: Mutex<Option<(Option<MasterKeyName>, KeyError)>>,
}

impl FileKeys {
    /// The keys of the file at `context`, unwrapped through `cache` when they are asked for.
    pub fn new(cache: Arc<UnwrapCache>, context: FileContext) -> Arc<Self> {
        Self::of_classes(cache, context, ColumnClass::ALL.into())
    }

    /// The same for a reader that reads columns of these classes only: those of others stay closed, and nobody is asked for
    /// their keys.
    pub fn of_classes(cache: Arc<UnwrapCache>, context: FileContext, classes: BTreeSet<ColumnClass>) -> Arc<Self> {
        Arc::new(Self {
            cache,
            context,
            classes,
            footer_opened: AtomicBool::new(false),
            beside: RwLock::new(None),
            refers: AtomicBool::new(false),
            denial: Mutex::new(None),
        })
    }

    /// The file's place.
    pub fn context(&self) -> &FileContext {
        &self.context
    }

    /// What a Parquet reader needs; it keeps a reference to `self`.
    ///
    /// # Errors
    /// [`KeyError::Material`] should Parquet refuse the properties.
    pub fn properties(self: &Arc<Self>) -> Result<Arc<FileDecryptionProperties>, KeyError> {
        let retriever: Arc<dyn KeyRetriever> = Arc::clone(self) as _;
        FileDecryptionProperties::with_key_retriever(retriever)
            .with_aad_prefix(self.context.aad())
            .build()
            .map_err(|error| self.refused(error.to_string()))
    }

    /// Takes the key material that lies beside the file; true if it differs from what was known.
    ///
    /// Data keys do not change when they are wrapped anew, so metadata decoded before stays good, and everyone who shares
    /// it finds the keys as they are wrapped now.
    pub fn supply(&self, material: ExternalMaterial) -> bool {
        let mut beside = self.beside.write();
        let changed = beside.as_ref() != Some(&material);
        if changed {
            *beside = Some(material);
            self.denial.lock().take_if(|(key, _)| key.is_none());
        }
        changed
    }

    /// Whether the file was seen to refer to key material beside it.
    pub fn refers_outside(&self) -> bool {
        self.refers.load(Ordering::Acquire)
    }

    /// The last refusal of a key for this file, whichever error Parquet showed for it.
    pub fn denial(&self) -> Option<KeyError> {
        self.denial.lock().as_ref().map(|(_, error)| error.clone())
    }

    /// Makes sure that `metadata` came from an encrypted, authenticated footer and that each leaf column in `leaves`
    /// (indices into the Parquet schema) is encrypted under a key of its own that is granted now.
    ///
    /// Call it after decoding or fetching cached metadata and before reading pages. It also unwraps the keys, so that
    /// decoding finds them in the cache.
    ///
    /// # Errors
    /// The key service's refusal, naming class and dataset; [`KeyError::Material`] for a file, or a column, in clear;
    /// [`KeyError::StaleFooter`] when the metadata was decoded while a key was out of reach.
    pub async fn require(&self, metadata: &ParquetMetaData, leaves: &[usize]) -> Result<(), KeyError> {
        if cfg!(feature = "measure-plain") {
            return Ok(());
        }
        if !self.footer_opened.load(Ordering::Acquire) {
            return Err(self.refused("it is not encrypted where it must be, load the table again"));
        }
        for row_group in metadata.row_groups() {
            for leaf in leaves {
                let column = row_group
                    .columns()
                    .get(*leaf)
                    .ok_or_else(|| self.refused("it lacks a column"))?;
                self.require_column(column).await?;
                if is_locked(column, row_group.num_rows()) {
                    let column = column.column_path().string();
                    return Err(KeyError::StaleFooter {
                        object: self.context.to_string(),
                        column,
                    });
                }
            }
        }
        Ok(())
    }

    /// Leaf columns whose metadata stayed closed when `metadata` was decoded, in ascending order.
    ///
    /// Statistics and sizes of these columns are absent, not zero. A cache should not keep such metadata longer than
    /// the denial lasts.
    pub fn locked_columns(metadata: &ParquetMetaData) -> Vec<usize> {
        let leaves = metadata.file_metadata().schema_descr().num_columns();
        let locked = |leaf: &usize| {
            let mut groups = metadata.row_groups().iter();
            groups.any(|group| {
                group
                    .columns()
                    .get(*leaf)
                    .is_some_and(|column| is_locked(column, group.num_rows()))
            })
        };
        (0..leaves).filter(locked).collect()
    }

    async fn require_column(&self, column: &ColumnChunkMetaData) -> Result<(), KeyError> {
        let in_clear = || {
            self.refused(format!(
                "column {} has no key of its own",
                column.column_path().string()
            ))
        };
        let Some(ColumnCryptoMetaData::ENCRYPTION_WITH_COLUMN_KEY(key)) = column.crypto_metadata() else {
            return Err(in_clear());
        };
        let (wrapped, key_use) = self.wrapped_key(key.key_metadata.as_deref().ok_or_else(in_clear)?)?;
        let answer = self.cache.unwrap(&wrapped, &self.context.wrap_aad(key_use)).await;
        self.note(&wrapped, &answer);
        answer.map(|_| ())
    }

    /// The wrapped key that `key_metadata` holds or refers to, and what it is for.
    fn wrapped_key(&self, key_metadata: &[u8]) -> Result<(WrappedKey, KeyUse), KeyError> {
        let object = self.context.to_string();
        match KeyMetadata::from_bytes(key_metadata, &object)? {
            KeyMetadata::Inside(material) => {
                let key_use = material.use_in(&self.context, &object)?;
                Ok((material.wrapped, key_use))
            }
            KeyMetadata::Outside(key_use) => Ok((self.wrapped_beside(key_use)?, key_use)),
        }
    }

    fn wrapped_beside(&self, key_use: KeyUse) -> Result<WrappedKey, KeyError> {
        self.refers.store(true, Ordering::Release);
        let beside = self.beside.read();
        let (_, name) = self.context.file.rsplit_once('/').unwrap_or(("", &self.context.file));
        let name = material_file_name(name);
        let problem = match beside.as_ref().map(|material| material.get(key_use)) {
            Some(Some(wrapped)) => return Ok(wrapped.clone()),
            Some(None) => format!("{name} beside it holds no key for {key_use}, restore it from a backup"),
            None => format!("{name} is missing beside it, restore it from a backup or load the table again"),
        };
        Err(self.refused(problem))
    }

    fn retrieve(&self, key_metadata: &[u8]) -> Result<Arc<DataKey>, KeyError> {
        let found = self.wrapped_key(key_metadata);
        let (wrapped, key_use) = found.inspect_err(|error| *self.denial.lock() = Some((None, error.clone())))?;
        if let KeyUse::Class(class) = key_use
            && !self.classes.contains(&class)
        {
            return Err(KeyError::Denied {
                key: wrapped.master.name,
                reason: "the query does not read it".to_owned(),
            });
        }
        let answer = self.cache.unwrap_now(&wrapped, &self.context.wrap_aad(key_use));
        self.note(&wrapped, &answer);
        if key_use == KeyUse::Footer && answer.is_ok() {
            self.footer_opened.store(true, Ordering::Release);
        }
        answer
    }

    fn note(&self, wrapped: &WrappedKey, answer: &Result<Arc<DataKey>, KeyError>) {
        let name = &wrapped.master.name;
        let mut denial = self.denial.lock();
        match answer {
            Err(error) => *denial = Some((Some(name.clone()), error.clone())),
            Ok(_) if denial.as_ref().is_some_and(|(key, _)| key.as_ref() == Some(name)) => *denial = None,
            Ok(_) => {}
        }
        self.cache.note_file(&self.context, name, answer.as_ref().err());
    }

    fn refused(&self, problem: impl Into<String>) -> KeyError {
        KeyError::Material {
            object: self.context.to_string(),
            problem: problem.into(),
        }
    }
}

impl KeyRetriever for FileKeys {
    fn retrieve_key(&self, key_metadata: &[u8]) -> Result<Vec<u8>, ParquetError> {
        match self.retrieve(key_metadata) {
            Ok(key) => Ok(key.expose().to_vec()),
            Err(error) => Err(ParquetError::External(Box::new(error))),
        }
    }
}

impl fmt::Debug for FileKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeys")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// Whether Parquet left the column's metadata closed: a column chunk of a group with rows has values.
fn is_locked(column: &ColumnChunkMetaData, rows: i64) -> bool {
    rows > 0 && column.num_values() == 0
}
