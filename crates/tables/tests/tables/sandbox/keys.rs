//! What an operator does with the sandbox's master keys: rotate, rewrap, ask what is in use, retire.

use parcours_keys::{KeyAdmin, KeyService, Keyring, Unlock};
use parcours_tables::rewrap::{
    KeyUsage, RewrapError, RewrapOptions, RewrapReport, VerifyReport, key_usage, rewrap, verify_keys,
};

use super::Sandbox;

impl Sandbox {
    /// The same keyring, as an operator opens it to rotate and retire.
    pub fn keyring(&self) -> Keyring {
        let unlock = Unlock::key_file(self.dir.path().join("keys.key"));
        Keyring::open(self.dir.path().join("keys.ring"), unlock).unwrap()
    }

    /// Gives every master key a new version.
    pub async fn rotate_all(&self) {
        let keyring = self.keyring();
        for name in keyring.names().await.unwrap() {
            keyring.rotate(&name).await.unwrap();
        }
    }

    /// Removes all versions of master keys but the current ones.
    pub async fn retire_old(&self) {
        let keyring = self.keyring();
        for id in keyring.ids().unwrap() {
            if keyring.current(&id.name).await.unwrap() != id {
                keyring.retire(&id).unwrap();
            }
        }
    }

    pub async fn rewrap(&self) -> Result<RewrapReport, RewrapError> {
        let options = RewrapOptions::default();
        rewrap(&self.into, "claims", &self.stores, &self.keys, &options).await
    }

    pub async fn key_usage(&self) -> KeyUsage {
        let options = RewrapOptions::default();
        key_usage(&self.into, "claims", &self.stores, &self.keys, &options)
            .await
            .unwrap()
    }

    pub async fn verify_keys(&self) -> VerifyReport {
        let options = RewrapOptions::default();
        verify_keys(&self.into, "claims", &self.stores, &self.keys, &options)
            .await
            .unwrap()
    }
}
