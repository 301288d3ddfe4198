//! Who may talk to whom, and over what: principals from certificates, TLS 1.3 listeners and connectors that follow
//! their files and their revocation list, and the development PKI. It decides only whether a peer is who it says and of
//! the right kind; what a principal may read is decided elsewhere.
//!
//! Read [`Listener`] for the serving side, [`ClientTls`] for the dialling side and [`pki`] for making certificates.

mod arrivals;
mod certificate;
mod client;
mod connection;
mod credential;
mod error;
mod files;
mod greeting;
mod guard;
mod handshake;
mod listener;
mod material;
pub mod pki;
mod principal;
mod provider;
mod refusal;
mod refusal_log;
mod server;
mod signing;
#[cfg(feature = "testing")]
pub mod testing;
mod trust;
mod verifier;
mod watched;

pub use arrivals::{ArrivalLimits, Arrivals, Crowded, Place};
pub use certificate::{LIFETIME_MAX_DAYS, Purpose};
pub use client::{ClientTls, Expects};
pub use connection::{Connection, Peer, Presence, peer, peer_of};
pub use error::IdentityError;
pub use files::TlsFiles;
pub use listener::Listener;
pub use principal::{Principal, PrincipalError, Role};
pub use provider::install_crypto_provider;
pub use refusal::Refusal;
pub use server::{Accepts, ServerTls};
pub use signing::{Signatures, Signer, SigningError};
