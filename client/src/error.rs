//! What can go wrong between a program and a cluster, in sentences a person can act on.
//!
//! This is the one file that turns gRPC statuses into the client's own errors; a status keeps the server's sentence,
//! which names the table, column or class concerned. Nothing here repeats a parameter's value.

use std::path::PathBuf;

use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use tonic::{Code, Status};

/// A connection or a query that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No connection to the scheduler: the address, the network, or one side's certificate.
    #[error("cannot connect to {uri}: {reason}")]
    Connect {
        /// The address of the profile.
        uri: String,
        /// What the transport said, from the outside in.
        reason: String,
    },
    /// The statement is not valid: syntax, an unknown name, a type that does not fit, or a kind of statement the
    /// cluster does not run.
    #[error("query refused: {0}")]
    Invalid(String),
    /// The principal may not read what the statement touches.
    #[error("access denied: {0}")]
    Denied(String),
    /// The scheduler does not know the certificate's principal.
    #[error("not recognised by the scheduler: {0}")]
    Unrecognised(String),
    /// Something named in the request does not exist, or exists no longer.
    #[error("not found: {0}")]
    NotFound(String),
    /// The query was cancelled, by this client or by the cluster.
    #[error("query cancelled: {0}")]
    Cancelled(String),
    /// The query ran longer than the cluster allows.
    #[error("query out of time: {0}")]
    TimedOut(String),
    /// The query needs more memory, disk or slots than the cluster gives it.
    #[error("query out of resources: {0}")]
    Exhausted(String),
    /// The scheduler went away, or cannot answer now; trying again may help.
    #[error("scheduler unavailable: {0}")]
    Unavailable(String),
    /// The cluster does not offer what was asked.
    #[error("not supported by the cluster: {0}")]
    Unsupported(String),
    /// The query failed inside the cluster.
    #[error("query failed: {0}")]
    Failed(String),
    /// The scheduler answered in a way this client does not understand.
    #[error("unexpected answer from the scheduler: {0}")]
    Protocol(String),
    /// Parameters do not fit the statement.
    #[error("parameters: {0}")]
    Parameter(String),
    /// A batch could not be decoded.
    #[error("result cannot be decoded: {0}")]
    Decode(#[from] ArrowError),
}

/// A profile, or the file of profiles, that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The address does not say scheme, host and port.
    #[error("uri {0:?} is not grpc+tls://host:port")]
    Uri(String),
    /// The address asks for a connection without TLS.
    #[error("uri {0:?} asks for plaintext, parcours connects by grpc+tls only")]
    Plaintext(String),
    /// The profiles file cannot be read.
    #[error("cannot read profiles {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The profiles file does not parse, or holds a key that no profile has.
    #[error("profiles {path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        reason: String,
    },
    /// No profile of this name.
    #[error("no profile {name:?} in {path}, known: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The file.
        path: PathBuf,
        /// The names it does hold.
        known: String,
    },
    /// No profile was named, and the file names no default.
    #[error("no profile named and no default in {0}, use --profile or set default = \"name\"")]
    NoDefault(PathBuf),
    /// The certificate does not say which trust domain it belongs to.
    #[error("certificate {path} names no trust domain ({reason}), set trust_domain")]
    TrustDomain {
        /// The certificate.
        path: PathBuf,
        /// Why it could not be read.
        reason: String,
    },
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let said = sentence(&status);
        match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::AlreadyExists => {
                ClientError::Invalid(said)
            }
            Code::PermissionDenied => ClientError::Denied(said),
            Code::Unauthenticated => ClientError::Unrecognised(said),
            Code::NotFound => ClientError::NotFound(said),
            Code::Cancelled | Code::Aborted => ClientError::Cancelled(said),
            Code::DeadlineExceeded => ClientError::TimedOut(said),
            Code::ResourceExhausted => ClientError::Exhausted(said),
            Code::Unavailable => ClientError::Unavailable(said),
            Code::Unimplemented => ClientError::Unsupported(said),
            _ => ClientError::Failed(said),
        }
    }
}

impl From<FlightError> for ClientError {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => (*status).into(),
            FlightError::Arrow(error) => ClientError::Decode(error),
            FlightError::ProtocolError(said)
            | FlightError::DecodeError(said)
            | FlightError::NotYetImplemented(said) => ClientError::Protocol(said),
            FlightError::ExternalError(error) => ClientError::Failed(chain(error.as_ref())),
        }
    }
}

impl From<prost::DecodeError> for ClientError {
    fn from(error: prost::DecodeError) -> Self {
        ClientError::Protocol(error.to_string())
    }
}

/// The server's sentence; for a status the transport made, what lies beneath it as well, since "transport error" alone
/// hides that a certificate was refused.
fn sentence(status: &Status) -> String {
    let said = status.message().trim();
    match std::error::Error::source(status) {
        Some(source) => {
            let beneath = chain(source);
            if said.is_empty() || beneath.starts_with(said) {
                beneath
            } else {
                format!("{said}: {beneath}")
            }
        }
        None if said.is_empty() => format!("{:?}, no reason given", status.code()).to_lowercase(),
        None => said.to_owned(),
    }
}

/// An error and its sources, outermost first, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let beneath = error.to_string();
        if !said.contains(&beneath) {
            said = format!("{said}: {beneath}");
        }
        source = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_keeps_its_sentence_and_finds_its_kind() {
        let denied = ClientError::from(Status::permission_denied("class health of dataset snds"));
        assert!(matches!(&denied, ClientError::Denied(said) if said == "class health of dataset snds"));
        assert_eq!(denied.to_string(), "access denied: class health of dataset snds");
        assert!(matches!(
            ClientError::from(Status::invalid_argument("x")),
            ClientError::Invalid(_)
        ));
        assert!(matches!(
            ClientError::from(Status::unavailable("x")),
            ClientError::Unavailable(_)
        ));
        assert!(matches!(
            ClientError::from(Status::deadline_exceeded("x")),
            ClientError::TimedOut(_)
        ));
        assert!(matches!(
            ClientError::from(Status::data_loss("x")),
            ClientError::Failed(_)
        ));
    }

    #[test]
    fn an_empty_status_still_says_something() {
        assert_eq!(
            ClientError::from(Status::internal("")).to_string(),
            "query failed: internal, no reason given"
        );
    }

    #[test]
    fn what_the_transport_hides_is_said() {
        let beneath = std::io::Error::other("received fatal alert: CertificateRevoked");
        let status = Status::from_error(Box::new(beneath));
        assert!(ClientError::from(status).to_string().contains("CertificateRevoked"));
    }
}
