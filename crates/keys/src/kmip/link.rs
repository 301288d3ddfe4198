//! The way to a KMIP server: connections over mutual TLS, a bounded number at once, kept while they are idle and made anew
//! when they break. One request is under way on a connection at a time.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::KmipOptions;
use super::fault::Fault;
use super::message::{self, Operation, garbled};
use super::ttlv::{self, Item};
use crate::calls::{Calls, Repeat};
use crate::error::KeyError;
use crate::tls::{TlsFiles, client_config};

/// Longest answer read, in bytes.
const LONGEST: usize = 1 << 20;

type Connection = TlsStream<TcpStream>;

/// A server and the connections to it.
pub(super) struct Link {
    calls: Calls,
    ends: Arc<Ends>,
}

struct Ends {
    options: KmipOptions,
    host: ServerName<'static>,
    idle: Mutex<Vec<Connection>>,
}

impl Link {
    /// A link that connects when it is first used.
    ///
    /// # Errors
    /// [`KeyError::Refused`] for an address that is none.
    pub fn new(options: &KmipOptions) -> Result<Self, KeyError> {
        let wrong = || KeyError::Refused {
            reason: format!("{:?} is no KMIP server, write HOST:PORT", options.server),
        };
        let (host, port) = options.server.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
        let ends = Ends {
            options: options.clone(),
            host,
            idle: Mutex::default(),
        };
        Ok(Self {
            calls: Calls::new(options.connections, options.limit_seconds),
            ends: Arc::new(ends),
        })
    }

    /// Asks for an operation in KMIP 1.`minor` and returns the answer's payload.
    pub async fn ask(
        &self,
        minor: i32,
        operation: Operation,
        repeat: Repeat,
        payload: Vec<Item>,
    ) -> Result<Item, Fault> {
        let request = Arc::new(message::request(minor, operation, payload).encode());
        let ends = self.ends.clone();
        let call = move || {
            let (ends, request) = (ends.clone(), request.clone());
            async move { ends.exchange(&request, repeat).await }
        };
        let answer = self.calls.run(repeat, call).await??;
        message::payload(&answer, operation)
    }
}

impl Ends {
    /// Sends a request over a connection and reads the answer. A connection that breaks takes the idle ones with it: the
    /// server was probably restarted.
    async fn exchange(&self, request: &[u8], repeat: Repeat) -> Result<Item, Fault> {
        let idle = match repeat {
            Repeat::Yes => self.idle.lock().pop(),
            // Whether a lost answer means that nothing was done cannot be told: not over one that may be dead already.
            Repeat::No => None,
        };
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match converse(&mut connection, request).await {
            Ok(answer) => {
                self.keep(connection);
                Ok(answer)
            }
            Err(fault) => {
                self.idle.lock().clear();
                Err(fault)
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < self.options.connections {
            idle.push(connection);
        }
    }

    /// A new connection, with the certificates that the files hold now.
    async fn connect(&self) -> Result<Connection, Fault> {
        let own = (self.options.cert.as_path(), self.options.key.as_path());
        let config = client_config(TlsFiles {
            ca: &self.options.ca,
            own: Some(own),
        })?;
        let tcp = TcpStream::connect(&self.options.server)
            .await
            .map_err(|error| self.lost(&error))?;
        tcp.set_nodelay(true).map_err(|error| self.lost(&error))?;
        let connector = TlsConnector::from(Arc::new(config));
        let shaken = connector.connect(self.host.clone(), tcp).await;
        shaken.map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &std::io::Error) -> Fault {
        broken(error, &format!("the KMIP server {}", self.options.server))
    }
}

/// What a connection's failure means: a certificate that one end refuses will be refused again.
fn broken(error: &std::io::Error, server: &str) -> Fault {
    use rustls::AlertDescription::*;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(problem)) => Fault::Refused(format!(
            "the certificate of {server} is refused: {problem:?}, see that ca is its authority"
        )),
        // TLS 1.3 tells only with the first answer what the server thinks of our certificate.
        Some(rustls::Error::AlertReceived(
            alert @ (BadCertificate
            | UnsupportedCertificate
            | CertificateRevoked
            | CertificateExpired
            | CertificateUnknown
            | UnknownCA
            | AccessDenied
            | DecryptError
            | CertificateRequired
            | HandshakeFailure),
        )) => Fault::Refused(format!(
            "{server} refuses our certificate: TLS alert {alert:?}, see that cert is one it trusts"
        )),
        Some(error) => Fault::Lost(format!("TLS with {server} fails: {error}")),
        None => Fault::Lost(format!("{server} cannot be reached: {}", error.kind())),
    }
}

async fn converse(connection: &mut Connection, request: &[u8]) -> Result<Item, Fault> {
    let broken = |error: std::io::Error| broken(&error, "the key server");
    connection.write_all(request).await.map_err(broken)?;
    connection.flush().await.map_err(broken)?;
    let mut head = [0; 8];
    connection.read_exact(&mut head).await.map_err(broken)?;
    let length = ttlv::length_after_head(head);
    if length > LONGEST {
        return Err(garbled());
    }
    let mut answer = Zeroizing::new(vec![0; head.len() + length]);
    answer[..head.len()].copy_from_slice(&head);
    connection.read_exact(&mut answer[head.len()..]).await.map_err(broken)?;
    Item::decode(&answer).map_err(|_| garbled())
}
