//! Values that a file has by where it lies, of folders such as `year=2023/month=01`, which Hive, Spark and pandas leave out
//! of the files in them, and by its name, such as `open_damir_2023.csv`. Columns that a file lacks have their value here,
//! too: NULL.

use arrow::array::{ArrayRef, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::error::ArrowError;
use percent_encoding::percent_decode_str;
use url::Url;

use super::error::{Reason, SourceError};
use super::file::SourceFile;
use super::marks::Marks;
use super::rule::{Rule, Rules};
use super::{check, parse};
use crate::spec::{Column, FileName, Table};
use crate::store::Stores;

/// What Hive and Spark call the folder of rows whose value is NULL.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// For every column of a table the value that one file's folders or its name give it, as an array of one row.
pub(super) struct FolderValues(Vec<Option<ArrayRef>>);

impl FolderValues {
    /// Reads the values of the folders that `file`, a URL, lies in, and of its name.
    pub(super) fn of(table: &Table, rules: &Rules, file: &str) -> Result<Self, SourceError> {
        let pairs = table.columns.iter().zip(&rules.columns);
        let values = pairs.map(|(column, rule)| {
            let Some(text) = text(table, column, file)? else {
                return Ok(None);
            };
            value(table, column, rule, file, text.as_deref()).map(Some)
        });
        values.collect::<Result<_, _>>().map(Self)
    }

    /// The column of so many rows of the file: the value of its folder or its name, or NULL.
    pub(super) fn column(&self, rule: &Rule, rows: usize) -> Result<ArrayRef, ArrowError> {
        match self.0.get(rule.index) {
            Some(Some(value)) => take(value, &UInt32Array::from_value(0, rows), None),
            _ => Ok(new_null_array(&rule.column_type.data_type(), rows)),
        }
    }
}

/// What tells a source from the others of its table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourcePrint {
    /// SHA-256 of its bytes, lowercase hexadecimal.
    pub sha256: String,
    /// The folders that columns come from, such as `year=2021`, and likewise what they have of the file's name: the same
    /// bytes in another folder are other rows.
    pub folders: Vec<String>,
}

impl SourcePrint {
    /// Reads a source of `table` once.
    pub(crate) async fn of(table: &Table, file: &SourceFile, stores: &Stores) -> Result<Self, SourceError> {
        let mut folders = Vec::new();
        for column in &table.columns {
            let text = text(table, column, file.url.as_str())?;
            let name = column.folder.as_ref().unwrap_or(&column.name);
            folders.extend(text.map(|text| format!("{name}={}", text.as_deref().unwrap_or(NULL_FOLDER))));
        }
        let sha256 = file.fingerprint(stores).await?.sha256;
        Ok(Self { sha256, folders })
    }
}

/// The text of the folder or the name that a column comes from, `None` inside for NULL; nothing for a column that comes from
/// neither, or may be missing and is.
fn text(table: &Table, column: &Column, file: &str) -> Result<Option<Option<String>>, SourceError> {
    match (&column.folder, &column.file) {
        (Some(folder), _) => text_of_folder(table, column, folder, file),
        (None, Some(pattern)) => Ok(text_of_name(table, column, pattern, file)?.map(Some)),
        (None, None) => Ok(None),
    }
}

/// What a pattern reads in the name of a file.
fn text_of_name(table: &Table, column: &Column, pattern: &FileName, file: &str) -> Result<Option<String>, SourceError> {
    let url = Url::parse(file).ok();
    let name = url.as_ref().and_then(|url| url.path_segments()?.next_back());
    let name = percent_decode_str(name.unwrap_or_default()).decode_utf8_lossy();
    let (file, table, of, written) = (
        file.to_owned(),
        table.name.clone(),
        column.name.clone(),
        pattern.to_string(),
    );
    let mut values = pattern.values(&name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(Some(value.to_owned())),
        (None, _) if column.optional => Ok(None),
        (None, _) => Err(SourceError::NoFileName {
            file,
            table,
            column: of,
            pattern: written,
        }),
        (Some(_), Some(_)) => Err(SourceError::FileNameOpen {
            file,
            table,
            column: of,
            pattern: written,
        }),
    }
}

fn text_of_folder(
    table: &Table,
    column: &Column,
    folder: &str,
    file: &str,
) -> Result<Option<Option<String>>, SourceError> {
    let url = Url::parse(file).ok();
    let mut folders: Vec<&str> = url.iter().flat_map(|url| url.path_segments()).flatten().collect();
    folders.pop();
    // A name may stand further up as well, where the dataset itself lies.
    let found = folders.iter().rev().find_map(|segment| value_in(segment, folder));
    match found {
        Some(text) if text.is_empty() || text == NULL_FOLDER => Ok(Some(None)),
        Some(text) => Ok(Some(Some(text))),
        None if column.optional => Ok(None),
        None => Err(SourceError::NoFolder {
            file: file.to_owned(),
            table: table.name.clone(),
            column: column.name.clone(),
            folder: folder.to_owned(),
        }),
    }
}

/// The value in a folder `name=value` of a URL. Its characters are escaped once for the URL, and before that once by whoever
/// named the folder, since values may hold any.
fn value_in(segment: &str, name: &str) -> Option<String> {
    let segment = percent_decode_str(segment).decode_utf8().ok()?;
    let (found, value) = segment.split_once('=')?;
    let value = percent_decode_str(value).decode_utf8().ok()?;
    (found == name).then(|| value.into_owned())
}

/// The text as a value of its column, held to what the description says of it.
fn value(table: &Table, column: &Column, rule: &Rule, file: &str, text: Option<&str>) -> Result<ArrayRef, SourceError> {
    let mut marks = Marks::default();
    let array = match text {
        None => new_null_array(&rule.column_type.data_type(), 1),
        Some(text) => {
            let cells = [text.as_bytes()];
            parse::column(&cells[..], rule.column_type, &rule.notation, rule.index, &mut marks)
        }
    };
    let checked = check::column(array, rule, &mut marks).map_err(|source| SourceError::Build {
        file: file.to_owned(),
        source,
    });
    match marks.iter().next() {
        None => checked,
        Some((_, _, reason)) => Err(no_value(table, column, file, reason)),
    }
}

/// The folder or the name has no value of the column.
fn no_value(table: &Table, column: &Column, file: &str, reason: Reason) -> SourceError {
    let (file, table, column_name) = (file.to_owned(), table.name.clone(), column.name.clone());
    match &column.file {
        None => SourceError::FolderValue {
            file,
            table,
            column: column_name,
            folder: column.folder.clone().unwrap_or_default(),
            reason,
        },
        Some(pattern) => SourceError::FileNameValue {
            file,
            table,
            column: column_name,
            pattern: pattern.to_string(),
            reason,
        },
    }
}
