//! What a principal may read: for each dataset the column classes that it was granted. Empty means nothing. What travels
//! with a task is narrower and signed: see [`task_grant`](crate::task_grant).

use std::collections::{BTreeMap, BTreeSet};

use parcours_keys::ColumnClass;

/// Dataset → column classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    datasets: BTreeMap<String, BTreeSet<ColumnClass>>,
}

impl Grant {
    /// Adds classes of a dataset.
    pub fn allow(&mut self, dataset: &str, classes: impl IntoIterator<Item = ColumnClass>) {
        self.datasets.entry(dataset.to_owned()).or_default().extend(classes);
    }

    /// The classes granted of a dataset; none if the dataset is not named.
    pub fn classes(&self, dataset: &str) -> BTreeSet<ColumnClass> {
        self.datasets.get(dataset).cloned().unwrap_or_default()
    }

    /// Whether this class of this dataset may be read.
    pub fn allows(&self, dataset: &str, class: ColumnClass) -> bool {
        self.datasets
            .get(dataset)
            .is_some_and(|classes| classes.contains(&class))
    }

    /// The datasets of which at least one class is granted.
    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        self.datasets
            .iter()
            .filter(|(_, classes)| !classes.is_empty())
            .map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_granted_and_nothing_else() {
        let mut grant = Grant::default();
        assert_eq!(grant.datasets().count(), 0);
        grant.allow("claims", [ColumnClass::Health, ColumnClass::Plain]);
        grant.allow("omop", []);
        assert!(grant.allows("claims", ColumnClass::Health) && !grant.allows("omop", ColumnClass::Health));
        assert_eq!(grant.datasets().collect::<Vec<_>>(), ["claims"]);
    }
}
