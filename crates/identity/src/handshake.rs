//! Why a handshake failed, in words an operator can act on. Both ends use it; neither repeats bytes the peer sent.

use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// How long a peer may take from the first byte to a finished handshake.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The only protocol spoken inside TLS.
pub(crate) const ALPN: &[u8] = b"h2";

/// One line on why this handshake failed.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => tls_reason(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "closed during the handshake".into(),
        None => error.to_string(),
    }
}

fn tls_reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "wrong key: the peer does not hold the key of its certificate".into()
        }
        Error::NoCertificatesPresented => "no certificate".into(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "plaintext: not a tls connection".into(),
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => "tls version: the peer does not offer tls 1.3".into(),
        Error::NoApplicationProtocol => no_h2(),
        Error::AlertReceived(alert) => format!("the peer refused us: {}", alert_reason(*alert)),
        other => other.to_string(),
    }
}

/// The reason when HTTP/2 was not agreed on.
pub(crate) fn no_h2() -> String {
    "application protocol: the peer does not offer h2".into()
}

fn alert_reason(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRevoked => "revoked certificate".into(),
        AlertDescription::CertificateExpired => "certificate expired or not yet valid".into(),
        AlertDescription::UnknownCA => "unknown ca, or no current revocation list".into(),
        AlertDescription::UnsupportedCertificate => "wrong usage of the certificate".into(),
        AlertDescription::CertificateUnknown => "certificate with a name or key it does not admit".into(),
        AlertDescription::BadCertificate => "malformed certificate".into(),
        AlertDescription::CertificateRequired => "no certificate".into(),
        AlertDescription::DecryptError => "wrong key".into(),
        AlertDescription::ProtocolVersion => "tls version".into(),
        AlertDescription::NoApplicationProtocol => "application protocol".into(),
        other => format!("alert {other:?}"),
    }
}
