//! What every key service must do, as one suite that each implementation runs in its tests.
//!
//! The suite uses the public traits only and creates master keys named `conformance-<random>/…`, so that it can run
//! against a real service that holds other keys. A failure is returned in words, not panicked.

use std::collections::HashSet;

use crate::error::KeyError;
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::{DataKey, fill_random};
use crate::service::{KeyAdmin, KeyService, WrappedKey, ensure_dataset_keys};

/// What a service did wrong.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// It broke a rule of the trait.
    #[error("key service breaks a rule: {0}")]
    Rule(String),
    /// It failed where it must succeed.
    #[error("key service failed: {0}")]
    Failed(#[from] KeyError),
}

type Outcome = Result<(), Violation>;

/// Runs the whole suite against `keys`.
///
/// # Errors
/// The first rule that is broken.
pub async fn run(keys: &dyn KeyAdmin) -> Outcome {
    let dataset = random_dataset()?;
    creates(keys, &dataset).await?;
    let name = MasterKeyName::new(format!("{dataset}/health"))?;
    round_trips(keys, &name).await?;
    refuses_tampering(keys, &name).await?;
    separates_keys(keys, &dataset).await?;
    rotates(keys, &name).await?;
    names_what_is_unknown(keys, &dataset).await?;
    serves_many_at_once(keys, &name).await
}

async fn creates(keys: &dyn KeyAdmin, dataset: &str) -> Outcome {
    let created = ensure_dataset_keys(keys, dataset).await?;
    rule(created.len() == 5, "a dataset has five master keys")?;
    rule(created.iter().all(|id| id.version == 1), "a new key is at version 1")?;
    rule(
        ensure_dataset_keys(keys, dataset).await?.is_empty(),
        "keys that exist are not created again",
    )?;
    let again = keys.create(&created[0].name).await;
    rule(
        matches!(again, Err(KeyError::Exists { .. })),
        "creating an existing key is refused as existing",
    )?;
    let names: HashSet<_> = keys.names().await?.into_iter().collect();
    rule(
        created.iter().all(|id| names.contains(&id.name)),
        "created keys are listed",
    )
}

async fn round_trips(keys: &dyn KeyAdmin, name: &MasterKeyName) -> Outcome {
    let key = DataKey::random()?;
    for aad in [b"".as_slice(), b"file", &[0xff; 300]] {
        let wrapped = keys.wrap(name, &key, aad).await?;
        rule(
            wrapped.master == keys.current(name).await?,
            "wrapping uses and names the current version",
        )?;
        let printable = wrapped.text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        rule(
            printable && wrapped.text.len() <= 2048,
            "wrapped keys are printable and short",
        )?;
        let opened = keys.unwrap(&wrapped, aad).await?;
        rule(
            opened.expose() == key.expose(),
            "unwrapping returns the key that was wrapped",
        )?;
    }
    let (one, two) = (keys.wrap(name, &key, b"").await?, keys.wrap(name, &key, b"").await?);
    rule(one.text != two.text, "wrapping one key twice gives two texts")
}

async fn refuses_tampering(keys: &dyn KeyAdmin, name: &MasterKeyName) -> Outcome {
    let key = DataKey::random()?;
    let wrapped = keys.wrap(name, &key, b"file a").await?;
    for aad in [b"file b".as_slice(), b"", b"file a ", b"file"] {
        must_be_tampered(keys, &wrapped, aad, "another aad").await?;
    }
    for position in 0..wrapped.text.len() {
        let altered = WrappedKey {
            text: alter(&wrapped.text, position),
            ..wrapped.clone()
        };
        must_be_tampered(keys, &altered, b"file a", "an altered text").await?;
    }
    for text in [
        String::new(),
        wrapped.text[1..].to_owned(),
        format!("{0}{0}", wrapped.text),
    ] {
        must_be_tampered(
            keys,
            &WrappedKey {
                text,
                ..wrapped.clone()
            },
            b"file a",
            "a text of other length",
        )
        .await?;
    }
    Ok(())
}

async fn separates_keys(keys: &dyn KeyAdmin, dataset: &str) -> Outcome {
    let health = MasterKeyName::new(format!("{dataset}/health"))?;
    let wrapped = keys.wrap(&health, &DataKey::random()?, b"file").await?;
    let quasi = keys.current(&MasterKeyName::new(format!("{dataset}/quasi"))?).await?;
    must_be_tampered(
        keys,
        &WrappedKey {
            master: quasi,
            ..wrapped
        },
        b"file",
        "another master key",
    )
    .await
}

async fn rotates(keys: &dyn KeyAdmin, name: &MasterKeyName) -> Outcome {
    let key = DataKey::random()?;
    let old = keys.wrap(name, &key, b"file").await?;
    let id = keys.rotate(name).await?;
    rule(
        id == MasterKeyId {
            name: name.clone(),
            version: old.master.version + 1,
        },
        "rotating adds one version",
    )?;
    rule(keys.current(name).await? == id, "the new version is current at once")?;
    let new = keys.wrap(name, &key, b"file").await?;
    rule(new.master == id, "wrapping uses the new version")?;
    for wrapped in [&old, &new] {
        let opened = keys.unwrap(wrapped, b"file").await?;
        rule(opened.expose() == key.expose(), "old and new versions unwrap")?;
    }
    let crossed = WrappedKey {
        master: new.master.clone(),
        text: old.text.clone(),
    };
    must_be_tampered(keys, &crossed, b"file", "another version").await
}

async fn names_what_is_unknown(keys: &dyn KeyAdmin, dataset: &str) -> Outcome {
    let missing = MasterKeyName::new(format!("{dataset}/none/such"))?;
    let wrapped = keys.wrap(&missing, &DataKey::random()?, b"").await.map(|_| ());
    for outcome in [
        wrapped,
        keys.current(&missing).await.map(|_| ()),
        keys.rotate(&missing).await.map(|_| ()),
    ] {
        must_be_unknown(outcome, &missing)?;
    }
    let held = MasterKeyName::new(format!("{dataset}/health"))?;
    let real = keys.wrap(&held, &DataKey::random()?, b"").await?;
    let future = WrappedKey {
        master: MasterKeyId {
            name: held.clone(),
            version: 4_000_000,
        },
        ..real
    };
    must_be_unknown(keys.unwrap(&future, b"").await.map(|_| ()), &held)
}

async fn serves_many_at_once(keys: &dyn KeyService, name: &MasterKeyName) -> Outcome {
    let one = |number: u32| async move {
        let (key, aad) = (DataKey::random()?, number.to_be_bytes());
        let wrapped = keys.wrap(name, &key, &aad).await?;
        let opened = keys.unwrap(&wrapped, &aad).await?;
        rule(opened.expose() == key.expose(), "concurrent requests do not mix")
    };
    futures::future::try_join_all((0..64).map(one)).await.map(|_| ())
}

async fn must_be_tampered(keys: &dyn KeyService, wrapped: &WrappedKey, aad: &[u8], what: &str) -> Outcome {
    match keys.unwrap(wrapped, aad).await {
        Err(KeyError::Tampered { key, .. }) if key == wrapped.master.name => Ok(()),
        Err(other) => Err(Violation::Rule(format!(
            "{what} must be refused as tampered, not: {other}"
        ))),
        Ok(_) => Err(Violation::Rule(format!("{what} must not unwrap"))),
    }
}

fn must_be_unknown(outcome: Result<(), KeyError>, name: &MasterKeyName) -> Outcome {
    match outcome {
        Err(error) if error.is_denial() && error.key() == Some(name) && !error.is_passing() => Ok(()),
        other => Err(Violation::Rule(format!(
            "a key that is not held is refused by name, got {other:?}"
        ))),
    }
}

fn rule(kept: bool, rule: &str) -> Outcome {
    if kept {
        Ok(())
    } else {
        Err(Violation::Rule(rule.to_owned()))
    }
}

/// The text with one character replaced by another that base64 and hexadecimal know too.
fn alter(text: &str, position: usize) -> String {
    let replace = |(index, letter): (usize, char)| match (index == position, letter) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, letter) => letter,
    };
    text.chars().enumerate().map(replace).collect()
}

fn random_dataset() -> Result<String, KeyError> {
    let mut bytes = [0; 8];
    fill_random(&mut bytes)?;
    Ok(format!("conformance-{:016x}", u64::from_be_bytes(bytes)))
}
