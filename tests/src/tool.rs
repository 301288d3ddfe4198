//! What happens when a tool or a file that a test needs is not on this machine: on a laptop the test says so loudly and
//! does nothing; where `CI=true` it fails. Nothing here installs anything: `.ci/run` does.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};

/// Whether this is a run of continuous integration, where nothing may be skipped.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Reports something missing. An error in continuous integration, otherwise a line on standard error.
pub fn missing(what: &str, remedy: &str) -> Result<()> {
    if in_ci() {
        bail!("{what} is missing and CI=true: {remedy}");
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Written straight to the stream: what print macros write in a passing test is swallowed.
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "\n!!! {test} DID NOT RUN: {what} is missing: {remedy}\n")?;
    Ok(())
}

/// Whether every one of `programs` is on the search path. When one is not, [`missing`] has been told.
pub fn have(programs: &[&str], remedy: &str) -> Result<bool> {
    for program in programs {
        if find(program).is_none() {
            missing(program, remedy)?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first file called `program` on the search path, `/usr/sbin` and `/sbin` included.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    std::env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
