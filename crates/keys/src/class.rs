//! The class of a column: how sensitive its values are, and so which key protects them.
//!
//! A class is always stated; there is no default, and nothing here turns an unknown word into `plain`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::KeyError;

/// How sensitive the values of a column are. Written in lower case in files and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnClass {
    /// Names the person: pseudonym, link keys.
    Identity,
    /// Could single a person out together with others: birth year, sex, place.
    Quasi,
    /// Says something of the person's health: codes, dates of care, quantities.
    Health,
    /// Says nothing of a person; still encrypted, under its own key.
    Plain,
}

impl ColumnClass {
    /// Every class, in the order of declaration.
    pub const ALL: [ColumnClass; 4] = [Self::Identity, Self::Quasi, Self::Health, Self::Plain];

    /// The class as it is written: `identity`, `quasi`, `health` or `plain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Quasi => "quasi",
            Self::Health => "health",
            Self::Plain => "plain",
        }
    }
}

impl fmt::Display for ColumnClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ColumnClass {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let found = Self::ALL.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| KeyError::Name {
            given: text.to_owned(),
            problem: "a column class is identity, quasi, health or plain".to_owned(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_agree() {
        for class in ColumnClass::ALL {
            assert_eq!(class.as_str().parse::<ColumnClass>().unwrap(), class);
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        for word in ["", "Health", "PLAIN", "footer", "health "] {
            assert!(word.parse::<ColumnClass>().is_err(), "{word:?} was accepted");
        }
    }
}
