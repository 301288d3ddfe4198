//! Resharding: the same rows in another number of shards, in order, each where the new split points say; older versions stay;
//! nothing half done is seen, whenever it dies.

use std::num::NonZeroUsize;

use chrono::TimeDelta;
use parcours_tables::load::{LoadError, LoadOptions, load};
use parcours_tables::reshard::{ReshardOptions, ReshardReport, reshard};
use parcours_tables::vacuum::{VacuumOptions, vacuum};
use parcours_tables::verify::{VerifyOptions, verify};
use parcours_tables::{Snapshot, latest_version};

use crate::sandbox::faults::{Fault, FaultyStore};
use crate::sandbox::{
    Dispensing, Sandbox, all_granted, count_nodes, dispensings, lines, patients, plan, query, shown_sorted,
};

/// Three loads, so that shards have several files.
async fn loaded(shards: usize) -> (Sandbox, Vec<Dispensing>) {
    let sandbox = Sandbox::local(shards).await;
    sandbox.write_patients(&patients(500));
    sandbox.write_labels();
    let mut all = Vec::new();
    for part in 1..=3 {
        let rows = dispensings(500, 2_000, part);
        sandbox.write_dispensings(&part.to_string(), &rows);
        sandbox.load().await.unwrap();
        all.extend(rows);
    }
    (sandbox, all)
}

async fn into_shards(sandbox: &Sandbox, shards: usize) -> Result<ReshardReport, LoadError> {
    let options = ReshardOptions {
        shards,
        writing: LoadOptions::default(),
    };
    reshard(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await
}

/// The newest version has these dispensings, in so many shards, and is what verifying wants it to be.
async fn check(sandbox: &Sandbox, rows: &[Dispensing], shards: usize) {
    let snapshot = sandbox.snapshot().await;
    assert_eq!(snapshot.shards(), shards);
    let options = VerifyOptions::default();
    let verified = verify(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    let faults = verified.unwrap().faults;
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(sandbox.dispensings().await, shown_sorted(rows));
    let session = sandbox.session_at(&snapshot);
    let keys = sandbox.reading().keys(all_granted());
    let ordered = "SELECT * FROM dispensing ORDER BY patient, day";
    assert_eq!(count_nodes(&plan(&session, ordered).await, "SortExec"), 0);
    let by_patient = "SELECT d.patient, count(*), min(p.born) FROM dispensing d JOIN patient p ON d.patient = p.patient \
                      GROUP BY d.patient";
    assert_eq!(count_nodes(&plan(&session, by_patient).await, "RepartitionExec"), 0);
    let mut patients: Vec<&str> = rows.iter().map(|row| row.patient.as_str()).collect();
    patients.sort_unstable();
    patients.dedup();
    assert_eq!(
        lines(&query(&session, &keys, by_patient).await.unwrap()).len(),
        patients.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_in_fewer_and_in_more_shards() {
    let (mut sandbox, rows) = loaded(16).await;
    for (step, shards) in [4, 64, 1].into_iter().enumerate() {
        let report = into_shards(&sandbox, shards).await.unwrap();
        let version = 4 + step as u64;
        assert_eq!((report.created, report.version), (Some(version), version));
        assert_eq!((report.before, report.shards), (sandbox.shards, shards));
        assert_eq!(report.split_version, 2 + step as u32);
        let seen: Vec<_> = report
            .tables
            .iter()
            .map(|t| (t.name.as_str(), t.after, t.rows))
            .collect();
        assert_eq!(seen, [("dispensing", shards, 6_000), ("patient", shards, 500)]);
        sandbox.shards = shards;
        check(&sandbox, &rows, shards).await;
        let even = sandbox.snapshot().await.describe();
        let patients = even.tables.iter().find(|table| table.name == "patient").unwrap();
        let most = patients.rows_by_shard.iter().max().unwrap();
        assert!(*most <= 2 * 500 / shards as u64 + 2, "{:?}", patients.rows_by_shard);
    }
    // Every version before is what it was, at its own split points.
    for (version, shards) in [(3, 16), (4, 4), (5, 64)] {
        let old = Snapshot::open(&sandbox.into, "claims", Some(version), &sandbox.stores)
            .await
            .unwrap();
        assert_eq!(old.shards(), shards);
        let keys = sandbox.reading().keys(all_granted());
        let answer = query(&sandbox.session_at(&old), &keys, "SELECT * FROM dispensing").await;
        let mut shown = lines(&answer.unwrap());
        shown.sort();
        assert_eq!(shown, shown_sorted(&rows), "version {version}");
    }
    // Once they have gone, so have their files.
    let options = VacuumOptions {
        older_than: TimeDelta::zero(),
        delete: true,
        keep_versions: NonZeroUsize::new(1),
    };
    let gone = vacuum(&sandbox.into, "claims", &sandbox.stores, &options)
        .await
        .unwrap();
    assert_eq!(gone.versions, [1, 2, 3, 4, 5]);
    assert_eq!(
        sandbox
            .data_files("dispensing")
            .iter()
            .filter(|f| !f.to_string_lossy().contains("_delta_log"))
            .count(),
        1
    );
    check(&sandbox, &rows, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_go_on_at_the_new_split_points() {
    let (mut sandbox, mut rows) = loaded(4).await;
    into_shards(&sandbox, 7).await.unwrap();
    let refused = sandbox.load().await.unwrap_err().to_string();
    assert!(
        refused.contains("has 7 shards and is described with 4") && refused.contains("say shards = 7"),
        "{refused}"
    );
    sandbox.shards = 7;
    assert_eq!(sandbox.load().await.unwrap().created, None, "the same sources");
    let more = dispensings(500, 900, 9);
    sandbox.write_dispensings("9", &more);
    assert_eq!(sandbox.load().await.unwrap().created, Some(5));
    rows.extend(more);
    check(&sandbox, &rows, 7).await;
    assert_eq!(sandbox.snapshot().await.splits().version(), 2);
    // The same once more is nothing to do; refused numbers are refused.
    into_shards(&sandbox, 3).await.unwrap();
    let again = into_shards(&sandbox, 3).await.unwrap();
    assert_eq!((again.created, again.version, again.split_version), (None, 6, 3));
    for shards in [0, 16_385] {
        assert!(matches!(
            into_shards(&sandbox, shards).await,
            Err(LoadError::Option { option: "shards", .. })
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn described_split_points_have_to_be_taken_out() {
    let (mut sandbox, _) = loaded(2).await;
    into_shards(&sandbox, 3).await.unwrap();
    sandbox.shards = 3;
    let described = sandbox
        .description()
        .replacen("shards = 3", "shards = 3\nsplits = [\"1\", \"2\"]", 1);
    let dataset = parcours_tables::spec::Dataset::parse(&described, sandbox.dir.path(), &|_| None).unwrap();
    sandbox.write_dispensings("9", &dispensings(5, 9, 9));
    let options = sandbox.options();
    let loaded = load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options).await;
    let refused = loaded.unwrap_err().to_string();
    assert!(refused.contains("split set 2: leave splits out"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_tables_tell_their_split_set_and_keep_their_id() {
    let (sandbox, _) = loaded(2).await;
    into_shards(&sandbox, 5).await.unwrap();
    let log = sandbox.dir.path().join("tables/claims/dispensing/_delta_log");
    let metadata: Vec<serde_json::Value> = (0..4)
        .flat_map(|version| {
            let text = std::fs::read_to_string(log.join(format!("{version:020}.json"))).unwrap();
            let actions: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            actions
                .into_iter()
                .filter_map(|mut action| action.get_mut("metaData").map(|m| m.take()))
        })
        .collect();
    assert_eq!(metadata.len(), 2);
    assert_eq!(metadata[0]["id"], metadata[1]["id"]);
    let told = |at: usize, name: &str| metadata[at]["configuration"][name].as_str().unwrap().to_owned();
    assert_eq!(
        (told(0, "parcours.shards"), told(0, "parcours.split_version")),
        ("2".into(), "1".into())
    );
    assert_eq!(
        (told(1, "parcours.shards"), told(1, "parcours.split_version")),
        ("5".into(), "2".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_comes_first_leaves_nothing_of_the_resharding() {
    let (sandbox, mut rows) = loaded(4).await;
    let more = dispensings(500, 100, 9);
    sandbox.write_dispensings("9", &more);
    let (loaded, resharded) = tokio::join!(sandbox.load(), into_shards(&sandbox, 3));
    match (&loaded, &resharded) {
        (Ok(_), Ok(_)) => rows.extend(more),
        (Ok(_), Err(second)) => {
            assert!(
                second.to_string().contains("again") && second.published_nothing(),
                "{second}"
            );
            rows.extend(more);
        }
        (Err(second), Ok(_)) => assert!(second.published_nothing(), "{second}"),
        (Err(one), Err(other)) => panic!("neither was done: {one}; {other}"),
    }
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

/// A resharding with the fault at every request leaves the old version or the new one, and can be made again.
async fn at_every_request(fault: impl Fn(usize) -> Fault) {
    let make = || async {
        let store = FaultyStore::new();
        let sandbox = Sandbox::on(store.clone(), 3).await;
        let rows = dispensings(30, 90, 1);
        sandbox.write_patients(&patients(30));
        sandbox.write_labels();
        sandbox.write_dispensings("1", &rows);
        sandbox.load().await.unwrap();
        (store, sandbox, rows)
    };
    let (store, sandbox, _) = make().await;
    store.set(Fault::None);
    into_shards(&sandbox, 2).await.unwrap();
    let requests = store.requests();
    assert!(requests > 20, "only {requests} requests: the test proves little");
    let mut failed = 0;
    for n in 0..requests {
        let (store, mut sandbox, rows) = make().await;
        store.set(fault(n));
        let done = into_shards(&sandbox, 2).await;
        store.set(Fault::None);
        failed += usize::from(done.is_err());
        let version = latest_version(&sandbox.into, "claims", &sandbox.stores).await.unwrap();
        assert!(version == Some(1) || version == Some(2), "{:?}: {version:?}", fault(n));
        assert!(done.is_err() || version == Some(2), "{:?}: said yes", fault(n));
        sandbox.shards = if version == Some(1) { 3 } else { 2 };
        check(&sandbox, &rows, sandbox.shards).await;
        // A load goes on from what there is, and the resharding is made again.
        let (more, mut all) = (dispensings(30, 20, 2), rows);
        sandbox.write_dispensings("2", &more);
        all.extend(more);
        sandbox
            .load()
            .await
            .unwrap_or_else(|e| panic!("{:?}: next load: {e}", fault(n)));
        check(&sandbox, &all, sandbox.shards).await;
        into_shards(&sandbox, 2).await.unwrap();
        sandbox.shards = 2;
        let options = VacuumOptions {
            older_than: TimeDelta::zero(),
            delete: true,
            ..VacuumOptions::default()
        };
        vacuum(&sandbox.into, "claims", &sandbox.stores, &options)
            .await
            .unwrap();
        check(&sandbox, &all, 2).await;
    }
    assert!(failed > requests / 4, "{failed} of {requests} faults were felt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resharding_that_dies() {
    at_every_request(Fault::Dies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resharding_that_dies_after_a_request() {
    at_every_request(Fault::DiesAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resharding_with_a_lost_answer() {
    at_every_request(Fault::AnswerLost).await;
}
