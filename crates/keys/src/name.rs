//! Names of master keys: one key, one use.
//!
//! A dataset has one master key per column class, `claims/health`, and one for footers, `claims/footer`; a version is
//! written after a hash sign, `claims/health#3`. Names are validated once, here, and are safe in logs and file names.

use std::fmt;
use std::str::FromStr;

use crate::class::ColumnClass;
use crate::error::KeyError;

/// Longest name accepted, in bytes.
const MAX_NAME: usize = 160;

/// What a master key of a dataset protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    /// The footers of data files.
    Footer,
    /// The columns of one class.
    Class(ColumnClass),
}

impl KeyUse {
    /// Every use a dataset has a master key for.
    pub fn all() -> impl Iterator<Item = KeyUse> {
        ColumnClass::ALL.into_iter().map(KeyUse::Class).chain([KeyUse::Footer])
    }

    /// The last segment of the master key's name: `footer` or the class.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Footer => "footer",
            Self::Class(class) => class.as_str(),
        }
    }

    fn from_segment(segment: &str) -> Option<Self> {
        Self::all().find(|key_use| key_use.as_str() == segment)
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The validated name of a master key: two to four segments of letters, digits, `.`, `_` and `-`, joined by `/`.
///
/// The first segment is the dataset (or the owner of the key), the last one the use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterKeyName(String);

impl MasterKeyName {
    /// Validates `name`.
    ///
    /// # Errors
    /// [`KeyError::Name`] says which rule is broken.
    pub fn new(name: impl Into<String>) -> Result<Self, KeyError> {
        let name = name.into();
        match problem_of(&name) {
            None => Ok(Self(name)),
            Some(problem) => Err(KeyError::Name {
                given: name,
                problem: problem.to_owned(),
            }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment: the dataset that the key belongs to.
    pub fn dataset(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// What the key protects, if it is the key of a dataset's footers or of a column class.
    pub fn key_use(&self) -> Option<KeyUse> {
        let (_, last) = self.0.split_once('/')?;
        KeyUse::from_segment(last)
    }

    /// The class of columns that the key protects, if it protects one.
    pub fn class(&self) -> Option<ColumnClass> {
        match self.key_use()? {
            KeyUse::Class(class) => Some(class),
            KeyUse::Footer => None,
        }
    }

    /// The key in words for a message: `class health of dataset claims (key claims/health)`.
    pub fn describe(&self) -> String {
        match self.key_use() {
            Some(KeyUse::Class(class)) => format!("class {class} of dataset {} (key {self})", self.dataset()),
            Some(KeyUse::Footer) => format!("every file of dataset {} (key {self})", self.dataset()),
            None => format!("key {self}"),
        }
    }
}

fn problem_of(name: &str) -> Option<&'static str> {
    let segments: Vec<&str> = name.split('/').collect();
    if name.len() > MAX_NAME {
        return Some("a key name has at most 160 characters");
    }
    if !(2..=4).contains(&segments.len()) {
        return Some("a key name has two to four segments, like claims/health");
    }
    if segments.iter().any(|segment| !is_segment(segment)) {
        return Some("each segment is letters, digits, dot, dash and underscore, and begins with a letter or digit");
    }
    None
}

fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    segment
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && segment.bytes().all(allowed)
}

impl fmt::Display for MasterKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for MasterKeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

/// One version of a master key, written `claims/health#3`. Versions count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterKeyId {
    /// The key's name.
    pub name: MasterKeyName,
    /// The version, at least 1.
    pub version: u32,
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.version)
    }
}

impl FromStr for MasterKeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let refused = || KeyError::Name {
            given: text.to_owned(),
            problem: "a key id is a name and a version, like claims/health#3".to_owned(),
        };
        let (name, version) = text.split_once('#').ok_or_else(refused)?;
        let number: u32 = version.parse().map_err(|_| refused())?;
        // One spelling per version: no sign, no leading zero, no version 0.
        if number == 0 || number.to_string() != version {
            return Err(refused());
        }
        Ok(Self {
            name: MasterKeyName::new(name)?,
            version: number,
        })
    }
}

/// The master key of one column class of a dataset: `claims/health`.
///
/// # Errors
/// [`KeyError::Name`] when the dataset's name cannot be a segment of a key name.
pub fn class_key(dataset: &str, class: ColumnClass) -> Result<MasterKeyName, KeyError> {
    dataset_key(dataset, KeyUse::Class(class))
}

/// The master key of a dataset's footers: `claims/footer`.
///
/// # Errors
/// [`KeyError::Name`] when the dataset's name cannot be a segment of a key name.
pub fn footer_key(dataset: &str) -> Result<MasterKeyName, KeyError> {
    dataset_key(dataset, KeyUse::Footer)
}

pub(crate) fn dataset_key(dataset: &str, key_use: KeyUse) -> Result<MasterKeyName, KeyError> {
    if !is_segment(dataset) {
        return Err(KeyError::Name {
            given: dataset.to_owned(),
            problem: "a dataset's name is letters, digits, dot, dash and underscore".to_owned(),
        });
    }
    MasterKeyName::new(format!("{dataset}/{key_use}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id: MasterKeyId = "claims/health#3".parse().unwrap();
        assert_eq!(
            (id.name.as_str(), id.version, id.to_string().as_str()),
            ("claims/health", 3, "claims/health#3")
        );
        for text in [
            "claims/health",
            "claims/health#0",
            "claims/health#03",
            "claims/health#+3",
            "claims/health#3#4",
            "#3",
        ] {
            assert!(text.parse::<MasterKeyId>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn names_are_validated() {
        for name in [
            "claims",
            "claims/",
            "/health",
            "a//b",
            "a/b/c/d/e",
            "../health",
            "cl aims/health",
            "é/health",
        ] {
            assert!(MasterKeyName::new(name).is_err(), "{name:?} was accepted");
        }
        assert!(MasterKeyName::new("a/".to_owned() + &"b".repeat(200)).is_err());
        assert!(
            class_key("a/b", ColumnClass::Health).is_err(),
            "a dataset is one segment"
        );
    }

    #[test]
    fn uses_are_read_back() {
        for class in ColumnClass::ALL {
            assert_eq!(class_key("claims", class).unwrap().class(), Some(class));
        }
        let footer = footer_key("claims").unwrap();
        assert_eq!(
            (footer.key_use(), footer.class(), footer.dataset()),
            (Some(KeyUse::Footer), None, "claims")
        );
        assert_eq!(MasterKeyName::new("project/p1/pseudonym").unwrap().key_use(), None);
    }
}
