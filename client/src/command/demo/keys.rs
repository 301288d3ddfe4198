//! The demo's keyrings: the one that loading encrypts with, and one for each executor, sealed apart. The scheduler gets
//! none.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use parcours_keys::{KeyAdmin, Keyring, Unlock, create_key_file, ensure_dataset_keys};

use super::DATASET;
use super::folder::Folder;
use super::identities::executor_ids;
use super::steps::Steps;
use crate::exit::Failure;

/// The keyrings of the demo.
pub struct Rings {
    /// Open, for loading.
    pub master: Arc<Keyring>,
    /// Files of the executors' keyrings, in order.
    pub executors: Vec<PathBuf>,
    /// Names of the keys that each of them holds.
    pub keys: Vec<String>,
}

/// Makes them all.
pub async fn make(folder: &Folder, executors: u16, steps: &Steps) -> Result<Rings, Failure> {
    let step = steps.begin("making keyrings");
    let master = Keyring::create(folder.at("master.keyring"), seal(folder, "master")?).context("no master keyring")?;
    ensure_dataset_keys(&master, DATASET)
        .await
        .context("cannot make the dataset's keys")?;
    let names = master.names().await.context("cannot list the keys")?;
    let mut rings = Vec::new();
    for id in executor_ids(executors) {
        let path = folder.at(format!("{id}.keyring"));
        master
            .export(&path, seal(folder, &id)?, &names)
            .with_context(|| format!("no keyring for {id}"))?;
        rings.push(path);
    }
    let keys: Vec<_> = names.iter().map(ToString::to_string).collect();
    step.end(&format!(
        "Made {} master keys, and a sealed keyring for each executor; the scheduler has none",
        keys.len()
    ));
    Ok(Rings {
        master: Arc::new(master),
        executors: rings,
        keys,
    })
}

/// A key file of its own for each keyring: `<name>.key`.
fn seal(folder: &Folder, name: &str) -> Result<Unlock, Failure> {
    let path = folder.at(format!("{name}.key"));
    create_key_file(&path).context("cannot make a key file")?;
    Ok(Unlock::key_file(path))
}
