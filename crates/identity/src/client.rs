//! The dialling side: connections on which the other end must be who we expect. Our own connector speaks TLS 1.3 only
//! and reads the files anew for each connection; [`ClientTls::endpoint`] serves libraries that insist on tonic's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tower::service_fn;

use crate::files::TlsFiles;
use crate::greeting::Greeted;
use crate::guard::{Guarded, Standing};
use crate::handshake::{ALPN, TIME_LIMIT, no_h2, reason};
use crate::material::Material;
use crate::principal::Role;
use crate::provider::provider;
use crate::signing::Signatures;
use crate::verifier::{Admission, Verifier};
use crate::{IdentityError, Principal, Purpose, Refusal};

/// HTTP/2 window of a whole connection: results are large and round trips may be long.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// HTTP/2 window of one stream.
const STREAM_WINDOW: u32 = 16 << 20;
/// How often a silent peer with requests under way is probed, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Who must be at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expects {
    /// The scheduler; its certificate must also carry the host name or address dialled.
    Scheduler,
    /// The key service; its certificate must also carry the host name or address dialled.
    KeyService,
    /// Any executor, wherever it runs.
    AnyExecutor,
    /// The executor with this id, wherever it runs.
    Executor(String),
}

impl Admission for Expects {
    fn admit(&self, principal: &Principal) -> Result<(), Refusal> {
        let admitted = match (self, principal.role()) {
            (Self::Scheduler, role) => *role == Role::Scheduler,
            (Self::KeyService, role) => *role == Role::KeyService,
            (Self::AnyExecutor, role) => matches!(role, Role::Executor(_)),
            (Self::Executor(expected), role) => matches!(role, Role::Executor(id) if id == expected),
        };
        if admitted {
            return Ok(());
        }
        Err(Refusal::Kind {
            found: principal.clone(),
            expected: self.to_string(),
        })
    }

    fn checks_host(&self) -> bool {
        matches!(self, Self::Scheduler | Self::KeyService)
    }
}

impl fmt::Display for Expects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduler => f.write_str("the scheduler"),
            Self::KeyService => f.write_str("the key service"),
            Self::AnyExecutor => f.write_str("an executor"),
            Self::Executor(id) => write!(f, "executor {id}"),
        }
    }
}

/// The TLS of connections we open. Cheap to clone; clones share the watched files.
#[derive(Clone)]
pub struct ClientTls {
    material: Arc<Material>,
    expects: Arc<Expects>,
}

impl ClientTls {
    /// Reads and checks the files, as [`crate::ServerTls::open`] does; the certificate must be for dialling.
    pub fn open(files: TlsFiles, trust_domain: &str, expects: Expects) -> Result<Self, IdentityError> {
        let material = Arc::new(Material::open(files, trust_domain, Purpose::Client, |_| Ok(()))?);
        Ok(Self {
            material,
            expects: Arc::new(expects),
        })
    }

    /// The principal we present, as the files say now.
    pub fn principal(&self) -> Principal {
        self.material.credential().principal.clone()
    }

    /// The same files with another expectation of the other end.
    pub fn expecting(&self, expects: Expects) -> Self {
        Self {
            material: self.material.clone(),
            expects: Arc::new(expects),
        }
    }

    /// Verifies statements signed by the scheduler, with the authorities of these files.
    pub fn signatures(&self) -> Signatures {
        Signatures::new(self.material.clone())
    }

    /// Connects to `host:port`. The error says which end refused the other, and why.
    pub async fn connect(&self, address: &str) -> Result<Channel, IdentityError> {
        let endpoint = dialling(address)?;
        let tls = self.clone();
        let connected = endpoint
            .connect_with_connector(service_fn(move |uri: Uri| tls.clone().dial(uri)))
            .await;
        connected.map_err(|error| {
            let cause = IdentityError::behind(&error).and_then(IdentityError::connect_reason);
            let reason = cause.map_or_else(|| innermost(&error), str::to_owned);
            IdentityError::Connect {
                address: address.to_owned(),
                reason,
            }
        })
    }

    /// A channel to `host:port` that connects when first used and again after a loss.
    pub fn connect_lazy(&self, address: &str) -> Result<Channel, IdentityError> {
        let endpoint = dialling(address)?;
        let tls = self.clone();
        Ok(endpoint.connect_with_connector_lazy(service_fn(move |uri: Uri| tls.clone().dial(uri))))
    }

    /// The same endpoint with `https` and our TLS, whatever its scheme was (tonic ignores TLS settings on `http`).
    ///
    /// Its connect timeout, local TCP options and address stay; other settings cannot be read from an [`Endpoint`] and
    /// become ours. The other end is verified with the files of the moment of each handshake, and TLS 1.2 fails in the
    /// verifier although tonic offers it; our own certificate is that of the moment of this call, so call it anew for
    /// each connection. Connections made this way are not cut from our end when the other's certificate is revoked.
    pub fn endpoint(&self, endpoint: Endpoint) -> Result<Endpoint, IdentityError> {
        let failed = |error: tonic::transport::Error| IdentityError::Connect {
            address: endpoint.uri().to_string(),
            reason: innermost(&error),
        };
        let uri = with_scheme("https", endpoint.uri())?;
        let credential = self.material.credential();
        let identity = Identity::from_pem(&*credential.cert_pem, &*credential.key_pem);
        let config = ClientTlsConfig::new().identity(identity).timeout(TIME_LIMIT);
        let verifier = Arc::new(Verifier::lasting(self.material.clone(), self.expects.clone()));
        let secured = tuned(Endpoint::from(uri))
            .connect_timeout(endpoint.get_connect_timeout().unwrap_or(TIME_LIMIT))
            .tcp_keepalive(endpoint.get_tcp_keepalive());
        secured.tls_config_with_verifier(config, verifier).map_err(failed)
    }

    /// One connection for our own channels.
    async fn dial(self, uri: Uri) -> Result<TokioIo<Greeted<Guarded<TlsStream<TcpStream>>>>, IdentityError> {
        let address = uri.authority().map(ToString::to_string).unwrap_or_default();
        let dialled = timeout(TIME_LIMIT, self.shake(&uri)).await;
        let dialled = dialled.unwrap_or_else(|_| Err(format!("no answer within {} s", TIME_LIMIT.as_secs())));
        dialled
            .map(TokioIo::new)
            .map_err(|reason| IdentityError::Connect { address, reason })
    }

    async fn shake(&self, uri: &Uri) -> Result<Greeted<Guarded<TlsStream<TcpStream>>>, String> {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let name = ServerName::try_from(host)
            .map_err(|error| error.to_string())?
            .to_owned();
        let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or_default())).await;
        let tcp = tcp.map_err(|error| error.to_string())?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let trust = self.material.trust();
        let verifier = Arc::new(Verifier::once(self.material.clone(), self.expects.clone(), trust.value));
        let config = self.config(verifier.clone()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| {
                let refusal = verifier.seen().and_then(|seen| seen.verdict.err());
                refusal.map_or_else(|| reason(&error), |refusal| refusal.to_string())
            })?;
        let standing = self.standing(&stream, trust.generation, uri)?;
        Greeted::wait(Guarded::new(stream, standing))
            .await
            .map_err(|error| reason(&error))
    }

    fn config(&self, verifier: Arc<Verifier>) -> Result<ClientConfig, rustls::Error> {
        let key = self.material.credential().key.clone();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }

    fn standing(&self, stream: &TlsStream<TcpStream>, generation: u64, uri: &Uri) -> Result<Standing, String> {
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(ALPN) {
            return Err(no_h2());
        }
        let chain = session.peer_certificates().unwrap_or_default();
        Ok(Standing {
            material: self.material.clone(),
            chain: chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            purpose: Purpose::Server,
            generation,
            listener: "dialled",
            peer: format!(
                "{} at {}",
                self.expects,
                uri.authority().map_or("", |authority| authority.as_str())
            ),
        })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("expects", &self.expects)
            .finish_non_exhaustive()
    }
}

/// An endpoint for our own connector. Its scheme is `http` only so that tonic adds no TLS of its own; requests carry the
/// origin `https`.
fn dialling(address: &str) -> Result<Endpoint, IdentityError> {
    let wrong = || IdentityError::Address {
        address: address.to_owned(),
    };
    let uri: Uri = format!("http://{address}/").parse().map_err(|_| wrong())?;
    let whole = uri.authority().is_some_and(|authority| authority.as_str() == address);
    if !whole || address.contains('@') || uri.port_u16().is_none() {
        return Err(wrong());
    }
    let origin = with_scheme("https", &uri)?;
    Ok(tuned(Endpoint::from(uri)).origin(origin).connect_timeout(TIME_LIMIT))
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(false)
}

fn with_scheme(scheme: &str, uri: &Uri) -> Result<Uri, IdentityError> {
    let wrong = || IdentityError::Address {
        address: uri.to_string(),
    };
    let authority = uri.authority().ok_or_else(wrong)?.as_str();
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query("/")
        .build()
        .map_err(|_| wrong())
}

/// The innermost cause of an error: what actually happened.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
