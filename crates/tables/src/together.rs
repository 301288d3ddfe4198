//! Several files of a shard under one name, on their way through a plan.
//!
//! A shard that was loaded month by month has a file of each month, every one in order. DataFusion declares an order only
//! for groups of one file, and what reads one file after the other has none. So a plan names the files of a shard as one,
//! in order ([`together`]); the executor, which opens every scan itself, finds them again ([`apart`]) and merges them. The
//! name is made of their names and sizes, and means nothing to a store:
//!
//! ```text
//! claims/stay/shard=0003/part-1.parquet~2048+part-2.parquet~512
//! ```

use object_store::path::Path;

/// Stands between a file's name and its size.
const SIZE: char = '~';
/// Stands between files.
const NEXT: char = '+';

/// One name for files of one folder, given with their sizes; none if a name cannot be written so.
pub(crate) fn together<'a>(files: impl IntoIterator<Item = (&'a Path, u64)>) -> Option<Path> {
    let (mut folder, mut names) = (None, Vec::new());
    for (path, size) in files {
        let (here, name) = path.as_ref().rsplit_once('/')?;
        if *folder.get_or_insert(here) != here || name.contains([SIZE, NEXT]) {
            return None;
        }
        names.push(format!("{name}{SIZE}{size}"));
    }
    Path::parse(format!("{}/{}", folder?, names.join(&NEXT.to_string()))).ok()
}

/// The files behind such a name, with their sizes; none if it is the name of one file.
pub(crate) fn apart(path: &Path) -> Option<Vec<(Path, u64)>> {
    let (folder, names) = path.as_ref().rsplit_once('/')?;
    if !names.contains(SIZE) {
        return None;
    }
    let one = |name: &str| {
        let (name, size) = name.split_once(SIZE)?;
        Some((Path::parse(format!("{folder}/{name}")).ok()?, size.parse().ok()?))
    };
    names.split(NEXT).map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_are_found_again() {
        let files = ["d/t/shard=0003/part-a.parquet", "d/t/shard=0003/part-b.parquet"].map(Path::from);
        let name = together(files.iter().zip([7, 12])).unwrap();
        assert_eq!(name.as_ref(), "d/t/shard=0003/part-a.parquet~7+part-b.parquet~12");
        let [first, second] = files.clone();
        assert_eq!(apart(&name).unwrap(), [(first, 7), (second, 12)]);
        assert_eq!(apart(&files[0]), None);
    }

    #[test]
    fn files_of_other_folders_stay_apart() {
        let files = ["d/t/shard=0003/part-a.parquet", "d/t/shard=0004/part-b.parquet"].map(Path::from);
        assert_eq!(together(files.iter().zip([7, 12])), None);
    }
}
