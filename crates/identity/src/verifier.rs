//! Our rules, in the form rustls asks for them: one verifier for either end, made for one handshake (or, where a library
//! keeps it, for many) and remembering what it saw for the log. TLS 1.2 signatures are refused outright, so that no
//! connection below TLS 1.3 can come about even where a library does not let us choose versions.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::Leaf;
use crate::material::Material;
use crate::provider::provider;
use crate::trust::Trust;
use crate::{Principal, Purpose, Refusal};

/// Whether a principal may be at the other end, decided after its certificate has been found good.
pub(crate) trait Admission: fmt::Debug + Send + Sync {
    /// Refuses principals of the wrong kind.
    fn admit(&self, principal: &Principal) -> Result<(), Refusal>;

    /// Whether the certificate must also carry the host name or address that was dialled.
    fn checks_host(&self) -> bool {
        false
    }
}

/// What was seen of the peer's certificate in a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The name it claims, if that is well formed.
    pub claimed: Option<Principal>,
    /// Its serial number, or empty if unreadable.
    pub serial: String,
    /// Who it is, or why it is refused.
    pub verdict: Result<Principal, Refusal>,
}

/// Verifies the peer of one endpoint.
pub(crate) struct Verifier {
    material: Arc<Material>,
    admission: Arc<dyn Admission>,
    /// The trust of this handshake; `None` looks it up at each one.
    trust: Option<Arc<Trust>>,
    seen: Mutex<Option<Seen>>,
}

impl Verifier {
    /// For one handshake, with the trust it will be remembered to have used.
    pub fn once(material: Arc<Material>, admission: Arc<dyn Admission>, trust: Arc<Trust>) -> Self {
        Self {
            material,
            admission,
            trust: Some(trust),
            seen: Mutex::new(None),
        }
    }

    /// For any number of handshakes, each with the trust of its moment.
    pub fn lasting(material: Arc<Material>, admission: Arc<dyn Admission>) -> Self {
        Self {
            material,
            admission,
            trust: None,
            seen: Mutex::new(None),
        }
    }

    /// What was seen in the last handshake; `None` if it did not come to a certificate.
    pub fn seen(&self) -> Option<Seen> {
        self.seen.lock().clone()
    }

    fn examine(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        purpose: Purpose,
        host: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let live = || self.material.trust().value;
        let trust = self.trust.clone().unwrap_or_else(live);
        let verdict = self.judge(&trust, leaf, intermediates, purpose, host, now);
        let refused = verdict.clone().err();
        let read = Leaf::read(leaf).ok();
        let claimed = read.as_ref().and_then(|leaf| leaf.principal.clone().ok());
        let serial = read.map(|leaf| leaf.serial).unwrap_or_default();
        *self.seen.lock() = Some(Seen {
            claimed,
            serial,
            verdict,
        });
        refused.map_or(Ok(()), |refusal| Err(refusal.into_tls()))
    }

    fn judge(
        &self,
        trust: &Trust,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        purpose: Purpose,
        host: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
        let principal = self.material.examine(trust, leaf, intermediates, purpose, now)?;
        self.admission.admit(&principal)?;
        if let Some(host) = host.filter(|_| self.admission.checks_host()) {
            let certificate = webpki::EndEntityCert::try_from(leaf)?;
            let wrong = |_| Refusal::Host(host.to_str().into_owned());
            certificate.verify_is_valid_for_subject_name(host).map_err(wrong)?;
        }
        Ok(principal)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

fn tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature(
        message,
        certificate,
        signature,
        &provider().signature_verification_algorithms,
    )
}

fn tls12_refused() -> Error {
    Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig)
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.as_deref().map(Trust::subjects).unwrap_or_default()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.examine(leaf, intermediates, Purpose::Client, None, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.examine(leaf, intermediates, Purpose::Server, Some(host), now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
