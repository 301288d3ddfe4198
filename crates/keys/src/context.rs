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

    /// Reads what [`FileContext::wrap_aad`] wrote: the place of a file, and the use of one of its keys. None for any other
    /// bytes.
    pub fn of_wrap_aad(aad: &[u8]) -> Option<(Self, KeyUse)> {
        let mut rest = aad.strip_prefix(DOMAIN)?;
        let mut next = || {
            let (part, after) = take_part(rest)?;
            rest = after;
            Some(part)
        };
        let context = Self::new(next()?, next()?, next()?);
        let key_use = next()?;
        let key_use = KeyUse::all().find(|known| known.as_str() == key_use)?;
        rest.is_empty().then_some((context, key_use))
    }
}

/// The text that [`push_part`] wrote first, and what comes after it.
fn take_part(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(part).ok()?, rest))
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

    #[test]
    fn a_place_and_a_use_are_read_as_they_were_written() {
        let context = FileContext::new("claims", "stay", "shard=3/part-1.parquet");
        for key_use in KeyUse::all() {
            let aad = context.wrap_aad(key_use);
            assert_eq!(FileContext::of_wrap_aad(&aad), Some((context.clone(), key_use)));
            for cut in 0..aad.len() {
                assert_eq!(FileContext::of_wrap_aad(&aad[..cut]), None, "{cut}");
            }
            let longer = [aad.as_slice(), b"x"].concat();
            assert_eq!(FileContext::of_wrap_aad(&longer), None);
        }
        assert_eq!(FileContext::of_wrap_aad(b"place"), None);
        let mut unknown = context.aad();
        push_part(&mut unknown, b"everything");
        assert_eq!(FileContext::of_wrap_aad(&unknown), None);
    }
}
