//! Signed statements: who may sign, what a verifier believes, and that OpenSSL agrees with both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parcours_identity::pki::{InitOptions, KeyKind, Pki, PkiError, Request};
use parcours_identity::{ClientTls, Expects, IdentityError, Principal, Refusal, Signatures, Signer, SigningError};

const DOMAIN: &str = "hospital.example";

struct Bench {
    _folder: tempfile::TempDir,
    pki: Pki,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
        Self { _folder: folder, pki }
    }

    fn signer(&self, out: &str, key: KeyKind) -> Signer {
        let mut request = Request::signing(Principal::scheduler(DOMAIN).unwrap(), out);
        request.key = key;
        self.pki.issue(request).unwrap();
        Signer::open(self.pki.tls_files(out), DOMAIN).unwrap()
    }

    fn signatures(&self) -> Signatures {
        let out = "executor";
        let executor = Principal::executor(DOMAIN, "executor-1").unwrap();
        self.pki.issue(Request::client(executor, out)).unwrap();
        ClientTls::open(self.pki.tls_files(out), DOMAIN, Expects::Scheduler)
            .unwrap()
            .signatures()
    }
}

#[test]
fn what_the_scheduler_signs_is_believed_and_nothing_else() {
    let bench = Bench::new();
    let signatures = bench.signatures();
    for (out, key) in [("p256", KeyKind::P256), ("ed25519", KeyKind::Ed25519)] {
        let token = bench.signer(out, key).sign(b"{\"a\":1}").unwrap();
        let (who, payload) = signatures.verify(&token).unwrap();
        assert_eq!(
            (who.to_string().as_str(), payload.as_slice()),
            ("spiffe://hospital.example/scheduler", &b"{\"a\":1}"[..])
        );
        // Every single altered character is noticed.
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(signatures.verify(&altered).is_err(), "{key:?}: character {at}");
        }
    }
    for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(100_000)] {
        assert_eq!(signatures.verify(nonsense).unwrap_err(), SigningError::Malformed);
    }
}

#[test]
fn another_payload_under_the_same_signature_is_refused() {
    let bench = Bench::new();
    let token = bench.signer("signing", KeyKind::P256).sign(b"small").unwrap();
    let mut parts: Vec<&str> = token.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(b"wider");
    parts[1] = &other;
    assert_eq!(
        bench.signatures().verify(&parts.join(".")).unwrap_err(),
        SigningError::Signature
    );
}

#[test]
fn a_key_without_its_certificate_signs_nothing() {
    let bench = Bench::new();
    let signatures = bench.signatures();
    let (one, other) = (
        bench.signer("one", KeyKind::P256).sign(b"{}").unwrap(),
        bench.signer("other", KeyKind::P256).sign(b"{}").unwrap(),
    );
    // The header of one with the signature of the other, as who steals a certificate but no key would make it.
    let (head, tail) = (one.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    assert_eq!(
        signatures.verify(&format!("{head}.{tail}")).unwrap_err(),
        SigningError::Signature
    );
}

#[test]
fn only_a_signing_certificate_of_our_scheduler_signs() {
    let bench = Bench::new();
    let scheduler = Principal::scheduler(DOMAIN).unwrap();
    bench.pki.issue(Request::client(scheduler, "dialling")).unwrap();
    let unfit = Signer::open(bench.pki.tls_files("dialling"), DOMAIN).unwrap_err();
    assert!(
        matches!(
            unfit,
            IdentityError::Unfit {
                refusal: Refusal::Usage { .. },
                ..
            }
        ),
        "{unfit}"
    );
    for name in ["executor/executor-1", "user/alice", "keyd"] {
        let principal: Principal = format!("spiffe://{DOMAIN}/{name}").parse().unwrap();
        let refused = bench.pki.issue(Request::signing(principal, "no")).unwrap_err();
        assert!(matches!(refused, PkiError::OnlySchedulerSigns { .. }), "{refused}");
    }
    // A scheduler of an authority that we do not trust.
    let foreign = Bench::new().signer("signing", KeyKind::P256).sign(b"{}").unwrap();
    assert_eq!(
        bench.signatures().verify(&foreign).unwrap_err(),
        SigningError::Signer(Refusal::UnknownAuthority)
    );
}

#[test]
fn a_revoked_certificate_signs_no_more() {
    let bench = Bench::new();
    let signatures = bench.signatures();
    let signer = bench.signer("signing", KeyKind::P256);
    let token = signer.sign(b"{}").unwrap();
    signatures.verify(&token).unwrap();
    bench.pki.revoke("signing.pem").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(
        signatures.verify(&token).unwrap_err(),
        SigningError::Signer(Refusal::Revoked)
    );
}

/// The token is a JSON Web Signature as others make them: OpenSSL verifies it with the certificate in its header.
#[test]
fn openssl_agrees() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("NOT TESTED: openssl is not installed, signatures were not compared with another program's");
        assert!(std::env::var_os("CI").is_none(), "CI needs openssl");
        return;
    }
    let bench = Bench::new();
    let token = bench.signer("signing", KeyKind::Ed25519).sign(b"{\"exp\":1}").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let header: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().0).unwrap()).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"JWT".into()));
    let at = |name: &str| bench._folder.path().join(name);
    std::fs::write(
        at("leaf.der"),
        STANDARD.decode(header["x5c"][0].as_str().unwrap()).unwrap(),
    )
    .unwrap();
    std::fs::write(at("signed"), signed).unwrap();
    std::fs::write(at("signature"), URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(bench._folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let key = openssl(&["x509", "-inform", "DER", "-in", "leaf.der", "-noout", "-pubkey"]);
    std::fs::write(at("key.pem"), key).unwrap();
    openssl(&[
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "signed",
        "-sigfile",
        "signature",
    ]);
}
