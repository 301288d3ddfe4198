//! Opens the key service that a configuration names: a keyring, an HSM, a KMIP server or a transit engine, and exactly one
//! of them. Whichever it is, its uses are counted and told ([`crate::metered`]).

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::KeyError;
use crate::keyring::{Keyring, Unlock};
use crate::kmip::{KmipKeys, KmipOptions};
use crate::metered::{KeyMeters, Metered};
use crate::pkcs11::{Pkcs11Keys, Pkcs11Options};
use crate::private::read_secret_line;
use crate::service::KeyAdmin;
use crate::transit::{TransitKeys, TransitOptions};

/// Where master keys are. Exactly one of the tables must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyServiceOptions {
    /// In a sealed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<KeyringOptions>,
    /// In an HSM, through PKCS#11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11: Option<Pkcs11Options>,
    /// In a KMIP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kmip: Option<KmipOptions>,
    /// In the transit engine of Vault or OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit: Option<TransitOptions>,
}

/// A keyring and what opens it: exactly one of the two files must be named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyringOptions {
    /// The keyring, mode 0600.
    pub path: PathBuf,
    /// The file of 32 bytes that opens it, mode 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The file whose first line is the passphrase that opens it, mode 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
}

impl KeyringOptions {
    fn open(&self) -> Result<Keyring, KeyError> {
        let unlock = match (&self.key_file, &self.passphrase_file) {
            (Some(key_file), None) => Unlock::key_file(key_file),
            (None, Some(file)) => Unlock::Passphrase(read_secret_line(file, "passphrase")?),
            _ => {
                return Err(refused(
                    "a keyring opens with one of key_file and passphrase_file, write one".to_owned(),
                ));
            }
        };
        Keyring::open(&self.path, unlock)
    }
}

impl KeyServiceOptions {
    /// Opens the service, whose uses are counted in `meters`.
    ///
    /// # Errors
    /// [`KeyError::Refused`] when none or several are configured; else as the service's own `open`.
    pub async fn open(&self, meters: &Arc<KeyMeters>) -> Result<Arc<dyn KeyAdmin>, KeyError> {
        let service: Arc<dyn KeyAdmin> = match self {
            Self {
                keyring: Some(keyring),
                pkcs11: None,
                kmip: None,
                transit: None,
            } => Arc::new(keyring.open()?),
            Self {
                keyring: None,
                pkcs11: Some(pkcs11),
                kmip: None,
                transit: None,
            } => Arc::new(Pkcs11Keys::open(pkcs11.clone()).await?),
            Self {
                keyring: None,
                pkcs11: None,
                kmip: Some(kmip),
                transit: None,
            } => Arc::new(KmipKeys::open(kmip.clone()).await?),
            Self {
                keyring: None,
                pkcs11: None,
                kmip: None,
                transit: Some(transit),
            } => Arc::new(TransitKeys::open(transit.clone()).await?),
            _ => return Err(refused(self.choice())),
        };
        Ok(Arc::new(Metered::new(service, meters.clone())))
    }

    fn choice(&self) -> String {
        let tables = [
            ("keyring", self.keyring.is_some()),
            ("pkcs11", self.pkcs11.is_some()),
            ("kmip", self.kmip.is_some()),
            ("transit", self.transit.is_some()),
        ];
        let named: Vec<_> = tables
            .iter()
            .filter(|(_, there)| *there)
            .map(|(table, _)| *table)
            .collect();
        match named.as_slice() {
            [] => "none is configured, write one of the tables keyring, pkcs11, kmip and transit".to_owned(),
            several => format!("{} are configured, keep one of the tables", several.join(" and ")),
        }
    }
}

fn refused(reason: String) -> KeyError {
    KeyError::Refused { reason }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::keyring::create_key_file;
    use crate::metered::{KeyOperation, KeyOutcome};
    use crate::name::MasterKeyName;

    async fn open(options: Value) -> Result<Arc<dyn KeyAdmin>, String> {
        let options: KeyServiceOptions = serde_json::from_value(options).map_err(|error| error.to_string())?;
        options.open(&Arc::default()).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn none_and_several_are_refused_by_name() {
        let keyring = json!({"path": "k", "key_file": "f"});
        let kmip = json!({"server": "kms:5696", "ca": "a", "cert": "c", "key": "k"});
        for (options, says) in [
            (json!({}), "one of the tables keyring, pkcs11, kmip and transit"),
            (
                json!({"keyring": keyring, "kmip": kmip}),
                "keyring and kmip are configured",
            ),
            (json!({"vault": {}}), "unknown field `vault`"),
            (json!({"keyring": {"path": "k"}}), "one of key_file and passphrase_file"),
            (
                json!({"keyring": {"path": "k", "key_file": "f", "passphrase_file": "p"}}),
                "write one",
            ),
            (
                json!({"kmip": {"server": "kms:5696", "ca": "a", "cert": "c", "key": "k", "mod": "x"}}),
                "unknown field `mod`",
            ),
            (
                json!({"kmip": {"server": "kms:5696", "ca": "a", "cert": "c", "key": "k", "mode": "aes-ecb"}}),
                "unknown variant",
            ),
            (
                json!({"kmip": {"server": "kms", "ca": "a", "cert": "c", "key": "k"}}),
                "write HOST:PORT",
            ),
            (
                json!({"kmip": {"server": "kms:5696", "ca": "/nowhere/ca", "cert": "c", "key": "k"}}),
                "/nowhere/ca cannot be read",
            ),
            (
                json!({"transit": {"address": "http://kms", "token_file": "t", "ca": "a"}}),
                "no HTTPS server",
            ),
            (
                json!({"transit": {"address": "https://kms", "token_file": "t", "ca": "/nowhere/ca"}}),
                "/nowhere/ca cannot be read",
            ),
        ] {
            let error = open(options).await.err().unwrap();
            assert!(error.contains(says), "{error}");
        }
    }

    #[tokio::test]
    async fn a_keyring_opens_and_its_uses_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key_file) = (folder.path().join("keyring"), folder.path().join("key"));
        create_key_file(&key_file).unwrap();
        Keyring::create(&path, Unlock::key_file(&key_file)).unwrap();
        let keyring = KeyringOptions {
            path,
            key_file: Some(key_file),
            passphrase_file: None,
        };
        let options = KeyServiceOptions {
            keyring: Some(keyring),
            ..KeyServiceOptions::default()
        };
        let meters = Arc::new(KeyMeters::default());
        let keys = options.open(&meters).await.unwrap();
        keys.create(&MasterKeyName::new("claims/health").unwrap())
            .await
            .unwrap();
        assert_eq!(meters.count(KeyOperation::Create, KeyOutcome::Ok), 1);
        let written = serde_json::to_value(&options).unwrap();
        assert_eq!(serde_json::from_value::<KeyServiceOptions>(written).unwrap(), options);
    }
}
