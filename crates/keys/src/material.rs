//! Key material as parquet-java and pyarrow write it: the JSON in a Parquet file's `key_metadata`.
//!
//! It holds a wrapped data key itself, or refers to one that lies beside the file (see [`crate::external`]). We write type
//! `PKMT1`, single wrapping. Reading refuses anything else by name, because a reader that guessed would open a file it
//! was not told about.

use parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use parquet::file::metadata::ColumnChunkMetaData;
use serde::{Deserialize, Serialize};

use crate::class::ColumnClass;
use crate::context::FileContext;
use crate::error::KeyError;
use crate::external;
use crate::name::KeyUse;
use crate::service::WrappedKey;

/// The only key material type there is.
const TYPE: &str = "PKMT1";
/// What parquet-java writes when a deployment has a single key service.
const DEFAULT: &str = "DEFAULT";

/// Parsed key material: a wrapped data key and whether it opens the footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMaterial {
    /// The wrapped data key.
    pub wrapped: WrappedKey,
    /// Whether it is the footer's key.
    pub footer: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    key_material_type: String,
    /// Absent where the material lies outside already.
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_storage: Option<bool>,
    #[serde(default)]
    is_footer_key: bool,
    #[serde(rename = "kmsInstanceID", skip_serializing_if = "Option::is_none")]
    kms_instance_id: Option<String>,
    #[serde(rename = "kmsInstanceURL", skip_serializing_if = "Option::is_none")]
    kms_instance_url: Option<String>,
    #[serde(rename = "masterKeyID", default)]
    master_key_id: String,
    #[serde(rename = "wrappedDEK", default)]
    wrapped_dek: String,
    #[serde(default)]
    double_wrapping: bool,
}

/// What stands in a `key_metadata` when the wrapped key lies beside the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    key_material_type: String,
    internal_storage: bool,
    key_reference: String,
}

/// The parsed `key_metadata` of a footer or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMetadata {
    /// The wrapped key itself.
    Inside(KeyMaterial),
    /// The wrapped key of this use lies beside the file.
    Outside(KeyUse),
}

impl KeyMetadata {
    /// The bytes for `key_metadata`.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] should JSON encoding fail.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Inside(material) => material.to_bytes(),
            Self::Outside(key_use) => encode(&Reference {
                key_material_type: TYPE.to_owned(),
                internal_storage: false,
                key_reference: external::reference(*key_use),
            }),
        }
    }

    /// Parses `key_metadata` bytes.
    ///
    /// # Errors
    /// As [`KeyMaterial::from_bytes`], and for a reference that no file of ours makes.
    pub fn from_bytes(bytes: &[u8], object: &str) -> Result<Self, KeyError> {
        let Ok(Reference {
            key_material_type,
            internal_storage: false,
            key_reference,
        }) = serde_json::from_slice(bytes)
        else {
            return KeyMaterial::from_bytes(bytes, object).map(Self::Inside);
        };
        let refuse = |problem: &str| refused(object, problem);
        if key_material_type != TYPE {
            return Err(refuse(UNKNOWN_TYPE));
        }
        external::of_reference(&key_reference)
            .map(Self::Outside)
            .ok_or_else(|| refuse("it refers to key material that no file of ours has"))
    }
}

/// The refusal of a type other than [`TYPE`].
const UNKNOWN_TYPE: &str = "its key material is of an unknown type, only PKMT1 is read";
/// The refusal of anything else that stands where key material must.
const NOT_OURS: &str = "it carries no key material of ours, load the table again";

impl KeyMaterial {
    /// The bytes for `key_metadata`.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] should JSON encoding fail.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        encode(&self.json(Some(true)))
    }

    /// The text of an entry outside the file.
    pub(crate) fn to_entry(&self) -> Result<String, KeyError> {
        serde_json::to_string(&self.json(None)).map_err(|_| not_encoded())
    }

    fn json(&self, internal_storage: Option<bool>) -> Json {
        let footer_only = || self.footer.then(|| DEFAULT.to_owned());
        Json {
            key_material_type: TYPE.to_owned(),
            internal_storage,
            is_footer_key: self.footer,
            kms_instance_id: footer_only(),
            kms_instance_url: footer_only(),
            master_key_id: self.wrapped.master.to_string(),
            wrapped_dek: self.wrapped.text.clone(),
            double_wrapping: false,
        }
    }

    /// Parses `key_metadata` bytes that hold the wrapped key.
    ///
    /// # Errors
    /// [`KeyError::Material`], in the name of `object`: not key material, kept outside the file, or wrapped twice.
    pub fn from_bytes(bytes: &[u8], object: &str) -> Result<Self, KeyError> {
        let json: Json = serde_json::from_slice(bytes).map_err(|_| refused(object, NOT_OURS))?;
        match json.internal_storage {
            Some(true) => Self::from_json(json, object),
            Some(false) => Err(refused(object, "its key material is kept outside the file")),
            None => Err(refused(object, NOT_OURS)),
        }
    }

    /// Parses the text of an entry outside the file.
    pub(crate) fn from_entry(text: &str, object: &str) -> Result<Self, KeyError> {
        let json: Json =
            serde_json::from_str(text).map_err(|_| refused(object, "an entry of it is not key material of ours"))?;
        match json.internal_storage {
            None => Self::from_json(json, object),
            Some(_) => Err(refused(object, "an entry of it says that it lies inside the file")),
        }
    }

    fn from_json(json: Json, object: &str) -> Result<Self, KeyError> {
        let refuse = |problem: &str| refused(object, problem);
        if json.key_material_type != TYPE {
            return Err(refuse(UNKNOWN_TYPE));
        }
        if json.double_wrapping {
            return Err(refuse("its keys are wrapped twice, only single wrapping is read"));
        }
        let master = json
            .master_key_id
            .parse()
            .map_err(|_| refuse("it names no master key like claims/health#3"))?;
        Ok(Self {
            wrapped: WrappedKey {
                master,
                text: json.wrapped_dek,
            },
            footer: json.is_footer_key,
        })
    }

    /// What the key protects in the file at `context`, once it is seen to be a key of that dataset and used as named.
    ///
    /// # Errors
    /// [`KeyError::Material`], in the name of `object`.
    pub(crate) fn use_in(&self, context: &FileContext, object: &str) -> Result<KeyUse, KeyError> {
        let name = &self.wrapped.master.name;
        if name.dataset() != context.dataset {
            let problem = format!("it is encrypted under {name}, a key of another dataset");
            return Err(refused(object, &problem));
        }
        let key_use = name
            .key_use()
            .ok_or_else(|| refused(object, &format!("{name} is no key for data files")))?;
        if self.footer != (key_use == KeyUse::Footer) {
            let problem = format!("{name} is used for something else than its name says");
            return Err(refused(object, &problem));
        }
        Ok(key_use)
    }
}

fn encode(json: &impl Serialize) -> Result<Vec<u8>, KeyError> {
    serde_json::to_vec(json).map_err(|_| not_encoded())
}

pub(crate) fn not_encoded() -> KeyError {
    KeyError::Crypto {
        operation: "encoding key material",
    }
}

fn refused(object: &str, problem: &str) -> KeyError {
    KeyError::Material {
        object: object.to_owned(),
        problem: problem.to_owned(),
    }
}

/// The class of an encrypted column as its key material states it; `None` for one that is not ours.
pub fn column_class(column: &ColumnChunkMetaData) -> Option<ColumnClass> {
    let ColumnCryptoMetaData::ENCRYPTION_WITH_COLUMN_KEY(key) = column.crypto_metadata()? else {
        return None;
    };
    match KeyMetadata::from_bytes(key.key_metadata.as_deref()?, "").ok()? {
        KeyMetadata::Inside(material) => material.wrapped.master.name.class(),
        KeyMetadata::Outside(KeyUse::Class(class)) => Some(class),
        KeyMetadata::Outside(KeyUse::Footer) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn material(footer: bool) -> KeyMaterial {
        let wrapped = WrappedKey {
            master: "claims/health#3".parse().unwrap(),
            text: "QUJD".to_owned(),
        };
        KeyMaterial { wrapped, footer }
    }

    #[test]
    fn fields_are_those_of_parquet_java() {
        let footer: serde_json::Value = serde_json::from_slice(&material(true).to_bytes().unwrap()).unwrap();
        let expected = serde_json::json!({
            "keyMaterialType": "PKMT1", "internalStorage": true, "isFooterKey": true, "kmsInstanceID": "DEFAULT",
            "kmsInstanceURL": "DEFAULT", "masterKeyID": "claims/health#3", "wrappedDEK": "QUJD", "doubleWrapping": false
        });
        assert_eq!(footer, expected);
        let column: serde_json::Value = serde_json::from_slice(&material(false).to_bytes().unwrap()).unwrap();
        assert!(column.get("kmsInstanceID").is_none() && column["isFooterKey"] == false);
    }

    #[test]
    fn foreign_material_is_refused_by_name() {
        let good = String::from_utf8(material(false).to_bytes().unwrap()).unwrap();
        assert_eq!(KeyMaterial::from_bytes(good.as_bytes(), "f").unwrap(), material(false));
        let wrong = [
            ("PKMT1", "PKMT2", "unknown type"),
            ("\"internalStorage\":true", "\"internalStorage\":false", "outside"),
            ("\"doubleWrapping\":false", "\"doubleWrapping\":true", "twice"),
            ("#3", "", "master key"),
        ];
        for (from, to, word) in wrong {
            let error = KeyMaterial::from_bytes(good.replace(from, to).as_bytes(), "file f")
                .unwrap_err()
                .to_string();
            assert!(error.contains(word) && error.starts_with("file f"), "{error}");
        }
        assert!(KeyMaterial::from_bytes(b"", "f").is_err() && KeyMaterial::from_bytes(b"kf", "f").is_err());
    }

    /// The expected texts are what pyarrow 26 writes.
    #[test]
    fn a_reference_has_the_form_of_parquet_java() {
        let footer = KeyMetadata::Outside(KeyUse::Footer);
        assert_eq!(
            String::from_utf8(footer.to_bytes().unwrap()).unwrap(),
            r#"{"keyMaterialType":"PKMT1","internalStorage":false,"keyReference":"footerKey"}"#
        );
        for key_use in KeyUse::all() {
            let reference = KeyMetadata::Outside(key_use);
            assert_eq!(
                KeyMetadata::from_bytes(&reference.to_bytes().unwrap(), "f").unwrap(),
                reference
            );
        }
        let inside = KeyMetadata::Inside(material(false));
        assert_eq!(
            KeyMetadata::from_bytes(&inside.to_bytes().unwrap(), "f").unwrap(),
            inside
        );
    }

    #[test]
    fn foreign_references_are_refused_by_name() {
        let good = String::from_utf8(KeyMetadata::Outside(KeyUse::Footer).to_bytes().unwrap()).unwrap();
        for (from, to, word) in [
            ("PKMT1", "PKMT2", "unknown type"),
            ("footerKey", "columnKey4", "no file of ours"),
            ("footerKey", "columnKey-1", "no file of ours"),
            ("footerKey", "columnKey01", "no file of ours"),
            ("footerKey", "", "no file of ours"),
            ("keyReference", "reference", "outside"),
        ] {
            let error = KeyMetadata::from_bytes(good.replace(from, to).as_bytes(), "file f")
                .unwrap_err()
                .to_string();
            assert!(error.contains(word) && error.starts_with("file f"), "{to}: {error}");
        }
    }
}
