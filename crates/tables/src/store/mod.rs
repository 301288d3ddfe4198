//! Where tables live: maps `file:///…` and `s3://bucket/…` to object stores, one client per bucket, with short time
//! limits. Refuses plain HTTP except to a loopback address and never turns certificate checks off. Everything above
//! (Delta logs, data files, the dataset version log) only sees an object store and a path.

mod durable;
mod s3;

use std::collections::HashMap;
use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use parking_lot::Mutex;
use url::Url;

pub(crate) use durable::{replace, sync};
pub use s3::StoreOptions;

/// Why a location cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The text is neither a URL nor a path.
    #[error("location {location} is not usable: {reason}")]
    Location {
        /// The location as it was given.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Only `file` and `s3` are served.
    #[error("scheme {scheme} is not supported, use file:///path or s3://bucket/path")]
    Scheme {
        /// The scheme that was asked for.
        scheme: String,
    },
    /// Plain HTTP leaves the machine.
    #[error("endpoint {endpoint} is plain http, which is only allowed to a loopback address: use https")]
    PlainHttp {
        /// The endpoint refused.
        endpoint: String,
    },
    /// A file named by the options cannot be read.
    #[error("ca file {path} is not usable: {reason}")]
    CaFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store's client refused its configuration.
    #[error("object store {location}: {source}")]
    Client {
        /// The location whose client was being built.
        location: String,
        /// The client's own error.
        source: object_store::Error,
    },
}

/// Reads a location as a person writes it: a URL, or a path of the local file system (made absolute).
pub fn parse_location(location: &str) -> Result<Url, StoreError> {
    let refuse = |reason: String| StoreError::Location {
        location: location.to_string(),
        reason,
    };
    if location.contains("://") {
        return Url::parse(location).map_err(|e| refuse(e.to_string()));
    }
    if location.is_empty() {
        return Err(refuse("it is empty".to_string()));
    }
    let path = std::path::absolute(FilePath::new(location)).map_err(|e| refuse(e.to_string()))?;
    Url::from_file_path(&path).map_err(|()| refuse("it is not an absolute path".to_string()))
}

/// The URL of something inside `base`: `base` and the segments joined with slashes.
pub fn join_url(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    let mut path = url.path().trim_end_matches('/').to_string();
    for segment in segments {
        path.push('/');
        path.push_str(segment);
    }
    url.set_path(&path);
    url
}

/// The object stores of a process. Shared by every component; clients are made on first use and kept.
pub struct Stores {
    options: StoreOptions,
    clients: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<String> = self.clients.lock().keys().cloned().collect();
        f.debug_struct("Stores")
            .field("options", &self.options)
            .field("clients", &known)
            .finish()
    }
}

impl Default for Stores {
    fn default() -> Self {
        Self::new(StoreOptions::default())
    }
}

impl Stores {
    /// Stores that use `options` for every S3 bucket.
    pub fn new(options: StoreOptions) -> Self {
        Self {
            options,
            clients: Mutex::new(HashMap::new()),
        }
    }

    /// Serves URLs under `url`'s scheme and host from `store`, for instance an in-memory store.
    #[must_use]
    pub fn with_store(self, url: &Url, store: Arc<dyn ObjectStore>) -> Self {
        self.clients.lock().insert(store_key(url), store);
        self
    }

    /// The store that serves `url` and the path inside it.
    pub fn resolve(&self, url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), StoreError> {
        Ok((self.client(url)?, object_path(url)?))
    }

    /// How DataFusion names the store of `url`: its scheme and host, without a path.
    pub fn object_store_url(&self, url: &Url) -> Result<ObjectStoreUrl, StoreError> {
        ObjectStoreUrl::parse(store_key(url)).map_err(|e| location_error(url, e.to_string()))
    }

    /// The store that DataFusion calls `name` in a scan.
    pub fn by_name(&self, name: &ObjectStoreUrl) -> Result<Arc<dyn ObjectStore>, StoreError> {
        self.client(name.as_ref())
    }

    /// Makes the store of `url` known to a DataFusion runtime.
    pub fn register(&self, url: &Url, runtime: &RuntimeEnv) -> Result<(), StoreError> {
        let name = self.object_store_url(url)?;
        runtime.register_object_store(name.as_ref(), self.client(url)?);
        Ok(())
    }

    fn client(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let key = store_key(url);
        if let Some(known) = self.clients.lock().get(&key) {
            return Ok(Arc::clone(known));
        }
        let made: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => Arc::new(LocalFileSystem::new()),
            "s3" => Arc::new(s3::build(url, &self.options)?),
            other => {
                return Err(StoreError::Scheme {
                    scheme: other.to_string(),
                });
            }
        };
        Ok(Arc::clone(self.clients.lock().entry(key).or_insert(made)))
    }
}

/// A DataFusion runtime built with this registry finds every bucket by itself, without `register`.
impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.clients.lock().insert(store_key(url), store)
    }

    fn get_store(&self, url: &Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        self.client(url).map_err(|e| DataFusionError::External(Box::new(e)))
    }
}

fn store_key(url: &Url) -> String {
    match url.host_str() {
        Some(host) if url.scheme() != "file" => format!("{}://{host}/", url.scheme()),
        _ => format!("{}:///", url.scheme()),
    }
}

fn object_path(url: &Url) -> Result<Path, StoreError> {
    if url.scheme() == "file" {
        let path = url
            .to_file_path()
            .map_err(|()| location_error(url, "it is not an absolute path".to_string()))?;
        return Path::from_absolute_path(path).map_err(|e| location_error(url, e.to_string()));
    }
    Path::from_url_path(url.path()).map_err(|e| location_error(url, e.to_string()))
}

fn location_error(url: &Url, reason: String) -> StoreError {
    StoreError::Location {
        location: url.to_string(),
        reason,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_and_urls_name_the_same_place() {
        let stores = Stores::default();
        let (_, from_path) = stores.resolve(&parse_location("/data/tables").unwrap()).unwrap();
        let (_, from_url) = stores.resolve(&parse_location("file:///data/tables").unwrap()).unwrap();
        assert_eq!(from_path, from_url);
        assert_eq!(from_path.as_ref(), "data/tables");
    }

    #[test]
    fn one_client_per_bucket() {
        let stores = Stores::default();
        let (a, _) = stores.resolve(&Url::parse("s3://one/x").unwrap()).unwrap();
        let (b, path) = stores.resolve(&Url::parse("s3://one/y/z").unwrap()).unwrap();
        let (c, _) = stores.resolve(&Url::parse("s3://two/x").unwrap()).unwrap();
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &c));
        assert_eq!(path.as_ref(), "y/z");
    }

    #[test]
    fn an_unknown_scheme_is_refused_by_name() {
        let error = Stores::default()
            .resolve(&Url::parse("ftp://host/x").unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("scheme ftp"), "{error}");
    }

    #[test]
    fn plain_http_is_refused_unless_loopback() {
        let with = |endpoint: &str| {
            let options = StoreOptions {
                endpoint: Some(endpoint.to_string()),
                ..StoreOptions::default()
            };
            Stores::new(options)
                .resolve(&Url::parse("s3://bucket/x").unwrap())
                .map(|_| ())
        };
        assert!(matches!(
            with("http://store.example:80"),
            Err(StoreError::PlainHttp { .. })
        ));
        assert!(
            matches!(with("http://127.0.0.1:80"), Err(StoreError::PlainHttp { .. })),
            "needs allow_http too"
        );
        with("https://store.example").unwrap();
        let options = StoreOptions {
            endpoint: Some("http://127.0.0.1:7480".to_string()),
            allow_http: true,
            ..StoreOptions::default()
        };
        Stores::new(options)
            .resolve(&Url::parse("s3://bucket/x").unwrap())
            .unwrap();
        let far = StoreOptions {
            endpoint: Some("http://10.0.0.1:7480".to_string()),
            allow_http: true,
            ..StoreOptions::default()
        };
        assert!(Stores::new(far).resolve(&Url::parse("s3://bucket/x").unwrap()).is_err());
    }
}
