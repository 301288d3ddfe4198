//! The sources that there are now beside those that were loaded before: which are new, changed or gone. A source is known by
//! its bytes, and as often as it was loaded: a copy of a known file adds nothing, while two equal files of one load are two.

use std::collections::{BTreeSet, HashMap};

use crate::source::{SourceFile, SourcePrint};
use crate::version::SourceRecord;

/// A source that there is now.
pub(super) type Source = (SourceFile, SourcePrint);

/// The sources of one table.
pub(super) struct Sources<'a> {
    pub(super) now: &'a [Source],
    /// Those that were loaded before.
    pub(super) known: &'a [SourceRecord],
}

impl<'a> Sources<'a> {
    /// Returns what has to be loaded beside the rows of `kept`, which are some of those known: sources that were never loaded,
    /// and as many of the others as were loaded and are not kept.
    pub(super) fn beside(&self, kept: &[SourceRecord]) -> Vec<&'a Source> {
        let times = |records: &[SourceRecord], print| records.iter().filter(|record| record.is_of(print)).count();
        let is_built_anew = |(file, print): &Source| {
            let stands_here = |record: &&SourceRecord| record.path == file.url.as_str() && record.is_of(print);
            self.known.iter().any(|record| stands_here(&record)) && !kept.iter().any(|record| stands_here(&record))
        };
        // Of equal files, those that stand where they were loaded from are loaded again.
        let mut order: Vec<usize> = (0..self.now.len()).collect();
        order.sort_by_key(|at| !is_built_anew(&self.now[*at]));
        let (mut taken, mut chosen) = (HashMap::new(), BTreeSet::new());
        for at in order {
            let print = &self.now[at].1;
            let known = times(self.known, print);
            let taken: &mut usize = taken.entry(print).or_default();
            if known == 0 || *taken < known - times(kept, print) {
                *taken += 1;
                chosen.insert(at);
            }
        }
        chosen.into_iter().map(|at| &self.now[at]).collect()
    }

    /// Returns what was loaded from paths that now hold other bytes. Files that were given each other's names are not
    /// changed, unless the bytes that one of them had are nowhere any more.
    pub(super) fn changed(&self) -> Vec<&'a SourceRecord> {
        let is_known = |print: &SourcePrint| self.known.iter().any(|record| record.is_of(print));
        let is_there = |record: &SourceRecord| self.now.iter().any(|(_, print)| record.is_of(print));
        let before = |(file, print): &Source| {
            let record = self
                .known
                .iter()
                .rev()
                .find(|record| record.path == file.url.as_str())?;
            let is_lost = !is_known(print) || !is_there(record);
            (is_lost && !record.is_of(print)).then_some(record)
        };
        self.now.iter().filter_map(before).collect()
    }

    /// Returns what was loaded from sources that are no longer there, neither under their path nor as a copy that stands for
    /// no other one.
    pub(super) fn missing(&self) -> Vec<&'a SourceRecord> {
        let mut free: Vec<bool> = vec![true; self.now.len()];
        let mut elsewhere = Vec::new();
        for record in self.known {
            match self.now.iter().position(|(file, _)| file.url.as_str() == record.path) {
                Some(at) => free[at] &= !record.is_of(&self.now[at].1),
                None => elsewhere.push(record),
            }
        }
        elsewhere.retain(|record| {
            let copy = (0..free.len()).find(|at| free[*at] && record.is_of(&self.now[*at].1));
            if let Some(at) = copy {
                free[at] = false;
            }
            copy.is_none()
        });
        elsewhere
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use url::Url;

    use super::*;

    fn print(bytes: &str) -> SourcePrint {
        SourcePrint {
            sha256: bytes.to_owned(),
            folders: Vec::new(),
        }
    }

    fn now(files: &[(&str, &str)]) -> Vec<Source> {
        let file = |(path, bytes): &(&str, &str)| {
            let file = SourceFile {
                url: Url::parse(&format!("file:///{path}")).unwrap(),
                size: 1,
                etag: None,
            };
            (file, print(bytes))
        };
        files.iter().map(file).collect()
    }

    fn known(files: &[(&str, &str, u64)]) -> Vec<SourceRecord> {
        let record = |(path, bytes, version): &(&str, &str, u64)| SourceRecord {
            path: format!("file:///{path}"),
            sha256: (*bytes).to_owned(),
            folders: Vec::new(),
            version: *version,
            reading: None,
            rejected: 0,
        };
        files.iter().map(record).collect()
    }

    fn names(sources: Vec<&Source>) -> Vec<&str> {
        sources.into_iter().map(|(file, _)| &file.url.path()[1..]).collect()
    }

    fn paths(records: Vec<&SourceRecord>) -> Vec<&str> {
        records.into_iter().map(|record| &record.path[8..]).collect()
    }

    #[test]
    fn a_copy_of_a_known_file_is_never_loaded_beside_it() {
        let (now, known) = (now(&[("a", "1"), ("copy", "1"), ("new", "2")]), known(&[("a", "1", 1)]));
        let sources = Sources {
            now: &now,
            known: &known,
        };
        assert_eq!(names(sources.beside(&known)), ["new"]);
        // Built anew, the file itself is loaded, and its copy is not.
        assert_eq!(names(sources.beside(&[])), ["a", "new"]);
        assert!(sources.missing().is_empty() && sources.changed().is_empty());
    }

    #[test]
    fn two_equal_files_of_one_load_are_two_and_one_of_them_can_be_missing() {
        let known = known(&[("a", "1", 1), ("b", "1", 1), ("c", "3", 2)]);
        let both = now(&[("a", "1"), ("b", "1")]);
        let sources = Sources {
            now: &both,
            known: &known,
        };
        assert_eq!(names(sources.beside(&known[2..])), ["a", "b"]);
        assert_eq!(paths(sources.missing()), ["c"]);
        let one = now(&[("a", "1")]);
        let sources = Sources {
            now: &one,
            known: &known,
        };
        assert_eq!(names(sources.beside(&known[2..])), ["a"]);
        assert_eq!(paths(sources.missing()), ["b", "c"]);
    }

    #[test]
    fn a_moved_file_is_there_and_a_copy_stands_for_one_only() {
        let known = known(&[("old/a", "1", 1), ("old/b", "1", 1)]);
        let moved = now(&[("new/a", "1"), ("new/b", "1")]);
        assert!(
            Sources {
                now: &moved,
                known: &known
            }
            .missing()
            .is_empty()
        );
        let half = now(&[("new/a", "1")]);
        assert_eq!(
            paths(
                Sources {
                    now: &half,
                    known: &known
                }
                .missing()
            ),
            ["old/b"]
        );
    }

    #[test]
    fn bytes_that_are_nowhere_any_more_are_changed() {
        let known = known(&[("a", "1", 1), ("b", "2", 1)]);
        let changed = |files: &[(&str, &str)]| {
            let now = now(files);
            let records = Sources {
                now: &now,
                known: &known,
            }
            .changed();
            paths(records).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(changed(&[("a", "3"), ("b", "2")]), ["a"]);
        assert_eq!(changed(&[("a", "2"), ("b", "2")]), ["a"]);
        assert!(changed(&[("a", "2"), ("b", "1")]).is_empty());
        assert!(changed(&[("a", "1"), ("b", "2")]).is_empty());
    }

    #[test]
    fn of_equal_files_those_are_loaded_again_that_are_not_kept() {
        let known = known(&[("a", "1", 1), ("b", "1", 2)]);
        let now = now(&[("a", "1"), ("b", "1")]);
        let sources = Sources {
            now: &now,
            known: &known,
        };
        assert_eq!(names(sources.beside(&known[..1])), ["b"]);
        assert_eq!(names(sources.beside(&known[1..])), ["a"]);
    }
}
