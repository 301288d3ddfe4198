//! The serving side of TLS: whom a listener admits and the configuration of one handshake. Accepting connections is
//! `listener`'s work.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;

use crate::files::TlsFiles;
use crate::handshake::ALPN;
use crate::material::Material;
use crate::provider::provider;
use crate::signing::Signatures;
use crate::verifier::{Admission, Verifier};
use crate::{IdentityError, Principal, Purpose, Refusal, Role};

/// Whom a listener admits; everyone else is refused during the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accepts {
    /// Persons: the scheduler's client listener.
    Users,
    /// Executors: the scheduler's internal listener, and the key service's.
    Executors,
    /// Executors and the scheduler: an executor's listener.
    ExecutorsAndScheduler,
}

impl Admission for Accepts {
    fn admit(&self, principal: &Principal) -> Result<(), Refusal> {
        let (admitted, expected) = match (self, principal.role()) {
            (Self::Users, role) => (matches!(role, Role::User(_)), "a user"),
            (Self::Executors, role) => (matches!(role, Role::Executor(_)), "an executor"),
            (Self::ExecutorsAndScheduler, role) => (
                matches!(role, Role::Executor(_) | Role::Scheduler),
                "an executor or the scheduler",
            ),
        };
        if admitted {
            return Ok(());
        }
        Err(Refusal::Kind {
            found: principal.clone(),
            expected: expected.into(),
        })
    }
}

impl Accepts {
    /// Whether a listener that admits these may present `own`.
    fn suits(self, own: &Principal) -> Result<(), Refusal> {
        let (suits, expected) = match (self, own.role()) {
            (Self::Users, role) => (*role == Role::Scheduler, "the scheduler"),
            (Self::Executors, role) => (
                !matches!(role, Role::User(_)),
                "the scheduler, the key service or an executor",
            ),
            (Self::ExecutorsAndScheduler, role) => (matches!(role, Role::Executor(_)), "an executor"),
        };
        if suits {
            return Ok(());
        }
        Err(Refusal::Kind {
            found: own.clone(),
            expected: expected.into(),
        })
    }
}

/// The TLS of one listener: TLS 1.3 only, client certificates required, no resumption, no early data, HTTP/2 only.
/// Cheap to clone; clones share the watched files.
#[derive(Clone)]
pub struct ServerTls {
    material: Arc<Material>,
    accepts: Accepts,
    listener: &'static str,
}

/// The configuration of one handshake, and what is needed to judge its outcome.
pub(crate) struct ServerHandshake {
    pub config: Arc<ServerConfig>,
    pub verifier: Arc<Verifier>,
    /// The generation of the trust used.
    pub generation: u64,
}

impl ServerTls {
    /// Reads and checks the files. `listener` names the listener in the log.
    ///
    /// Fails when a file is unreadable, the key is readable by others or not the certificate's, or the certificate would
    /// be refused by peers: not a serving certificate of the right kind of principal of `trust_domain` (the scheduler for
    /// `Users`, an executor for `ExecutorsAndScheduler`, either or the key service for `Executors`), expired, revoked,
    /// issued for more than [`crate::LIFETIME_MAX_DAYS`], with a weak key or of another authority.
    pub fn open(
        files: TlsFiles,
        trust_domain: &str,
        accepts: Accepts,
        listener: &'static str,
    ) -> Result<Self, IdentityError> {
        let material = Arc::new(Material::open(files, trust_domain, Purpose::Server, move |own| {
            accepts.suits(own)
        })?);
        Ok(Self {
            material,
            accepts,
            listener,
        })
    }

    /// The name under which this listener appears in the log.
    pub fn listener(&self) -> &'static str {
        self.listener
    }

    /// The principal this listener presents, as its files say now.
    pub fn principal(&self) -> Principal {
        self.material.credential().principal.clone()
    }

    /// Verifies statements signed by the scheduler, with the authorities of these files.
    pub fn signatures(&self) -> Signatures {
        Signatures::new(self.material.clone())
    }

    pub(crate) fn material(&self) -> &Arc<Material> {
        &self.material
    }

    /// The configuration for the next handshake, from the files as they are now.
    pub(crate) fn handshake(&self) -> Result<ServerHandshake, rustls::Error> {
        let trust = self.material.trust();
        let verifier = Arc::new(Verifier::once(
            self.material.clone(),
            Arc::new(self.accepts),
            trust.value,
        ));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier.clone())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.material.credential().key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(ServerHandshake {
            config: Arc::new(config),
            verifier,
            generation: trust.generation,
        })
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ServerTls");
        shown
            .field("listener", &self.listener)
            .field("accepts", &self.accepts)
            .finish_non_exhaustive()
    }
}
