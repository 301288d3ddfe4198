//! The object store that the S3 tests stand on: what a Delta commit needs of it holds, and it can be stopped and started
//! again without losing anything.

use anyhow::Result;
use parcours_tests::rgw::Store;

#[test]
fn a_conditional_create_has_one_winner_and_a_stopped_gateway_comes_back() -> Result<()> {
    let Some(store) = Store::start()? else { return Ok(()) };
    for race in 0..3 {
        let key = format!("race-{race}");
        let winners = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16)
                .map(|racer| {
                    let (store, key) = (&store, &key);
                    scope.spawn(move || store.create(key, &format!("racer {racer}")))
                })
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().expect("no panic"))
                .collect::<Result<Vec<_>>>()
        })?;
        assert_eq!(winners.iter().filter(|won| **won).count(), 1);
    }
    store.stop_gateway()?;
    assert!(store.create("race-0", "nobody answers").is_err());
    store.start_gateway()?;
    assert!(!store.create("race-0", "too late")?, "what was written is still there");
    Ok(())
}
