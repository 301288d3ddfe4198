//! What a failed call to the module means: whether to connect again, to look an object up again, or to give up.

use cryptoki::error::{Error, RvError};

/// Why a call failed. The texts are return codes and names of functions; a module's own words are never passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The session, the token or the device is gone; a new connection may succeed.
    Lost(String),
    /// The session's number means nothing to the module any more, and may be given to another: it is never closed.
    Void(String),
    /// The token refuses the PIN, or the PIN file cannot be used. Trying again with the same PIN would lock the token.
    Pin(String),
    /// A handle names no object any more.
    Stale,
    /// The text does not decrypt under the key.
    Undecipherable,
    /// The module gives no usable reason: a fault or, in decryption, a text that does not authenticate.
    Unclear(String),
    /// The token will not do this with this key, however often it is asked.
    Refused(String),
}

impl Fault {
    /// What is still unclear when a call has ended is a fault of the connection.
    pub fn settled(self) -> Self {
        match self {
            Self::Unclear(text) => Self::Lost(text),
            other => other,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Error::Pkcs11(code, function) = error else {
            return Self::Refused(error.to_string());
        };
        let text = format!("C_{function:?} answers {}", name_of(code));
        match code {
            RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid => Self::Stale,
            RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange => Self::Undecipherable,
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized => Self::Pin(text),
            RvError::GeneralError | RvError::FunctionFailed => Self::Unclear(text),
            RvError::SessionClosed | RvError::SessionHandleInvalid | RvError::CryptokiNotInitialized => {
                Self::Void(text)
            }
            code if is_lost(code) => Self::Lost(text),
            _ => Self::Refused(text),
        }
    }
}

fn is_lost(code: RvError) -> bool {
    matches!(
        code,
        RvError::SessionCount
            | RvError::UserNotLoggedIn
            | RvError::SlotIdInvalid
            | RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::DeviceRemoved
            | RvError::HostMemory
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::OperationActive
            | RvError::VendorDefined(_)
    )
}

/// The code's name in the standard's spelling, such as `CKR_DEVICE_REMOVED`.
fn name_of(code: RvError) -> String {
    let mut name = "CKR".to_owned();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn fault(code: RvError) -> Fault {
        Error::Pkcs11(code, Function::Decrypt).into()
    }

    #[test]
    fn codes_say_what_to_do() {
        let text = "C_Decrypt answers CKR_DEVICE_REMOVED".to_owned();
        assert_eq!(fault(RvError::DeviceRemoved), Fault::Lost(text));
        assert!(matches!(fault(RvError::SessionHandleInvalid), Fault::Void(_)));
        assert_eq!(fault(RvError::KeyHandleInvalid), Fault::Stale);
        assert!(matches!(fault(RvError::PinLocked), Fault::Pin(_)));
        assert!(matches!(fault(RvError::KeyFunctionNotPermitted), Fault::Refused(_)));
        assert!(matches!(fault(RvError::GeneralError), Fault::Unclear(_)));
    }
}
