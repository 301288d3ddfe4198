//! What of a table is built anew. Files say which loads brought their rows, so that the rows of loads whose sources have
//! changed are read again and all others stay, also those of sources that were archived since.

use std::collections::BTreeSet;

use crate::delta::LoggedFile;

/// The rows that are built anew from their sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Anew {
    Nothing,
    /// Those that these loads brought, which are versions of the dataset.
    Loads(BTreeSet<u64>),
    All,
}

impl Anew {
    /// The rows of these loads, and of all that share a file with them: compaction puts rows of several loads into one. Of
    /// files that earlier versions of Parcours wrote, nobody knows: all rows.
    pub(super) fn of_loads<'a>(mut loads: BTreeSet<u64>, files: impl Iterator<Item = &'a LoggedFile> + Clone) -> Self {
        if loads.is_empty() {
            return Self::Nothing;
        }
        if files.clone().any(|file| file.loads.is_empty()) {
            return Self::All;
        }
        loop {
            let shared = files.clone().filter(|file| !file.loads.is_disjoint(&loads));
            let all: BTreeSet<u64> = shared.flat_map(|file| &file.loads).chain(&loads).copied().collect();
            if all == loads {
                return Self::Loads(loads);
            }
            loads = all;
        }
    }

    /// Whether the rows are built anew that the load of version `load` brought.
    pub(super) fn has(&self, load: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Loads(loads) => loads.contains(&load),
            Self::All => true,
        }
    }

    /// Whether the rows of a file are built anew.
    pub(super) fn has_rows_of(&self, file: &LoggedFile) -> bool {
        match self {
            Self::Nothing => false,
            Self::Loads(loads) => !file.loads.is_disjoint(loads),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(loads: &[u64]) -> LoggedFile {
        LoggedFile {
            path: format!("{loads:?}.parquet"),
            shard: None,
            size: 1,
            rows: 1,
            stats: String::new(),
            loads: loads.iter().copied().collect(),
        }
    }

    #[test]
    fn loads_that_share_files_are_built_anew_together() {
        let files = [file(&[1, 2]), file(&[2, 3]), file(&[4])];
        let anew = |loads: &[u64]| Anew::of_loads(loads.iter().copied().collect(), files.iter());
        assert_eq!(anew(&[]), Anew::Nothing);
        assert_eq!(anew(&[1]), Anew::Loads([1, 2, 3].into()));
        assert_eq!(anew(&[4]), Anew::Loads([4].into()));
        // A load whose sources had no row has no file.
        assert_eq!(anew(&[5]), Anew::Loads([5].into()));
        let kept: Vec<bool> = files.iter().map(|file| !anew(&[4]).has_rows_of(file)).collect();
        assert_eq!(kept, [true, true, false]);
        assert!(anew(&[3]).has(1) && !anew(&[3]).has(4));
    }

    #[test]
    fn where_a_file_does_not_say_its_loads_all_rows_are_built_anew() {
        let files = [file(&[1]), file(&[])];
        assert_eq!(Anew::of_loads([1].into(), files.iter()), Anew::All);
        assert_eq!(Anew::of_loads(BTreeSet::new(), files.iter()), Anew::Nothing);
    }
}
