//! Master keys as objects of a KMIP server.
//!
//! A version is an object named after it (`claims/health#3`) in the object group of its key. In `aes-cbc-hmac-sha256` the
//! object is the key that authenticates, whose name goes on with the identifier of the key that encrypts: a version exists
//! when both do. KMIP lets two objects have one name: two processes that make a version at the same moment leave two, of
//! which each opens what it sealed, and unwrapping tries both. Objects that were never activated were never used and are
//! no versions; the next attempt to make them finishes them.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use super::fault::Fault;
use super::mode::{Holding, KmipMode};
use super::operations::{Labels, Purpose, Server, Stage};
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::DataKey;

/// Stands in an authenticating key's name before the identifier of its encrypting key.
const BESIDE: &str = " authenticates ";

/// A version and the objects that make it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub id: MasterKeyId,
    pub holding: Holding,
}

/// The master keys of a server.
pub(super) struct Versions {
    pub server: Server,
    mode: KmipMode,
    /// What objects were found to be. Objects that are in use keep their names.
    known: Mutex<HashMap<String, Version>>,
    /// Versions asked for before, with all their objects.
    held: Mutex<HashMap<MasterKeyId, Vec<Holding>>>,
    /// Held while keys are made, so that one process makes a version once.
    making: tokio::sync::Mutex<()>,
}

impl Versions {
    pub fn new(server: Server, mode: KmipMode) -> Self {
        Self {
            server,
            mode,
            known: Mutex::default(),
            held: Mutex::default(),
            making: tokio::sync::Mutex::const_new(()),
        }
    }

    /// Looks at every object anew: one of them turned out to be gone.
    pub fn forget(&self) {
        self.known.lock().clear();
        self.held.lock().clear();
    }

    /// The newest version of a key.
    pub async fn newest(&self, name: &MasterKeyName) -> Result<Option<Version>, Fault> {
        Ok(self.of(name).await?.pop())
    }

    /// The names of all keys.
    pub async fn names(&self) -> Result<BTreeSet<MasterKeyName>, Fault> {
        let mut names = BTreeSet::new();
        for uid in self.server.noted(self.mode.as_str()).await? {
            if let Some((version, Stage::Settled)) = self.look_at(&uid, None).await? {
                names.insert(version.id.name);
            }
        }
        Ok(names)
    }

    /// Makes the version of `name` that follows the newest, which must be there or, for the first, must not.
    pub async fn make(&self, name: &MasterKeyName, first: bool) -> Result<Option<MasterKeyId>, Fault> {
        let _making = self.making.lock().await;
        let all = self.all_of(name).await?;
        let newest = all
            .iter()
            .filter(|(_, stage)| *stage == Stage::Settled)
            .map(|(version, _)| version.id.version)
            .max();
        let version = match (newest, first) {
            (None, true) => 1,
            (Some(newest), false) => newest + 1,
            _ => return Ok(None),
        };
        let id = MasterKeyId {
            name: name.clone(),
            version,
        };
        let begun = all
            .into_iter()
            .find(|(version, stage)| *stage == Stage::Fresh && version.id == id);
        let object = match begun {
            Some((version, _)) => version.holding.object().to_owned(),
            None => self.create(&id).await?,
        };
        self.server.activate(&object).await?;
        Ok(Some(id))
    }

    /// The data key in `text`, if there are keys of this version.
    pub async fn unwrap(&self, id: &MasterKeyId, text: &str, aad: &[u8]) -> Result<Option<DataKey>, Fault> {
        let held = self.held.lock().get(id).cloned();
        let before = match &held {
            Some(holdings) => self.open(holdings, id, text, aad).await,
            None => Err(Fault::Missing),
        };
        // Objects may have been destroyed, and their identifiers given to others.
        if !matches!(before, Err(Fault::Missing | Fault::Undecipherable)) {
            return before.map(Some);
        }
        let versions = self.of(&id.name).await?.into_iter();
        let now: Vec<_> = versions
            .filter(|version| version.id == *id)
            .map(|version| version.holding)
            .collect();
        if now.is_empty() {
            self.held.lock().remove(id);
            return Ok(None);
        }
        if held.as_ref() == Some(&now) {
            return before.map(Some);
        }
        self.held.lock().insert(id.clone(), now.clone());
        self.open(&now, id, text, aad).await.map(Some)
    }

    async fn open(&self, holdings: &[Holding], id: &MasterKeyId, text: &str, aad: &[u8]) -> Result<DataKey, Fault> {
        let mut failed = Fault::Missing;
        for holding in holdings {
            match holding.unwrap(&self.server, id, text, aad).await {
                Err(fault @ (Fault::Missing | Fault::Undecipherable)) => failed = fault,
                answer => return answer,
            }
        }
        Err(failed)
    }

    /// Versions of a key, oldest first.
    async fn of(&self, name: &MasterKeyName) -> Result<Vec<Version>, Fault> {
        let all = self.all_of(name).await?.into_iter();
        let mut versions: Vec<_> = all
            .filter_map(|(version, stage)| (stage == Stage::Settled).then_some(version))
            .collect();
        versions.sort_by_key(|version| version.id.version);
        Ok(versions)
    }

    async fn all_of(&self, name: &MasterKeyName) -> Result<Vec<(Version, Stage)>, Fault> {
        let mut found = Vec::new();
        for uid in self.server.in_group(&group(name)).await? {
            found.extend(self.look_at(&uid, Some(name)).await?);
        }
        Ok(found)
    }

    /// What an object is, if it is a version, of `name` if one is given: fresh, or settled.
    async fn look_at(&self, uid: &str, name: Option<&MasterKeyName>) -> Result<Option<(Version, Stage)>, Fault> {
        let fits = |version: &Version| name.is_none_or(|name| version.id.name == *name);
        if let Some(known) = self.known.lock().get(uid).filter(|version| fits(version)) {
            return Ok(Some((known.clone(), Stage::Settled)));
        }
        let about = match self.server.about(uid).await {
            Err(Fault::Missing) => return Ok(None),
            about => about?,
        };
        let version = about.names.iter().find_map(|text| self.read(uid, text));
        match (version.filter(fits), about.stage) {
            (None, _) | (_, Stage::Destroyed) => Ok(None),
            (Some(version), Stage::Fresh) => Ok(Some((version, Stage::Fresh))),
            (Some(version), Stage::Active | Stage::Settled) => {
                self.known.lock().insert(uid.to_owned(), version.clone());
                Ok(Some((version, Stage::Settled)))
            }
        }
    }

    /// The version that an object of this name is.
    fn read(&self, uid: &str, text: &str) -> Option<Version> {
        let (id, holding) = match self.mode {
            KmipMode::AesGcm => (text, Holding::Gcm(uid.to_owned())),
            KmipMode::AesCbcHmacSha256 => {
                let (id, encrypts) = text.split_once(BESIDE)?;
                let holding = Holding::CbcHmac {
                    encrypts: encrypts.to_owned(),
                    authenticates: uid.to_owned(),
                };
                (id, holding)
            }
        };
        let id = id.parse().ok()?;
        Some(Version { id, holding })
    }

    /// Makes the objects of a version and returns the one that is still to be activated.
    async fn create(&self, id: &MasterKeyId) -> Result<String, Fault> {
        let (group, name) = (group(&id.name), id.to_string());
        let stands = |name| Labels {
            name,
            group: Some((&group, self.mode.as_str())),
        };
        match self.mode {
            KmipMode::AesGcm => self.server.create(stands(&name), Purpose::Encryption).await,
            KmipMode::AesCbcHmacSha256 => {
                let aside = Labels {
                    name: &format!("{name} encrypts"),
                    group: None,
                };
                let encrypts = self.server.create(aside, Purpose::Encryption).await?;
                self.server.activate(&encrypts).await?;
                let name = format!("{name}{BESIDE}{encrypts}");
                self.server.create(stands(&name), Purpose::Authentication).await
            }
        }
    }
}

impl Holding {
    /// The object that stands for the version.
    fn object(&self) -> &str {
        match self {
            Self::Gcm(uid) => uid,
            Self::CbcHmac { authenticates, .. } => authenticates,
        }
    }
}

/// The object group of a key's versions.
fn group(name: &MasterKeyName) -> String {
    format!("parcours {name}")
}
