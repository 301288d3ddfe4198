//! Encryption properties of one new data file.
//!
//! The footer is encrypted under its own data key; each class of columns present has one random data key of its own,
//! wrapped for this file and class only. Parquet leaves unlisted columns in clear, so [`check_columns`] refuses a list
//! with a gap; it writes Bloom filters in clear, so [`apply`] turns them off. See [`crate::decrypt`] for the way back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::try_join_all;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

use crate::class::ColumnClass;
use crate::context::FileContext;
use crate::error::KeyError;
use crate::material::KeyMaterial;
use crate::name::{KeyUse, dataset_key};
use crate::secret::DataKey;
use crate::service::KeyService;

/// Makes the data keys of a new file, wraps them, and returns what Parquet needs to encrypt with them.
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
    refuse_doubtful(context, columns)?;
    let classes: BTreeSet<ColumnClass> = columns.iter().map(|(_, class)| *class).collect();
    let uses = classes.into_iter().map(KeyUse::Class).chain([KeyUse::Footer]);
    let made = try_join_all(uses.map(|key_use| make_key(keys, context, key_use))).await?;
    build(context, columns, &made.into_iter().collect())
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
    builder
        .set_bloom_filter_enabled(false)
        .with_file_encryption_properties(properties)
}

/// A data key and its key material for `key_metadata`.
type MadeKey = (DataKey, Vec<u8>);

async fn make_key(
    keys: &dyn KeyService,
    context: &FileContext,
    key_use: KeyUse,
) -> Result<(KeyUse, MadeKey), KeyError> {
    let key = DataKey::random()?;
    let name = dataset_key(&context.dataset, key_use)?;
    let wrapped = keys.wrap(&name, &key, &context.wrap_aad(key_use)).await?;
    let material = KeyMaterial {
        wrapped,
        footer: key_use == KeyUse::Footer,
    }
    .to_bytes()?;
    Ok((key_use, (key, material)))
}

fn build(
    context: &FileContext,
    columns: &[(String, ColumnClass)],
    made: &BTreeMap<KeyUse, MadeKey>,
) -> Result<Arc<FileEncryptionProperties>, KeyError> {
    let find = |key_use| {
        made.get(&key_use)
            .ok_or_else(|| refused(context, format!("no key was made for {key_use}")))
    };
    let (footer, footer_material) = find(KeyUse::Footer)?;
    let mut builder = FileEncryptionProperties::builder(footer.expose().to_vec())
        .with_footer_key_metadata(footer_material.clone())
        .with_aad_prefix(context.aad())
        .with_aad_prefix_storage(true);
    for (path, class) in columns {
        let (key, material) = find(KeyUse::Class(*class))?;
        builder = builder.with_column_key_and_metadata(path, key.expose().to_vec(), material.clone());
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
