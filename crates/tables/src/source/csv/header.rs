//! The header of a CSV file: the names of its columns.

use super::super::error::SourceError;
use super::rows::Rows;
use crate::spec::Table;

/// The names in the first row; `trailing` if a delimiter stands behind the last.
pub(super) fn names(rows: &Rows, file: &str, trailing: bool) -> Result<Vec<String>, SourceError> {
    if rows.len() == 0 {
        return Err(SourceError::NoHeader { file: file.to_owned() });
    }
    let name = |field: &[u8]| {
        std::str::from_utf8(field)
            .map(str::to_owned)
            .map_err(|_| SourceError::Encoding {
                file: file.to_owned(),
                found: "its header is not".to_owned(),
            })
    };
    let mut names: Vec<String> = rows.first().map(name).collect::<Result<_, _>>()?;
    let last_is_empty = names.len() > 1 && names.last().is_some_and(String::is_empty);
    match (trailing, last_is_empty) {
        (true, true) => names.truncate(names.len() - 1),
        (true, false) => return Err(SourceError::NoTrailingDelimiter { file: file.to_owned() }),
        (false, true) => return Err(SourceError::TrailingDelimiter { file: file.to_owned() }),
        (false, false) => {}
    }
    Ok(names)
}

/// Refuses a header of one name that holds what others delimit fields with.
pub(super) fn check_delimiter(names: &[String], table: &Table, file: &str) -> Result<(), SourceError> {
    let [name] = names else { return Ok(()) };
    let expected = char::from(table.csv.delimiter);
    let is_column = table
        .columns
        .iter()
        .any(|column| column.from.as_ref().unwrap_or(&column.name) == name);
    let found = [';', ',', '\t', '|'].into_iter().find(|other| name.contains(*other));
    match found.filter(|_| !is_column) {
        None => Ok(()),
        Some(found) => Err(SourceError::OtherDelimiter {
            file: file.to_owned(),
            expected,
            found,
        }),
    }
}
