//! The built binary in an environment of its own, standard input empty. Each test file uses its part of it.
#![allow(dead_code)]

pub mod care;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs it in `home`.
pub fn parcours(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parcours"))
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("PARCOURS_KEYRING_PASSPHRASE", "une phrase longue")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// All that it said.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs what must succeed; returns its standard output.
#[track_caller]
pub fn succeeds(home: &Path, arguments: &[&str]) -> String {
    let output = parcours(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}
