//! Where a data file belongs: the bytes that tie a file, and each of its wrapped keys, to its place.
//!
//! Both the Parquet AAD prefix and the additional data of every wrapped key are made here, so that a file moved to
//! another place of another dataset, or a key moved into another file, does not open.

use std::fmt;

use crate::name::KeyUse;

const DOMAIN: &[u8] = b"parcours-file-1";

/// The place of a data file. A reader derives it from the path it was told to read, never from the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileContext {
    /// The dataset's name.
    pub dataset: String,
    /// The table's name.
    pub table: String,
    /// The file's path inside the table's folder, as the table's log writes it (`shard=3/part-….parquet`).
    pub file: String,
}

impl FileContext {
    /// The context of `file` in `table` of `dataset`.
    pub fn new(dataset: impl Into<String>, table: impl Into<String>, file: impl Into<String>) -> Self {
        Self {
            dataset: dataset.into(),
            table: table.into(),
            file: file.into(),
        }
    }

    /// Unambiguous bytes: `parcours-file-1`, then dataset, table and file, each after its length as u32 big-endian.
    ///
    /// They are the file's AAD prefix and are stored, readable, in the file.
    pub fn aad(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        for part in [&self.dataset, &self.table, &self.file] {
            push_part(&mut bytes, part.as_bytes());
        }
        bytes
    }

    /// Additional data of a wrapped data key: [`FileContext::aad`], then the key's use, with its length before it.
    pub fn wrap_aad(&self, key_use: KeyUse) -> Vec<u8> {
        let mut bytes = self.aad();
        push_part(&mut bytes, key_use.as_str().as_bytes());
        bytes
    }
}

impl fmt::Display for FileContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "file {} of table {} in dataset {}",
            self.file, self.table, self.dataset
        )
    }
}

/// Appends `part` after its length as u32 big-endian.
pub(crate) fn push_part(bytes: &mut Vec<u8>, part: &[u8]) {
    // A length beyond u32 saturates: such a part cannot exist in memory beside its twin.
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_share_their_bytes() {
        let places = [
            ("ab", "c", "d"),
            ("a", "bc", "d"),
            ("a", "b", "cd"),
            ("", "abc", "d"),
            ("abcd", "", ""),
        ];
        let bytes: std::collections::HashSet<_> = places
            .iter()
            .map(|(dataset, table, file)| FileContext::new(*dataset, *table, *file).aad())
            .collect();
        assert_eq!(bytes.len(), places.len());
        let context = FileContext::new("a", "b", "c");
        let uses: std::collections::HashSet<_> = KeyUse::all().map(|key_use| context.wrap_aad(key_use)).collect();
        assert_eq!(uses.len(), 5);
    }
}
