//! Every wrong way to dial a listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::forge::{Presented, flawed, from_files};
use super::{Case, Outcome, TestPki, Trouble};
use crate::handshake::ALPN;
use crate::provider::provider;
use crate::{Accepts, Principal, Purpose};

/// What an HTTP/2 client says first: the preface and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// How long a listener may take to answer; longer than its own handshake limit is never needed here.
const PATIENCE: Duration = Duration::from_secs(8);

/// How one attempt is made.
struct Attempt {
    case: Case,
    presented: Option<Presented>,
    version: &'static SupportedProtocolVersion,
    alpn: bool,
}

/// Dials `address` rightly and in every wrong way, and says what came of each. The listener must use files of `pki` and
/// admit `accepts`. Attempts come one after another, in a fixed order.
pub async fn dial_wrongly(
    pki: &TestPki,
    address: SocketAddr,
    accepts: Accepts,
) -> Result<Vec<(Case, Outcome)>, Trouble> {
    let mut outcomes = Vec::new();
    for attempt in attempts(pki, accepts)? {
        let outcome = within(over_tls(&attempt, address)).await;
        outcomes.push((attempt.case, outcome));
    }
    outcomes.push((Case::Plaintext, within(over_tcp(address)).await));
    Ok(outcomes)
}

fn attempts(pki: &TestPki, accepts: Accepts) -> Result<Vec<Attempt>, Trouble> {
    let kinds = [
        ("user", pki.user("matrix")?, accepts == Accepts::Users),
        ("executor", pki.executor_client("matrix")?, accepts != Accepts::Users),
        (
            "scheduler",
            pki.scheduler_client()?,
            accepts == Accepts::ExecutorsAndScheduler,
        ),
    ];
    let (principal, files) = match accepts {
        Accepts::Users => (Principal::user(pki.trust_domain(), "matrix")?, pki.user("matrix")?),
        _ => (
            Principal::executor(pki.trust_domain(), "matrix")?,
            pki.executor_client("matrix")?,
        ),
    };
    let right = from_files(&files)?;
    let mut attempts = Vec::new();
    for (kind, files, admitted) in kinds {
        let case = if admitted {
            Case::Right(kind)
        } else {
            Case::WrongKind(kind)
        };
        attempts.push(Attempt::new(case, Some(from_files(&files)?)));
    }
    let flawed = flawed(pki, &principal, Purpose::Client)?;
    attempts.extend(
        flawed
            .into_iter()
            .map(|(case, presented)| Attempt::new(case, Some(presented))),
    );
    attempts.push(Attempt::new(Case::NoCertificate, None));
    attempts.push(Attempt {
        version: &TLS12,
        ..Attempt::new(Case::Tls12, Some(right.clone()))
    });
    attempts.push(Attempt {
        alpn: false,
        ..Attempt::new(Case::NoH2, Some(right))
    });
    Ok(attempts)
}

impl Attempt {
    fn new(case: Case, presented: Option<Presented>) -> Self {
        Self {
            case,
            presented,
            version: &TLS13,
            alpn: true,
        }
    }

    fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[self.version])?;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer));
        let mut config = match &self.presented {
            Some(presented) => builder.with_client_cert_resolver(presented.clone()),
            None => builder.with_no_client_auth(),
        };
        if self.alpn {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok(config)
    }
}

async fn within(attempt: impl Future<Output = io::Result<()>>) -> Outcome {
    match timeout(PATIENCE, attempt).await {
        Ok(Ok(())) => Outcome::Admitted,
        Ok(Err(error)) => Outcome::Refused(error.to_string()),
        Err(_) => Outcome::Silent,
    }
}

async fn over_tls(attempt: &Attempt, address: SocketAddr) -> io::Result<()> {
    let config = attempt.config().map_err(io::Error::other)?;
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    greet(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?).await
}

async fn over_tcp(address: SocketAddr) -> io::Result<()> {
    greet(TcpStream::connect(address).await?).await
}

/// Speaks HTTP/2 until the server's settings arrive: only then has it admitted us.
async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    const SETTINGS: u8 = 4;
    stream.write_all(HELLO).await?;
    stream.flush().await?;
    let mut header = [0; 9];
    stream.read_exact(&mut header).await?;
    if header[3] == SETTINGS {
        Ok(())
    } else {
        Err(io::Error::other("answered with something else than http/2"))
    }
}

/// Believes any server: here it is the listener that is tested.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
