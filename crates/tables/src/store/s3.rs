//! Clients of S3 object stores: options, time limits, and the rule that plain HTTP stays on this machine. Credentials
//! come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, web identity files),
//! never from these options. Commits rely on `If-None-Match: *`, which Ceph RGW and S3 both honour.

use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::StoreError;

/// How to reach S3 object stores. What is absent here is taken from the environment's `AWS_*` variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreOptions {
    /// Endpoint URL, for stores other than AWS, for instance `https://rgw.hospital.example`. Default: `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// Region. Default: `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// Allows an `http://` endpoint if it is a loopback address (for tests). Default: false.
    pub allow_http: bool,
    /// PEM file of the authorities that sign the endpoint's certificate, beside the system's own. Default: none.
    pub ca_file: Option<PathBuf>,
    /// Longest time to open a connection, in seconds. Default: 5.
    pub connect_timeout_seconds: u64,
    /// Longest time for one request, in seconds. Default: 15.
    pub request_timeout_seconds: u64,
    /// Longest time from the first attempt of a request to the last retry, in seconds. Default: 20.
    pub retry_timeout_seconds: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            allow_http: false,
            ca_file: None,
            connect_timeout_seconds: 5,
            request_timeout_seconds: 15,
            retry_timeout_seconds: 20,
        }
    }
}

/// Builds the client of `url`'s bucket.
pub(super) fn build(url: &Url, options: &StoreOptions) -> Result<AmazonS3, StoreError> {
    let bucket = url
        .host_str()
        .ok_or_else(|| super::location_error(url, "it names no bucket".to_string()))?;
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    let plain = check_endpoint(
        builder.get_config_value(&AmazonS3ConfigKey::Endpoint),
        options.allow_http,
    )?;
    builder
        .with_client_options(client_options(options)?.with_allow_http(plain))
        .with_retry(retry(options))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()
        .map_err(|source| StoreError::Client {
            location: url.to_string(),
            source,
        })
}

/// True if the endpoint is plain HTTP and may be.
fn check_endpoint(endpoint: Option<String>, allow_http: bool) -> Result<bool, StoreError> {
    let Some(endpoint) = endpoint else { return Ok(false) };
    let url = Url::parse(&endpoint).map_err(|e| StoreError::Location {
        location: endpoint.clone(),
        reason: e.to_string(),
    })?;
    if url.scheme() == "https" {
        return Ok(false);
    }
    if allow_http && is_loopback(&url) {
        Ok(true)
    } else {
        Err(StoreError::PlainHttp { endpoint })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Replaces whatever the environment says of TLS and HTTP, so that no variable can turn certificate checks off.
fn client_options(options: &StoreOptions) -> Result<ClientOptions, StoreError> {
    let mut client = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(options.connect_timeout_seconds))
        .with_timeout(Duration::from_secs(options.request_timeout_seconds));
    let Some(path) = &options.ca_file else {
        return Ok(client);
    };
    let refuse = |reason: String| StoreError::CaFile {
        path: path.display().to_string(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
    let authorities = Certificate::from_pem_bundle(&pem).map_err(|e| refuse(e.to_string()))?;
    if authorities.is_empty() {
        return Err(refuse("it holds no certificate".to_string()));
    }
    for authority in authorities {
        client = client.with_root_certificate(authority);
    }
    Ok(client)
}

/// object_store's own limits are 10 retries in 180 s: a reader would wait minutes to learn that a store is down.
fn retry(options: &StoreOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(4),
            base: 2.0,
        },
        max_retries: 8,
        retry_timeout: Duration::from_secs(options.retry_timeout_seconds),
    }
}
