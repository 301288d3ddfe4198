//! The certificate matrix against a real listener of each kind, with a gRPC service behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use parcours_identity::testing::{Outcome, TestPki, dial_wrongly, mistakes};
use parcours_identity::{Accepts, ClientTls, Expects, Principal, TlsFiles};
use support::{DOMAIN, Log, ask, serve};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

async fn matrix(accepts: Accepts, name: &'static str, files: impl Fn(&TestPki) -> TlsFiles) {
    let log = Log::capture();
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(files(&pki), accepts, name).await;
    let outcomes = dial_wrongly(&pki, address, accepts).await.unwrap();
    assert_eq!(mistakes(&outcomes), Vec::<String>::new());
    let refused: Vec<_> = outcomes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Refused(_)))
        .collect();
    assert!(refused.len() >= 20, "the matrix has shrunk: {refused:?}");
    let logged = log.wait("connection refused", refused.len()).await;
    assert_eq!(logged.len(), refused.len(), "{logged:#?}");
    for ((case, _), line) in refused.iter().zip(&logged) {
        assert!(line.contains(" WARN "), "{line}");
        assert!(line.contains(&format!("listener=\"{name}\"")), "{line}");
        assert!(line.contains("peer=127.0.0.1:"), "{line}");
        assert!(
            line.contains(&format!("reason=\"{}", case.reason())),
            "{case:?} is logged as {line}"
        );
    }
}

#[tokio::test]
async fn the_client_listener_admits_users_alone() {
    matrix(Accepts::Users, "client", |pki| pki.scheduler_server().unwrap()).await;
}

#[tokio::test]
async fn the_internal_listener_admits_executors_alone() {
    matrix(Accepts::Executors, "internal", |pki| pki.scheduler_server().unwrap()).await;
}

#[tokio::test]
async fn an_executors_listener_admits_executors_and_the_scheduler() {
    matrix(Accepts::ExecutorsAndScheduler, "partitions", |pki| {
        pki.executor_server("e1").unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_service_learns_who_asks() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(pki.scheduler_server().unwrap(), Accepts::Users, "client").await;
    for name in ["anne", "Bernard.2"] {
        let tls = ClientTls::open(pki.user(name).unwrap(), DOMAIN, Expects::Scheduler).unwrap();
        let asked = ask(tls.connect(&address.to_string()).await.unwrap()).await.unwrap();
        assert_eq!(asked, format!("spiffe://{DOMAIN}/user/{name}"));
        assert_eq!(asked.parse::<Principal>().unwrap(), tls.principal());
        let lazy = tls.connect_lazy(&format!("localhost:{}", address.port())).unwrap();
        assert_eq!(ask(lazy).await.unwrap(), asked);
    }
}

#[tokio::test]
async fn a_silent_peer_holds_no_one_up_and_is_dropped_in_time() {
    let log = Log::capture();
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(pki.scheduler_server().unwrap(), Accepts::Users, "client").await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let began = Instant::now();
    let tls = ClientTls::open(pki.user("anne").unwrap(), DOMAIN, Expects::Scheduler).unwrap();
    ask(tls.connect(&address.to_string()).await.unwrap()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    // Ten of the hundred, and that there were more.
    assert_eq!(log.with("no first byte within 2 s").len(), 11);
    assert_eq!(log.with("further refusals for this reason").len(), 1);
}

/// Silent connections without end of one address keep nobody else waiting.
#[tokio::test]
async fn a_flood_of_one_address_holds_no_one_else_up() {
    let pki = TestPki::new(DOMAIN).unwrap();
    let address = serve(pki.scheduler_server().unwrap(), Accepts::Users, "client").await;
    let mut silent = Vec::new();
    for _ in 0..700 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(address).await.unwrap());
    }
    let began = Instant::now();
    let tls = ClientTls::open(pki.user("anne").unwrap(), DOMAIN, Expects::Scheduler).unwrap();
    ask(tls.connect(&address.to_string()).await.unwrap()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // Those beyond what one address may have are closed at once.
    let mut closed = 0;
    for stream in &mut silent {
        let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 16])).await;
        closed += usize::from(read.is_ok());
    }
    assert!(closed >= 700 - 512, "{closed} were closed");
}

#[tokio::test]
async fn a_dropped_stream_of_connections_frees_the_port() {
    use parcours_identity::{Listener, ServerTls};
    let pki = TestPki::new(DOMAIN).unwrap();
    let open = || ServerTls::open(pki.scheduler_server().unwrap(), DOMAIN, Accepts::Users, "client").unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), open()).await.unwrap();
    let address = listener.local_addr();
    drop(listener.incoming());
    for _ in 0..50 {
        if Listener::bind(address, open()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{address} is still taken");
}
