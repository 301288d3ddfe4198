//! Encrypted data files altered at random: reading one ends with an error, or gives exactly the rows that were written where
//! the damage hit bytes that Parquet does not look at. `just tamper` does it more often than the sample here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sample;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use parcours_keys::{FileContext, FileKeys};
use parcours_tests::damage::{Kind, Victim, parquet_modules};
use parcours_tests::rounds::{report, rounds};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use sample::{Keys, batch, cache, read_all};

#[tokio::test]
async fn no_altered_data_file_gives_other_rows() {
    let mut random = StdRng::seed_from_u64(5);
    let keys = Keys::new().await;
    let place = FileContext::new("claims", "dispensings", "shard=0/a.parquet");
    let elsewhere = [
        FileContext::new("claims", "dispensings", "shard=0/b.parquet"),
        FileContext::new("claims", "dispensings", "shard=1/a.parquet"),
        FileContext::new("claims", "stays", "shard=0/a.parquet"),
    ];
    let file = sample::write_encrypted(&*keys.keyring, &place).await;
    let mut foreign = Vec::new();
    for place in &elsewhere {
        foreign.push(sample::write_encrypted(&*keys.keyring, place).await.to_vec());
    }
    // A name is never used twice. Were it, the earlier file would be of the same rows here, and none else can be told.
    let victim = Victim {
        original: &file,
        foreign: &foreign,
        earlier: &[],
        seams: parquet_modules,
    };
    assert!(
        parquet_modules(&file).len() > 50,
        "the file has many modules to be moved about"
    );
    let cache = cache(keys.keyring.clone());
    let (mut found, mut harmless, mut panics) = (BTreeMap::<Kind, usize>::new(), 0, 0);
    let rounds = rounds(5_000);
    let mut done = 0;
    while done < rounds {
        let kind = Kind::ALL[random.random_range(0..Kind::ALL.len())];
        let Some(damaged) = victim.damaged(kind, &mut random) else {
            continue;
        };
        let opened = FileKeys::new(cache.clone(), place.clone());
        // Parquet takes lengths of a damaged footer at their word, and may panic over one: that ends a task as an error does.
        let damaged = damaged.into();
        match std::panic::catch_unwind(AssertUnwindSafe(|| read_all(&damaged, &opened))) {
            Ok(Ok(rows)) => {
                assert_eq!(rows, batch(), "round {done}: {kind:?} changed a row");
                // Length words that Parquet does not look at; and a footer is found from the end, so that a stretch
                // doubled across its beginning puts bytes where nobody reads.
                assert!(
                    matches!(kind, Kind::Flip | Kind::FlipAtSeam | Kind::Overwrite | Kind::Repeat),
                    "round {done}: {kind:?} went unseen"
                );
                harmless += 1;
            }
            Err(_) => {
                panics += 1;
                *found.entry(kind).or_default() += 1;
            }
            Ok(Err(error)) => {
                let said = error.to_string();
                assert!(!said.is_empty() && !said.contains("MARKER"), "{said}");
                *found.entry(kind).or_default() += 1;
            }
        }
        done += 1;
    }
    assert_eq!(found.len(), Kind::ALL.len() - 1, "{found:?}");
    assert!(harmless * 20 < done, "{harmless} of {done} went unseen");
    assert!(panics * 1000 <= done, "{panics} of {done} ended in a panic");
    report(&format!(
        "{done} alterations of an encrypted data file: {harmless} hit bytes that nobody reads and changed no row, all others \
         found ({panics} by a panic): {found:?}"
    ));
}
