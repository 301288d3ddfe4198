//! Encrypted data files against Parquet's own reader: what opens, what does not, and what an attacker may try.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sample;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parcours_keys::{
    ColumnClass, DataKey, FileContext, FileKeys, KeyError, KeyService, MasterKeyId, MasterKeyName, WrappedKey,
    check_columns, column_class, decryption_properties, encryption_properties,
};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;

use sample::{Keys, MARKERS, ROWS, batch, cache, classes, contains, context, metadata, options, read, read_all};

const CODE: usize = 3;
const ACTS: usize = 5;
const SITE: usize = 6;

#[tokio::test]
async fn rows_come_back_with_one_unwrap_per_class() {
    let keys = Keys::new().await;
    let context = context("shard=0/a.parquet");
    let file = sample::write_encrypted(&*keys.keyring, &context).await;
    let cache = cache(keys.keyring.clone());
    let opened = FileKeys::new(cache.clone(), context.clone());
    assert_eq!(read_all(&file, &opened).unwrap(), batch());
    assert_eq!(cache.counters().unwraps, 5, "one per class and one for the footer");
    assert_eq!(
        read_all(&file, &FileKeys::new(cache.clone(), context.clone())).unwrap(),
        batch()
    );
    assert_eq!(cache.counters().unwraps, 5, "none when warm");
    let plain_call = decryption_properties(cache, context).unwrap();
    let options = ArrowReaderOptions::new().with_file_decryption_properties(plain_call);
    assert_eq!(read(&file, options, &[]).unwrap(), batch());
}

#[tokio::test]
async fn no_value_or_name_shows_and_the_search_would_find_it() {
    let keys = Keys::new().await;
    let file = sample::write_encrypted(&*keys.keyring, &context("a.parquet")).await;
    let plain = sample::write(WriterProperties::builder().build());
    for (class, marker) in MARKERS {
        assert!(contains(&plain, marker), "the search must find {class} in a plain copy");
        assert!(!contains(&file, marker), "{class} shows in the encrypted file");
    }
    for (path, _) in classes() {
        let name = path.split('.').next().unwrap().as_bytes();
        assert!(
            name == b"acts" || name == b"site" || contains(&plain, name) && !contains(&file, name),
            "{path}"
        );
    }
}

#[tokio::test]
async fn bloom_filters_are_turned_off() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let asked = || {
        let builder = WriterProperties::builder().set_bloom_filter_enabled(true);
        builder.set_column_bloom_filter_enabled("diagnosis_code".into(), true)
    };
    let plain = sample::write(asked().build());
    let reader = ParquetRecordBatchReaderBuilder::try_new(plain).unwrap();
    assert!(
        reader
            .metadata()
            .row_group(0)
            .column(CODE)
            .bloom_filter_offset()
            .is_some()
    );

    let properties = encryption_properties(&*keys.keyring, &context, &classes())
        .await
        .unwrap();
    let file = sample::write(parcours_keys::apply(asked(), properties).build());
    let opened = FileKeys::new(cache(keys.keyring.clone()), context);
    let metadata = metadata(&file, &opened).unwrap();
    for group in metadata.metadata().row_groups() {
        assert!(
            group
                .columns()
                .iter()
                .all(|column| column.bloom_filter_offset().is_none())
        );
    }
}

#[tokio::test]
async fn a_swapped_or_renamed_file_does_not_open() {
    let keys = Keys::new().await;
    let file = sample::write_encrypted(&*keys.keyring, &context("shard=0/a.parquet")).await;
    let cache = cache(keys.keyring.clone());
    let places = [
        FileContext::new("claims", "dispensings", "shard=1/a.parquet"),
        FileContext::new("claims", "stays", "shard=0/a.parquet"),
        FileContext::new("other", "dispensings", "shard=0/a.parquet"),
    ];
    for place in places {
        let opened = FileKeys::new(cache.clone(), place.clone());
        assert!(read_all(&file, &opened).is_err(), "{place}");
        let denial = opened.denial();
        if place.dataset == "claims" {
            assert!(matches!(denial, Some(KeyError::Tampered { .. })), "{denial:?}");
        }
    }
}

/// Were a key to leak, the prefix alone still ties a file to its place: Parquet takes the reader's over the stored one.
#[tokio::test]
async fn the_expected_prefix_wins_over_the_stored_one() {
    let keys = Keys::new().await;
    let right = context("a.parquet");
    let properties = encryption_properties(&*keys.keyring, &right, &classes()).await.unwrap();
    let file = sample::write(parcours_keys::apply(WriterProperties::builder(), properties.clone()).build());
    let open = |prefix: Option<Vec<u8>>| {
        let options = ArrowReaderOptions::new().with_file_decryption_properties(raw_keys(&properties, prefix));
        read(&file, options, &[])
    };
    assert_eq!(
        open(None).unwrap(),
        batch(),
        "the stored prefix serves readers that expect none"
    );
    assert_eq!(open(Some(right.aad())).unwrap(), batch());
    assert!(open(Some(context("b.parquet").aad())).is_err());
}

fn raw_keys(properties: &FileEncryptionProperties, prefix: Option<Vec<u8>>) -> Arc<FileDecryptionProperties> {
    let mut builder = FileDecryptionProperties::builder(properties.footer_key().clone());
    let (names, keys, _) = properties.column_keys();
    builder = builder
        .with_column_keys(names.iter().map(String::as_str).collect(), keys)
        .unwrap();
    if let Some(prefix) = prefix {
        builder = builder.with_aad_prefix(prefix);
    }
    builder.build().unwrap()
}

/// A flipped byte fails the read or changes nothing. Silent ones are few: Parquet has length words that it does not
/// look at, our stored prefix and the labels of the key material.
#[tokio::test]
async fn no_flipped_byte_changes_a_row() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let file = sample::write_encrypted(&*keys.keyring, &context).await;
    let cache = cache(keys.keyring.clone());
    let (mut silent, mut refused) = (0, 0);
    for position in (0..file.len()).filter(|position| position % 13 == 0 || position + 64 > file.len()) {
        let mut flipped = file.to_vec();
        flipped[position] ^= 0x10;
        let opened = FileKeys::new(cache.clone(), context.clone());
        match read_all(&flipped.into(), &opened) {
            Ok(rows) => {
                assert_eq!(rows, batch(), "byte {position} of {} changed a row", file.len());
                silent += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(
        refused > 1000 && silent * 20 < refused,
        "{silent} silent, {refused} refused"
    );
}

#[tokio::test]
async fn a_denied_class_fails_only_what_reads_it_and_is_named() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let file = sample::write_encrypted(&*keys.keyring, &context).await;
    let cache = cache(keys.without(ColumnClass::Health));
    let opened = FileKeys::new(cache.clone(), context.clone());

    let others = read(&file, options(&opened, PageIndexPolicy::Skip), &[0, 1, 2, SITE]).unwrap();
    assert_eq!(others, batch().project(&[0, 1, 2, SITE]).unwrap());
    let metadata = metadata(&file, &opened).unwrap();
    opened.require(metadata.metadata(), &[0, 1, 2, SITE]).await.unwrap();

    for column in [CODE, ACTS] {
        read(&file, options(&opened, PageIndexPolicy::Skip), &[column]).unwrap_err();
        let required = opened.require(metadata.metadata(), &[column]).await.unwrap_err();
        for denial in [opened.denial().unwrap(), cache.last_denial(&context).unwrap(), required] {
            assert!(denial.is_denial() && !denial.is_passing());
            assert_eq!(
                (denial.class(), denial.dataset()),
                (Some(ColumnClass::Health), Some("claims"))
            );
            assert!(
                denial.to_string().starts_with("class health of dataset claims"),
                "{denial}"
            );
        }
    }
    assert_eq!(FileKeys::locked_columns(metadata.metadata()), [3, 4, 5]);
}

/// Parquet's page index is all columns or none: a denied class closes it, so a reader that may be denied skips it.
#[tokio::test]
async fn the_page_index_needs_every_class() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let file = sample::write_encrypted(&*keys.keyring, &context).await;
    let opened = FileKeys::new(cache(keys.without(ColumnClass::Health)), context);
    for policy in [PageIndexPolicy::Required, PageIndexPolicy::Optional] {
        assert!(read(&file, options(&opened, policy), &[SITE]).is_err(), "{policy:?}");
        assert_eq!(opened.denial().unwrap().class(), Some(ColumnClass::Health));
    }
    read(&file, options(&opened, PageIndexPolicy::Skip), &[SITE]).unwrap();
}

#[tokio::test]
async fn the_footer_key_alone_shows_no_statistics() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let file = sample::write_encrypted(&*keys.keyring, &context).await;
    let full = FileKeys::new(cache(keys.keyring.clone()), context.clone());
    let narrow = FileKeys::new(cache(keys.without(ColumnClass::Health)), context);
    let column = |opened: &Arc<FileKeys>| {
        metadata(&file, opened)
            .unwrap()
            .metadata()
            .row_group(0)
            .column(CODE)
            .clone()
    };
    assert!(column(&full).statistics().is_some());
    assert!(column(&narrow).statistics().is_none());
    assert_eq!(
        column_class(&column(&narrow)),
        Some(ColumnClass::Health),
        "the class of a closed column is known"
    );
}

/// Parquet reads a plaintext file without a word although keys were given: `require` does not.
#[tokio::test]
async fn a_plaintext_file_in_the_place_of_ours_is_refused() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let forged = sample::write(WriterProperties::builder().build());
    let opened = FileKeys::new(cache(keys.keyring.clone()), context.clone());
    let metadata = metadata(&forged, &opened).unwrap();
    let error = opened.require(metadata.metadata(), &[0]).await.unwrap_err().to_string();
    assert!(error.contains("not encrypted"), "{error}");

    // Encrypted, but one column left in clear.
    let mut short = classes();
    short.retain(|(path, _)| path != "site");
    let properties = encryption_properties(&*keys.keyring, &context, &short).await.unwrap();
    let file = sample::write(
        WriterProperties::builder()
            .with_file_encryption_properties(properties)
            .build(),
    );
    assert!(contains(&file, b"SITE-MARKER"), "this is what a gap in the list does");
    let opened = FileKeys::new(cache(keys.keyring.clone()), context.clone());
    let metadata = sample::metadata(&file, &opened).unwrap();
    assert!(opened.require(metadata.metadata(), &[SITE]).await.is_err());
    opened.require(metadata.metadata(), &[0, CODE]).await.unwrap();
    let schema = ArrowSchemaConverter::new().convert(&batch().schema()).unwrap();
    let error = check_columns(&context, &schema, &short).unwrap_err().to_string();
    assert!(error.contains("column site has no class"), "{error}");
    check_columns(&context, &schema, &classes()).unwrap();
}

#[tokio::test]
async fn doubtful_column_lists_are_refused() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let twice = [
        ("site".to_owned(), ColumnClass::Plain),
        ("site".to_owned(), ColumnClass::Health),
    ];
    for list in [&[][..], &twice[..]] {
        assert!(encryption_properties(&*keys.keyring, &context, list).await.is_err());
    }
    let elsewhere = FileContext::new("unknown", "t", "a.parquet");
    let error = encryption_properties(&*keys.keyring, &elsewhere, &classes())
        .await
        .unwrap_err();
    assert!(error.is_denial() && error.dataset() == Some("unknown"), "{error}");
}

/// The keyring, unplugged at will for one class.
#[derive(Debug)]
struct Unplugged {
    keys: Arc<dyn KeyService>,
    down: AtomicBool,
}

#[async_trait]
impl KeyService for Unplugged {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        self.keys.wrap(name, key, aad).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        let health = wrapped.master.name.class() == Some(ColumnClass::Health);
        if health && self.down.load(Ordering::SeqCst) {
            return Err(KeyError::Unavailable {
                reason: "unplugged".to_owned(),
            });
        }
        self.keys.unwrap(wrapped, aad).await
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.keys.current(name).await
    }
}

/// Parquet leaves a column's metadata empty when its key is out of reach; read when the key is back, the column looks
/// like no rows, without an error. `require` is what stands between that and a wrong answer.
#[tokio::test]
async fn metadata_decoded_without_a_key_is_not_taken_for_whole() {
    let keys = Keys::new().await;
    let context = context("a.parquet");
    let file: Bytes = sample::write_encrypted(&*keys.keyring, &context).await;
    let service = Arc::new(Unplugged {
        keys: keys.keyring.clone(),
        down: AtomicBool::new(true),
    });
    let opened = FileKeys::new(cache(service.clone()), context);
    let stale = metadata(&file, &opened).unwrap();
    let error = opened.require(stale.metadata(), &[CODE]).await.unwrap_err();
    assert!(
        error.is_passing() && matches!(error, KeyError::Unavailable { .. }),
        "{error}"
    );

    service.down.store(false, Ordering::SeqCst);
    let error = opened.require(stale.metadata(), &[0, CODE]).await.unwrap_err();
    assert!(
        error.is_passing() && matches!(error, KeyError::StaleFooter { .. }),
        "{error}"
    );
    let stale_reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), stale);
    let mask = ProjectionMask::roots(stale_reader.parquet_schema(), [CODE]);
    let stale_rows: Vec<_> = stale_reader.with_projection(mask).build().unwrap().collect();
    assert!(
        stale_rows
            .into_iter()
            .map_while(Result::ok)
            .map(|rows| rows.num_rows())
            .sum::<usize>()
            < ROWS
    );

    let fresh = metadata(&file, &opened).unwrap();
    opened.require(fresh.metadata(), &[0, CODE]).await.unwrap();
    assert!(opened.denial().is_none());
    assert_eq!(read_all(&file, &opened).unwrap().num_rows(), ROWS);
}
