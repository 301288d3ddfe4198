//! A load that fails or dies at any request to the object store leaves the old version or the new one, never a mixture;
//! the next load ends right; vacuum then finds every file left over and nothing else.

use std::sync::Arc;

use crate::sandbox::faults::{Fault, FaultyStore};
use crate::sandbox::{Dispensing, Sandbox, dispensings, patients, shown_sorted};
use chrono::TimeDelta;
use parcours_tables::latest_version;
use parcours_tables::vacuum::{VacuumOptions, vacuum};
use parcours_tables::verify::{VerifyOptions, verify};

struct Trial {
    store: Arc<FaultyStore>,
    sandbox: Sandbox,
    before: Option<Vec<Dispensing>>,
    after: Vec<Dispensing>,
}

impl Trial {
    /// A first load is about to be made.
    async fn first() -> Self {
        let store = FaultyStore::new();
        let sandbox = Sandbox::on(store.clone(), 2).await;
        let rows = dispensings(20, 60, 1);
        sandbox.write_patients(&patients(20));
        sandbox.write_dispensings("1", &rows);
        sandbox.write_labels();
        Self {
            store,
            sandbox,
            before: None,
            after: rows,
        }
    }

    /// A second load is about to be made.
    async fn second() -> Self {
        let mut trial = Self::first().await;
        trial.sandbox.load().await.unwrap();
        let more = dispensings(25, 40, 2);
        trial.sandbox.write_dispensings("2", &more);
        trial.sandbox.write_patients_more();
        trial.before = Some(trial.after.clone());
        trial.after.extend(more);
        trial
    }

    /// Whether the load got through although `fault` was set; checks what readers see.
    async fn run(&self, fault: Fault) -> bool {
        self.store.set(fault);
        let loaded = self.sandbox.load().await;
        self.store.set(Fault::None);
        let version = latest_version(&self.sandbox.into, "claims", &self.sandbox.stores)
            .await
            .unwrap();
        let old = self.before.as_ref().map(|_| 1);
        let new = Some(old.unwrap_or(0) + 1);
        assert!(version == old || version == new, "{fault:?}: version {version:?}");
        if loaded.is_ok() {
            assert_eq!(version, new, "{fault:?}: a load that said yes");
        }
        self.check_rows(version, fault).await;
        loaded.is_ok()
    }

    async fn check_rows(&self, version: Option<u64>, fault: Fault) {
        let expected = match (version, &self.before) {
            (None, _) => return,
            (Some(1), Some(before)) => shown_sorted(before),
            _ => shown_sorted(&self.after),
        };
        assert_eq!(
            self.sandbox.dispensings().await,
            expected,
            "{fault:?}: version {version:?}"
        );
    }

    async fn recover(&self, fault: Fault) {
        self.sandbox
            .load()
            .await
            .unwrap_or_else(|e| panic!("{fault:?}: next load: {e}"));
        assert_eq!(
            self.sandbox.dispensings().await,
            shown_sorted(&self.after),
            "{fault:?}: next load"
        );
        let options = VacuumOptions {
            older_than: TimeDelta::zero(),
            delete: true,
            ..VacuumOptions::default()
        };
        let (into, stores) = (&self.sandbox.into, &self.sandbox.stores);
        vacuum(into, "claims", stores, &options).await.unwrap();
        assert_eq!(self.left_over().await, Vec::<String>::new(), "{fault:?}: after vacuum");
        let looking = VerifyOptions::default();
        let verified = verify(into, "claims", stores, &self.sandbox.keys, &looking).await;
        assert_eq!(verified.unwrap().faults, [], "{fault:?}");
        let again = vacuum(into, "claims", stores, &options).await.unwrap();
        assert!(again.litter.is_empty(), "{fault:?}: {:?}", again.litter);
        assert_eq!(
            self.sandbox.dispensings().await,
            shown_sorted(&self.after),
            "{fault:?}: after vacuum"
        );
    }

    /// Data files and key material that no version names, found without vacuum's help. What versions name has both.
    async fn left_over(&self) -> Vec<String> {
        let (mut named, mut versions) = (Vec::new(), 0);
        for version in 1..=2 {
            let opened =
                parcours_tables::Snapshot::open(&self.sandbox.into, "claims", Some(version), &self.sandbox.stores)
                    .await;
            let Ok(snapshot) = opened else { continue };
            versions += 1;
            named.extend(
                snapshot
                    .tables()
                    .flat_map(|t| t.files().iter().map(|f| f.path().to_string()).collect::<Vec<_>>()),
            );
        }
        let paths = self.store.paths().await;
        // Each version has a report of its load, in a table that no snapshot shows.
        let reports = paths
            .iter()
            .filter(|path| path.contains("/_loads/") && path.ends_with(".parquet"));
        let reports: Vec<String> = reports.cloned().collect();
        assert_eq!(reports.len() - versions.min(reports.len()), 0, "{reports:?}");
        named.extend(reports);
        let beside: Vec<String> = named.iter().map(|path| beside(path)).collect();
        let missing = beside.iter().filter(|path| !paths.contains(path)).count();
        assert_eq!(missing, 0, "files without key material");
        paths
            .into_iter()
            .filter(|path| {
                path.ends_with(".parquet") && !named.contains(path)
                    || path.contains("_KEY_MATERIAL_FOR_") && !beside.contains(path)
            })
            .collect()
    }
}

/// Where the key material of the data file at `path` must lie.
fn beside(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap();
    format!("{folder}/_KEY_MATERIAL_FOR_{name}.json")
}

impl Sandbox {
    /// One more source of the patient table, so that two sharded tables change together.
    fn write_patients_more(&self) {
        let text = "id,born,sex\nFFFF0000IDMARK,1950,QUASIMARK1\n";
        std::fs::write(self.sources().join("patient-2.csv"), text).unwrap();
    }
}

/// Runs the load once to count its requests, then with the fault at each of them.
async fn at_every_request(second: bool, fault: impl Fn(usize) -> Fault) {
    let make = || async {
        if second {
            Trial::second().await
        } else {
            Trial::first().await
        }
    };
    let trial = make().await;
    trial.store.set(Fault::None);
    trial.sandbox.load().await.unwrap();
    let requests = trial.store.requests();
    assert!(requests > 20, "only {requests} requests: the test proves little");
    let mut failed = 0;
    for n in 0..requests {
        let trial = make().await;
        failed += usize::from(!trial.run(fault(n)).await);
        trial.recover(fault(n)).await;
    }
    assert!(failed > requests / 4, "{failed} of {requests} faults were felt");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_load_with_a_failed_request() {
    at_every_request(false, Fault::FailsOnce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_load_that_dies() {
    at_every_request(false, Fault::Dies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_load_with_a_failed_request() {
    at_every_request(true, Fault::FailsOnce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_load_with_a_lost_answer() {
    at_every_request(true, Fault::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_load_that_dies() {
    at_every_request(true, Fault::Dies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_load_that_dies_after_a_request() {
    at_every_request(true, Fault::DiesAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_written_local_files_are_found() {
    let sandbox = Sandbox::local(2).await;
    sandbox.write_patients(&patients(10));
    sandbox.write_dispensings("1", &dispensings(10, 30, 1));
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    let folder = sandbox.dir.path().join("tables/claims/dispensing/shard=0000");
    std::fs::write(folder.join("part-x.parquet#1"), "half").unwrap();
    std::fs::write(
        folder.join("part-00000000-0000-4000-8000-000000000000.parquet"),
        "whole",
    )
    .unwrap();
    std::fs::write(folder.join("notes.txt"), "somebody's").unwrap();
    let dry = VacuumOptions {
        older_than: TimeDelta::zero(),
        delete: false,
        ..VacuumOptions::default()
    };
    let found = vacuum(&sandbox.into, "claims", &sandbox.stores, &dry).await.unwrap();
    assert_eq!(
        (found.litter.len(), found.deleted, found.bytes()),
        (2, false, 9),
        "{found:?}"
    );
    let young = VacuumOptions {
        older_than: TimeDelta::days(1),
        delete: true,
        ..VacuumOptions::default()
    };
    let kept = vacuum(&sandbox.into, "claims", &sandbox.stores, &young).await.unwrap();
    assert_eq!((kept.litter.len(), kept.too_young), (0, 2));
    let delete = VacuumOptions {
        older_than: TimeDelta::zero(),
        delete: true,
        ..VacuumOptions::default()
    };
    vacuum(&sandbox.into, "claims", &sandbox.stores, &delete).await.unwrap();
    let left: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().to_string())
        .filter(|name| !name.ends_with(".parquet") && !folder.join(data_file_of(name)).exists())
        .collect();
    assert_eq!(left, ["notes.txt"], "foreign files are nobody's litter");
}

/// The name of the data file whose key material has this name; any other name as it is, with an ending that no file has.
fn data_file_of(name: &str) -> String {
    let inner = name
        .strip_prefix("_KEY_MATERIAL_FOR_")
        .and_then(|name| name.strip_suffix(".json"));
    inner.map_or_else(|| format!("{name}.none"), str::to_string)
}

/// Key material goes when its data file has, and never before.
#[tokio::test(flavor = "multi_thread")]
async fn key_material_of_live_files_stays_and_of_others_goes() {
    let sandbox = Sandbox::local(2).await;
    sandbox.write_patients(&patients(10));
    let rows = dispensings(10, 30, 1);
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    let folder = sandbox.dir.path().join("tables/claims/dispensing/shard=0000");
    let gone = "_KEY_MATERIAL_FOR_part-00000000-0000-4000-8000-000000000000.parquet.json";
    let foreign = "_KEY_MATERIAL_FOR_somebodys.parquet.json";
    let half = format!("{gone}#123");
    for name in [gone, foreign, &half] {
        std::fs::write(folder.join(name), "{}").unwrap();
    }
    let live: Vec<_> = sandbox
        .data_files("dispensing")
        .iter()
        .map(|file| sandbox.beside(file))
        .collect();
    // A live file's material stays even if someone has removed the data file itself.
    let lost = sandbox.data_files("dispensing").pop().unwrap();
    let bytes = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let delete = VacuumOptions {
        older_than: TimeDelta::zero(),
        delete: true,
        ..VacuumOptions::default()
    };
    let found = vacuum(&sandbox.into, "claims", &sandbox.stores, &delete).await.unwrap();
    assert_eq!(found.litter.len(), 2, "{found:?}");
    assert!(!folder.join(gone).exists() && !folder.join(&half).exists());
    assert!(folder.join(foreign).exists(), "foreign files are nobody's litter");
    assert!(live.iter().all(|path| path.exists()));
    std::fs::write(&lost, bytes).unwrap();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}
