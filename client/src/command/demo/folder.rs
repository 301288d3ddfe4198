//! Where a demo's files lie, and what becomes of them. A folder that is not the demo's own is never written into, and
//! nothing outside it is touched.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::exit::Failure;

/// The file that says a folder was made by a demo, and may be emptied by the next one.
const MARK: &str = ".parcours-demo";

/// The demo's folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    removed_at_the_end: bool,
}

impl Folder {
    /// The folder named, emptied if an earlier demo left it; else a new temporary one. Mode 0700.
    pub fn make(named: Option<&Path>, keep: bool) -> Result<Self, Failure> {
        let path = match named {
            Some(path) => own(path)?,
            None => tempfile::Builder::new()
                .prefix("parcours-demo-")
                .tempdir()
                .context("cannot make a temporary folder, use --dir")?
                .keep(),
        };
        let folder = Self {
            path,
            removed_at_the_end: named.is_none() && !keep,
        };
        fs::write(
            folder.path.join(MARK),
            "made by parcours demo, which may empty this folder\n",
        )?;
        for part in [folder.logs(), folder.source(), folder.tables()] {
            fs::create_dir(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        Ok(folder)
    }

    /// Whether it stays after the demo.
    pub fn is_kept(&self) -> bool {
        !self.removed_at_the_end
    }

    /// The folder itself, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// The development PKI.
    pub fn pki(&self) -> PathBuf {
        self.at("pki")
    }

    /// What the processes say.
    pub fn logs(&self) -> PathBuf {
        self.at("logs")
    }

    /// The generated rows, in plain Parquet.
    pub fn source(&self) -> PathBuf {
        self.at("source")
    }

    /// The encrypted tables.
    pub fn tables(&self) -> PathBuf {
        self.at("tables")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Work that was interrupted may still write a last file here.
        for _ in 0..20 {
            if !self.removed_at_the_end || fs::remove_dir_all(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("could not remove {}", self.path.display());
    }
}

/// A named folder: new, empty, or an earlier demo's, which is emptied.
fn own(path: &Path) -> Result<PathBuf, Failure> {
    let unusable = || format!("cannot use {}", path.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(unusable)?;
    let path = path.canonicalize().with_context(unusable)?;
    let is_empty = fs::read_dir(&path).with_context(unusable)?.next().is_none();
    if !is_empty && !path.join(MARK).is_file() {
        let message = format!(
            "{} holds files that no demo made, choose another folder",
            path.display()
        );
        return Err(Failure::Usage(message));
    }
    for entry in fs::read_dir(&path).with_context(unusable)? {
        let entry = entry.with_context(unusable)?;
        let removed = match entry.file_type().with_context(unusable)?.is_dir() {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        };
        removed.with_context(|| format!("cannot empty {}", path.display()))?;
    }
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_someone_else_is_left_alone() {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("thesis.tex"), "years of work").unwrap();
        assert!(matches!(Folder::make(Some(other.path()), true), Err(Failure::Usage(_))));
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_earlier_demo_is_emptied_and_the_folder_stays() {
        let place = tempfile::tempdir().unwrap();
        let named = place.path().join("demo");
        drop(Folder::make(Some(&named), false).unwrap());
        fs::write(named.join("tables/old"), "old").unwrap();
        let folder = Folder::make(Some(&named), false).unwrap();
        assert!(folder.is_kept() && !named.join("tables/old").exists() && folder.tables().is_dir());
    }

    #[test]
    fn a_temporary_folder_goes_unless_kept() {
        let folder = Folder::make(None, false).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
        let folder = Folder::make(None, true).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(path.exists());
        fs::remove_dir_all(path).unwrap();
    }
}
