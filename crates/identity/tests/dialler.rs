//! The certificate matrix from the dialling side: our own connector, and tonic's with our verifier.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::SocketAddr;

use parcours_identity::testing::{Case, Outcome, TestPki, mistakes, serve_wrongly};
use parcours_identity::{Accepts, ClientTls, Expects, IdentityError, TlsFiles};
use support::{DOMAIN, ask, serve};
use tonic::transport::Endpoint;

fn expectations() -> [Expects; 3] {
    [
        Expects::Scheduler,
        Expects::AnyExecutor,
        Expects::Executor("matrix".into()),
    ]
}

fn client(pki: &TestPki) -> TlsFiles {
    pki.executor_client("dialler").unwrap()
}

#[tokio::test]
async fn our_connector_refuses_wrong_servers_and_says_why() {
    for expects in expectations() {
        let pki = TestPki::new(DOMAIN).unwrap();
        let tls = ClientTls::open(client(&pki), DOMAIN, expects.clone()).unwrap();
        let dial = async |address: SocketAddr| {
            tls.connect(&address.to_string())
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let outcomes = serve_wrongly(&pki, &expects, dial).await.unwrap();
        assert_eq!(mistakes(&outcomes), Vec::<String>::new(), "{expects:?}");
        assert!(outcomes.len() >= 20, "the matrix has shrunk");
        for (case, outcome) in &outcomes {
            let Outcome::Refused(reason) = outcome else { continue };
            let expected = match case {
                // The server is the one that ends these.
                Case::Tls12 => "tls version",
                case => case.reason(),
            };
            assert!(reason.contains(expected), "{case:?} with {expects:?}: {reason}");
        }
    }
}

#[tokio::test]
async fn tonics_connector_refuses_wrong_servers() {
    parcours_identity::install_crypto_provider();
    for expects in expectations() {
        let pki = TestPki::new(DOMAIN).unwrap();
        let tls = ClientTls::open(client(&pki), DOMAIN, expects.clone()).unwrap();
        let dial = async |address: SocketAddr| {
            // As Ballista does it: a plaintext endpoint, for which tonic would ignore TLS.
            let endpoint = tls
                .endpoint(Endpoint::from_shared(format!("http://{address}")).unwrap())
                .unwrap();
            endpoint.connect().await.map(drop).map_err(|error| format!("{error:?}"))
        };
        let outcomes = serve_wrongly(&pki, &expects, dial).await.unwrap();
        assert_eq!(mistakes(&outcomes), Vec::<String>::new(), "{expects:?}");
    }
}

#[tokio::test]
async fn an_endpoint_made_for_plaintext_speaks_tls() {
    parcours_identity::install_crypto_provider();
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(
        pki.executor_server("e1").unwrap(),
        Accepts::ExecutorsAndScheduler,
        "partitions",
    )
    .await;
    let tls = ClientTls::open(client(&pki), DOMAIN, Expects::AnyExecutor).unwrap();
    let endpoint = tls
        .endpoint(Endpoint::from_shared(format!("http://{address}")).unwrap())
        .unwrap();
    assert_eq!(endpoint.uri().scheme_str(), Some("https"));
    let asked = ask(endpoint.connect().await.unwrap()).await.unwrap();
    assert_eq!(asked, format!("spiffe://{DOMAIN}/executor/dialler"));
}

#[tokio::test]
async fn the_other_executor_is_not_the_expected_one() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(
        pki.executor_server("e1").unwrap(),
        Accepts::ExecutorsAndScheduler,
        "partitions",
    )
    .await;
    let tls = ClientTls::open(client(&pki), DOMAIN, Expects::Executor("e1".into())).unwrap();
    ask(tls.connect(&address.to_string()).await.unwrap()).await.unwrap();
    let other = tls
        .expecting(Expects::Executor("e2".into()))
        .connect(&address.to_string())
        .await
        .unwrap_err();
    assert!(
        other
            .to_string()
            .ends_with(&format!("spiffe://{DOMAIN}/executor/e1 is not executor e2")),
        "{other}"
    );
}

#[tokio::test]
async fn a_refused_client_is_told_why_at_once() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(pki.scheduler_server().unwrap(), Accepts::Users, "client")
        .await
        .to_string();
    let revoked = pki.user("revoked").unwrap();
    let tls = ClientTls::open(revoked.clone(), DOMAIN, Expects::Scheduler).unwrap();
    pki.revoke(&revoked).unwrap();
    let error = tls.connect(&address).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: the peer refused us: revoked certificate")
    );
    let executor = ClientTls::open(client(&pki), DOMAIN, Expects::Scheduler).unwrap();
    let error = executor.connect(&address).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the peer refused us: certificate with a name"),
        "{error}"
    );
    let lazy = ask(tls.connect_lazy(&address).unwrap()).await.unwrap_err();
    assert_eq!(lazy.code(), tonic::Code::Unavailable);
    let reason = IdentityError::behind(&lazy).and_then(IdentityError::connect_reason);
    assert_eq!(reason, Some("the peer refused us: revoked certificate"), "{lazy:?}");
}

#[tokio::test]
async fn addresses_are_host_and_port_alone() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let tls = ClientTls::open(client(&pki), DOMAIN, Expects::Scheduler).unwrap();
    for address in [
        "",
        "localhost",
        "http://localhost:1",
        "localhost:1/x",
        "user@localhost:1",
        "localhost:99999",
        "a b:1",
    ] {
        let refused = tls.connect_lazy(address);
        assert!(matches!(refused, Err(IdentityError::Address { .. })), "{address:?}");
    }
    let error = tls.connect("127.0.0.1:1").await.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot connect to 127.0.0.1:1: "),
        "{error}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
}
