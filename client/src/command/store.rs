//! The options that say where tables lie, and how to reach an object store.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use parcours_tables::store::parse_location;
use parcours_tables::{StoreOptions, Stores};
use url::Url;

use crate::exit::Failure;

/// How object stores are reached. Credentials come from the environment (AWS_ACCESS_KEY_ID, …), never from here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Object store")]
pub struct StoreArgs {
    /// Endpoint of an S3 store other than AWS [default: AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Region [default: AWS_REGION, else us-east-1]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Authorities of the endpoint's certificate, beside the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Allow an http:// endpoint on a loopback address, for tests
    #[arg(long)]
    allow_http: bool,
}

impl StoreArgs {
    /// The stores.
    pub fn stores(&self) -> Arc<Stores> {
        Arc::new(Stores::new(StoreOptions {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            ca_file: self.ca_file.clone(),
            allow_http: self.allow_http,
            ..StoreOptions::default()
        }))
    }
}

/// A location as a person writes it: a URL, or a path.
pub fn location(text: &str) -> Result<Url, Failure> {
    parse_location(text).map_err(|error| Failure::Usage(error.to_string()))
}
