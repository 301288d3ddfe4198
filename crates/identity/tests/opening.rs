//! What an endpoint refuses of its own files when it is opened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use parcours_identity::pki::{KeyKind, Request};
use parcours_identity::testing::{Case, TestPki, wrong_files};
use parcours_identity::{Accepts, ClientTls, Expects, IdentityError, Principal, Purpose, ServerTls, TlsFiles};
use support::DOMAIN;

fn serve(files: &TlsFiles) -> Result<(), String> {
    ServerTls::open(files.clone(), DOMAIN, Accepts::Users, "client")
        .map(drop)
        .map_err(|error| error.to_string())
}

fn dial(files: &TlsFiles) -> Result<(), String> {
    ClientTls::open(files.clone(), DOMAIN, Expects::Scheduler)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn flawed_certificates_are_refused_with_file_and_reason() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let scheduler = Principal::scheduler(DOMAIN).unwrap();
    let anne = Principal::user(DOMAIN, "anne").unwrap();
    serve(&pki.scheduler_server().unwrap()).unwrap();
    dial(&pki.user("anne").unwrap()).unwrap();
    for (principal, purpose) in [(scheduler, Purpose::Server), (anne, Purpose::Client)] {
        for (case, files) in wrong_files(&pki, &principal, purpose).unwrap() {
            let opened = if purpose == Purpose::Server {
                serve(&files)
            } else {
                dial(&files)
            };
            let error = opened.expect_err(&format!("{case:?} was taken for {purpose}"));
            let reason = if case == Case::WrongKey {
                "is not that of the certificate"
            } else {
                case.reason()
            };
            assert!(error.contains(reason), "{case:?}: {error}");
            assert!(error.contains(files.cert.to_str().unwrap()), "{error}");
        }
    }
}

#[test]
fn a_serving_certificate_does_not_dial_nor_the_reverse() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let error = dial(&pki.scheduler_server().unwrap()).unwrap_err();
    assert!(error.contains("wrong usage: not a certificate for dialling"), "{error}");
    let error = serve(&pki.scheduler_client().unwrap()).unwrap_err();
    assert!(error.contains("wrong usage: not a certificate for serving"), "{error}");
}

#[test]
fn a_listener_presents_the_right_kind_of_name() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let (scheduler, executor) = (pki.scheduler_server().unwrap(), pki.executor_server("e1").unwrap());
    for (accepts, files, right) in [
        (Accepts::Users, &scheduler, true),
        (Accepts::Users, &executor, false),
        (Accepts::Executors, &scheduler, true),
        (Accepts::ExecutorsAndScheduler, &executor, true),
        (Accepts::ExecutorsAndScheduler, &scheduler, false),
    ] {
        let opened = ServerTls::open(files.clone(), DOMAIN, accepts, "listener");
        assert_eq!(opened.is_ok(), right, "{accepts:?}: {opened:?}");
        if let Err(error) = opened {
            assert!(error.to_string().contains("wrong kind of name"), "{error}");
        }
    }
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let files = pki.user("anne").unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
        fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
        let error = dial(&files).unwrap_err();
        assert!(error.contains(&format!("has mode {mode:03o}: chmod 600 it")), "{error}");
        assert!(error.contains(files.key.to_str().unwrap()), "{error}");
    }
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o400)).unwrap();
    dial(&files).unwrap();
}

#[test]
fn missing_and_damaged_files_are_named() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let good = pki.user("anne").unwrap();
    let (missing, empty) = (pki.folder().join("missing"), pki.folder().join("empty"));
    fs::write(&empty, "").unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o600)).unwrap();
    for path in [missing, empty] {
        for files in [
            TlsFiles {
                ca: path.clone(),
                ..good.clone()
            },
            TlsFiles {
                cert: path.clone(),
                ..good.clone()
            },
            TlsFiles {
                key: path.clone(),
                ..good.clone()
            },
            TlsFiles {
                crl: Some(path.clone()),
                ..good.clone()
            },
        ] {
            let error = dial(&files).unwrap_err();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
    let leaf_as_ca = TlsFiles {
        ca: good.cert.clone(),
        ..good
    };
    assert!(
        dial(&leaf_as_ca)
            .unwrap_err()
            .contains("holds a certificate that is no authority")
    );
}

#[test]
fn a_bad_trust_domain_is_refused() {
    let pki = TestPki::new(DOMAIN).unwrap();
    for domain in ["", "Hospital.example", "hospital.example/x"] {
        let opened = ClientTls::open(pki.user("anne").unwrap(), domain, Expects::Scheduler);
        assert!(matches!(opened, Err(IdentityError::Name(_))), "{domain}");
    }
}

#[test]
fn ed25519_is_as_good_as_p256() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let request = Request::client(Principal::user(DOMAIN, "anne").unwrap(), "ed25519");
    pki.pki()
        .issue(Request {
            key: KeyKind::Ed25519,
            ..request
        })
        .unwrap();
    dial(&pki.pki().tls_files("ed25519")).unwrap();
}

#[test]
fn configuration_with_unknown_keys_is_refused() {
    let files: TlsFiles = serde_json::from_str(r#"{"ca":"a","cert":"b","key":"c"}"#).unwrap();
    assert_eq!(files.crl, None);
    serde_json::from_str::<TlsFiles>(r#"{"ca":"a","cert":"b","key":"c","clr":"d"}"#).unwrap_err();
}
