//! The KMIP service against a PyKMIP server: the suite of every key service in both modes, and what a server over the
//! network adds to it: certificates, restarts, silence, and keys that are taken out of use there. What is on the server is
//! read with PyKMIP's own client.
//!
//! `PARCOURS_PYTHON` names a Python with PyKMIP; without it `python3` is tried. Where neither has it the tests say NOT
//! TESTED, and fail when `CI` is `true`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authority;
mod pykmip;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parcours_keys::{
    DataKey, KeyAdmin, KeyError, KeyService, KmipKeys, KmipMode, KmipOptions, MasterKeyName, WrappedKey, conformance,
    ensure_dataset_keys,
};

use authority::Authority;
use pykmip::PyKmip;

const MODES: [KmipMode; 2] = [KmipMode::AesGcm, KmipMode::AesCbcHmacSha256];

fn health() -> MasterKeyName {
    MasterKeyName::new("claims/health").unwrap()
}

/// A key named health, and a data key that it wrapped for the place `file`.
async fn wrapped_by(keys: &KmipKeys) -> (DataKey, WrappedKey) {
    keys.create(&health()).await.unwrap();
    let key = DataKey::random().unwrap();
    let wrapped = keys.wrap(&health(), &key, b"file").await.unwrap();
    (key, wrapped)
}

/// What a call answers when the server answers in time, which it may not on a busy machine.
async fn soon<T, F: Future<Output = Result<T, KeyError>>>(call: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        match call().await {
            Err(error) if error.is_passing() && began.elapsed() < Duration::from_secs(60) => {}
            answer => return answer.unwrap_or_else(|error| panic!("{error}")),
        }
    }
}

fn is_denial_of_health(error: &KeyError) -> bool {
    error.is_denial() && error.key() == Some(&health()) && error.to_string().contains("class health of dataset claims")
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_rules_of_a_key_service() {
    let Some(server) = PyKmip::start() else { return };
    for mode in MODES {
        conformance::run(&server.open(mode).await).await.unwrap();
        // And again beside what is there, by another who knows nothing of it yet.
        conformance::run(&server.open(mode).await).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_for_one_use_and_no_key_is_fetched() {
    let Some(server) = PyKmip::start() else { return };
    ensure_dataset_keys(&server.open(KmipMode::AesGcm).await, "claims")
        .await
        .unwrap();
    let made = server.objects();
    assert_eq!(made.len(), 5);
    for object in &made {
        assert_eq!(
            (object.state.as_str(), object.key.as_str()),
            ("ACTIVE", "AES-256"),
            "{object:?}"
        );
        assert_eq!(object.usage, "ENCRYPT+DECRYPT", "{object:?}");
        assert!(object.sensitive, "{object:?}");
    }
    assert!(made.iter().any(|object| object.name == "claims/health#1"));
    // The other mode sees none of them, and makes two a version.
    let others = server.open(KmipMode::AesCbcHmacSha256).await;
    assert_eq!(others.names().await.unwrap(), []);
    others
        .create(&MasterKeyName::new("study/health").unwrap())
        .await
        .unwrap();
    let made = server.objects();
    let usage = |prefix: &str| {
        made.iter()
            .find(|object| object.name.starts_with(prefix))
            .map(|object| object.usage.clone())
    };
    assert_eq!(usage("study/health#1 encrypts").as_deref(), Some("ENCRYPT+DECRYPT"));
    assert_eq!(usage("study/health#1 authenticates").as_deref(), Some("MAC_GENERATE"));
    assert!(made.iter().all(|object| object.state == "ACTIVE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_for_no_key() {
    let Some(server) = PyKmip::start() else { return };
    for mode in MODES {
        let keys = server.open(mode).await;
        let name = MasterKeyName::new(format!("{}/health", mode.as_str())).unwrap();
        keys.create(&name).await.unwrap();
        keys.rotate(&name).await.unwrap();
        let wrapped = keys.wrap(&name, &DataKey::random().unwrap(), b"file").await.unwrap();
        keys.unwrap(&wrapped, b"file").await.unwrap();
        keys.names().await.unwrap();
    }
    let asked = [
        "Activate",
        "Create",
        "Decrypt",
        "Encrypt",
        "GetAttributes",
        "Locate",
        "MAC",
    ];
    assert_eq!(server.operations(), asked);
}

/// The wrapped form is the one that is documented: other software opens it with the keys, which PyKMIP's client fetches.
#[tokio::test(flavor = "multi_thread")]
async fn other_software_opens_with_the_keys_what_was_wrapped() {
    let Some(server) = PyKmip::start() else { return };
    for (mode, objects) in [
        (KmipMode::AesGcm, ["aes-gcm/health#1"].as_slice()),
        (
            KmipMode::AesCbcHmacSha256,
            &["aes-cbc-hmac-sha256/health#1 enc", "aes-cbc-hmac-sha256/health#1 auth"],
        ),
    ] {
        let keys = server.open(mode).await;
        let name = MasterKeyName::new(format!("{}/health", mode.as_str())).unwrap();
        keys.create(&name).await.unwrap();
        let key = DataKey::random().unwrap();
        let wrapped = keys.wrap(&name, &key, &[0xa5; 70]).await.unwrap();
        let made = server.objects();
        let uid = |prefix: &&str| {
            made.iter()
                .find(|object| object.name.starts_with(*prefix))
                .unwrap()
                .uid
                .clone()
        };
        let uids: Vec<_> = objects.iter().map(uid).collect();
        let (aad, master) = ("a5".repeat(70), wrapped.master.to_string());
        let mut arguments = vec!["open", &aad, &wrapped.text, &master];
        arguments.extend(uids.iter().map(String::as_str));
        let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(server.client(&arguments).trim(), hex);
    }
}

/// A process that ended between making a key and activating it leaves one that was never used.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_never_activated_is_none_and_is_finished() {
    let Some(server) = PyKmip::start() else { return };
    let keys = server.open(KmipMode::AesGcm).await;
    let begun = server.client(&["begin", "claims/health#1"]);
    assert!(matches!(keys.current(&health()).await, Err(KeyError::Unknown { .. })));
    assert_eq!(keys.names().await.unwrap(), []);
    assert!(matches!(keys.rotate(&health()).await, Err(KeyError::Unknown { .. })));
    assert_eq!(keys.create(&health()).await.unwrap().version, 1);
    let objects = server.objects();
    assert_eq!((objects.len(), objects[0].uid.as_str()), (1, begun.trim()));
    assert_eq!(objects[0].state, "ACTIVE");
    assert_eq!(keys.names().await.unwrap(), [health()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_at_both_ends() {
    let Some(server) = PyKmip::start() else { return };
    let good = server.options(KmipMode::AesGcm);
    let stranger = Authority::new();
    let (cert, key) = stranger.client("client");
    let open_key = server.authority.at("open.key");
    std::fs::copy(&good.key, &open_key).unwrap();
    std::fs::set_permissions(&open_key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let cases = [
        (
            KmipOptions {
                cert,
                key,
                ..good.clone()
            },
            "refuses our certificate",
        ),
        (
            KmipOptions {
                ca: stranger.at("ca.pem"),
                ..good.clone()
            },
            "see that ca is its authority",
        ),
        (
            KmipOptions {
                key: open_key,
                ..good.clone()
            },
            "make its mode 0600",
        ),
        (
            KmipOptions {
                cert: stranger.at("cert.pem"),
                ..good.clone()
            },
            "does not belong to the certificate",
        ),
        (
            KmipOptions {
                ca: "/nowhere/ca.pem".into(),
                ..good.clone()
            },
            "/nowhere/ca.pem cannot be read",
        ),
    ];
    for (options, says) in cases {
        let error = KmipKeys::open(options).await.unwrap_err();
        assert!(matches!(error, KeyError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    // Another person's keys are not there for us: PyKMIP gives a key to the certificate that made it.
    let (_, wrapped) = wrapped_by(&KmipKeys::open(good.clone()).await.unwrap()).await;
    let (cert, key) = server.authority.client("other");
    let other = KmipKeys::open(KmipOptions { cert, key, ..good }).await.unwrap();
    let error = other.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(is_denial_of_health(&error), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_is_used_again() {
    let Some(mut server) = PyKmip::start() else { return };
    let keys = server.open(KmipMode::AesGcm).await;
    let (key, wrapped) = wrapped_by(&keys).await;
    // Between two calls: the connections that are kept are dead, which nobody notices.
    futures::future::join_all((0..8).map(|_| keys.unwrap(&wrapped, b"file"))).await;
    server.restart();
    for answer in futures::future::join_all((0..8).map(|_| keys.unwrap(&wrapped, b"file"))).await {
        assert_eq!(answer.unwrap().expose(), key.expose());
    }
    server.restart();
    assert_eq!(keys.rotate(&health()).await.unwrap().version, 2);
    // While it is gone: a clear error that may pass, and it does.
    server.stop();
    for _ in 0..2 {
        let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
        assert!(error.is_passing() && !error.is_denial(), "{error}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
    let error = KmipKeys::open(server.options(KmipMode::AesGcm)).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    server.restart();
    assert_eq!(keys.unwrap(&wrapped, b"file").await.unwrap().expose(), key.expose());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let Some(server) = PyKmip::start() else { return };
    let patient = server.open(KmipMode::AesGcm).await;
    let (key, wrapped) = wrapped_by(&patient).await;
    let options = KmipOptions {
        limit_seconds: 1,
        ..server.options(KmipMode::AesGcm)
    };
    let keys = soon(|| KmipKeys::open(options.clone())).await;
    let process = server.process.as_ref().unwrap();
    process.freeze();
    let began = Instant::now();
    // More calls than connections: none waits longer than one.
    let answers = futures::future::join_all((0..16).map(|_| keys.unwrap(&wrapped, b"file"))).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(
            error.is_passing() && error.to_string().contains("did not answer within 1 s"),
            "{error}"
        );
    }
    process.thaw();
    let opened = soon(|| keys.unwrap(&wrapped, b"file")).await;
    assert_eq!(opened.expose(), key.expose());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_taken_out_of_use_is_denied_by_name() {
    let Some(server) = PyKmip::start() else { return };
    for mode in MODES {
        let name = MasterKeyName::new(format!("{}/health", mode.as_str())).unwrap();
        let keys = server.open(mode).await;
        keys.create(&name).await.unwrap();
        let key = DataKey::random().unwrap();
        let old = keys.wrap(&name, &key, b"file").await.unwrap();
        keys.rotate(&name).await.unwrap();
        let new = keys.wrap(&name, &key, b"file").await.unwrap();
        server.revoke(&format!("{name}#1"));
        let error = keys.unwrap(&old, b"file").await.unwrap_err();
        assert!(
            error.is_denial() && error.key() == Some(&name) && !error.is_passing(),
            "{error}"
        );
        assert!(error.to_string().contains("Permission Denied"), "{error}");
        // Only that version.
        keys.unwrap(&new, b"file").await.unwrap();
        server.revoke(&format!("{name}#2"));
        for error in [
            keys.unwrap(&new, b"file").await.unwrap_err(),
            keys.wrap(&name, &key, b"file").await.unwrap_err(),
        ] {
            assert!(error.is_denial() && error.key() == Some(&name), "{error}");
        }
        // A new version is used again.
        assert_eq!(keys.rotate(&name).await.unwrap().version, 3);
        keys.wrap(&name, &key, b"file").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_destroyed_is_unknown() {
    let Some(server) = PyKmip::start() else { return };
    let keys = server.open(KmipMode::AesGcm).await;
    let (_, wrapped) = wrapped_by(&keys).await;
    keys.unwrap(&wrapped, b"file").await.unwrap();
    let uid = server.objects()[0].uid.clone();
    server.revoke("claims/health#1");
    server.client(&["destroy", &uid]);
    let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(matches!(error, KeyError::Unknown { version: Some(1), .. }), "{error}");
    assert!(matches!(keys.current(&health()).await, Err(KeyError::Unknown { .. })));
    // The name is free again, and what the old key wrapped does not open under the new one.
    assert_eq!(keys.create(&health()).await.unwrap().version, 1);
    let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(matches!(error, KeyError::Tampered { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapped_key_does_not_open_elsewhere() {
    let Some(server) = PyKmip::start() else { return };
    for mode in MODES {
        let keys = server.open(mode).await;
        let name = MasterKeyName::new(format!("{}/quasi", mode.as_str())).unwrap();
        keys.create(&name).await.unwrap();
        let wrapped = keys.wrap(&name, &DataKey::random().unwrap(), b"file a").await.unwrap();
        for aad in [b"file b".as_slice(), b""] {
            let error = keys.unwrap(&wrapped, aad).await.unwrap_err();
            assert!(
                matches!(&error, KeyError::Tampered { key, .. } if *key == name),
                "{error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_make_a_version_at_once_both_read_it() {
    let Some(server) = PyKmip::start() else { return };
    for mode in MODES {
        let (one, two) = (server.open(mode).await, server.open(mode).await);
        let name = MasterKeyName::new(format!("{}/both", mode.as_str())).unwrap();
        let (first, second) = tokio::join!(one.create(&name), two.create(&name));
        assert!(first.is_ok() || second.is_ok());
        let key = DataKey::random().unwrap();
        for keys in [&one, &two] {
            let wrapped = keys.wrap(&name, &key, b"file").await.unwrap();
            for reader in [&one, &two] {
                assert_eq!(reader.unwrap(&wrapped, b"file").await.unwrap().expose(), key.expose());
            }
        }
    }
}

/// A certificate that was replaced is used without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken() {
    let Some(mut server) = PyKmip::start() else { return };
    let keys = server.open(KmipMode::AesGcm).await;
    let (key, wrapped) = wrapped_by(&keys).await;
    let before: PathBuf = server.authority.at("client.pem");
    let old = std::fs::read(&before).unwrap();
    server.authority.client("client");
    assert_ne!(std::fs::read(&before).unwrap(), old);
    server.restart();
    assert_eq!(keys.unwrap(&wrapped, b"file").await.unwrap().expose(), key.expose());
    // And one that is gone is an error that says which.
    std::fs::remove_file(&before).unwrap();
    server.restart();
    let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(error.to_string().contains("client.pem cannot be read"), "{error}");
}
