//! Pseudonyms: what stands for a patient in every table. 16 lowercase hexadecimal digits, that is 64 bits: about as
//! wide as the pseudonyms of the real tables (17 characters), spread evenly so that equal-width split points give
//! equal shards, and in text order the same as in numeric order. Two of 68 million patients share one with
//! probability 1.2e-4.

use sha2::{Digest, Sha256};

/// Length of a pseudonym in characters.
pub const PSEUDONYM_LENGTH: usize = 16;

/// One patient's pseudonym.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pseudonym([u8; PSEUDONYM_LENGTH]);

impl Pseudonym {
    /// The pseudonym of a patient: the first 64 bits of SHA-256 keyed by the population's seed.
    ///
    /// The message has a fixed length, so a plain prefix key is sound; nobody needs to go back from it.
    pub(crate) fn of_patient(seed: u64, number: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"parcours-synthetic pseudonym");
        hash.update(seed.to_be_bytes());
        hash.update(number.to_be_bytes());
        let digest = hash.finalize();
        let mut text = [0; PSEUDONYM_LENGTH];
        for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        Self(text)
    }

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Pseudonym;

    #[test]
    fn pseudonyms_are_distinct_evenly_spread_and_stable() {
        let all: HashSet<_> = (0..16_000).map(|number| Pseudonym::of_patient(1, number)).collect();
        assert_eq!(all.len(), 16_000);
        for digit in "0123456789abcdef".chars() {
            let starting = all.iter().filter(|p| p.as_str().starts_with(digit)).count();
            assert!(starting.abs_diff(1_000) < 150, "{digit}: {starting}");
        }
        assert_ne!(
            Pseudonym::of_patient(1, 5).as_str(),
            Pseudonym::of_patient(2, 5).as_str()
        );
    }
}
