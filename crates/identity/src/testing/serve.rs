//! Every wrong server a dialler could reach.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::forge::{Presented, flawed, from_files, presented};
use super::{Case, Outcome, TestPki, Trouble};
use crate::handshake::ALPN;
use crate::provider::provider;
use crate::{Expects, Principal, Purpose};

/// Empty HTTP/2 settings: what a server says first.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// How long a dialler may take to decide.
const PATIENCE: Duration = Duration::from_secs(15);

/// Serves rightly and in every wrong way on a local address, lets `dial` connect to each, and says what came of it.
/// `dial` must use files of `pki` and expect `expects`, which for one executor must be `matrix`; it answers its own error
/// as text.
pub async fn serve_wrongly(
    pki: &TestPki,
    expects: &Expects,
    dial: impl AsyncFn(SocketAddr) -> Result<(), String>,
) -> Result<Vec<(Case, Outcome)>, Trouble> {
    let mut outcomes = Vec::new();
    for (case, acceptor) in servers(pki, expects)? {
        let (address, server) = serve(acceptor).await?;
        let outcome = match timeout(PATIENCE, dial(address)).await {
            Ok(Ok(())) => Outcome::Admitted,
            Ok(Err(reason)) => Outcome::Refused(reason),
            Err(_) => Outcome::Silent,
        };
        server.abort();
        outcomes.push((case, outcome));
    }
    Ok(outcomes)
}

/// Each case with its TLS; `None` serves without.
fn servers(pki: &TestPki, expects: &Expects) -> Result<Vec<(Case, Option<TlsAcceptor>)>, Trouble> {
    let domain = pki.trust_domain();
    let (name, principal, files) = match expects {
        Expects::Scheduler => ("scheduler", Principal::scheduler(domain)?, pki.scheduler_server()?),
        Expects::KeyService => (
            "key service",
            Principal::key_service(domain)?,
            pki.key_service_server()?,
        ),
        Expects::AnyExecutor | Expects::Executor(_) => (
            "executor",
            Principal::executor(domain, "matrix")?,
            pki.executor_server("matrix")?,
        ),
    };
    let right = from_files(&files)?;
    let good = |case: Case, wanted: &Principal| {
        Ok::<_, Trouble>((case.clone(), presented(pki, &case, wanted, Purpose::Server)?))
    };
    let mut cases = vec![(Case::Right(name), right.clone())];
    cases.push(good(Case::WrongKind("user"), &Principal::user(domain, "matrix")?)?);
    match expects {
        Expects::Scheduler | Expects::KeyService => {
            cases.push(good(
                Case::WrongKind("executor"),
                &Principal::executor(domain, "matrix")?,
            )?);
            let other = match expects {
                Expects::Scheduler => ("key service", Principal::key_service(domain)?),
                _ => ("scheduler", Principal::scheduler(domain)?),
            };
            cases.push(good(Case::WrongKind(other.0), &other.1)?);
            cases.push(good(Case::WrongHost, &principal)?);
        }
        Expects::AnyExecutor => cases.push(good(Case::WrongKind("scheduler"), &Principal::scheduler(domain)?)?),
        Expects::Executor(_) => {
            cases.push(good(Case::WrongKind("scheduler"), &Principal::scheduler(domain)?)?);
            cases.push(good(
                Case::WrongKind("other executor"),
                &Principal::executor(domain, "other")?,
            )?);
        }
    }
    cases.extend(flawed(pki, &principal, Purpose::Server)?);
    let mut servers = Vec::new();
    for (case, presented) in cases {
        servers.push((case.clone(), Some(acceptor(&case, presented)?)));
    }
    servers.push((Case::Tls12, Some(acceptor(&Case::Tls12, right.clone())?)));
    servers.push((Case::NoH2, Some(acceptor(&Case::NoH2, right)?)));
    servers.push((Case::Plaintext, None));
    Ok(servers)
}

fn acceptor(case: &Case, presented: Presented) -> Result<TlsAcceptor, Trouble> {
    let version = if *case == Case::Tls12 { &TLS12 } else { &TLS13 };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version])?;
    // No client certificate is asked for: a wrong server would not care.
    let mut config = builder.with_no_client_auth().with_cert_resolver(presented);
    if *case != Case::NoH2 {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(acceptor: Option<TlsAcceptor>) -> Result<(SocketAddr, JoinHandle<()>), Trouble> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(acceptor.clone(), stream));
        }
    });
    Ok((address, server))
}

async fn answer(acceptor: Option<TlsAcceptor>, stream: TcpStream) {
    match acceptor {
        None => greet(stream).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                greet(stream).await;
            }
        }
    }
}

/// Behaves like an HTTP/2 server as far as a dialler can tell from its first words.
async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = stream.write_all(SETTINGS).await;
    let _ = stream.flush().await;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await.is_ok_and(|read| read > 0) {}
}
