//! Where in a specification something stands: the file, the line and the column, both counted from 1.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A position in a specification, shown as `claims.toml:12:5`, or `line 12` when the text came from no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, when there is one.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a byte range of `text`.
    pub(super) fn of(file: Option<&Path>, text: &str, span: Range<usize>) -> Self {
        let before = text.get(..span.start.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.map(Path::to_path_buf),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}:{}", file.display(), self.line, self.column),
            None => write!(f, "line {}", self.line),
        }
    }
}
