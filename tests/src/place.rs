//! Where things are: the repository, the target directory this test was built into, the shared test data, and the
//! `parcours` binary, which is brought up to date once a test process by asking cargo. Nothing is guessed from the
//! current directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

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

/// The `parcours` binary of this build: `PARCOURS_BIN`, or what `cargo build -p parcours` makes in this profile.
///
/// Cargo does nothing when the binary is fresh, so a run of this package alone never tests an old one.
pub fn parcours() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find_parcours().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn find_parcours() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("PARCOURS_BIN") {
        let named = PathBuf::from(named);
        ensure!(
            named.is_file(),
            "PARCOURS_BIN names {}, which is not a file",
            named.display()
        );
        return Ok(named);
    }
    build_parcours()?;
    let built = profile_dir()?.join("parcours");
    ensure!(built.is_file(), "cargo built no {}", built.display());
    Ok(built)
}

fn build_parcours() -> Result<()> {
    let profile = profile_dir()?;
    let release = match profile.file_name().and_then(|name| name.to_str()) {
        Some("release") => true,
        Some("debug") => false,
        _ => bail!(
            "{} is neither the release nor the debug profile: name the binary in PARCOURS_BIN",
            profile.display()
        ),
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "parcours", "--bin", "parcours"])
        .current_dir(repository());
    cargo
        .args(release.then_some("--release"))
        .env("CARGO_TARGET_DIR", target()?);
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo could not build the parcours binary");
    Ok(())
}
