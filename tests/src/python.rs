//! The Python of the tests: a virtual environment under the target directory with the pinned packages of
//! `tests/python/requirements.txt`, made once and used again until that file changes. `PARCOURS_PYTHON` names another
//! interpreter, which is then taken as it is. Scripts get no access to anything but their arguments.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{place, tool};

/// The interpreter with all packages, or `None` (reported) where Python 3.11 is missing.
///
/// Looked for in this order: `PARCOURS_PYTHON`; `<target>/venv`, brought up to date first.
pub fn interpreter() -> Result<Option<&'static Path>> {
    static INTERPRETER: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
    let found = INTERPRETER.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found
        .as_ref()
        .map(Option::as_deref)
        .map_err(|error| anyhow::anyhow!("{error}"))
}

/// Runs a script of `tests/python` and returns what it printed on standard output. An error shows all it said.
pub fn run<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> Result<String> {
    let output = start(script, arguments)?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "{script} ended with {}\n{out}\n{err}",
        output.status
    );
    Ok(out.into_owned())
}

/// Runs a script of `tests/python` to its end, whatever that is.
pub fn start<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> Result<Output> {
    let python = interpreter()?.context("no Python: a test must ask for the interpreter first")?;
    let mut command = Command::new(python);
    command.arg(place::tests().join("python").join(script)).args(arguments);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH");
    command.output().with_context(|| format!("cannot run {script}"))
}

fn find() -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("PARCOURS_PYTHON") {
        return Ok(Some(PathBuf::from(named)));
    }
    let venv = place::target()?.join("venv");
    let python = venv.join("bin/python");
    let lock = lock(&venv)?;
    if !python.is_file() && !create(&venv)? {
        return Ok(None);
    }
    bring_up_to_date(&venv)?;
    lock.unlock()?;
    Ok(Some(python))
}

/// Several test processes may want the environment at once: one makes it.
fn lock(venv: &Path) -> Result<File> {
    fs::create_dir_all(venv)?;
    let file = File::options()
        .create(true)
        .append(true)
        .open(venv.join("parcours.lock"))?;
    file.lock()?;
    Ok(file)
}

fn create(venv: &Path) -> Result<bool> {
    let remedy = "install Python 3.11 or newer with its venv module";
    let Some(base) = ["python3", "python3.13", "python3.12", "python3.11"]
        .iter()
        .find(|name| is_new_enough(name))
    else {
        tool::missing("Python 3.11", remedy)?;
        return Ok(false);
    };
    let status = Command::new(base).args(["-m", "venv"]).arg(venv).status()?;
    if !status.success() {
        tool::missing("Python's venv module", remedy)?;
    }
    Ok(status.success())
}

fn is_new_enough(name: &str) -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 11))";
    Command::new(name)
        .args(["-c", check])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Installs the packages unless the environment was last made from the same list.
fn bring_up_to_date(venv: &Path) -> Result<()> {
    let requirements = place::tests().join("python/requirements.txt");
    let digest = Sha256::digest(fs::read(&requirements)?);
    let wanted: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let stamp = venv.join("requirements.sha256");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    let python = venv.join("bin/python");
    let output = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "-r"])
        .arg(&requirements)
        .output()?;
    if !output.status.success() {
        bail!(
            "pip could not install the packages:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::write(stamp, wanted).context("cannot note what the Python packages were made from")
}
