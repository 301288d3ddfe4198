//! Turns the files of a loaded dataset into what loads wrote before key material lay outside: the same rows at the same
//! places, their key material inside. Logs and versions are told the new sizes.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::file::properties::WriterProperties;
use parcours_keys::{
    CacheOptions, ColumnClass, ExternalMaterial, FileContext, FileKeys, UnwrapCache, apply, encryption_properties,
    material_file_name,
};
use parcours_tables::TableSnapshot;
use serde_json::Value;

use super::Sandbox;

impl Sandbox {
    /// Where the key material of a local data file lies.
    pub fn beside(&self, data_file: &Path) -> PathBuf {
        let name = data_file.file_name().unwrap().to_str().unwrap();
        data_file.with_file_name(material_file_name(name))
    }

    /// The place of a local data file.
    pub fn context(&self, table: &str, data_file: &Path) -> FileContext {
        let folder = self.dir.path().join("tables/claims").join(table);
        let file = data_file.strip_prefix(folder).unwrap().to_str().unwrap();
        FileContext::new("claims", table, file)
    }

    /// The keys of a local data file, with what lies beside it.
    fn file_keys(&self, table: &str, file: &Path) -> Arc<FileKeys> {
        let context = self.context(table, file);
        let beside = std::fs::read(self.beside(file)).unwrap();
        let cache = UnwrapCache::new(Arc::clone(&self.keys), CacheOptions::default());
        let keys = FileKeys::new(cache, context.clone());
        keys.supply(ExternalMaterial::from_bytes(&beside, &context).unwrap());
        keys
    }

    /// Where the page index of a local data file lies.
    pub fn page_index(&self, table: &str, file: &Path) -> Range<usize> {
        let keys = self.file_keys(table, file);
        let options = ArrowReaderOptions::new().with_file_decryption_properties(keys.properties().unwrap());
        let bytes = bytes::Bytes::from(std::fs::read(file).unwrap());
        let metadata = ArrowReaderMetadata::load(&bytes, options).unwrap();
        let groups = metadata.metadata().row_groups().iter();
        let columns = groups.flat_map(|group| group.columns());
        let offsets = columns.flat_map(|column| [column.column_index_offset(), column.offset_index_offset()]);
        let length: [u8; 4] = bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap();
        let footer = bytes.len() - 8 - u32::from_le_bytes(length) as usize;
        offsets.flatten().min().unwrap() as usize..footer
    }

    /// Moves the key material of all files of these tables inside.
    pub async fn move_material_inside(&self, tables: &[&str]) {
        let snapshot = self.snapshot().await;
        for name in tables {
            let table = snapshot.table(name).unwrap();
            let mut bytes = 0;
            for file in self.data_files(name) {
                let size = self.write_again(table, &file, |rows| rows).await;
                self.tell_log(name, &file, size);
                bytes += size;
            }
            self.tell_version(name, bytes);
        }
    }

    /// Puts other rows into a local data file, at its place and under the dataset's keys, and tells the logs its size, but
    /// not what has become of its rows.
    pub async fn falsify(&self, table: &str, file: &Path, change: impl FnOnce(RecordBatch) -> RecordBatch) {
        let snapshot = self.snapshot().await;
        let before = std::fs::metadata(file).unwrap().len();
        let size = self.write_again(snapshot.table(table).unwrap(), file, change).await;
        self.tell_log(table, file, size);
        self.tell_version(table, snapshot.table(table).unwrap().bytes() - before + size);
    }

    /// Lets two local data files of a table change places, with their key material, and tells the log their sizes: an
    /// attacker with write access to the store and no key can do no more.
    pub fn change_places(&self, table: &str, one: &Path, other: &Path) {
        let aside = self.dir.path().join("aside");
        for (a, b) in [
            (one.to_path_buf(), other.to_path_buf()),
            (self.beside(one), self.beside(other)),
        ] {
            std::fs::rename(&a, &aside).unwrap();
            std::fs::rename(&b, &a).unwrap();
            std::fs::rename(&aside, &b).unwrap();
        }
        for file in [one, other] {
            self.tell_log(table, file, std::fs::metadata(file).unwrap().len());
        }
    }

    async fn write_again(
        &self,
        table: &Arc<TableSnapshot>,
        file: &Path,
        change: impl FnOnce(RecordBatch) -> RecordBatch,
    ) -> u64 {
        let keys = self.file_keys(table.name(), file);
        let options = ArrowReaderOptions::new().with_file_decryption_properties(keys.properties().unwrap());
        let bytes = bytes::Bytes::from(std::fs::read(file).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
        let schema = Arc::clone(reader.schema());
        let classes: Vec<(String, ColumnClass)> = schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), table.class_of(field.name()).unwrap()))
            .collect();
        let encryption = encryption_properties(self.keys.as_ref(), keys.context(), &classes)
            .await
            .unwrap();
        let properties = apply(
            WriterProperties::builder().set_max_row_group_row_count(Some(100)),
            encryption,
        )
        .build();
        let rows: Vec<RecordBatch> = reader.build().unwrap().map(|rows| rows.unwrap()).collect();
        let rows = change(concat_batches(&schema, &rows).unwrap());
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        let written = writer.into_inner().unwrap();
        std::fs::write(file, &written).unwrap();
        std::fs::remove_file(self.beside(file)).unwrap();
        written.len() as u64
    }

    fn tell_log(&self, table: &str, file: &Path, size: u64) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let log = self.dir.path().join("tables/claims").join(table).join("_delta_log");
        for entry in std::fs::read_dir(log).unwrap() {
            let path = entry.unwrap().path();
            let mut text = String::new();
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let mut action: Value = serde_json::from_str(line).unwrap();
                if action["add"]["path"].as_str().is_some_and(|path| path.ends_with(name)) {
                    action["add"]["size"] = size.into();
                }
                text += &format!("{action}\n");
            }
            std::fs::write(path, text).unwrap();
        }
    }

    fn tell_version(&self, table: &str, bytes: u64) {
        let path = self
            .dir
            .path()
            .join("tables/claims/_versions")
            .join(format!("{:020}.json", 1));
        let mut version: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        version["tables"][table]["bytes"] = bytes.into();
        std::fs::write(path, version.to_string()).unwrap();
    }
}
