//! What one query may read: for each dataset the column classes that its principal was granted. The scheduler puts it
//! beside every task; the executor asks for the keys of these classes and no others. Empty means nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use parcours_keys::ColumnClass;
use thiserror::Error;

/// Dataset → column classes. Written `claims:health+plain;omop:plain`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    datasets: BTreeMap<String, BTreeSet<ColumnClass>>,
}

/// A grant that cannot be read grants nothing, and says so.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the task's grant cannot be read")]
pub struct UnreadableGrant;

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

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (dataset, classes)) in self.datasets.iter().enumerate() {
            let classes: Vec<String> = classes.iter().map(ToString::to_string).collect();
            write!(f, "{}{dataset}:{}", if i == 0 { "" } else { ";" }, classes.join("+"))?;
        }
        Ok(())
    }
}

impl FromStr for Grant {
    type Err = UnreadableGrant;

    fn from_str(text: &str) -> Result<Self, UnreadableGrant> {
        let mut grant = Self::default();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (dataset, classes) = part.split_once(':').ok_or(UnreadableGrant)?;
            for class in classes.split('+').filter(|class| !class.is_empty()) {
                grant.allow(dataset, [class.parse().map_err(|_| UnreadableGrant)?]);
            }
        }
        Ok(grant)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_grant_survives_the_wire() {
        let mut grant = Grant::default();
        grant.allow("claims", [ColumnClass::Health, ColumnClass::Plain]);
        grant.allow("omop", [ColumnClass::Identity]);
        assert_eq!(grant.to_string().parse::<Grant>().unwrap(), grant);
        assert!(grant.allows("claims", ColumnClass::Health) && !grant.allows("omop", ColumnClass::Health));
    }

    #[test]
    fn nothing_and_nonsense_grant_nothing() {
        assert_eq!("".parse::<Grant>().unwrap().datasets().count(), 0);
        assert!("claims".parse::<Grant>().is_err());
        assert!("claims:everything".parse::<Grant>().is_err());
    }
}
