//! Encryption properties of one new data file.
//!
//! The footer is encrypted under its own data key; each class of columns present has one random data key of its own,
//! wrapped for this file and class only. The wrapped keys lie beside the file ([`external_encryption`]), where they can be
//! wrapped anew, or in it ([`encryption_properties`]) if it must stand alone. Parquet leaves unlisted columns in clear, so
//! [`check_columns`] refuses a list with a gap; it writes Bloom filters in clear, so [`apply`] turns them off. See
//! [`crate::decrypt`] for the way back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures::future::try_join_all;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

use crate::class::ColumnClass;
use crate::context::FileContext;
use crate::error::KeyError;
use crate::external::ExternalMaterial;
use crate::material::{KeyMaterial, KeyMetadata};
use crate::name::{KeyUse, dataset_key};
use crate::secret::DataKey;
use crate::service::{KeyService, WrappedKey};

/// What a new data file is written with: its encryption, and the key material that has to lie beside it.
pub struct ExternalEncryption {
    /// What Parquet needs. Do not print it: Parquet's `Debug` shows keys.
    pub properties: Arc<FileEncryptionProperties>,
    /// The wrapped keys, without which nobody opens the file.
    pub material: ExternalMaterial,
}

impl fmt::Debug for ExternalEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalEncryption").finish_non_exhaustive()
    }
}

/// Makes the data keys of a new file and wraps them; the file will only refer to the wrapped keys.
///
/// `columns` is as for [`encryption_properties`].
///
/// # Errors
/// As [`encryption_properties`].
pub async fn external_encryption(
    keys: &dyn KeyService,
    context: &FileContext,
    columns: &[(String, ColumnClass)],
) -> Result<ExternalEncryption, KeyError> {
    let made = make_keys(keys, context, columns).await?;
    let properties = build(context, columns, &made, |key_use, _| KeyMetadata::Outside(key_use))?;
    let wrapped = made.into_iter().map(|(key_use, (_, wrapped))| (key_use, wrapped));
    Ok(ExternalEncryption {
        properties,
        material: ExternalMaterial::new(wrapped),
    })
}

/// Makes the data keys of a new file, wraps them into the file itself, and returns what Parquet needs to encrypt with them.
///
/// `columns` is every leaf column by its path in the Parquet schema (`a` or `a.list.element`) with its class; see
/// [`check_columns`]. Do not print the properties: Parquet's `Debug` shows keys.
///
/// # Errors
/// [`KeyError::Material`] for an empty list or a column listed twice; whatever the key service answers.
pub async fn encryption_properties(
    keys: &dyn KeyService,
    context: &FileContext,
    columns: &[(String, ColumnClass)],
) -> Result<Arc<FileEncryptionProperties>, KeyError> {
    let made = make_keys(keys, context, columns).await?;
    build(context, columns, &made, |key_use, wrapped| {
        KeyMetadata::Inside(KeyMaterial {
            wrapped: wrapped.clone(),
            footer: key_use == KeyUse::Footer,
        })
    })
}

/// Refuses a column list that does not name every leaf column of `schema` exactly once.
///
/// # Errors
/// [`KeyError::Material`] naming the first column that has no class, or that the schema lacks.
pub fn check_columns(
    context: &FileContext,
    schema: &SchemaDescriptor,
    columns: &[(String, ColumnClass)],
) -> Result<(), KeyError> {
    refuse_doubtful(context, columns)?;
    let listed: BTreeSet<&str> = columns.iter().map(|(path, _)| path.as_str()).collect();
    let leaves: BTreeSet<String> = schema.columns().iter().map(|leaf| leaf.path().string()).collect();
    if let Some(open) = leaves.iter().find(|leaf| !listed.contains(leaf.as_str())) {
        return Err(refused(
            context,
            format!("column {open} has no class and would stay in clear, give it one"),
        ));
    }
    match listed.iter().find(|path| !leaves.contains(**path)) {
        Some(foreign) => Err(refused(
            context,
            format!("column {foreign} has a class but is not in the schema"),
        )),
        None => Ok(()),
    }
}

/// Sets encryption on a writer and turns off Bloom filters, which Parquet would write in clear.
///
/// Call it last: a later call that enables a Bloom filter would undo it.
pub fn apply(
    mut builder: WriterPropertiesBuilder,
    properties: Arc<FileEncryptionProperties>,
) -> WriterPropertiesBuilder {
    for path in properties.column_keys().0 {
        // A dot may separate the parts of a nested column or belong to a name: both spellings are turned off.
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        for column in [ColumnPath::new(parts), ColumnPath::new(vec![path])] {
            builder = builder.set_column_bloom_filter_enabled(column, false);
        }
    }
    builder = builder.set_bloom_filter_enabled(false);
    if cfg!(feature = "measure-plain") {
        return builder;
    }
    builder.with_file_encryption_properties(properties)
}

/// A data key, as it is and as it may be stored.
type MadeKey = (DataKey, WrappedKey);

async fn make_keys(
    keys: &dyn KeyService,
    context: &FileContext,
    columns: &[(String, ColumnClass)],
) -> Result<BTreeMap<KeyUse, MadeKey>, KeyError> {
    refuse_doubtful(context, columns)?;
    let classes: BTreeSet<ColumnClass> = columns.iter().map(|(_, class)| *class).collect();
    let uses = classes.into_iter().map(KeyUse::Class).chain([KeyUse::Footer]);
    let made = try_join_all(uses.map(|key_use| make_key(keys, context, key_use))).await?;
    Ok(made.into_iter().collect())
}

async fn make_key(
    keys: &dyn KeyService,
    context: &FileContext,
    key_use: KeyUse,
) -> Result<(KeyUse, MadeKey), KeyError> {
    let key = DataKey::random()?;
    let name = dataset_key(&context.dataset, key_use)?;
    let wrapped = keys.wrap(&name, &key, &context.wrap_aad(key_use)).await?;
    Ok((key_use, (key, wrapped)))
}

/// `metadata` says what the file itself is to hold of a wrapped key.
fn build(
    context: &FileContext,
    columns: &[(String, ColumnClass)],
    made: &BTreeMap<KeyUse, MadeKey>,
    metadata: impl Fn(KeyUse, &WrappedKey) -> KeyMetadata,
) -> Result<Arc<FileEncryptionProperties>, KeyError> {
    let find = |key_use| {
        let (key, wrapped) = made
            .get(&key_use)
            .ok_or_else(|| refused(context, format!("no key was made for {key_use}")))?;
        Ok((key.expose().to_vec(), metadata(key_use, wrapped).to_bytes()?))
    };
    let (footer, footer_metadata) = find(KeyUse::Footer)?;
    let mut builder = FileEncryptionProperties::builder(footer)
        .with_footer_key_metadata(footer_metadata)
        .with_aad_prefix(context.aad())
        .with_aad_prefix_storage(true);
    for (path, class) in columns {
        let (key, metadata) = find(KeyUse::Class(*class))?;
        builder = builder.with_column_key_and_metadata(path, key, metadata);
    }
    builder.build().map_err(|error| refused(context, error.to_string()))
}

fn refuse_doubtful(context: &FileContext, columns: &[(String, ColumnClass)]) -> Result<(), KeyError> {
    if columns.is_empty() {
        return Err(refused(context, "no column has a class, list every column".to_owned()));
    }
    let mut seen = BTreeSet::new();
    match columns.iter().find(|(path, _)| !seen.insert(path)) {
        Some((path, _)) => Err(refused(context, format!("column {path} is listed twice"))),
        None => Ok(()),
    }
}

fn refused(context: &FileContext, problem: String) -> KeyError {
    KeyError::Material {
        object: context.to_string(),
        problem,
    }
}
