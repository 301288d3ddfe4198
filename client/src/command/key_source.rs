//! Where a command takes its master keys from: a keyring file, or an HSM.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use parcours_keys::{KeyAdmin, Keyring, Pkcs11Keys, Pkcs11Options};

use super::keyring::existing_unlock;
use crate::exit::Failure;

/// A keyring and what opens it, or a token and its PIN.
#[derive(Debug, Args)]
pub struct KeySource {
    /// The keyring
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "pkcs11_module",
        conflicts_with = "pkcs11_module"
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
        requires = "pkcs11_pin_file"
    )]
    pkcs11_module: Option<PathBuf>,
    /// Label of the HSM's token; may be repeated for tokens that the HSM keeps alike
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pkcs11_token: Vec<String>,
    /// File that holds the token's PIN, mode 0600
    #[arg(long, value_name = "FILE", requires = "pkcs11_module")]
    pkcs11_pin_file: Option<PathBuf>,
}

impl KeySource {
    /// Opens the keyring, or logs in to the token.
    pub async fn open(&self) -> Result<Arc<dyn KeyAdmin>, Failure> {
        match (&self.keyring, &self.pkcs11_module, &self.pkcs11_pin_file) {
            (Some(keyring), None, _) => {
                let unlock = existing_unlock(self.key_file.as_deref())?;
                Ok(Arc::new(Keyring::open(keyring, unlock).map_err(anyhow::Error::from)?))
            }
            (None, Some(module), Some(pin_file)) => {
                let options = Pkcs11Options::new(module, &self.pkcs11_token, pin_file);
                Ok(Arc::new(Pkcs11Keys::open(options).await.map_err(anyhow::Error::from)?))
            }
            _ => Err(Failure::usage(
                "name one source of keys: --keyring, or --pkcs11-module with --pkcs11-token and --pkcs11-pin-file",
            )),
        }
    }
}
