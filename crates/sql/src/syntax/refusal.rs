//! Why a statement is refused before it is planned. A message names the construct and the remedy; it quotes no literal.

use std::fmt;

/// Why a statement is refused before it is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The statement is larger or deeper than what is planned in bounded time and stack.
    TooLarge {
        /// What is too large, the limit, and the remedy.
        message: String,
    },
    /// A construct that is not honoured here.
    Unsupported {
        /// The construct and the nearest form that works.
        message: String,
    },
    /// A construct that no SQL allows in its place.
    Invalid {
        /// What is wrong and the remedy.
        message: String,
    },
}

impl Refusal {
    /// Returns the refusal of a statement that is too large.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::TooLarge {
            message: message.into(),
        }
    }

    /// Returns the refusal of a construct that is not honoured.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported {
            message: message.into(),
        }
    }

    /// Returns the refusal of a construct that is wrong in its place.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
        }
    }

    /// The construct and the remedy.
    pub fn message(&self) -> &str {
        match self {
            Self::TooLarge { message } | Self::Unsupported { message } | Self::Invalid { message } => message,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refusal {}

/// What a check says.
pub(crate) type Checked = Result<(), Refusal>;

/// Returns the refusal of a construct that is not honoured, as a result.
pub(crate) fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::unsupported(message))
}
