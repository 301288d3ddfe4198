//! Key material that lies beside its data file, in the form of parquet-java and pyarrow: one JSON object in a file of its
//! own, so that wrapped keys can be replaced without touching the data.
//!
//! ```text
//! part-….parquet                              key_metadata: {"keyMaterialType":"PKMT1","internalStorage":false,"keyReference":"columnKey2"}
//! _KEY_MATERIAL_FOR_part-….parquet.json       {"columnKey2":"{\"keyMaterialType\":\"PKMT1\",…,\"wrappedDEK\":\"…\"}","footerKey":"…"}
//! ```
//!
//! The number in a reference is that of the class (identity 0, quasi 1, health 2, plain 3). A column's reference is
//! authenticated with its file's footer, so that an entry cannot stand in for that of another class. Whatever else was
//! changed in here, moved or swapped is refused by name when it is parsed or when the key service opens it. Where the file
//! lies and how it is read or replaced is not known here; see [`crate::encrypt`] for making it, [`rewrap`] for renewing it.

use std::collections::BTreeMap;

use crate::class::ColumnClass;
use crate::context::FileContext;
use crate::error::KeyError;
use crate::material::{KeyMaterial, not_encoded};
use crate::name::{KeyUse, MasterKeyId};
use crate::service::{KeyService, WrappedKey};

/// Largest key material of one file that is read, in bytes. Ours has less than 2 KiB.
pub const MAX_MATERIAL_BYTES: u64 = 1 << 20;

const PREFIX: &str = "_KEY_MATERIAL_FOR_";
const SUFFIX: &str = ".json";
const FOOTER: &str = "footerKey";
const COLUMN: &str = "columnKey";

/// The name of the file that holds the key material of the data file `name`; both lie in one folder.
pub fn material_file_name(name: &str) -> String {
    format!("{PREFIX}{name}{SUFFIX}")
}

/// The name of the data file whose key material the file `name` holds, if it is named so.
pub fn data_file_name(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)
}

/// The wrapped keys of one data file, by what they open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalMaterial {
    keys: BTreeMap<KeyUse, WrappedKey>,
}

impl ExternalMaterial {
    /// The material of these keys, one for each use.
    pub fn new(keys: impl IntoIterator<Item = (KeyUse, WrappedKey)>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
        }
    }

    /// Parses the material of the file at `context` and makes sure that each entry is what its reference says.
    ///
    /// Whether a wrapped key belongs to this file is found when it is unwrapped.
    ///
    /// # Errors
    /// [`KeyError::Material`] for what is no such material, or holds an entry of another dataset, use or form.
    pub fn from_bytes(bytes: &[u8], context: &FileContext) -> Result<Self, KeyError> {
        let object = format!("key material of {context}");
        let refuse = |problem: String| KeyError::Material {
            object: object.clone(),
            problem,
        };
        if bytes.len() as u64 > MAX_MATERIAL_BYTES {
            return Err(refuse(format!("it is larger than {MAX_MATERIAL_BYTES} bytes")));
        }
        let entries: BTreeMap<String, String> = serde_json::from_slice(bytes)
            .map_err(|_| refuse("it is cut short or altered, restore it from a backup".to_owned()))?;
        let entry = |(reference, text): (String, String)| {
            let key_use = of_reference(&reference)
                .ok_or_else(|| refuse("an entry of it has a name that no file of ours refers to".to_owned()))?;
            let material = KeyMaterial::from_entry(&text, &object)?;
            if material.use_in(context, &object)? != key_use {
                let master = &material.wrapped.master;
                return Err(refuse(format!(
                    "{reference} is wrapped under {master}, a key of another use"
                )));
            }
            Ok((key_use, material.wrapped))
        };
        entries
            .into_iter()
            .map(entry)
            .collect::<Result<_, _>>()
            .map(|keys| Self { keys })
    }

    /// The bytes of the file that holds it.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] should JSON encoding fail.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let entry = |(key_use, wrapped): (&KeyUse, &WrappedKey)| {
            let material = KeyMaterial {
                wrapped: wrapped.clone(),
                footer: *key_use == KeyUse::Footer,
            };
            Ok((reference(*key_use), material.to_entry()?))
        };
        let entries: BTreeMap<String, String> = self.keys.iter().map(entry).collect::<Result<_, KeyError>>()?;
        serde_json::to_vec(&entries).map_err(|_| not_encoded())
    }

    /// The wrapped key of one use.
    pub fn get(&self, key_use: KeyUse) -> Option<&WrappedKey> {
        self.keys.get(&key_use)
    }

    /// All wrapped keys, in the order of uses.
    pub fn iter(&self) -> impl Iterator<Item = (KeyUse, &WrappedKey)> {
        self.keys.iter().map(|(key_use, wrapped)| (*key_use, wrapped))
    }

    /// Puts a wrapped key in the place of the one of this use.
    pub fn replace(&mut self, key_use: KeyUse, wrapped: WrappedKey) {
        self.keys.insert(key_use, wrapped);
    }
}

/// Wraps a data key anew under the current version of its master key, and makes sure that it opens again.
///
/// Returns none, and asks the service for nothing, if it is wrapped under `current` already.
///
/// # Errors
/// What unwrapping or wrapping answers; [`KeyError::Material`] should the service not give back what it wrapped.
pub async fn rewrap(
    keys: &dyn KeyService,
    context: &FileContext,
    key_use: KeyUse,
    wrapped: &WrappedKey,
    current: &MasterKeyId,
) -> Result<Option<WrappedKey>, KeyError> {
    if wrapped.master == *current {
        return Ok(None);
    }
    let aad = context.wrap_aad(key_use);
    let key = keys.unwrap(wrapped, &aad).await?;
    let anew = keys.wrap(&wrapped.master.name, &key, &aad).await?;
    match keys.unwrap(&anew, &aad).await?.expose() == key.expose() {
        true => Ok(Some(anew)),
        false => Err(KeyError::Material {
            object: context.to_string(),
            problem: format!(
                "the key service does not give back what it wrapped under {}",
                anew.master
            ),
        }),
    }
}

/// How a data file refers to its key of this use.
pub(crate) fn reference(key_use: KeyUse) -> String {
    let number = |class| ColumnClass::ALL.iter().position(|known| *known == class);
    match key_use {
        KeyUse::Footer => FOOTER.to_owned(),
        KeyUse::Class(class) => format!("{COLUMN}{}", number(class).unwrap_or(ColumnClass::ALL.len())),
    }
}

/// The use that a reference names.
pub(crate) fn of_reference(text: &str) -> Option<KeyUse> {
    KeyUse::all().find(|key_use| reference(*key_use) == text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn context() -> FileContext {
        FileContext::new("claims", "stays", "shard=0000/part-1.parquet")
    }

    fn material() -> ExternalMaterial {
        let wrapped = |key_use: KeyUse| WrappedKey {
            master: format!("claims/{key_use}#2").parse().unwrap(),
            text: format!("{key_use}-text"),
        };
        ExternalMaterial::new(KeyUse::all().map(|key_use| (key_use, wrapped(key_use))))
    }

    /// The expected text is what pyarrow 26 writes for the same key, its fields in the same order.
    #[test]
    fn entries_are_those_of_parquet_java() {
        let json: serde_json::Value = serde_json::from_slice(&material().to_bytes().unwrap()).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["columnKey0", "columnKey1", "columnKey2", "columnKey3", "footerKey"]
        );
        assert_eq!(
            json["columnKey2"],
            r#"{"keyMaterialType":"PKMT1","isFooterKey":false,"masterKeyID":"claims/health#2","wrappedDEK":"health-text","doubleWrapping":false}"#
        );
        assert_eq!(
            json["footerKey"],
            r#"{"keyMaterialType":"PKMT1","isFooterKey":true,"kmsInstanceID":"DEFAULT","kmsInstanceURL":"DEFAULT","masterKeyID":"claims/footer#2","wrappedDEK":"footer-text","doubleWrapping":false}"#
        );
        let bytes = material().to_bytes().unwrap();
        assert_eq!(ExternalMaterial::from_bytes(&bytes, &context()).unwrap(), material());
    }

    #[test]
    fn what_is_not_this_files_material_is_refused_by_name() {
        let good = String::from_utf8(material().to_bytes().unwrap()).unwrap();
        let wrong = [
            ("columnKey2", "columnKey9", "a name that no file"),
            ("columnKey2", "footerKey ", "a name that no file"),
            ("claims/health#2", "claims/plain#2", "another use"),
            ("claims/health#2", "claims/footer#2", "something else than its name"),
            ("claims/health#2", "omop/health#2", "another dataset"),
            ("claims/health#2", "claims/health", "master key"),
            (r#"\"doubleWrapping\":false"#, r#"\"doubleWrapping\":true"#, "twice"),
            ("PKMT1", "PKMT2", "unknown type"),
            ("PKMT1", r#"PKMT1\",\"internalStorage\":true,\"x\":\""#, "inside"),
            ("}\"}", "", "cut short"),
        ];
        for (from, to, word) in wrong {
            assert!(good.contains(from), "{from}");
            let error = ExternalMaterial::from_bytes(good.replacen(from, to, 1).as_bytes(), &context())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(word) && error.contains("part-1.parquet"),
                "{to}: {error}"
            );
        }
        let large = vec![b' '; usize::try_from(MAX_MATERIAL_BYTES).unwrap() + 1];
        let error = ExternalMaterial::from_bytes(&large, &context())
            .unwrap_err()
            .to_string();
        assert!(error.contains("larger"), "{error}");
    }

    #[test]
    fn names_lead_there_and_back() {
        let name = material_file_name("part-1.parquet");
        assert_eq!(name, "_KEY_MATERIAL_FOR_part-1.parquet.json");
        assert_eq!(data_file_name(&name), Some("part-1.parquet"));
        assert_eq!(data_file_name("part-1.parquet"), None);
        assert_eq!(data_file_name("_KEY_MATERIAL_FOR_part-1.parquet"), None);
    }
}
