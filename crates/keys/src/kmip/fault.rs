//! What a failed call to a KMIP server means: whether to try again, to look an object up again, or to give up.

use crate::calls::MayPass;
use crate::error::KeyError;
use crate::name::MasterKeyName;
use crate::wrapping::tampered;

/// Why a call failed. The texts are the names of operations and reasons; a server's own words are never passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No answer, or none that can be read; another connection may bring one.
    Lost(String),
    /// The server has no such object.
    Missing,
    /// The server gives no usable reason: a fault of its own or, in decryption, a text that does not authenticate.
    Unclear(String),
    /// The text does not open under the key.
    Undecipherable,
    /// The server will not do this with this key, however often it is asked.
    Denied(String),
    /// The server refuses us, or what this service asks for, whichever key it is.
    Refused(String),
}

impl MayPass for Fault {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}

impl Fault {
    /// What it means to the caller who asked with `key`.
    pub fn explain(self, key: Option<&MasterKeyName>) -> KeyError {
        match (self, key) {
            (Self::Undecipherable, Some(key)) => tampered(key),
            (Self::Denied(reason), Some(key)) => KeyError::Denied {
                key: key.clone(),
                reason: format!("{reason}, the key is not active there or this process may not use it"),
            },
            (Self::Denied(reason) | Self::Refused(reason), _) => KeyError::Refused { reason },
            (Self::Lost(reason) | Self::Unclear(reason), _) => KeyError::Unavailable { reason },
            (Self::Missing | Self::Undecipherable, _) => KeyError::Unavailable {
                reason: "a key's object changed while it was used".to_owned(),
            },
        }
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unavailable { reason } => Self::Lost(reason),
            KeyError::Refused { reason } => Self::Refused(reason),
            other => Self::Refused(other.to_string()),
        }
    }
}
