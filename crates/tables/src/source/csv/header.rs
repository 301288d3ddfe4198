//! The header of a CSV file: the names of its columns.

use super::super::error::SourceError;
use super::rows::Rows;

/// The names in the first row.
pub(super) fn names(rows: &Rows, file: &str) -> Result<Vec<String>, SourceError> {
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
    rows.first().map(name).collect()
}
