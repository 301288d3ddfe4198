//! What an executor and the key daemon say to each other: two Flight actions with JSON bodies, over mTLS only. Data keys
//! travel in [`Answer::Key`]; nothing else in here is secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parcours_keys::{ColumnClass, DataKey, KeyError, WrappedKey};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// The action that asks for data keys.
pub const UNWRAP: &str = "parcours.keys.unwrap";
/// The action that follows what an executor may use.
pub const FOLLOW: &str = "parcours.keys.follow";
/// Most keys asked for at once.
pub const KEYS_MAX: usize = 256;

/// Asks for data keys under a grant.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnwrapRequest {
    /// The grant of the task that needs them.
    pub grant: String,
    /// The wrapped keys, at most [`KEYS_MAX`].
    pub keys: Vec<Asked>,
}

impl fmt::Debug for UnwrapRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnwrapRequest")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// One wrapped key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The version of the master key that wrapped it.
    pub master: String,
    /// The key service's own text.
    pub text: String,
    /// The additional data of the wrapping, in Base64.
    pub aad: String,
}

impl Asked {
    /// Asks for this key.
    pub fn new(wrapped: &WrappedKey, aad: &[u8]) -> Self {
        Self {
            master: wrapped.master.to_string(),
            text: wrapped.text.clone(),
            aad: STANDARD.encode(aad),
        }
    }

    /// The wrapped key and its additional data; none if they are not well formed.
    pub fn read(&self) -> Option<(WrappedKey, Vec<u8>)> {
        let wrapped = WrappedKey {
            master: self.master.parse().ok()?,
            text: self.text.clone(),
        };
        Some((wrapped, STANDARD.decode(&self.aad).ok()?))
    }
}

/// The answer to one [`Asked`], in the order of asking.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The data key, in Base64.
    Key(String),
    /// It is not released, for this reason.
    Denied(String),
    /// There is no such master key, or not this version of it.
    Unknown,
    /// The wrapped key does not authenticate; what was being opened.
    Tampered(String),
    /// The master keys cannot be reached now.
    Unavailable,
    /// The master keys cannot be used at all until an operator looks.
    Refused,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.outcome())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Self::Key(key) = self {
            key.zeroize();
        }
    }
}

impl Answer {
    /// The answer to an unwrapping. What only concerns the daemon's operator stays in the daemon's log.
    pub fn of(unwrapped: Result<DataKey, KeyError>) -> Self {
        match unwrapped {
            Ok(key) => Self::Key(STANDARD.encode(key.expose())),
            Err(KeyError::Denied { reason, .. }) => Self::Denied(reason),
            Err(KeyError::Unknown { .. }) => Self::Unknown,
            Err(KeyError::Tampered { object, .. }) => Self::Tampered(object),
            Err(error) if error.is_passing() => Self::Unavailable,
            Err(_) => Self::Refused,
        }
    }

    /// What it means to whoever asked for `wrapped`.
    ///
    /// # Errors
    /// As [`parcours_keys::KeyService::unwrap`].
    pub fn read(&self, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
        let key = || wrapped.master.name.clone();
        match self {
            Self::Key(text) => {
                let bytes = STANDARD.decode(text).map(Zeroizing::new);
                let bytes = bytes.map_err(|_| unavailable("its answer cannot be read"))?;
                DataKey::from_bytes(&bytes)
            }
            Self::Denied(reason) => Err(KeyError::Denied {
                key: key(),
                reason: reason.clone(),
            }),
            Self::Unknown => Err(KeyError::Unknown {
                key: key(),
                version: Some(wrapped.master.version),
            }),
            Self::Tampered(object) => Err(KeyError::Tampered {
                key: key(),
                object: object.clone(),
            }),
            Self::Unavailable => Err(unavailable("the key daemon cannot reach its master keys")),
            Self::Refused => Err(KeyError::Refused {
                reason: "the key daemon's master keys cannot be used, see its log".to_owned(),
            }),
        }
    }

    /// The kind of answer, as it stands in logs and metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Key(_) => "released",
            Self::Denied(_) => "denied",
            Self::Unknown => "unknown",
            Self::Tampered(_) => "tampered",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

/// What an executor may use now: sent when it begins to follow, whenever that changes, and every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usable {
    /// The classes of each dataset.
    pub datasets: BTreeMap<String, BTreeSet<ColumnClass>>,
}

impl Usable {
    /// Whether keys of this class of this dataset may be used.
    pub fn allows(&self, dataset: &str, class: ColumnClass) -> bool {
        let classes = self.datasets.get(dataset);
        classes.is_some_and(|classes| classes.contains(&class))
    }

    /// What this allows and `now` no longer does.
    pub fn lost_since<'a>(&'a self, now: &'a Self) -> impl Iterator<Item = (&'a str, ColumnClass)> {
        let all = self
            .datasets
            .iter()
            .flat_map(|(dataset, classes)| classes.iter().map(|class| (dataset.as_str(), *class)));
        all.filter(|(dataset, class)| !now.allows(dataset, *class))
    }
}

pub(crate) fn unavailable(reason: &str) -> KeyError {
    KeyError::Unavailable {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wrapped() -> WrappedKey {
        WrappedKey {
            master: "claims/health#2".parse().unwrap(),
            text: "sealed".into(),
        }
    }

    #[test]
    fn answers_mean_on_one_side_what_they_mean_on_the_other() {
        let key = || wrapped().master.name;
        for error in [
            KeyError::Denied {
                key: key(),
                reason: "no".into(),
            },
            KeyError::Unknown {
                key: key(),
                version: Some(2),
            },
            KeyError::Tampered {
                key: key(),
                object: "a wrapped key".into(),
            },
        ] {
            let sent = serde_json::to_vec(&Answer::of(Err(error.clone()))).unwrap();
            let answer: Answer = serde_json::from_slice(&sent).unwrap();
            assert_eq!(answer.read(&wrapped()).unwrap_err(), error);
        }
        let data = DataKey::random().unwrap();
        let answer = Answer::of(Ok(DataKey::from_bytes(data.expose()).unwrap()));
        assert_eq!(answer.read(&wrapped()).unwrap().expose(), data.expose());
        assert_eq!(format!("{answer:?}"), "released");
    }

    #[test]
    fn what_was_lost_is_told_class_by_class() {
        let usable = |classes: &[ColumnClass]| Usable {
            datasets: [("claims".to_owned(), classes.iter().copied().collect())].into(),
        };
        let before = usable(&[ColumnClass::Health, ColumnClass::Plain]);
        let lost: Vec<_> = before
            .lost_since(&usable(&[ColumnClass::Plain]))
            .map(|(_, class)| class)
            .collect();
        assert_eq!(lost, [ColumnClass::Health]);
        assert_eq!(before.lost_since(&Usable::default()).count(), 2);
        assert_eq!(Usable::default().lost_since(&before).count(), 0);
    }
}
