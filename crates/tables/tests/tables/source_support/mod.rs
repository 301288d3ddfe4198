//! What the tests of sources share: a dataset in a folder of its own, and its rows.
#![allow(dead_code)]

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use parcours_tables::source::{self, ReadOptions, SourceError};
use parcours_tables::spec::{Dataset, Table};
use parcours_tables::store::Stores;
use tempfile::TempDir;

/// A dataset of one table `t` with patient id `id` over the file `t.csv` in a folder of its own.
pub struct Fixture {
    pub folder: TempDir,
    pub dataset: Dataset,
    pub stores: Stores,
}

impl Fixture {
    /// `columns` and `options` are TOML; the patient id is described already.
    pub fn csv(content: impl AsRef<[u8]>, columns: &str, options: &str) -> Self {
        Self::of("t.csv", content, columns, options)
    }

    /// The same over another file.
    pub fn of(file: &str, content: impl AsRef<[u8]>, columns: &str, options: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        let text = format!(
            "name = \"d\"\npatient_id = \"id\"\nshards = 2\n[[tables]]\nname = \"t\"\nsources = [\"{file}\"]\n{options}\n\
             columns = [{{ name = \"id\", class = \"identity\", type = \"utf8\" }}, {columns}]\n"
        );
        let dataset = Dataset::parse(&text, folder.path(), &|_| None).unwrap();
        Self {
            folder,
            dataset,
            stores: Stores::default(),
        }
    }

    pub fn table(&self) -> &Table {
        &self.dataset.tables[0]
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The batches of the table's files.
    pub async fn batches(&self, options: ReadOptions) -> Result<Vec<RecordBatch>, SourceError> {
        let mut batches = Vec::new();
        let files = source::expand(&self.stores, self.table()).await?;
        let schema = source::resolve_schema(&self.stores, self.table(), &files).await?;
        for file in &files {
            let stream = source::read(&self.stores, self.table(), schema.clone(), file, options.clone())?;
            batches.extend(stream.try_collect::<Vec<_>>().await?);
        }
        batches.iter().for_each(|batch| assert_eq!(batch.schema(), schema));
        Ok(batches)
    }

    /// The rows as texts, `∅` for NULL.
    pub async fn rows(&self, options: ReadOptions) -> Result<Vec<Vec<String>>, SourceError> {
        Ok(self.batches(options).await?.iter().flat_map(rows).collect())
    }

    /// The message of the error that reading ends in.
    pub async fn error(&self) -> String {
        let error = self.rows(ReadOptions::default()).await.unwrap_err();
        error
            .to_string()
            .replace(&format!("file://{}/", self.folder.path().display()), "")
    }
}

/// A batch's rows as texts, `∅` for NULL.
pub fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("∅");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect())
        .collect()
}

/// All batches as one.
pub fn joined(batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(&batches[0].schema(), batches).unwrap()
}

/// The folder of public test data, or `None` where it is not; with `CI=true` it must be there.
pub fn data() -> Option<std::path::PathBuf> {
    let named = std::env::var_os("PARCOURS_TEST_DATA").map(Into::into);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    if folder.join("claims/bene.csv").is_file() {
        return Some(folder.canonicalize().unwrap());
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        !ci,
        "put the test data in ../shared/data or name its folder in PARCOURS_TEST_DATA"
    );
    eprintln!("no test data: put it in ../shared/data or name its folder in PARCOURS_TEST_DATA");
    None
}
