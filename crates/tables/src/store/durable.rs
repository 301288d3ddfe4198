//! Makes what was written to a local folder survive a power cut: the object store's local client renames files into place
//! but leaves flushing to the system. Object stores elsewhere answer only when their bytes are safe, and need nothing.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use url::Url;

/// Flushes the file at `path`, and the folders above it up to that of `root`, if `root` is local.
pub(crate) async fn sync(root: &Url, path: &Path) -> io::Result<()> {
    if root.scheme() != "file" {
        return Ok(());
    }
    let top = root
        .to_file_path()
        .map_err(|()| io::Error::other("not an absolute path"))?;
    let file: PathBuf = LocalFileSystem::new()
        .path_to_filesystem(path)
        .map_err(io::Error::other)?;
    let synced = tokio::task::spawn_blocking(move || {
        let inside = |folder: &&std::path::Path| folder.starts_with(&top) || Some(*folder) == top.parent();
        File::open(&file)?.sync_all()?;
        file.ancestors()
            .skip(1)
            .take_while(inside)
            .try_for_each(|folder| File::open(folder)?.sync_all())
    });
    synced.await.map_err(io::Error::other)?
}
