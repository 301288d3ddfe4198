//! `parcours keyring retire`: removes an old version of a master key from a keyring, once no file is seen to need it.

use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use parcours_keys::{KeyError, KeyService, Keyring, MasterKeyId};
use parcours_tables::rewrap::KeyUsage;

use super::rewrap::{WorkArgs, print_closed, usage_of};
use super::store::{StoreArgs, location};
use crate::exit::Failure;
use crate::output::say;

/// What is retired, and what shows that nobody needs it.
#[derive(Debug, Args)]
pub struct RetireArgs {
    /// Version of a master key, as in claims/health#1
    id: String,
    /// Where the key's dataset is: a URL (file:///…, s3://bucket/…) or a path; every file there is asked what it needs. May
    /// be repeated for a dataset that lies in several places
    #[arg(long = "dataset-url", value_name = "URL", required_unless_present = "lose_files")]
    places: Vec<String>,
    /// Remove the version whatever needs it: files wrapped under it can never be opened again, except with a backup of the
    /// keyring that still holds it
    #[arg(long, conflicts_with = "places")]
    lose_files: bool,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Retires the version, or says what still needs it.
pub async fn run(keyring: Keyring, args: &RetireArgs) -> Result<(), Failure> {
    let id: MasterKeyId = args
        .id
        .parse()
        .map_err(|error: KeyError| Failure::Usage(error.to_string()))?;
    let keyring = Arc::new(keyring);
    for place in &args.places {
        refuse_if_needed(&keyring, &id, place, args).await?;
    }
    keyring.retire(&id).map_err(anyhow::Error::from)?;
    say(format!("retired {id}"))?;
    if args.lose_files {
        say("files wrapped under it, if there are any, do not open any more")?;
    }
    Ok(())
}

async fn refuse_if_needed(
    keyring: &Arc<Keyring>,
    id: &MasterKeyId,
    place: &str,
    args: &RetireArgs,
) -> Result<(), Failure> {
    let stores = args.store.stores();
    let keys: Arc<dyn KeyService> = Arc::clone(keyring) as _;
    let usage = usage_of(&location(place)?, id.name.dataset(), &stores, &keys, &args.work).await?;
    refuse_unknown(&usage, id)?;
    match usage.of(id) {
        None => Ok(say(format!(
            "none of {} files of {} needs {id}",
            usage.files, usage.dataset
        ))?),
        Some(needed) => Err(anyhow!(
            "{id} is needed by {} files of {} and {} that no version names: run parcours rewrap, or parcours vacuum for \
             the latter, first",
            needed.files,
            usage.dataset,
            needed.unnamed
        )
        .into()),
    }
}

fn refuse_unknown(usage: &KeyUsage, id: &MasterKeyId) -> Result<(), Failure> {
    if usage.unknown.is_empty() {
        return Ok(());
    }
    print_closed(&usage.unknown)?;
    Err(anyhow!(
        "{} files of {} do not tell whether they need {id}: mend or remove them first",
        usage.unknown.len(),
        usage.dataset
    )
    .into())
}
