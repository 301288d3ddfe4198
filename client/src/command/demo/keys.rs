//! The demo's keyrings: the one that loading encrypts with, and that of the key daemon, sealed apart. Scheduler and
//! executors get none.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use parcours_keys::{KeyAdmin, Keyring, Unlock, create_key_file, ensure_dataset_keys};

use super::DATASET;
use super::folder::Folder;
use super::steps::Steps;
use crate::exit::Failure;

/// The keyrings of the demo.
pub struct Rings {
    /// Open, for loading.
    pub master: Arc<Keyring>,
    /// The key daemon's keyring.
    pub daemon: PathBuf,
    /// Names of the keys in it.
    pub keys: Vec<String>,
}

/// Makes them all.
pub async fn make(folder: &Folder, steps: &Steps) -> Result<Rings, Failure> {
    let step = steps.begin("making keyrings");
    let master = Keyring::create(folder.at("master.keyring"), seal(folder, "master")?).context("no master keyring")?;
    ensure_dataset_keys(&master, DATASET)
        .await
        .context("cannot make the dataset's keys")?;
    let names = master.names().await.context("cannot list the keys")?;
    let daemon = folder.at("keyd.keyring");
    master
        .export(&daemon, seal(folder, "keyd")?, &names)
        .context("no keyring for the key daemon")?;
    let keys: Vec<_> = names.iter().map(ToString::to_string).collect();
    step.end(&format!(
        "Made {} master keys, in a sealed keyring for the key daemon; scheduler and executors have none",
        keys.len()
    ));
    Ok(Rings {
        master: Arc::new(master),
        daemon,
        keys,
    })
}

/// A key file of its own for each keyring: `<name>.key`.
fn seal(folder: &Folder, name: &str) -> Result<Unlock, Failure> {
    let path = folder.at(format!("{name}.key"));
    create_key_file(&path).context("cannot make a key file")?;
    Ok(Unlock::key_file(path))
}
