//! Where things are: the repository, the target directory this test was built into, the shared test data, and the
//! `parcours` binary of the same build. Nothing is guessed from the current directory.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};

use crate::tool;

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The folder of this package: scripts, queries and dataset descriptions are under it.
pub fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `<target>/<profile>`, found from the running test's own path (`<target>/<profile>/deps/<test>`).
pub fn profile_dir() -> Result<PathBuf> {
    let test = std::env::current_exe().context("the running test has no path")?;
    let dir = test.parent().and_then(Path::parent);
    dir.map(Path::to_path_buf)
        .with_context(|| format!("{} is not inside a target directory", test.display()))
}

/// The target directory.
pub fn target() -> Result<PathBuf> {
    let profile = profile_dir()?;
    profile
        .parent()
        .map(Path::to_path_buf)
        .context("the target directory has no parent")
}

/// A folder under the target directory for what tests write, made when missing.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let dir = target()?.join("parcours-tests").join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The public test data (`claims`, `omop`): `PARCOURS_DATA`, or `shared/data` beside the repository.
///
/// `None` when it is not there; with `CI=true` that is an error.
pub fn data() -> Result<Option<PathBuf>> {
    let dir = match std::env::var_os("PARCOURS_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => repository().join("../shared/data"),
    };
    if dir.join("claims/bene.csv").is_file() {
        return Ok(Some(dir.canonicalize()?));
    }
    tool::missing(
        "the test data",
        "put it in ../shared/data or name its folder in PARCOURS_DATA",
    )?;
    Ok(None)
}

/// Returns the `parcours` binary of this build: the one that `PARCOURS_BIN` names, or the one that cargo left beside this test.
///
/// No test builds anything. The test command builds the binary before the first test runs.
///
/// # Errors
/// When there is none, or when a source file is newer than it: another program than the one at hand would be tested.
pub fn parcours() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find_parcours().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn find_parcours() -> Result<PathBuf> {
    let named = std::env::var_os("PARCOURS_BIN").map(PathBuf::from);
    let binary = match named {
        Some(named) => named,
        None => profile_dir()?.join("parcours"),
    };
    ensure!(
        binary.is_file(),
        "{} is missing: build it with `{BUILD}`, or name a binary in PARCOURS_BIN",
        binary.display()
    );
    let built = binary.metadata()?.modified()?;
    if let Some(newer) = newer_source(&repository(), built)? {
        bail!(
            "{} is older than {}: build it with `{BUILD}`",
            binary.display(),
            newer.display()
        );
    }
    Ok(binary)
}

/// Builds the binary as the test command does, so that cargo finds it fresh.
const BUILD: &str = "cargo test --release --workspace --no-run";

/// Returns a source file of the binary that was changed after `built`, if there is one.
fn newer_source(repository: &Path, built: SystemTime) -> Result<Option<PathBuf>> {
    let folders = ["client/src", "crates", "executor/src", "scheduler/src"];
    let mut left: Vec<PathBuf> = folders.map(|folder| repository.join(folder)).into();
    left.push(repository.join("Cargo.lock"));
    while let Some(path) = left.pop() {
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "tests") {
                for entry in path.read_dir()? {
                    left.push(entry?.path());
                }
            }
        } else if path.metadata()?.modified()? > built {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
