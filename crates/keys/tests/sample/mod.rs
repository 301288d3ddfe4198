//! A small table with a known value of every class, written encrypted and in clear.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::compute::concat_batches;
use bytes::Bytes;
use parcours_keys::{
    CacheOptions, ColumnClass, ExternalMaterial, FileContext, FileKeys, KeyService, Keyring, Unlock, UnwrapCache,
    create_key_file, encryption_properties, ensure_dataset_keys, external_encryption,
};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter, ProjectionMask};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

/// Bytes that a plain file shows: per class, values as they are stored, and the name of a column.
pub const MARKERS: [(&str, &[u8]); 7] = [
    ("identity", b"PSEUDO-00042"),
    ("quasi", b"COMMUNE-MARKER"),
    ("quasi number", &0x5eed_cafe_i32.to_le_bytes()),
    ("health", b"CODE-MARKER-E11"),
    ("health number", &0x0123_4567_89ab_cdef_i64.to_le_bytes()),
    ("nested health", b"ACT-MARKER"),
    ("plain", b"SITE-MARKER"),
];

pub const ROWS: usize = 400;

/// A keyring with the keys of dataset `claims`.
pub struct Keys {
    pub dir: TempDir,
    pub keyring: Arc<Keyring>,
}

impl Keys {
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let key_file = dir.path().join("key");
        create_key_file(&key_file).unwrap();
        let keyring = Keyring::create(dir.path().join("keyring"), Unlock::key_file(key_file)).unwrap();
        ensure_dataset_keys(&keyring, "claims").await.unwrap();
        Self {
            dir,
            keyring: Arc::new(keyring),
        }
    }

    /// A keyring without the keys of `class`.
    pub fn without(&self, class: ColumnClass) -> Arc<Keyring> {
        let mut only = vec![parcours_keys::footer_key("claims").unwrap()];
        let others = ColumnClass::ALL.into_iter().filter(|other| *other != class);
        only.extend(others.map(|other| parcours_keys::class_key("claims", other).unwrap()));
        let path: PathBuf = self.dir.path().join(format!("keyring-without-{class}"));
        Arc::new(
            self.keyring
                .export(path, Unlock::key_file(self.dir.path().join("key")), &only)
                .unwrap(),
        )
    }
}

pub fn context(file: &str) -> FileContext {
    FileContext::new("claims", "dispensings", file)
}

pub fn batch() -> RecordBatch {
    let text =
        |make: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..ROWS).map(make))) };
    let mut acts = ListBuilder::new(StringBuilder::new());
    for row in 0..ROWS {
        acts.append_value((0..row % 3).map(|_| Some("ACT-MARKER")));
    }
    let years = (0..ROWS).map(|row| {
        if row % 50 == 0 {
            0x5eed_cafe
        } else {
            1930 + row as i32 % 70
        }
    });
    let amounts = (0..ROWS).map(|row| (row % 7 != 0).then_some(0x0123_4567_89ab_cdef_i64));
    let columns: [(&str, ArrayRef); 6] = [
        ("patient_pseudonym", text(&|row| format!("PSEUDO-{row:05}"))),
        ("commune", text(&|row| format!("COMMUNE-MARKER-{}", row % 11))),
        ("birth_year", Arc::new(Int32Array::from_iter_values(years))),
        ("diagnosis_code", text(&|row| format!("CODE-MARKER-E11-{}", row % 5))),
        ("amount", Arc::new(amounts.collect::<Int64Array>())),
        ("acts", Arc::new(acts.finish())),
    ];
    let site = ("site", text(&|_| "SITE-MARKER".to_owned()));
    RecordBatch::try_from_iter(columns.into_iter().chain([site])).unwrap()
}

/// Every leaf column with its class.
pub fn classes() -> Vec<(String, ColumnClass)> {
    let schema = ArrowSchemaConverter::new().convert(&batch().schema()).unwrap();
    let class = |root: &str| match root {
        "patient_pseudonym" => ColumnClass::Identity,
        "commune" | "birth_year" => ColumnClass::Quasi,
        "diagnosis_code" | "amount" | "acts" => ColumnClass::Health,
        "site" => ColumnClass::Plain,
        other => panic!("{other}"),
    };
    let leaves = schema
        .columns()
        .iter()
        .map(|leaf| (leaf.path().string(), class(&leaf.path().parts()[0])));
    leaves.collect()
}

pub fn write(properties: WriterProperties) -> Bytes {
    let batch = batch();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    for start in [0, ROWS / 2] {
        writer.write(&batch.slice(start, ROWS / 2)).unwrap();
        writer.flush().unwrap();
    }
    writer.into_inner().unwrap().into()
}

pub async fn write_encrypted(keys: &dyn KeyService, context: &FileContext) -> Bytes {
    let properties = encryption_properties(keys, context, &classes()).await.unwrap();
    write(
        parcours_keys::apply(
            WriterProperties::builder().set_data_page_row_count_limit(64),
            properties,
        )
        .build(),
    )
}

/// The file, and the key material that lies beside it.
pub async fn write_externally(keys: &dyn KeyService, context: &FileContext) -> (Bytes, ExternalMaterial) {
    let encryption = external_encryption(keys, context, &classes()).await.unwrap();
    let builder = WriterProperties::builder().set_data_page_row_count_limit(64);
    let file = write(parcours_keys::apply(builder, encryption.properties).build());
    (file, encryption.material)
}

pub fn cache(service: Arc<dyn KeyService>) -> Arc<UnwrapCache> {
    UnwrapCache::new(service, CacheOptions::default())
}

pub fn options(keys: &Arc<FileKeys>, index: PageIndexPolicy) -> ArrowReaderOptions {
    let options = ArrowReaderOptions::new().with_file_decryption_properties(keys.properties().unwrap());
    options.with_page_index_policy(index)
}

pub fn metadata(file: &Bytes, keys: &Arc<FileKeys>) -> ParquetResult<ArrowReaderMetadata> {
    ArrowReaderMetadata::load(file, options(keys, PageIndexPolicy::Skip))
}

/// Reads root columns, or all of them.
pub fn read(file: &Bytes, options: ArrowReaderOptions, columns: &[usize]) -> ParquetResult<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options)?;
    let mask = match columns {
        [] => ProjectionMask::all(),
        some => ProjectionMask::roots(builder.parquet_schema(), some.iter().copied()),
    };
    let reader = builder.with_projection(mask).build()?;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

pub fn read_all(file: &Bytes, keys: &Arc<FileKeys>) -> ParquetResult<RecordBatch> {
    read(file, options(keys, PageIndexPolicy::Required), &[])
}

pub fn contains(file: &[u8], marker: &[u8]) -> bool {
    file.windows(marker.len()).any(|window| window == marker)
}
