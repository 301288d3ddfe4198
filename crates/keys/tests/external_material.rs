//! Files whose key material lies beside them: they open with it and with nothing else, and wrapping the keys anew changes
//! no byte of the file. Every way of swapping, editing or losing the material is found and named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sample;

use std::sync::Arc;

use bytes::Bytes;
use parcours_keys::{
    ColumnClass, ExternalMaterial, FileContext, FileKeys, KeyAdmin, KeyError, KeyService, KeyUse, WrappedKey,
    column_class, external, footer_key,
};

use sample::{Keys, batch, cache, context, metadata, read_all, write_externally};

const CODE: usize = 3;
const SITE: usize = 6;

/// The file with what lies beside it, opened as a reader does.
fn opened(keys: &Keys, context: &FileContext, beside: &[u8]) -> Result<Arc<FileKeys>, KeyError> {
    let opened = FileKeys::new(cache(keys.keyring.clone()), context.clone());
    opened.supply(ExternalMaterial::from_bytes(beside, context)?);
    Ok(opened)
}

/// Reads everything, and gives the reason as the keys have it where it does not open.
fn rows_or_reason(file: &Bytes, opened: &Arc<FileKeys>) -> Result<usize, KeyError> {
    match read_all(file, opened) {
        Ok(rows) => {
            assert_eq!(rows, batch());
            Ok(rows.num_rows())
        }
        Err(error) => Err(opened.denial().unwrap_or_else(|| panic!("no reason: {error}"))),
    }
}

async fn renewed(keys: &Keys, context: &FileContext, material: &ExternalMaterial) -> ExternalMaterial {
    let mut anew = material.clone();
    for (key_use, wrapped) in material.iter() {
        let current = keys.keyring.current(&wrapped.master.name).await.unwrap();
        let service: &dyn KeyService = &*keys.keyring;
        let key = external::rewrap(service, context, key_use, wrapped, &current)
            .await
            .unwrap();
        if let Some(key) = key {
            anew.replace(key_use, key);
        }
    }
    anew
}

#[tokio::test]
async fn rows_come_back_with_the_material_and_the_file_holds_no_wrapped_key() {
    let keys = Keys::new().await;
    let context = context("shard=0/a.parquet");
    let (file, material) = write_externally(&*keys.keyring, &context).await;
    let opened = opened(&keys, &context, &material.to_bytes().unwrap()).unwrap();
    assert_eq!(rows_or_reason(&file, &opened).unwrap(), sample::ROWS);
    assert!(opened.refers_outside());
    for (_, wrapped) in material.iter() {
        assert!(!sample::contains(&file, wrapped.text.as_bytes()));
    }
    let metadata = metadata(&file, &opened).unwrap();
    opened.require(metadata.metadata(), &[0, CODE, SITE]).await.unwrap();
    let class = |leaf: usize| column_class(metadata.metadata().row_group(0).column(leaf));
    assert_eq!(
        (class(CODE), class(SITE)),
        (Some(ColumnClass::Health), Some(ColumnClass::Plain))
    );
}

#[tokio::test]
async fn without_the_material_the_file_and_the_remedy_are_named() {
    let keys = Keys::new().await;
    let context = context("shard=0/a.parquet");
    let (file, _) = write_externally(&*keys.keyring, &context).await;
    let opened = FileKeys::new(cache(keys.keyring.clone()), context);
    let reason = rows_or_reason(&file, &opened).unwrap_err().to_string();
    for word in [
        "shard=0/a.parquet",
        "_KEY_MATERIAL_FOR_a.parquet.json",
        "missing",
        "restore",
    ] {
        assert!(reason.contains(word), "{reason}");
    }
}

#[tokio::test]
async fn an_entry_that_is_missing_closes_its_class_and_is_named() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let (file, material) = write_externally(&*keys.keyring, &context).await;
    let health = KeyUse::Class(ColumnClass::Health);
    let without = material.iter().filter(|(key_use, _)| *key_use != health);
    let without = ExternalMaterial::new(without.map(|(key_use, wrapped)| (key_use, wrapped.clone())));
    let opened = opened(&keys, &context, &without.to_bytes().unwrap()).unwrap();
    let metadata = metadata(&file, &opened).unwrap();
    opened.require(metadata.metadata(), &[0, SITE]).await.unwrap();
    let error = opened
        .require(metadata.metadata(), &[CODE])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no key for health") && error.contains("a.parquet"),
        "{error}"
    );
}

/// Material of another file, of an older file of the same name, or with its entries exchanged.
#[tokio::test]
async fn swapped_material_is_tampered_with() {
    let keys = Keys::new().await;
    let (a, b) = (context("shard=0/a.parquet"), context("shard=1/b.parquet"));
    let (file, material) = write_externally(&*keys.keyring, &a).await;
    let (_, of_b) = write_externally(&*keys.keyring, &b).await;
    let reason = rows_or_reason(&file, &opened(&keys, &a, &of_b.to_bytes().unwrap()).unwrap()).unwrap_err();
    assert!(matches!(reason, KeyError::Tampered { .. }), "{reason}");

    // One entry of another file.
    let mut mixed = material.clone();
    let health = KeyUse::Class(ColumnClass::Health);
    mixed.replace(health, of_b.get(health).unwrap().clone());
    let mixed = opened(&keys, &a, &mixed.to_bytes().unwrap()).unwrap();
    let metadata = metadata(&file, &mixed).unwrap();
    let reason = mixed.require(metadata.metadata(), &[CODE]).await.unwrap_err();
    assert!(
        matches!(&reason, KeyError::Tampered { .. }) && reason.class() == Some(ColumnClass::Health),
        "{reason}"
    );
    mixed.require(metadata.metadata(), &[0, SITE]).await.unwrap();

    // Entries under each other's name.
    let mut crossed = material.clone();
    let plain = KeyUse::Class(ColumnClass::Plain);
    crossed.replace(health, material.get(plain).unwrap().clone());
    let reason = opened(&keys, &a, &crossed.to_bytes().unwrap()).unwrap_err().to_string();
    assert!(
        reason.contains("another use") && reason.contains("shard=0/a.parquet"),
        "{reason}"
    );
}

/// The material is authenticated by the master keys alone: a changed byte is refused by name, or it changed nothing.
#[tokio::test]
async fn no_edited_byte_of_the_material_changes_a_row() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let (file, material) = write_externally(&*keys.keyring, &context).await;
    let good = material.to_bytes().unwrap();
    let mut refused = 0;
    for position in 0..good.len() {
        let mut edited = good.clone();
        edited[position] ^= 1;
        let reason = match opened(&keys, &context, &edited) {
            Ok(opened) => rows_or_reason(&file, &opened).err(),
            Err(reason) => Some(reason),
        };
        // What may change without a word: labels that nobody reads, and bits that base64 does not use.
        if let Some(reason) = reason {
            let named = matches!(
                reason,
                KeyError::Material { .. } | KeyError::Tampered { .. } | KeyError::Unknown { .. }
            );
            assert!(named, "byte {position}: {reason}");
            refused += 1;
        }
    }
    assert!(refused * 10 > good.len() * 7, "{refused} of {} bytes", good.len());
}

#[tokio::test]
async fn keys_wrapped_anew_open_the_same_bytes_without_the_old_version() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let (file, old) = write_externally(&*keys.keyring, &context).await;
    assert_eq!(
        renewed(&keys, &context, &old).await,
        old,
        "nothing to do before a rotation"
    );
    for name in keys.keyring.names().await.unwrap() {
        keys.keyring.rotate(&name).await.unwrap();
    }
    let new = renewed(&keys, &context, &old).await;
    assert_eq!(renewed(&keys, &context, &new).await, new, "nothing to do twice");
    assert!(new.iter().all(|(_, wrapped)| wrapped.master.version == 2));
    // Both open while the old version is there, one after it has gone.
    for material in [&old, &new] {
        let opened = opened(&keys, &context, &material.to_bytes().unwrap()).unwrap();
        rows_or_reason(&file, &opened).unwrap();
    }
    // A footer that was decoded before opens with the new material, for the data keys are the same.
    let cache = cache(keys.keyring.clone());
    let known = FileKeys::new(cache.clone(), context.clone());
    known.supply(old.clone());
    let decoded = metadata(&file, &known).unwrap();
    for name in keys.keyring.names().await.unwrap() {
        keys.keyring.retire(&format!("{name}#1").parse().unwrap()).unwrap();
    }
    cache.forget_all();
    let reason = known.require(decoded.metadata(), &[CODE]).await.unwrap_err();
    assert!(matches!(reason, KeyError::Unknown { version: Some(1), .. }), "{reason}");
    assert!(known.supply(new.clone()) && !known.supply(new.clone()));
    known.require(decoded.metadata(), &[0, CODE, SITE]).await.unwrap();

    rows_or_reason(&file, &opened(&keys, &context, &new.to_bytes().unwrap()).unwrap()).unwrap();
    let reason = rows_or_reason(&file, &opened(&keys, &context, &old.to_bytes().unwrap()).unwrap()).unwrap_err();
    assert!(matches!(reason, KeyError::Unknown { version: Some(1), .. }), "{reason}");
}

#[tokio::test]
async fn a_lost_key_is_reported_and_nothing_is_wrapped() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let (_, material) = write_externally(&*keys.keyring, &context).await;
    let wrapped = material.get(KeyUse::Footer).unwrap();
    let current = keys.keyring.rotate(&footer_key("claims").unwrap()).await.unwrap();
    keys.keyring.retire(&wrapped.master).unwrap();
    let refused = external::rewrap(&*keys.keyring, &context, KeyUse::Footer, wrapped, &current).await;
    assert!(
        matches!(refused, Err(KeyError::Unknown { version: Some(1), .. })),
        "{refused:?}"
    );
    let forged = WrappedKey {
        master: current.clone(),
        text: wrapped.text.clone(),
    };
    let elsewhere = FileContext::new("claims", "dispensings", "b.parquet");
    let later = keys.keyring.rotate(&footer_key("claims").unwrap()).await.unwrap();
    let refused = external::rewrap(&*keys.keyring, &elsewhere, KeyUse::Footer, &forged, &later).await;
    assert!(matches!(refused, Err(KeyError::Tampered { .. })), "{refused:?}");
}
