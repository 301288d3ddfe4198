//! Known values of the synthetic patients, to be searched for in the bytes of files. The same search must find each of
//! them in a plain copy of the same rows; otherwise finding none in the encrypted files would prove nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use arrow::array::{Array, StringArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use memchr::memmem::Finder;
use parcours_synthetic::{Class, TableShape, tables};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::folder::Folder;
use crate::exit::Failure;

/// Rows of each table that values are taken from.
const ROWS: usize = 4096;
/// Values taken from each column.
const VALUES: usize = 3;
/// Shorter values could be found anywhere by chance.
const SHORTEST: usize = 5;
/// From this length on a value is searched for as it is; shorter ones as Parquet stores them, after their length.
const DISTINCTIVE: usize = 8;

/// Values to search for.
pub struct Needles {
    needles: Vec<Needle>,
    /// The rows they were taken from, as plain Parquet files in memory.
    plain_copies: Vec<Vec<u8>>,
}

struct Needle {
    class: Class,
    finder: Finder<'static>,
}

impl Needles {
    /// Takes values of every text column of the generated files.
    pub fn take(folder: &Folder) -> Result<Self, Failure> {
        let mut taken = Self {
            needles: Vec::new(),
            plain_copies: Vec::new(),
        };
        for table in tables() {
            let rows = first_rows(&folder.source().join(table.name))?;
            taken.add(table, &rows);
            taken.plain_copies.push(plain_copy(&rows)?);
        }
        Ok(taken)
    }

    fn add(&mut self, table: &TableShape, rows: &RecordBatch) {
        for column in table.columns.iter().filter(|column| column.data_type == DataType::Utf8) {
            let values = rows
                .column_by_name(column.name)
                .and_then(|values| values.as_any().downcast_ref::<StringArray>());
            let values: BTreeSet<&str> = values
                .into_iter()
                .flat_map(StringArray::iter)
                .flatten()
                .filter(|text| text.len() >= SHORTEST)
                .collect();
            let needle = |text: &&str| Needle {
                class: column.class,
                finder: Finder::new(&as_stored(text)).into_owned(),
            };
            self.needles.extend(values.iter().take(VALUES).map(needle));
        }
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.needles.len()
    }

    /// The classes they belong to.
    pub fn classes(&self) -> BTreeSet<&'static str> {
        self.needles.iter().map(|needle| needle.class.as_str()).collect()
    }

    /// How many of them occur in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> usize {
        self.needles
            .iter()
            .filter(|needle| needle.finder.find(bytes).is_some())
            .count()
    }

    /// As [`Needles::found_in`], without those of the class `plain`, which a table's log may hold.
    pub fn sensitive_found_in(&self, bytes: &[u8]) -> usize {
        let sensitive = self.needles.iter().filter(|needle| needle.class != Class::Plain);
        sensitive.filter(|needle| needle.finder.find(bytes).is_some()).count()
    }

    /// How many of them occur in the plain copy: all, if the search is worth anything.
    pub fn found_in_plain_copy(&self) -> usize {
        let is_there = |needle: &&Needle| self.plain_copies.iter().any(|file| needle.finder.find(file).is_some());
        self.needles.iter().filter(is_there).count()
    }
}

/// A value as Parquet's plain encoding holds it: four bytes of length, then the text.
fn as_stored(text: &str) -> Vec<u8> {
    match (u32::try_from(text.len()), text.len() >= DISTINCTIVE) {
        (Ok(length), false) => [&length.to_le_bytes()[..], text.as_bytes()].concat(),
        _ => text.as_bytes().to_vec(),
    }
}

fn first_rows(table: &Path) -> Result<RecordBatch, Failure> {
    let unreadable = || format!("cannot read the generated rows in {}", table.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(table)
        .with_context(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(unreadable)?;
    files.sort();
    for path in files {
        let file = File::open(path).with_context(unreadable)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).with_context(unreadable)?;
        let mut reader = reader.with_batch_size(ROWS).build().with_context(unreadable)?;
        if let Some(rows) = reader.next() {
            return Ok(rows.with_context(unreadable)?);
        }
    }
    Err(anyhow!("no generated rows in {}", table.display()).into())
}

fn plain_copy(rows: &RecordBatch) -> Result<Vec<u8>, Failure> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .build();
    let mut bytes = Vec::new();
    let written = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties))
        .and_then(|mut writer| writer.write(rows).and_then(|()| writer.close()));
    written.context("cannot make a plain copy to compare with")?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use parcours_synthetic::Population;

    #[test]
    fn every_class_has_values_and_all_are_found_in_the_plain_copy_only() {
        let folder = Folder::make(None, false).unwrap();
        let population = Population {
            patients: 300,
            seed: 5,
            years: 2021..=2023,
        };
        population.write_parquet(&folder.source(), |_| {}).unwrap();
        let needles = Needles::take(&folder).unwrap();
        assert_eq!(
            needles.classes(),
            BTreeSet::from(["health", "identity", "plain", "quasi"])
        );
        assert_eq!(needles.found_in_plain_copy(), needles.count());
        assert_eq!(needles.found_in(&[0; 4096]), 0);
    }
}
