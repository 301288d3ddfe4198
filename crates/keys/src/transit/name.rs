//! Names of master keys as names of transit keys, which know letters, digits, `_`, `-` and `.`, but no `/`, and end with a
//! letter, a digit or `_`.
//!
//! `/` is written `_-` and `_` is written `__`; after a last `-` or `.` stands `_.e`. So `claims/health` is
//! `claims_-health`. Every name has one spelling, and a transit key of another spelling is not ours.

use crate::name::MasterKeyName;

/// The transit key of this master key.
pub(super) fn encode(name: &MasterKeyName) -> String {
    let mut text = name.as_str().replace('_', "__").replace('/', "_-");
    if text.ends_with(['-', '.']) {
        text.push_str("_.e");
    }
    text
}

/// The master key of this transit key, if it is one of ours.
pub(super) fn decode(text: &str) -> Option<MasterKeyName> {
    let mut name = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '_' {
            name.push(letter);
            continue;
        }
        match letters.next()? {
            '-' => name.push('/'),
            '_' => name.push('_'),
            '.' if letters.as_str() == "e" => break,
            _ => return None,
        }
    }
    MasterKeyName::new(name).ok().filter(|name| encode(name) == text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_read_back_and_differ() {
        let names = [
            "claims/health",
            "claims_/health",
            "claims-/health",
            "claims-/health-",
            "claims-/health.",
            "claims/health_",
            "c_-laims/health",
            "c__/h",
            "c/_h",
            "c/h__",
            "a.b/c-d_e",
            "project/p1/pseudonym",
            "c/h_.e",
            "c/h._.e",
            "c/h.",
        ];
        let names: Vec<_> = names
            .into_iter()
            .filter_map(|name| MasterKeyName::new(name).ok())
            .collect();
        assert!(names.len() > 12);
        let encoded: HashSet<_> = names.iter().map(encode).collect();
        assert_eq!(encoded.len(), names.len());
        for name in names {
            let text = encode(&name);
            assert_eq!(decode(&text), Some(name.clone()), "{text}");
            // Vault's pattern for a name: \w(([\w-.]+)?\w)?
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            assert!(text.starts_with(is_word) && text.ends_with(is_word), "{text}");
            assert!(
                text.chars()
                    .all(|letter| is_word(letter) || matches!(letter, '-' | '.')),
                "{text}"
            );
        }
        assert_eq!(encode(&MasterKeyName::new("claims/health").unwrap()), "claims_-health");
    }

    #[test]
    fn another_spelling_is_not_ours() {
        for text in [
            "",
            "foreign",
            "claims-health",
            "claims_health",
            "a_-b_",
            "a_-b_.e",
            "a_-_b",
            "a_-b-",
            "_-a",
            "a_-b_x",
        ] {
            assert_eq!(decode(text), None, "{text:?} is read as a master key");
        }
    }
}
