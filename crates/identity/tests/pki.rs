//! The development PKI: what it writes, and what it refuses to write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use parcours_identity::Principal;
use parcours_identity::pki::{InitOptions, KeyKind, Pki, PkiError, Request, Usage};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

const DOMAIN: &str = "hospital.example";

fn init() -> (TempDir, Pki) {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
    (folder, pki)
}

fn anne() -> Principal {
    Principal::user(DOMAIN, "anne").unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The list's number and serials, read by another library than the one that wrote it.
fn list(pki: &Pki) -> (u32, Vec<String>) {
    let pem = fs::read(pki.dir().join("crl.pem")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let (_, list) = CertificateRevocationList::from_der(&pem.contents).unwrap();
    let serials = list
        .iter_revoked_certificates()
        .map(|revoked| format!("{:x}", revoked.serial()));
    (list.crl_number().unwrap().to_u32_digits()[0], serials.collect())
}

#[test]
fn files_have_their_modes_and_nothing_else_is_left() {
    let (_folder, pki) = init();
    let issued = pki.issue(Request::client(anne(), "anne")).unwrap();
    assert_eq!(mode(pki.dir()), 0o700);
    for (file, expected) in [
        ("ca.key", 0o600),
        ("issued.json", 0o600),
        ("ca.pem", 0o644),
        ("crl.pem", 0o644),
    ] {
        assert_eq!(mode(&pki.dir().join(file)), expected, "{file}");
    }
    assert_eq!((mode(&issued.key), mode(&issued.cert)), (0o600, 0o644));
    let mut names: Vec<_> = fs::read_dir(pki.dir())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["anne.key", "anne.pem", "ca.key", "ca.pem", "crl.pem", "issued.json"]
    );
}

#[test]
fn nothing_is_overwritten() {
    let (folder, pki) = init();
    let before = fs::read(pki.dir().join("ca.pem")).unwrap();
    let again = Pki::init(pki.dir(), DOMAIN, InitOptions::default());
    assert!(matches!(again, Err(PkiError::Exists { .. })));
    assert_eq!(fs::read(pki.dir().join("ca.pem")).unwrap(), before);

    let issued = pki.issue(Request::client(anne(), "anne")).unwrap();
    let (cert, key) = (fs::read(&issued.cert).unwrap(), fs::read(&issued.key).unwrap());
    let again = pki.issue(Request::client(anne(), "anne"));
    assert!(matches!(again, Err(PkiError::Exists { .. })));
    assert_eq!(
        (fs::read(&issued.cert).unwrap(), fs::read(&issued.key).unwrap()),
        (cert, key)
    );
    // One of the two files alone is enough, and so is a link to nowhere.
    fs::write(folder.path().join("half.key"), "mine").unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("link.pem")).unwrap();
    for stem in ["half", "link"] {
        let refused = pki.issue(Request::client(anne(), folder.path().join(stem)));
        assert!(matches!(refused, Err(PkiError::Exists { .. })), "{stem}");
    }
    assert_eq!(fs::read(folder.path().join("half.key")).unwrap(), b"mine");
    // A folder with anything in it is not taken.
    assert!(matches!(
        Pki::init(folder.path(), DOMAIN, InitOptions::default()),
        Err(PkiError::Exists { .. })
    ));
}

#[test]
fn certificates_say_what_was_asked() {
    let (_folder, pki) = init();
    let names = ["scheduler.hospital.example", "10.0.0.7", "::1"];
    let request = Request::server(Principal::scheduler(DOMAIN).unwrap(), names, "scheduler");
    let issued = pki
        .issue(Request {
            days: 825,
            key: KeyKind::Ed25519,
            ..request
        })
        .unwrap();
    let der = CertificateDer::from_pem_file(&issued.cert).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    assert!(!parsed.is_ca());
    assert_eq!(
        parsed.raw_serial_as_string().replace(':', "").trim_start_matches('0'),
        issued.serial
    );
    let lifetime = parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp();
    assert_eq!(lifetime, 825 * 86_400);

    let shown = pki.show(Path::new("scheduler.pem")).unwrap();
    assert_eq!(shown.uris, [format!("spiffe://{DOMAIN}/scheduler")]);
    assert_eq!(shown.hosts, names);
    assert_eq!(shown.usages, ["serverAuth"]);
    assert_eq!((shown.serial, shown.key.as_str()), (issued.serial, "Ed25519"));
    assert!(shown.issued_here && !shown.revoked);
    let authority = pki.show(Path::new("ca.pem")).unwrap();
    assert_eq!(shown.issuer, authority.subject);
    assert_eq!(
        (authority.usages, authority.key.as_str()),
        (vec!["authority".to_owned()], "P-256")
    );
}

#[test]
fn requests_that_listeners_would_refuse_are_refused() {
    let (_folder, pki) = init();
    let now = OffsetDateTime::now_utc();
    let request = || Request::client(anne(), "anne");
    for wrong in [
        Request { days: 826, ..request() },
        Request { days: 0, ..request() },
        Request {
            not_before: Some(now),
            not_after: Some(now + Duration::days(826)),
            ..request()
        },
        Request {
            not_before: Some(now),
            not_after: Some(now),
            ..request()
        },
        Request {
            not_before: Some(now + Duration::days(3600)),
            ..request()
        },
    ] {
        assert!(matches!(pki.issue(wrong.clone()), Err(PkiError::Validity)), "{wrong:?}");
    }
    let elsewhere = Principal::user("elsewhere.example", "anne").unwrap();
    assert!(matches!(
        pki.issue(Request::client(elsewhere, "x")),
        Err(PkiError::ForeignPrincipal { .. })
    ));
    let serving = Usage::Server {
        names: vec!["localhost".into()],
    };
    assert!(matches!(
        pki.issue(Request {
            usage: serving,
            ..request()
        }),
        Err(PkiError::UserServes { .. })
    ));
    let scheduler = Principal::scheduler(DOMAIN).unwrap();
    let nameless = Request::server(scheduler.clone(), Vec::<String>::new(), "x");
    assert!(matches!(pki.issue(nameless), Err(PkiError::NoHost)));
    for host in ["", "a b", "https://h", "h:443", "-"] {
        let refused = pki.issue(Request::server(scheduler.clone(), [host], "x"));
        assert!(matches!(refused, Err(PkiError::BadHost { .. })), "{host:?}");
    }
    assert!(matches!(
        Pki::init(Path::new("/nowhere"), "Bad", InitOptions::default()),
        Err(PkiError::TrustDomain(_))
    ));
    assert!(
        fs::read_dir(pki.dir()).unwrap().count() == 4,
        "a refused request left something behind"
    );
}

#[test]
fn revocation_grows_the_list_and_its_number() {
    let (_folder, pki) = init();
    assert_eq!(list(&pki), (1, vec![]));
    let a = pki.issue(Request::client(anne(), "a")).unwrap();
    let b = pki.issue(Request::client(anne(), "b")).unwrap();
    assert_ne!(a.serial, b.serial);
    assert_eq!(pki.revoke(a.cert.to_str().unwrap()).unwrap().serial, a.serial);
    assert_eq!(list(&pki), (2, vec![a.serial.clone()]));
    assert!(pki.show(&a.cert).unwrap().revoked && !pki.show(&b.cert).unwrap().revoked);
    // Opened anew, by serial number, in the other notation.
    let pki = Pki::open(pki.dir()).unwrap();
    pki.revoke(&format!("00:{}", b.serial.to_uppercase())).unwrap();
    assert_eq!(list(&pki), (3, vec![a.serial.clone(), b.serial.clone()]));
    pki.revoke("a.pem").unwrap();
    assert_eq!(list(&pki), (4, vec![a.serial, b.serial]));
}

#[test]
fn only_what_was_issued_here_can_be_revoked() {
    let ((_one, pki), (_two, other)) = (init(), init());
    let foreign = other.issue(Request::client(anne(), "anne")).unwrap();
    for target in [foreign.cert.to_str().unwrap(), &foreign.serial, "nonsense", ""] {
        assert!(pki.revoke(target).is_err(), "{target}");
    }
    assert_eq!(list(&pki), (1, vec![]));
    assert!(!pki.show(&foreign.cert).unwrap().issued_here);
}

#[test]
fn concurrent_issues_are_all_recorded() {
    let (_folder, pki) = init();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let pki = &pki;
            scope.spawn(move || pki.issue(Request::client(anne(), format!("w{worker}"))).unwrap());
        }
    });
    let record = fs::read_to_string(pki.dir().join("issued.json")).unwrap();
    assert_eq!(record.matches("\"serial\"").count(), 8);
}
