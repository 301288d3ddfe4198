//! The file of named profiles: `$XDG_CONFIG_HOME/parcours/profiles.toml`, or another one that is named.
//!
//! Relative paths in it are relative to its own folder. A key no profile has is refused, so that a misspelt one is
//! never silently without effect.
//!
//! ```toml
//! default = "study"
//!
//! [profiles.study]
//! uri = "grpc+tls://scheduler.example:7443"
//! ca = "ca.pem"
//! cert = "alice.pem"
//! key = "alice.key"
//! trust_domain = "parcours.example"   # left out: the one the certificate names
//! crl = "crl.pem"                     # left out: no revocation list
//! history = false                     # true: the shell keeps its statements on disk
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::ProfileError;
use crate::profile::Profile;

/// The profiles of one file.
#[derive(Debug, Clone)]
pub struct Profiles {
    path: PathBuf,
    file: File,
}

/// A profile as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedProfile {
    /// Its name in the file.
    pub name: String,
    /// Address, certificate and key.
    pub profile: Profile,
    /// Whether an interactive shell may keep its statements on disk; they can hold values of patients.
    pub history: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    uri: String,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    trust_domain: Option<String>,
    crl: Option<PathBuf>,
    #[serde(default)]
    history: bool,
}

impl Profiles {
    /// Where the file is looked for when none is named: `$XDG_CONFIG_HOME/parcours/profiles.toml`, else
    /// `$HOME/.config/parcours/profiles.toml`; `None` without either variable.
    pub fn default_path() -> Option<PathBuf> {
        let absolute = |variable| {
            std::env::var_os(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
        Some(config.join("parcours").join("profiles.toml"))
    }

    /// Reads a file of profiles.
    ///
    /// # Errors
    /// [`ProfileError::Unreadable`] when the file cannot be read, [`ProfileError::Malformed`] when it does not parse
    /// or holds an unknown key.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = std::fs::read_to_string(path).map_err(|error| ProfileError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ProfileError> {
        let file = toml::from_str(text).map_err(|error| ProfileError::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// The names the file holds, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.file.profiles.keys().map(String::as_str)
    }

    /// The profile of this name, or the file's default for `None`.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`], [`ProfileError::NoDefault`], or [`ProfileError::TrustDomain`] when the profile
    /// states no trust domain and its certificate names none.
    pub fn get(&self, name: Option<&str>) -> Result<NamedProfile, ProfileError> {
        let name = match name.or(self.file.default.as_deref()) {
            Some(name) => name,
            None => return Err(ProfileError::NoDefault(self.path.clone())),
        };
        let entry = self.file.profiles.get(name).ok_or_else(|| self.unknown(name))?;
        let cert = self.resolve(&entry.cert);
        let trust_domain = match &entry.trust_domain {
            Some(stated) => stated.clone(),
            None => Profile::trust_domain_of(&cert)?,
        };
        let profile = Profile {
            uri: entry.uri.clone(),
            ca: self.resolve(&entry.ca),
            cert,
            key: self.resolve(&entry.key),
            trust_domain,
            crl: entry.crl.as_deref().map(|path| self.resolve(path)),
        };
        Ok(NamedProfile {
            name: name.to_owned(),
            profile,
            history: entry.history,
        })
    }

    fn unknown(&self, name: &str) -> ProfileError {
        let known = self.names().collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        ProfileError::Unknown {
            name: name.to_owned(),
            path: self.path.clone(),
            known,
        }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        default = "study"
        [profiles.study]
        uri = "grpc+tls://one:1"
        ca = "ca.pem"
        cert = "/abs/alice.pem"
        key = "sub/alice.key"
        trust_domain = "one.test"
        [profiles.other]
        uri = "grpc+tls://two:2"
        ca = "ca.pem"
        cert = "b.pem"
        key = "b.key"
        trust_domain = "two.test"
        crl = "crl.pem"
        history = true
    "#;

    fn parse(text: &str) -> Result<Profiles, ProfileError> {
        Profiles::parse(Path::new("/etc/parcours/profiles.toml"), text)
    }

    #[test]
    fn the_default_is_taken_and_paths_are_relative_to_the_file() {
        let study = parse(TWO).unwrap().get(None).unwrap();
        assert_eq!(study.name, "study");
        assert!(!study.history);
        assert_eq!(study.profile.ca, Path::new("/etc/parcours/ca.pem"));
        assert_eq!(study.profile.cert, Path::new("/abs/alice.pem"));
        assert_eq!(study.profile.key, Path::new("/etc/parcours/sub/alice.key"));
        assert_eq!(study.profile.crl, None);
    }

    #[test]
    fn a_name_chooses_its_own() {
        let other = parse(TWO).unwrap().get(Some("other")).unwrap();
        assert_eq!((other.profile.uri.as_str(), other.history), ("grpc+tls://two:2", true));
        assert_eq!(other.profile.crl.as_deref(), Some(Path::new("/etc/parcours/crl.pem")));
    }

    #[test]
    fn unknown_names_and_keys_and_missing_defaults_are_refused() {
        let error = parse(TWO).unwrap().get(Some("studdy")).unwrap_err();
        assert!(error.to_string().contains("other, study"), "{error}");
        assert!(matches!(parse("").unwrap().get(None), Err(ProfileError::NoDefault(_))));
        assert!(matches!(parse("colour = 1"), Err(ProfileError::Malformed { .. })));
        let misspelt = TWO.replace("history", "histroy");
        assert!(matches!(parse(&misspelt), Err(ProfileError::Malformed { .. })));
    }
}
