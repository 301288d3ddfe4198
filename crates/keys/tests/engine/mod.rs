//! A re-implementation of the transit engine's HTTP interface, written from HashiCorp's documentation, for tests only: so
//! that the client is tried where no Vault is at hand, and against faults that a Vault does not show on demand. It encrypts
//! for real (AES-256-GCM with additional data) and checks the token of each request.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::authority::Authority;

/// What the engine does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this status and nothing else.
    Status(u16),
    /// It answers with text that is no JSON.
    Garbage,
    /// It never answers.
    Silence,
}

/// How connections are made.
#[derive(Clone, Copy, Debug)]
pub struct Tls {
    pub version: &'static SupportedProtocolVersion,
    pub asks_for_certificate: bool,
}

#[derive(Default)]
struct Kept {
    keys: BTreeMap<String, Key>,
    /// Faults of the next requests, or of all of them.
    faults: Vec<Fault>,
    always: Option<Fault>,
    requests: usize,
}

struct Key {
    versions: Vec<[u8; 32]>,
    min_decryption_version: usize,
}

/// A running engine; it ends with the test's runtime.
#[derive(Clone)]
pub struct Engine {
    token: String,
    kept: Arc<Mutex<Kept>>,
}

impl Engine {
    /// Serves under the authority's server certificate; returns the address.
    pub async fn start(authority: &Authority, tls: Tls, token: &str) -> (Self, String) {
        let engine = Self {
            token: token.to_owned(),
            kept: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let listener = Listener {
            tcp: listener,
            tls: TlsAcceptor::from(Arc::new(config(authority, tls))),
        };
        let router = Router::new().fallback(answer).with_state(engine.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (engine, address)
    }

    /// The next requests fail so.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.kept.lock().faults = faults.into_iter().collect();
    }

    /// All requests fail so, or none.
    pub fn fail_always(&self, fault: Option<Fault>) {
        self.kept.lock().always = fault;
    }

    /// How many requests there were since this was asked last.
    pub fn requests(&self) -> usize {
        std::mem::take(&mut self.kept.lock().requests)
    }

    fn next_fault(&self) -> Option<Fault> {
        let mut kept = self.kept.lock();
        kept.requests += 1;
        match kept.faults.is_empty() {
            true => kept.always,
            false => Some(kept.faults.remove(0)),
        }
    }
}

async fn answer(State(engine): State<Engine>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    match engine.next_fault() {
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap();
            return (
                status,
                [("location", "https://elsewhere.invalid/")],
                "{\"errors\":[\"a reason\"]}",
            )
                .into_response();
        }
        Some(Fault::Garbage) => return "<html>hello</html>".into_response(),
        Some(Fault::Silence) => std::future::pending().await,
        None => {}
    }
    if headers.get("x-vault-token").and_then(|token| token.to_str().ok()) != Some(engine.token.as_str()) {
        return error(403, "permission denied");
    }
    let Some(path) = uri.path().strip_prefix("/v1/transit/") else {
        return error(404, "no handler for route");
    };
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut kept = engine.kept.lock();
    let parts: Vec<_> = path.split('/').collect();
    match (method, parts.as_slice()) {
        (Method::GET, ["keys"]) => list(&kept),
        (Method::GET, ["keys", name]) => read(&kept, name),
        (Method::POST, ["keys", name]) => {
            let key = || Key {
                versions: vec![random()],
                min_decryption_version: 1,
            };
            kept.keys.entry((*name).to_owned()).or_insert_with(key);
            read(&kept, name)
        }
        (Method::POST, ["keys", name, "rotate"]) => change(&mut kept, name, |key| key.versions.push(random())),
        (Method::POST, ["keys", name, "config"]) => {
            let least = request["min_decryption_version"].as_u64().unwrap() as usize;
            change(&mut kept, name, |key| key.min_decryption_version = least)
        }
        (Method::POST, ["encrypt", name]) => encrypt(&kept, name, &request),
        (Method::POST, ["decrypt", name]) => decrypt(&kept, name, &request),
        _ => error(405, "unsupported operation"),
    }
}

fn list(kept: &Kept) -> Response {
    match kept.keys.is_empty() {
        true => missing(),
        false => data(json!({"keys": kept.keys.keys().collect::<Vec<_>>()})),
    }
}

fn read(kept: &Kept, name: &str) -> Response {
    let Some(key) = kept.keys.get(name) else {
        return missing();
    };
    data(json!({
        "name": name, "type": "aes256-gcm96", "latest_version": key.versions.len(),
        "min_decryption_version": key.min_decryption_version, "min_encryption_version": 0,
        "exportable": false, "allow_plaintext_backup": false, "derived": false, "deletion_allowed": false,
    }))
}

fn change(kept: &mut Kept, name: &str, change: impl FnOnce(&mut Key)) -> Response {
    match kept.keys.get_mut(name) {
        Some(key) => {
            change(key);
            StatusCode::NO_CONTENT.into_response()
        }
        None => error(400, "key not found"),
    }
}

fn encrypt(kept: &Kept, name: &str, request: &Value) -> Response {
    let Some(key) = kept.keys.get(name) else {
        return error(400, "encryption key not found");
    };
    let version = match request["key_version"].as_u64() {
        None | Some(0) => key.versions.len(),
        Some(version) => version as usize,
    };
    let Some(secret) = version.checked_sub(1).and_then(|index| key.versions.get(index)) else {
        return error(
            400,
            "requested version for encryption is higher than the latest key version",
        );
    };
    let nonce: [u8; NONCE_LEN] = random();
    let mut sealed = decoded(request, "plaintext");
    let aad = Aad::from(decoded(request, "associated_data"));
    cipher(secret)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
        .unwrap();
    let text = STANDARD.encode([nonce.as_slice(), &sealed].concat());
    data(json!({"ciphertext": format!("vault:v{version}:{text}"), "key_version": version}))
}

fn decrypt(kept: &Kept, name: &str, request: &Value) -> Response {
    let Some(key) = kept.keys.get(name) else {
        return error(400, "encryption key not found");
    };
    let read = || {
        let (version, text) = request["ciphertext"]
            .as_str()?
            .strip_prefix("vault:v")?
            .split_once(':')?;
        Some((version.parse::<usize>().ok()?, STANDARD.decode(text).ok()?))
    };
    let Some((version, bytes)) = read() else {
        return error(400, "invalid ciphertext: no prefix");
    };
    if version < key.min_decryption_version {
        return error(400, "ciphertext or signature version is disallowed by policy (too old)");
    }
    let Some(secret) = version.checked_sub(1).and_then(|index| key.versions.get(index)) else {
        return error(400, "invalid ciphertext: version is too new");
    };
    let Some((nonce, sealed)) = bytes.split_first_chunk::<NONCE_LEN>() else {
        return error(400, "invalid ciphertext: could not decode");
    };
    let (aad, mut sealed) = (Aad::from(decoded(request, "associated_data")), sealed.to_vec());
    match cipher(secret).open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed) {
        Ok(plain) => data(json!({"plaintext": STANDARD.encode(plain)})),
        Err(_) => error(400, "cipher: message authentication failed"),
    }
}

fn cipher(secret: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).unwrap())
}

fn decoded(request: &Value, field: &str) -> Vec<u8> {
    STANDARD.decode(request[field].as_str().unwrap_or_default()).unwrap()
}

fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

fn data(data: Value) -> Response {
    let body = json!({"request_id": "", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data});
    body.to_string().into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "{\"errors\":[]}").into_response()
}

fn error(status: u16, text: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, json!({"errors": [text]}).to_string()).into_response()
}

struct Listener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, address) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.tls.accept(tcp).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

fn config(authority: &Authority, tls: Tls) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = |name| {
        CertificateDer::pem_file_iter(authority.at(name))
            .unwrap()
            .map(Result::unwrap)
    };
    let mut roots = RootCertStore::empty();
    certificates("ca.pem").for_each(|root| roots.add(root).unwrap());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[tls.version])
        .unwrap();
    let builder = match tls.asks_for_certificate {
        false => builder.with_no_client_auth(),
        true => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(authority.at("key.pem")).unwrap();
    builder
        .with_single_cert(certificates("cert.pem").collect(), key)
        .unwrap()
}
