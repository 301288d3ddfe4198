//! Makes what was written to a local folder survive a power cut: the object store's local client renames files into place
//! but leaves flushing to the system. Object stores elsewhere answer only when their bytes are safe, and need nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error as StoreFailure, ObjectStore, ObjectStoreExt};
use url::Url;
use uuid::Uuid;

/// Flushes the file at `path`, and the folders above it up to that of `root`, if `root` is local.
pub(crate) async fn sync(root: &Url, path: &Path) -> io::Result<()> {
    if root.scheme() != "file" {
        return Ok(());
    }
    let (top, file) = (local_folder(root)?, local_file(path)?);
    let synced = tokio::task::spawn_blocking(move || {
        File::open(&file)?.sync_all()?;
        sync_folders(&top, &file)
    });
    synced.await.map_err(io::Error::other)?
}

/// Puts `bytes` at `path` in one step: whoever reads finds what was there before or the new bytes, whole, at any moment
/// and after a power cut.
///
/// In a local folder the object store's own client would rename a file whose bytes may not be on disk yet, so this is done
/// by hand; the temporary name is the client's, which its listings hide and vacuum knows.
pub(crate) async fn replace(
    root: &Url,
    store: &dyn ObjectStore,
    path: &Path,
    bytes: Bytes,
) -> object_store::Result<()> {
    if root.scheme() != "file" {
        return store.put(path, bytes.into()).await.map(|_| ());
    }
    let failed = |source: io::Error| StoreFailure::Generic {
        store: "local",
        source: Box::new(source),
    };
    let (top, file) = (local_folder(root).map_err(failed)?, local_file(path).map_err(failed)?);
    let replaced = tokio::task::spawn_blocking(move || {
        let Some(folder) = file.parent() else {
            return Err(io::Error::other("not inside a folder"));
        };
        let is_new = !folder.exists();
        std::fs::create_dir_all(folder)?;
        replace_file(&file, &bytes)?;
        match is_new {
            true => sync_folders(&top, &file),
            false => File::open(folder)?.sync_all(),
        }
    });
    replaced.await.map_err(io::Error::other).flatten().map_err(failed)
}

fn replace_file(file: &FilePath, bytes: &[u8]) -> io::Result<()> {
    let mut staged = file.as_os_str().to_owned();
    staged.push(format!("#{}", Uuid::new_v4().as_u128()));
    let staged = PathBuf::from(staged);
    let done = write_synced(&staged, bytes, file).and_then(|()| std::fs::rename(&staged, file));
    if done.is_err() {
        // What is left of it is found by vacuum.
        let _ = std::fs::remove_file(&staged);
    }
    done
}

/// Writes a new file to disk, with the permissions of the one that it is to replace.
fn write_synced(staged: &FilePath, bytes: &[u8], replaced: &FilePath) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(staged)?;
    if let Ok(there) = std::fs::metadata(replaced) {
        file.set_permissions(there.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Flushes the folders above `file`, up to the one that holds `top`.
fn sync_folders(top: &FilePath, file: &FilePath) -> io::Result<()> {
    let inside = |folder: &&FilePath| folder.starts_with(top) || Some(*folder) == top.parent();
    file.ancestors()
        .skip(1)
        .take_while(inside)
        .try_for_each(|folder| File::open(folder)?.sync_all())
}

fn local_folder(root: &Url) -> io::Result<PathBuf> {
    root.to_file_path()
        .map_err(|()| io::Error::other("not an absolute path"))
}

fn local_file(path: &Path) -> io::Result<PathBuf> {
    LocalFileSystem::new()
        .path_to_filesystem(path)
        .map_err(io::Error::other)
}
