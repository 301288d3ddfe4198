//! The HTTP interface of a transit engine: which requests there are, what their answers mean, and how they are sent. HTTPS
//! only, to the one address that is named: no redirect is followed, no proxy is used. The token is read from its file for
//! each request, certificates when one of their files changed. What a server says in words is not passed on.

use std::borrow::Cow;
use std::error::Error;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::TransitOptions;
use crate::calls::{Calls, MayPass, Repeat};
use crate::error::KeyError;
use crate::private::read_secret_line;
use crate::tls::{TlsFiles, client_config};

/// Longest answer read, in bytes.
const LONGEST: usize = 1 << 20;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No answer, one that cannot be read, or one that says to come back later.
    Passing(String),
    /// 400: the server does not take what was sent.
    Rejected,
    /// 403: the token is not good for it.
    Forbidden,
    /// 404: there is no such thing in the engine.
    Missing,
    /// The service cannot be used as it is configured.
    Refused(String),
}

impl MayPass for Fault {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Passing(_))
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unavailable { reason } => Self::Passing(reason),
            KeyError::Refused { reason } => Self::Refused(reason),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// An answer's body, wiped when dropped as far as it is ours.
pub(super) struct Answer(Zeroizing<Vec<u8>>);

/// What surrounds the data of every answer.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Plaintext<'a> {
    #[serde(borrow)]
    plaintext: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    errors: Vec<serde::de::IgnoredAny>,
}

impl Answer {
    /// The data of the answer.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let read = serde_json::from_slice::<Envelope<T>>(&self.0);
        read.map(|envelope| envelope.data).map_err(|_| garbled())
    }

    /// The plaintext of the answer, decoded from base64.
    pub fn plaintext(&self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        use base64::Engine as _;
        let read = serde_json::from_slice::<Envelope<Plaintext>>(&self.0).map_err(|_| garbled())?;
        let text = Zeroizing::new(read.data.plaintext.into_owned());
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
        bytes.map(Zeroizing::new).map_err(|_| garbled())
    }
}

fn garbled() -> Fault {
    Fault::Passing("the key server's answer cannot be read".to_owned())
}

/// A server's transit engine.
pub(super) struct Server {
    calls: Calls,
    ends: Arc<Ends>,
}

struct Ends {
    options: TransitOptions,
    /// The engine's address, `https://host:port/v1/transit/`.
    engine: Url,
    namespace: Option<HeaderValue>,
    client: Mutex<Option<(Stamp, Client)>>,
}

/// When the files of certificates were last changed.
type Stamp = Vec<Option<(i64, i64, u64)>>;

impl Server {
    /// A server that is connected to when it is first asked.
    ///
    /// # Errors
    /// [`KeyError::Refused`] for an address, mount or namespace that is none.
    pub fn new(options: &TransitOptions) -> Result<Self, KeyError> {
        let namespace = options.namespace.as_deref().map(HeaderValue::from_str).transpose();
        let ends = Ends {
            engine: engine(&options.address, &options.mount)?,
            namespace: namespace.map_err(|_| refused("the namespace is no name".to_owned()))?,
            options: options.clone(),
            client: Mutex::default(),
        };
        Ok(Self {
            calls: Calls::new(options.connections, options.limit_seconds),
            ends: Arc::new(ends),
        })
    }

    /// Reads what is at `path` of the engine.
    pub async fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.ask(Method::GET, path, Repeat::Yes, None).await
    }

    /// Sends `body` (JSON) to `path` of the engine.
    pub async fn post(&self, path: &str, repeat: Repeat, body: Zeroizing<Vec<u8>>) -> Result<Answer, Fault> {
        self.ask(Method::POST, path, repeat, Some(Bytes::from_owner(body)))
            .await
    }

    async fn ask(&self, method: Method, path: &str, repeat: Repeat, body: Option<Bytes>) -> Result<Answer, Fault> {
        let unusable = |_| Fault::Refused(format!("{path:?} is no path of the engine"));
        let url = self.ends.engine.join(path).map_err(unusable)?;
        let ends = self.ends.clone();
        let call = move || {
            let (ends, method, url, body) = (ends.clone(), method.clone(), url.clone(), body.clone());
            async move { ends.exchange(method, url, body).await }
        };
        self.calls.run(repeat, call).await?
    }
}

impl Ends {
    async fn exchange(&self, method: Method, url: Url, body: Option<Bytes>) -> Result<Answer, Fault> {
        let mut request = self.client()?.request(method, url).header("X-Vault-Request", "true");
        request = request.header("X-Vault-Token", self.token()?);
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status().as_u16();
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if bytes.len() + chunk.len() > LONGEST {
                return Err(garbled());
            }
            bytes.extend_from_slice(&chunk);
        }
        self.judge(status, Answer(bytes))
    }

    fn judge(&self, status: u16, answer: Answer) -> Result<Answer, Fault> {
        match status {
            200 | 204 => Ok(answer),
            400 => Err(Fault::Rejected),
            403 => Err(Fault::Forbidden),
            // The engine says nothing of what it does not have. Words come from the server, which has no such engine.
            404 if complaints(&answer) == 0 => Err(Fault::Missing),
            404 => Err(Fault::Refused(format!(
                "the key server has no transit engine at {}, see mount and namespace",
                self.options.mount
            ))),
            412 | 429 | 472 | 473 | 500.. => {
                Err(Fault::Passing(format!("the key server answers with status {status}")))
            }
            300..400 => Err(Fault::Passing(format!(
                "the key server answers with status {status} and sends us elsewhere, name the active server's address"
            ))),
            _ => Err(Fault::Refused(format!("the key server answers with status {status}"))),
        }
    }

    fn token(&self) -> Result<HeaderValue, Fault> {
        let token = read_secret_line(&self.options.token_file, "token")?;
        let header = HeaderValue::from_bytes(token.as_bytes());
        let mut header = header.map_err(|_| Fault::Refused("the token cannot be sent".to_owned()))?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// The client, made anew when a certificate's file changed.
    fn client(&self) -> Result<Client, Fault> {
        let stamp = self.stamp();
        let mut kept = self.client.lock();
        if let Some((_, client)) = kept.as_ref().filter(|(made, _)| *made == stamp) {
            return Ok(client.clone());
        }
        let client = self.make_client()?;
        *kept = Some((stamp, client.clone()));
        Ok(client)
    }

    fn make_client(&self) -> Result<Client, Fault> {
        let options = &self.options;
        let own = options.cert.as_deref().zip(options.key.as_deref());
        let config = client_config(TlsFiles { ca: &options.ca, own })?;
        let limit = Duration::from_secs(options.limit_seconds.max(1));
        let built = Client::builder()
            .tls_backend_preconfigured(config)
            .https_only(true)
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .timeout(limit)
            .connect_timeout(limit)
            .pool_max_idle_per_host(options.connections)
            .build();
        built.map_err(|error| Fault::Refused(format!("the HTTP client cannot be made: {}", innermost(&error))))
    }

    fn stamp(&self) -> Stamp {
        let options = &self.options;
        let files = [Some(&options.ca), options.cert.as_ref(), options.key.as_ref()];
        let changed = |path: &Path| {
            std::fs::metadata(path)
                .ok()
                .map(|about| (about.mtime(), about.mtime_nsec(), about.ino()))
        };
        files.into_iter().flatten().map(|path| changed(path)).collect()
    }

    fn failed(&self, error: &reqwest::Error) -> Fault {
        let (server, reason) = (&self.options.address, innermost(error));
        match certificate_problem(error) {
            Some(problem) => Fault::Refused(format!("TLS with {server} is refused: {problem}, see ca, cert and key")),
            None => Fault::Passing(format!("{server} cannot be asked: {reason}")),
        }
    }
}

/// The problem with either end's certificate, if that is what failed.
fn certificate_problem(error: &reqwest::Error) -> Option<String> {
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    let is_final = |error: &&rustls::Error| {
        matches!(
            error,
            rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)
        )
    };
    tls.filter(is_final).map(ToString::to_string)
}

/// The innermost cause of an error: what actually happened.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and its causes, outermost first. What an I/O error was made of is not among its sources.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn complaints(answer: &Answer) -> usize {
    let read = serde_json::from_slice::<Complaint>(&answer.0);
    read.unwrap_or_default().errors.len()
}

fn engine(address: &str, mount: &str) -> Result<Url, KeyError> {
    let url =
        Url::parse(address).map_err(|_| refused(format!("{address:?} is no address, write https://HOST:PORT")))?;
    let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none();
    if url.scheme() != "https" || url.host_str().is_none() || !bare {
        return Err(refused(format!(
            "{address:?} is no HTTPS server, write https://HOST:PORT"
        )));
    }
    let is_segment = |segment: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !segment.is_empty() && segment.bytes().all(allowed)
    };
    if !mount.split('/').all(is_segment) {
        return Err(refused(format!(
            "{mount:?} is no mount of an engine, write its path such as transit"
        )));
    }
    let joined = url.join(&format!("/v1/{mount}/"));
    joined.map_err(|_| refused(format!("{address:?} is no address, write https://HOST:PORT")))
}

fn refused(reason: String) -> KeyError {
    KeyError::Refused { reason }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_nothing_but_a_host() {
        let engine = |address, mount| engine(address, mount).map(|url| url.to_string());
        assert_eq!(
            engine("https://kms:8200", "transit").unwrap(),
            "https://kms:8200/v1/transit/"
        );
        assert_eq!(
            engine("https://kms/", "team/transit").unwrap(),
            "https://kms/v1/team/transit/"
        );
        for (address, mount) in [
            ("http://kms:8200", "transit"),
            ("kms:8200", "transit"),
            ("https://kms/path", "transit"),
            ("https://me:secret@kms", "transit"),
            ("https://kms?x=1", "transit"),
            ("https://kms", ""),
            ("https://kms", "../sys"),
            ("https://kms", "a//b"),
            ("https://kms", "transit?list=true"),
        ] {
            let error = engine(address, mount).unwrap_err();
            assert!(matches!(error, KeyError::Refused { .. }), "{address} {mount}: {error}");
        }
    }
}
