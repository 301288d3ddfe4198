//! A HashiCorp Vault with its transit engine: its own core, storage and HTTP interface (see `vault/main.go`), a fresh one
//! for each test. Building one takes Go and a few hundred modules, so that these tests are a recipe of their own, `just
//! vault`; where they are asked for and there is none, they fail.

use std::process::Command;

use parcours_keys::{
    DataKey, KeyAdmin, KeyError, KeyService, MasterKeyName, TransitKeys, TransitOptions, conformance,
    ensure_dataset_keys,
};
use serde_json::{Value, json};

use crate::authority::{Authority, Process, free_port, write_private};

struct Vault {
    authority: Authority,
    port: u16,
    process: Option<Process>,
    program: String,
}

impl Vault {
    /// A Vault with an engine at `transit`.
    async fn start() -> Self {
        let program = std::env::var("PARCOURS_VAULT").expect("PARCOURS_VAULT names no Vault: just vault builds one");
        let mut vault = Self {
            authority: Authority::new(),
            port: free_port(),
            process: None,
            program,
        };
        vault.restart();
        vault.write("sys/mounts/transit", json!({"type": "transit"})).await;
        vault
    }

    fn restart(&mut self) {
        self.process = None;
        let mut command = Command::new(&self.program);
        command
            .arg(self.authority.folder())
            .arg(format!("127.0.0.1:{}", self.port));
        self.process = Some(Process::start(&mut command));
    }

    fn address(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn options(&self) -> TransitOptions {
        let at = |name| self.authority.at(name);
        TransitOptions {
            limit_seconds: 30,
            ..TransitOptions::new(self.address(), at("root-token"), at("ca.pem"))
        }
    }

    async fn open(&self) -> TransitKeys {
        TransitKeys::open(self.options()).await.unwrap()
    }

    /// Asks with the root token, by another client than ours: curl.
    async fn write(&self, path: &str, body: Value) -> Value {
        self.curl(path, &["-X", "POST", "-d", &body.to_string()])
    }

    async fn read(&self, path: &str) -> Value {
        self.curl(path, &[])
    }

    fn curl(&self, path: &str, more: &[&str]) -> Value {
        let token = std::fs::read_to_string(self.authority.at("root-token")).unwrap();
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--fail-with-body", "--cacert"])
            .arg(self.authority.at("ca.pem"));
        command.args(["-H", &format!("X-Vault-Token: {token}")]).args(more);
        let output = command.arg(format!("{}/v1/{path}", self.address())).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{path}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// A token with this policy, in a file.
    async fn token(&self, name: &str, policy: &str) -> TransitOptions {
        self.write(&format!("sys/policies/acl/{name}"), json!({"policy": policy}))
            .await;
        let made = self
            .write("auth/token/create", json!({"policies": [name], "ttl": "1h"}))
            .await;
        let file = self.authority.at(&format!("{name}-token"));
        write_private(&file, made["auth"]["client_token"].as_str().unwrap());
        TransitOptions {
            token_file: file,
            ..self.options()
        }
    }
}

fn health() -> MasterKeyName {
    MasterKeyName::new("claims/health").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Vault: just vault"]
async fn keeps_the_rules_of_a_key_service() {
    let vault = Vault::start().await;
    conformance::run(&vault.open().await).await.unwrap();
    conformance::run(&vault.open().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Vault: just vault"]
async fn keys_cannot_leave_the_server_and_others_keys_are_passed_over() {
    let vault = Vault::start().await;
    let keys = vault.open().await;
    ensure_dataset_keys(&keys, "claims").await.unwrap();
    let about = vault.read("transit/keys/claims_-health").await["data"].clone();
    assert_eq!(about["type"], "aes256-gcm96");
    for setting in ["exportable", "allow_plaintext_backup", "derived"] {
        assert_eq!(about[setting], false, "{setting}");
    }
    // Keys of others: of another name, and of our names but made to be exported or of another type.
    vault.write("transit/keys/foreign", json!({})).await;
    vault
        .write("transit/keys/study_-health", json!({"exportable": true}))
        .await;
    vault
        .write("transit/keys/study_-quasi", json!({"type": "chacha20-poly1305"}))
        .await;
    assert_eq!(keys.names().await.unwrap().len(), 5 + 2);
    for name in ["study/health", "study/quasi"] {
        let name = MasterKeyName::new(name).unwrap();
        let error = keys.wrap(&name, &DataKey::random().unwrap(), b"").await.unwrap_err();
        assert!(matches!(error, KeyError::Denied { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Vault: just vault"]
async fn a_token_is_good_for_what_its_policy_says() {
    let vault = Vault::start().await;
    let keys = vault.open().await;
    ensure_dataset_keys(&keys, "claims").await.unwrap();
    let quasi = MasterKeyName::new("claims/quasi").unwrap();
    let key = DataKey::random().unwrap();
    let (of_health, of_quasi) = (
        keys.wrap(&health(), &key, b"file").await.unwrap(),
        keys.wrap(&quasi, &key, b"file").await.unwrap(),
    );
    let policy = r#"path "transit/decrypt/claims_-quasi" { capabilities = ["update"] }"#;
    let reader = TransitKeys::open(vault.token("reader", policy).await).await.unwrap();
    assert_eq!(reader.unwrap(&of_quasi, b"file").await.unwrap().expose(), key.expose());
    let error = reader.unwrap(&of_health, b"file").await.unwrap_err();
    assert!(error.is_denial() && error.key() == Some(&health()), "{error}");
    let error = reader.wrap(&quasi, &key, b"file").await.unwrap_err();
    assert!(error.is_denial() && error.key() == Some(&quasi), "{error}");
    // It cannot ask what became of a key: what it sends is taken for altered.
    let error = reader.unwrap(&of_quasi, b"elsewhere").await.unwrap_err();
    assert!(matches!(error, KeyError::Tampered { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Vault: just vault"]
async fn an_old_version_that_is_withdrawn_is_denied_by_name() {
    let vault = Vault::start().await;
    let keys = vault.open().await;
    keys.create(&health()).await.unwrap();
    let key = DataKey::random().unwrap();
    let old = keys.wrap(&health(), &key, b"file").await.unwrap();
    keys.rotate(&health()).await.unwrap();
    let new = keys.wrap(&health(), &key, b"file").await.unwrap();
    vault
        .write(
            "transit/keys/claims_-health/config",
            json!({"min_decryption_version": 2}),
        )
        .await;
    let error = keys.unwrap(&old, b"file").await.unwrap_err();
    assert!(
        matches!(&error, KeyError::Denied { key, .. } if *key == health()),
        "{error}"
    );
    keys.unwrap(&new, b"file").await.unwrap();
    // And a key that is gone is unknown, for reading and for writing: encrypting must not make it anew.
    vault
        .write("transit/keys/claims_-health/config", json!({"deletion_allowed": true}))
        .await;
    vault.curl("transit/keys/claims_-health", &["-X", "DELETE"]);
    let error = keys.unwrap(&new, b"file").await.unwrap_err();
    assert!(matches!(error, KeyError::Unknown { version: Some(2), .. }), "{error}");
    let error = keys.wrap(&health(), &key, b"file").await.unwrap_err();
    assert!(matches!(error, KeyError::Unknown { .. }), "{error}");
    assert_eq!(keys.names().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Vault: just vault"]
async fn a_server_that_was_restarted_is_used_again() {
    let mut vault = Vault::start().await;
    let keys = vault.open().await;
    keys.create(&health()).await.unwrap();
    let key = DataKey::random().unwrap();
    let wrapped = keys.wrap(&health(), &key, b"file").await.unwrap();
    vault.restart();
    assert_eq!(keys.unwrap(&wrapped, b"file").await.unwrap().expose(), key.expose());
    vault.process = None;
    let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(error.is_passing() && !error.is_denial(), "{error}");
    vault.restart();
    assert_eq!(keys.unwrap(&wrapped, b"file").await.unwrap().expose(), key.expose());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Vault: just vault"]
async fn a_sealed_server_is_away_and_a_missing_engine_is_named() {
    let vault = Vault::start().await;
    let keys = vault.open().await;
    keys.create(&health()).await.unwrap();
    let wrapped = keys
        .wrap(&health(), &DataKey::random().unwrap(), b"file")
        .await
        .unwrap();
    let elsewhere = TransitOptions {
        mount: "nowhere".to_owned(),
        ..vault.options()
    };
    let error = TransitKeys::open(elsewhere).await.unwrap_err();
    assert!(matches!(error, KeyError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("no transit engine at nowhere"), "{error}");
    vault.write("sys/seal", json!({})).await;
    let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(error.is_passing() && !error.is_denial(), "{error}");
    assert!(error.to_string().contains("status 503"), "{error}");
}
