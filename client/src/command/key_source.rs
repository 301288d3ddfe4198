//! Where a command takes its master keys from: a keyring file, an HSM, or the key service that a file describes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use parcours_keys::{KeyAdmin, KeyMeters, KeyServiceOptions, Keyring, Pkcs11Keys, Pkcs11Options};

use super::keyring::existing_unlock;
use crate::exit::Failure;

/// A keyring and what opens it, a token and its PIN, or a file that says where keys are.
#[derive(Debug, Args)]
pub struct KeySource {
    /// The keyring
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["pkcs11_module", "keys"],
        conflicts_with_all = ["pkcs11_module", "keys"]
    )]
    keyring: Option<PathBuf>,
    /// File that opens it [default: a passphrase, from PARCOURS_KEYRING_PASSPHRASE or asked for]
    #[arg(long, value_name = "FILE", requires = "keyring")]
    key_file: Option<PathBuf>,
    /// The PKCS#11 library of an HSM, instead of a keyring
    #[arg(
        long,
        value_name = "LIBRARY",
        requires = "pkcs11_token",
        requires = "pkcs11_pin_file",
        conflicts_with = "keys"
    )]
    pkcs11_module: Option<PathBuf>,
    /// Label of the HSM's token; may be repeated for tokens that the HSM keeps alike
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pkcs11_token: Vec<String>,
    /// File that holds the token's PIN, mode 0600
    #[arg(long, value_name = "FILE", requires = "pkcs11_module")]
    pkcs11_pin_file: Option<PathBuf>,
    /// File that says where keys are: one of the tables [keyring], [pkcs11], [kmip] and [transit] (TOML)
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

impl KeySource {
    /// Opens the keyring, logs in to the token, or reaches the key service.
    pub async fn open(&self) -> Result<Arc<dyn KeyAdmin>, Failure> {
        match (&self.keyring, &self.pkcs11_module, &self.pkcs11_pin_file, &self.keys) {
            (Some(keyring), None, _, None) => {
                let unlock = existing_unlock(self.key_file.as_deref())?;
                Ok(Arc::new(Keyring::open(keyring, unlock).map_err(anyhow::Error::from)?))
            }
            (None, Some(module), Some(pin_file), None) => {
                let options = Pkcs11Options::new(module, &self.pkcs11_token, pin_file);
                Ok(Arc::new(Pkcs11Keys::open(options).await.map_err(anyhow::Error::from)?))
            }
            (None, None, _, Some(file)) => described(file).await,
            _ => Err(Failure::usage(
                "name one source of keys: --keyring, --pkcs11-module with --pkcs11-token and --pkcs11-pin-file, or --keys",
            )),
        }
    }
}

/// The service that a file describes. A command is over before anyone would ask for its counts.
async fn described(file: &Path) -> Result<Arc<dyn KeyAdmin>, Failure> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let options: KeyServiceOptions = toml::from_str(&text).map_err(|error| {
        // The file's own text stays out of the message.
        Failure::Usage(format!("{}: {}", file.display(), error.message()))
    })?;
    let opened = options.open(&Arc::new(KeyMeters::default())).await;
    Ok(opened.with_context(|| file.display().to_string())?)
}
