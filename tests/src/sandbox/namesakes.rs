//! People who see one dataset each, under its own name: whoever sees one dataset need not name it, so that one
//! statement can be asked of several that are alike.

use std::path::PathBuf;

use anyhow::Result;

use super::{ALL_CLASSES, Sandbox};

impl Sandbox {
    /// Grants every dataset of the plan to a user of its name and nothing to anybody else, and writes their connections.
    pub fn grant_to_namesakes(&self) -> Result<Vec<PathBuf>> {
        let datasets = &self.plan.datasets;
        let grants: Vec<_> = datasets
            .iter()
            .map(|dataset| (*dataset, *dataset, &ALL_CLASSES[..]))
            .collect();
        self.folder.write_access(&grants)?;
        let connection = |dataset: &&'static str| {
            self.issue_user(dataset)?;
            self.folder.write_connection(dataset, &self.ports)
        };
        datasets.iter().map(connection).collect()
    }
}
