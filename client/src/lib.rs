//! The client of a Parcours cluster, as a library: connect over mTLS, query, read a stream of record batches.
//!
//! It owns what a program needs to ask questions, and nothing of how they are answered: no key, no file of data and no
//! part of the engine is within its reach. [`Profile`] says where and as whom, [`Connection`] asks,
//! [`RecordBatchStream`] answers; the command line of the same package is in `main.rs` and `command/`.
//!
//! ```no_run
//! # async fn example() -> Result<(), parcours::ClientError> {
//! use futures::TryStreamExt;
//! use parcours::{Connection, Profile};
//!
//! let profile = Profile {
//!     uri: "grpc+tls://scheduler.example:7443".into(),
//!     ca: "ca.pem".into(),
//!     cert: "alice.pem".into(),
//!     key: "alice.key".into(),
//!     trust_domain: "parcours.example".into(),
//!     crl: None,
//! };
//! let connection = Connection::open(&profile).await?;
//! let mut batches = connection.query("select count(*) from beneficiaire").await?;
//! while let Some(batch) = batches.try_next().await? {
//!     println!("{} rows", batch.num_rows());
//! }
//! # Ok(())
//! # }
//! ```

mod catalog;
mod connection;
mod error;
mod parameter;
mod prepared;
mod profile;
mod profiles;
mod results;

pub use catalog::{Catalog, Table};
pub use connection::Connection;
pub use error::{ClientError, ProfileError};
pub use parameter::Parameter;
pub use profile::Profile;
pub use profiles::{NamedProfile, Profiles};
pub use results::RecordBatchStream;
