//! `parcours keyring`: makes and keeps the file of master keys, and the master keys in an HSM. Keys leave a keyring only for
//! another sealed keyring, and an HSM never. Taking an old version away is `retire.rs`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use parcours_keys::{KeyAdmin, KeyUse, Keyring, MasterKeyName, Unlock, create_key_file, ensure_dataset_keys};

use super::key_source::KeySource;
#[cfg(feature = "local")]
use super::retire::{self, RetireArgs};
use crate::exit::Failure;
use crate::output::say;

/// Where the passphrase of a keyring is taken from before anyone is asked for it.
const PASSPHRASE: &str = "PARCOURS_KEYRING_PASSPHRASE";
/// Where that of an exported keyring is taken from.
const EXPORT_PASSPHRASE: &str = "PARCOURS_KEYRING_EXPORT_PASSPHRASE";

/// Make and keep the master keys that encrypt tables, in a file or in an HSM
#[derive(Debug, Args)]
pub struct KeyringArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an empty keyring; with --key-file, make that file too if it is missing
    Init {
        #[command(flatten)]
        keyring: Sealed,
    },
    /// Add the keys of a dataset (claims) or one key (claims/health); what is there already stays
    Add {
        #[command(flatten)]
        keys: KeySource,
        /// Dataset, or key
        name: String,
    },
    /// List the keys and their current versions
    List {
        #[command(flatten)]
        keys: KeySource,
    },
    /// Give the keys of a dataset, or one key, a new version; older ones still open what they sealed
    ///
    /// New files are wrapped under the new version at once, if those who load hold it. Executors need it before they can
    /// read those. What is there already stays under older versions until it is rewrapped (parcours rewrap).
    Rotate {
        #[command(flatten)]
        keys: KeySource,
        /// Dataset, or key
        name: String,
    },
    /// Write a second keyring that holds only some keys, for a process that must not read the others
    Export {
        #[command(flatten)]
        keyring: Sealed,
        /// The new keyring
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// What opens the new keyring, made if it is missing
        #[arg(long, value_name = "FILE")]
        to_key_file: Option<PathBuf>,
        /// Key to include; may be repeated
        #[arg(long = "only", value_name = "KEY", required = true)]
        only: Vec<String>,
    },
    /// Copy the keyring, sealed as it is, to a new file, and make sure that the copy opens and holds the same keys
    Backup {
        #[command(flatten)]
        keyring: Sealed,
        /// The new file; it opens with what opens the keyring, which has to be kept apart from it
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a keyring from a backup; a keyring that is there is not overwritten
    Restore {
        #[command(flatten)]
        keyring: Sealed,
        /// The backup
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Remove an old version of a key from the keyring, once no file needs it any more
    ///
    /// Executors with keyrings of their own (parcours keyring export) keep the version until they are given new ones.
    #[cfg(feature = "local")]
    Retire {
        #[command(flatten)]
        keyring: Sealed,
        #[command(flatten)]
        retire: RetireArgs,
    },
}

/// A keyring and what opens it.
#[derive(Debug, Args)]
struct Sealed {
    /// The keyring
    #[arg(long, value_name = "FILE")]
    keyring: PathBuf,
    /// File that opens it [default: a passphrase, from PARCOURS_KEYRING_PASSPHRASE or asked for]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Sealed {
    /// Opens the keyring.
    fn open(&self) -> Result<Keyring, Failure> {
        let unlock = existing_unlock(self.key_file.as_deref())?;
        Ok(Keyring::open(&self.keyring, unlock).map_err(anyhow::Error::from)?)
    }
}

/// Runs the command.
pub async fn run(args: KeyringArgs) -> Result<(), Failure> {
    match args.action {
        Action::Init { keyring } => {
            let unlock = new_unlock(keyring.key_file.as_deref(), PASSPHRASE)?;
            let made = Keyring::create(&keyring.keyring, unlock).map_err(anyhow::Error::from)?;
            say(format!("made {}", made.path().display()))?;
            Ok(())
        }
        Action::Add { keys, name } => add(&*keys.open().await?, &name).await,
        Action::List { keys } => list(&*keys.open().await?).await,
        Action::Rotate { keys, name } => rotate(&*keys.open().await?, &name).await,
        Action::Export {
            keyring,
            to,
            to_key_file,
            only,
        } => {
            let names = only.iter().map(|name| parse(name)).collect::<Result<Vec<_>, _>>()?;
            let source = keyring.open()?;
            let unlock = new_unlock(to_key_file.as_deref(), EXPORT_PASSPHRASE)?;
            source.export(&to, unlock, &names).map_err(anyhow::Error::from)?;
            say(format!("made {} with {} keys", to.display(), names.len()))?;
            Ok(())
        }
        Action::Backup { keyring, to } => copy(&keyring.keyring, &to, keyring.key_file.as_deref()),
        Action::Restore { keyring, from } => copy(&from, &keyring.keyring, keyring.key_file.as_deref()),
        #[cfg(feature = "local")]
        Action::Retire { keyring, retire } => retire::run(keyring.open()?, &retire).await,
    }
}

/// Copies a sealed keyring and says what the copy was seen to hold.
fn copy(from: &Path, to: &Path, key_file: Option<&Path>) -> Result<(), Failure> {
    let held = Keyring::copy(from, to, &existing_unlock(key_file)?).map_err(anyhow::Error::from)?;
    let names: std::collections::BTreeSet<_> = held.iter().map(|id| &id.name).collect();
    Ok(say(format!(
        "made {}, which opens and holds the same {} keys in {} versions",
        to.display(),
        names.len(),
        held.len()
    ))?)
}

async fn add(keys: &dyn KeyAdmin, name: &str) -> Result<(), Failure> {
    let created = match name.contains('/') {
        true => vec![keys.create(&parse(name)?).await.map_err(anyhow::Error::from)?],
        false => ensure_dataset_keys(keys, name).await.map_err(anyhow::Error::from)?,
    };
    created.iter().try_for_each(|id| say(format!("added {id}")))?;
    if created.is_empty() {
        say(format!("{name} has all its keys"))?;
    }
    Ok(())
}

async fn list(keys: &dyn KeyAdmin) -> Result<(), Failure> {
    for name in keys.names().await.map_err(anyhow::Error::from)? {
        say(keys.current(&name).await.map_err(anyhow::Error::from)?)?;
    }
    Ok(())
}

async fn rotate(keys: &dyn KeyAdmin, name: &str) -> Result<(), Failure> {
    let names = match name.contains('/') {
        true => vec![parse(name)?],
        false => KeyUse::all()
            .map(|part| parse(&format!("{name}/{part}")))
            .collect::<Result<_, _>>()?,
    };
    for name in names {
        say(format!(
            "now {}",
            keys.rotate(&name).await.map_err(anyhow::Error::from)?
        ))?;
    }
    Ok(())
}

fn parse(name: &str) -> Result<MasterKeyName, Failure> {
    MasterKeyName::new(name).map_err(|error| Failure::Usage(error.to_string()))
}

/// What opens an existing keyring.
pub fn existing_unlock(key_file: Option<&Path>) -> Result<Unlock, Failure> {
    match (key_file, std::env::var(PASSPHRASE)) {
        (Some(path), _) => Ok(Unlock::key_file(path)),
        (None, Ok(passphrase)) => Ok(Unlock::passphrase(passphrase)),
        (None, Err(_)) => Ok(Unlock::passphrase(ask("Passphrase of the keyring: ", PASSPHRASE)?)),
    }
}

/// What will open a new keyring: a key file, made if it is missing, or a passphrase, asked for twice.
fn new_unlock(key_file: Option<&Path>, variable: &str) -> Result<Unlock, Failure> {
    if let Some(path) = key_file {
        if !path.exists() {
            create_key_file(path).map_err(anyhow::Error::from)?;
            say(format!("made {}", path.display()))?;
        }
        return Ok(Unlock::key_file(path));
    }
    let passphrase = match std::env::var(variable) {
        Ok(passphrase) => passphrase,
        Err(_) => {
            let passphrase = ask("Passphrase of the new keyring: ", variable)?;
            if ask("Once more: ", variable)? != passphrase {
                return Err(Failure::usage("the two passphrases differ"));
            }
            passphrase
        }
    };
    match passphrase.is_empty() {
        true => Err(Failure::usage("an empty passphrase seals nothing")),
        false => Ok(Unlock::passphrase(passphrase)),
    }
}

fn ask(prompt: &str, variable: &str) -> Result<String, Failure> {
    let no_terminal = || format!("no terminal to ask for a passphrase, set {variable} or use a key file");
    Ok(rpassword::prompt_password(prompt).with_context(no_terminal)?)
}
