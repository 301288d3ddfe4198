//! What a Delta log discloses. It is readable without a key and says how many rows a file has; bounds of columns, which
//! other writers of Delta put there, and which loading did for columns of class `plain` until it left them out, are values.

use std::collections::BTreeSet;

use serde_json::Value;

/// The columns of which a file's statistics, which are Delta's JSON, give bounds.
pub(super) fn disclosed(statistics: &str) -> BTreeSet<String> {
    let statistics: Value = serde_json::from_str(statistics).unwrap_or_default();
    let bounds = ["minValues", "maxValues"]
        .into_iter()
        .filter_map(|name| statistics.get(name)?.as_object());
    bounds.flat_map(|bounds| bounds.keys().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_found_on_either_side() {
        let found = disclosed(r#"{"numRecords": 4, "minValues": {"paid": -1.5}, "maxValues": {"born": 2}}"#);
        assert_eq!(found, ["born".to_owned(), "paid".to_owned()].into());
        assert!(disclosed(r#"{"numRecords": 4, "minValues": {}}"#).is_empty());
    }
}
