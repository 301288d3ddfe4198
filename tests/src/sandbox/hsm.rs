//! A hardware security module for a sandbox: SoftHSM2, whose tokens are a folder of the sandbox. Master keys are made in it
//! and used from it by the built binary; taking the folder away is unplugging it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::Sandbox;
use super::settings::Folder;
use crate::tool;

/// Where distributions put the library.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];
const TOKEN: &str = "parcours";
const PIN: &str = "sandbox-pin";

/// Whether SoftHSM2 is installed. When it is not, [`tool::missing`] has been told.
pub fn is_installed() -> Result<bool> {
    let remedy = "install the package softhsm2";
    if !tool::have(&["softhsm2-util"], remedy)? {
        return Ok(false);
    }
    if module().is_none() {
        tool::missing("libsofthsm2.so", remedy)?;
    }
    Ok(module().is_some())
}

fn module() -> Option<PathBuf> {
    MODULES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The token of a sandbox.
pub(super) struct Hsm<'a>(pub &'a Folder);

impl Hsm<'_> {
    /// What SoftHSM reads its settings from.
    pub fn environment(&self) -> (&'static str, PathBuf) {
        ("SOFTHSM2_CONF", self.0.at("softhsm2.conf"))
    }

    /// Makes the token and the file of its PIN.
    pub fn make(&self, mut softhsm: Command) -> Result<()> {
        let tokens = self.0.at("hsm");
        std::fs::create_dir(&tokens)?;
        let settings = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        std::fs::write(self.0.at("softhsm2.conf"), settings)?;
        self.0.write_private("hsm.pin", PIN)?;
        softhsm.args([
            "--init-token",
            "--free",
            "--label",
            TOKEN,
            "--pin",
            PIN,
            "--so-pin",
            "sandbox-officer",
        ]);
        super::printed(&mut softhsm).map(drop)
    }

    /// The arguments by which a command of ours uses it.
    pub fn arguments(&self) -> Result<Vec<String>> {
        let module = module().context("SoftHSM2 went away")?;
        Ok(vec![
            "--pkcs11-module".to_owned(),
            module.display().to_string(),
            "--pkcs11-token".to_owned(),
            TOKEN.to_owned(),
            "--pkcs11-pin-file".to_owned(),
            self.0.at("hsm.pin").display().to_string(),
        ])
    }

    /// `[keys]` of the key daemon.
    pub fn settings(&self) -> Result<String> {
        let module = module().context("SoftHSM2 went away")?;
        Ok(format!(
            "[keys.pkcs11]\nmodule = {module:?}\ntokens = [{TOKEN:?}]\npin_file = {:?}\n",
            self.0.at("hsm.pin")
        ))
    }
}

impl Sandbox {
    /// Takes the token away from every process.
    pub fn unplug_hsm(&self) -> Result<()> {
        Ok(std::fs::rename(self.folder.at("hsm"), self.folder.at("hsm-unplugged"))?)
    }

    /// Gives it back.
    pub fn plug_in_hsm(&self) -> Result<()> {
        Ok(std::fs::rename(self.folder.at("hsm-unplugged"), self.folder.at("hsm"))?)
    }
}
