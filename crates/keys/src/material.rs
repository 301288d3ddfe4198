//! Key material as parquet-java and pyarrow write it: the JSON in a Parquet file's `key_metadata`.
//!
//! We write type `PKMT1`, stored inside the file, single wrapping. Reading refuses anything else by name, because a
//! reader that guessed would open a file it was not told about.

use parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use parquet::file::metadata::ColumnChunkMetaData;
use serde::{Deserialize, Serialize};

use crate::class::ColumnClass;
use crate::error::KeyError;
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
    internal_storage: bool,
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

impl KeyMaterial {
    /// The bytes for `key_metadata`.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] should JSON encoding fail.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let footer_only = || self.footer.then(|| DEFAULT.to_owned());
        let json = Json {
            key_material_type: TYPE.to_owned(),
            internal_storage: true,
            is_footer_key: self.footer,
            kms_instance_id: footer_only(),
            kms_instance_url: footer_only(),
            master_key_id: self.wrapped.master.to_string(),
            wrapped_dek: self.wrapped.text.clone(),
            double_wrapping: false,
        };
        serde_json::to_vec(&json).map_err(|_| KeyError::Crypto {
            operation: "encoding key material",
        })
    }

    /// Parses `key_metadata` bytes.
    ///
    /// # Errors
    /// [`KeyError::Material`], in the name of `object`: not key material, kept outside the file, or wrapped twice.
    pub fn from_bytes(bytes: &[u8], object: &str) -> Result<Self, KeyError> {
        let refuse = |problem: &str| KeyError::Material {
            object: object.to_owned(),
            problem: problem.to_owned(),
        };
        let json: Json = serde_json::from_slice(bytes)
            .map_err(|_| refuse("it carries no key material of ours, load the table again"))?;
        if json.key_material_type != TYPE {
            return Err(refuse("its key material is of an unknown type, only PKMT1 is read"));
        }
        if !json.internal_storage {
            return Err(refuse("its key material is kept outside the file, which is not read"));
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
}

/// The class of an encrypted column as its key material states it; `None` for one that is not ours.
pub fn column_class(column: &ColumnChunkMetaData) -> Option<ColumnClass> {
    match column.crypto_metadata()? {
        ColumnCryptoMetaData::ENCRYPTION_WITH_COLUMN_KEY(key) => {
            let material = KeyMaterial::from_bytes(key.key_metadata.as_deref()?, "").ok()?;
            material.wrapped.master.name.class()
        }
        ColumnCryptoMetaData::ENCRYPTION_WITH_FOOTER_KEY => None,
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
}
