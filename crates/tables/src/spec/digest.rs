//! The digest of a specification: what a load records, so that a later one can tell whether the description changed.
//! Comments, spacing, key order and written-out defaults do not change it; where variables point does not either.

use sha2::{Digest, Sha256};

use super::dataset::Dataset;

impl Dataset {
    /// SHA-256 of the normalised specification, as 64 hexadecimal digits.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        let normal = serde_json::to_vec(self)?;
        Ok(Sha256::digest(normal)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }
}
