//! What is told of each use of a master key, and what is not. One test, so that nothing else in the process logs.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::Arc;

use parcours_keys::{
    DataKey, KeyAdmin, KeyMeters, KeyOperation, KeyOutcome, KeyService, Keyring, MasterKeyName, Metered, Unlock,
    create_key_file,
};
use parking_lot::Mutex;

/// Collects what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn events(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let audit = |event: &serde_json::Value| event["target"] == "parcours::keys::audit";
        events.filter(audit).collect()
    }
}

fn name(text: &str) -> MasterKeyName {
    MasterKeyName::new(text).unwrap()
}

fn keyring(folder: &std::path::Path) -> Arc<dyn KeyAdmin> {
    create_key_file(folder.join("key")).unwrap();
    Arc::new(Keyring::create(folder.join("keyring"), Unlock::key_file(folder.join("key"))).unwrap())
}

#[tokio::test]
async fn each_use_is_told_once_without_a_secret() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let _told = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().unwrap();
    let meters = Arc::new(KeyMeters::default());
    let keys = Metered::new(keyring(folder.path()), meters.clone());

    keys.create(&name("claims/health")).await.unwrap();
    let data_key = DataKey::from_bytes(&[0x5a; 32]).unwrap();
    let wrapped = keys
        .wrap(&name("claims/health"), &data_key, b"secret place")
        .await
        .unwrap();
    keys.unwrap(&wrapped, b"secret place").await.unwrap();
    keys.unwrap(&wrapped, b"another").await.unwrap_err();
    keys.rotate(&name("claims/health")).await.unwrap();
    keys.current(&name("claims/health")).await.unwrap();
    keys.current(&name("claims/quasi")).await.unwrap_err();
    keys.create(&name("claims/health")).await.unwrap_err();
    keys.names().await.unwrap();

    let told: Vec<_> = lines
        .events()
        .iter()
        .map(|event| {
            assert!(event["microseconds"].is_u64());
            let word = |field: &str| event[field].as_str().unwrap().to_owned();
            format!("{} {} {}", word("operation"), word("key"), word("outcome"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "create claims/health#1 ok",
            "wrap claims/health#1 ok",
            "unwrap claims/health#1 ok",
            "unwrap claims/health#1 tampered",
            "rotate claims/health#2 ok",
            "current claims/health#2 ok",
            "current claims/quasi denied",
            "create claims/health failed",
            "names all ok",
        ]
    );
    let text = String::from_utf8(lines.0.lock().clone()).unwrap();
    for secret in ["secret place", "another", "5a5a", "WlpaWlpa", wrapped.text.as_str()] {
        assert!(!text.contains(secret), "{secret} was logged");
    }
    assert_eq!(meters.count(KeyOperation::Unwrap, KeyOutcome::Tampered), 1);
    assert_eq!(meters.count(KeyOperation::Current, KeyOutcome::Denied), 1);
    assert_eq!(meters.count(KeyOperation::Create, KeyOutcome::Failed), 1);
    assert_eq!(meters.measures().iter().map(|measure| measure.count).sum::<u64>(), 9);
}
