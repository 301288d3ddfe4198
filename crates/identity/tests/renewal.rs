//! Renewal, revocation and expiry without a restart, on new connections and on open ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parcours_identity::pki::Request;
use parcours_identity::testing::TestPki;
use parcours_identity::{Accepts, ClientTls, Expects, Principal, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use support::{DOMAIN, Log, ask, serve, until_cut, watch};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What an open connection may outlive its certificate by.
const SECONDS: Duration = Duration::from_secs(5);

fn user(pki: &TestPki, name: &str) -> ClientTls {
    ClientTls::open(pki.user(name).unwrap(), DOMAIN, Expects::Scheduler).unwrap()
}

/// The certificate a server shows, seen by a stock rustls client.
async fn shown(files: &TlsFiles, ca: &TlsFiles, address: SocketAddr) -> (CertificateDer<'static>, String) {
    parcours_identity::install_crypto_provider();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&ca.ca).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
    let mut config = builder.with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(ServerName::try_from("localhost").unwrap(), tcp)
        .await
        .unwrap();
    let session = stream.get_ref().1;
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    (
        session.peer_certificates().unwrap()[0].clone().into_owned(),
        format!("{group:?}"),
    )
}

/// Puts the certificate and key of `from` in the place of those of `to`, one after the other as tools do.
fn install(from: &TlsFiles, to: &TlsFiles) {
    fs::rename(&from.cert, &to.cert).unwrap();
    fs::rename(&from.key, &to.key).unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_at_the_next_handshake() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let (files, anne) = (pki.scheduler_server().unwrap(), pki.user("anne").unwrap());
    let address = serve(files.clone(), Accepts::Users, "client").await;
    let (before, group) = shown(&anne, &files, address).await;
    assert_eq!(before, CertificateDer::from_pem_file(&files.cert).unwrap());
    assert_eq!(group, "X25519MLKEM768");
    let open = user(&pki, "anne").connect(&address.to_string()).await.unwrap();

    let request = Request::server(
        Principal::scheduler(DOMAIN).unwrap(),
        ["localhost", "127.0.0.1"],
        "renewed",
    );
    pki.pki().issue(request).unwrap();
    let renewed = CertificateDer::from_pem_file(pki.pki().tls_files("renewed").cert).unwrap();
    install(&pki.pki().tls_files("renewed"), &files);
    assert_ne!(renewed, before);
    assert_eq!(shown(&anne, &files, address).await.0, renewed);
    ask(open).await.unwrap();
}

#[tokio::test]
async fn a_renewed_client_certificate_is_presented_at_the_next_connection() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(pki.scheduler_server().unwrap(), Accepts::Users, "client")
        .await
        .to_string();
    let (tls, files) = (user(&pki, "anne"), pki.user("anne").unwrap());
    ask(tls.connect(&address).await.unwrap()).await.unwrap();
    install(&pki.user("bernard").unwrap(), &files);
    let asked = ask(tls.connect(&address).await.unwrap()).await.unwrap();
    assert_eq!(asked, format!("spiffe://{DOMAIN}/user/bernard"));
}

#[tokio::test]
async fn half_a_renewal_leaves_the_old_pair_in_force() {
    let log = Log::capture();
    let pki = TestPki::new(DOMAIN).unwrap();
    let files = pki.scheduler_server().unwrap();
    let address = serve(files.clone(), Accepts::Users, "client").await;
    let anne = pki.user("anne").unwrap();
    let before = shown(&anne, &files, address).await.0;
    let request = Request::server(Principal::scheduler(DOMAIN).unwrap(), ["localhost"], "renewed");
    let issued = pki.pki().issue(request).unwrap();
    fs::rename(&issued.cert, &files.cert).unwrap();
    assert_eq!(shown(&anne, &files, address).await.0, before);
    assert_eq!(log.wait("the last good ones stay in force", 1).await.len(), 1);
    fs::rename(&issued.key, &files.key).unwrap();
    assert_ne!(shown(&anne, &files, address).await.0, before);
}

#[tokio::test]
async fn revocation_refuses_new_connections_and_cuts_open_ones() {
    let log = Log::capture();
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(pki.scheduler_server().unwrap(), Accepts::Users, "client")
        .await
        .to_string();
    let (anne, bernard) = (user(&pki, "anne"), user(&pki, "bernard"));
    // An idle one, one in the middle of a stream, and one of somebody else.
    let idle = anne.connect(&address).await.unwrap();
    ask(idle.clone()).await.unwrap();
    let mut busy = watch(anne.connect(&address).await.unwrap()).await;
    let mut other = watch(bernard.connect(&address).await.unwrap()).await;
    busy.message().await.unwrap().unwrap();

    pki.revoke(&pki.user("anne").unwrap()).unwrap();
    timeout(SECONDS, until_cut(&mut busy))
        .await
        .expect("the stream goes on");
    assert_eq!(log.wait("open connection cut", 2).await.len(), 2);
    for line in log.with("open connection cut") {
        assert!(
            line.contains("/user/anne at 127.0.0.1:") && line.contains("revoked certificate"),
            "{line}"
        );
    }
    assert!(ask(idle).await.is_err());
    assert!(
        anne.connect(&address)
            .await
            .unwrap_err()
            .to_string()
            .ends_with("revoked certificate")
    );
    other.message().await.unwrap().unwrap();
    ask(bernard.connect(&address).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn expiry_cuts_open_connections() {
    let log = Log::capture();
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(pki.scheduler_server().unwrap(), Accepts::Users, "client")
        .await
        .to_string();
    let not_after = Some(OffsetDateTime::now_utc() + Duration::from_secs(4));
    let request = Request::client(Principal::user(DOMAIN, "brief").unwrap(), "user-brief");
    pki.pki().issue(Request { not_after, ..request }).unwrap();
    let mut stream = watch(user(&pki, "brief").connect(&address).await.unwrap()).await;
    let lasted = timeout(Duration::from_secs(4) + SECONDS, until_cut(&mut stream))
        .await
        .expect("the stream goes on");
    assert!(lasted > Duration::from_secs(1), "{lasted:?}");
    assert!(log.wait("open connection cut", 1).await[0].contains("expired certificate"));
}

#[tokio::test]
async fn a_revoked_server_is_left_by_its_clients() {
    let log = Log::capture();
    let pki = TestPki::new(DOMAIN).unwrap();
    let files = pki.scheduler_server().unwrap();
    let address = serve(files.clone(), Accepts::Users, "client").await.to_string();
    let tls = user(&pki, "anne");
    let mut stream = watch(tls.connect(&address).await.unwrap()).await;
    pki.revoke(&files).unwrap();
    timeout(SECONDS, until_cut(&mut stream))
        .await
        .expect("the stream goes on");
    assert!(log.wait("open connection cut", 1).await[0].contains("listener=\"dialled\""));
    let error = tls.connect(&address).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: revoked certificate")
    );
}

#[tokio::test]
async fn a_broken_or_older_list_leaves_the_last_good_one_in_force() {
    let log = Log::capture();
    let pki = TestPki::new(DOMAIN).unwrap();
    let files = pki.scheduler_server().unwrap();
    let list = files.crl.clone().unwrap();
    let address = serve(files, Accepts::Users, "client").await.to_string();
    let (anne, bernard) = (user(&pki, "anne"), user(&pki, "bernard"));
    let first = fs::read(&list).unwrap();
    pki.revoke(&pki.user("anne").unwrap()).unwrap();
    anne.connect(&address).await.unwrap_err();
    let second = fs::read(&list).unwrap();

    let foreign = TestPki::new(DOMAIN).unwrap();
    let foreign = fs::read(foreign.user("x").unwrap().crl.unwrap()).unwrap();
    for (bytes, reason) in [
        (b"nonsense".to_vec(), "holds no readable revocation list"),
        (second[..second.len() / 2].to_vec(), "holds no readable revocation list"),
        (first, "older than the one in force"),
        (foreign, "none of our authorities has signed it"),
    ] {
        fs::write(&list, bytes).unwrap();
        ask(bernard.connect(&address).await.unwrap()).await.unwrap();
        let error = anne.connect(&address).await.unwrap_err();
        assert!(
            error.to_string().ends_with("the peer refused us: revoked certificate"),
            "{reason}: {error}"
        );
        assert!(!log.wait(reason, 1).await.is_empty(), "nothing logged of: {reason}");
    }
    fs::remove_file(&list).unwrap();
    anne.connect(&address).await.unwrap_err();
    fs::write(&list, second).unwrap();
    anne.connect(&address).await.unwrap_err();
    ask(bernard.connect(&address).await.unwrap()).await.unwrap();
}
