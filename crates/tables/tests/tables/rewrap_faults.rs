//! A rewrapping that fails or dies at any request to the object store, or to the key service, leaves every file readable;
//! run again it ends right, with no data file touched at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sandbox::faults::{Fault, FaultyStore};
use crate::sandbox::service::Counted;
use crate::sandbox::{Dispensing, Sandbox, dispensings, patients, shown_sorted};
use bytes::Bytes;
use parcours_keys::KeyService;
use parcours_tables::rewrap::{RewrapOptions, rewrap};

struct Trial {
    store: Arc<FaultyStore>,
    sandbox: Sandbox,
    rows: Vec<Dispensing>,
    data: BTreeMap<String, Bytes>,
}

impl Trial {
    /// A dataset whose keys were just rotated.
    async fn rotated() -> Self {
        let store = FaultyStore::new();
        let sandbox = Sandbox::on(store.clone(), 2).await;
        let rows = dispensings(20, 60, 1);
        sandbox.write_patients(&patients(20));
        sandbox.write_dispensings("1", &rows);
        sandbox.write_labels();
        sandbox.load().await.unwrap();
        sandbox.rotate_all().await;
        let data = data_files(&store).await;
        assert_eq!(data.len(), 6);
        Self {
            store,
            sandbox,
            rows,
            data,
        }
    }

    /// Every file opens, whatever became of the run, and no data file is another.
    async fn check(&self, what: &str) {
        assert_eq!(self.sandbox.dispensings().await, shown_sorted(&self.rows), "{what}");
        assert_eq!(self.sandbox.verify_keys().await.closed_files(), 0, "{what}");
        assert!(
            data_files(&self.store).await == self.data,
            "{what}: a data file changed"
        );
    }

    /// Runs it again, and takes the old versions away.
    async fn recover(&self, what: &str) {
        let done = self.sandbox.rewrap().await.unwrap();
        assert!(
            done.is_complete() && done.rewrapped + done.current == 6,
            "{what}: {done:?}"
        );
        self.sandbox.retire_old().await;
        self.check(what).await;
    }
}

async fn data_files(store: &FaultyStore) -> BTreeMap<String, Bytes> {
    let mut contents = store.contents().await;
    contents.retain(|path, _| path.ends_with(".parquet"));
    contents
}

async fn at_every_request(fault: impl Fn(usize) -> Fault) {
    let trial = Trial::rotated().await;
    trial.store.set(Fault::None);
    trial.sandbox.rewrap().await.unwrap();
    let requests = trial.store.requests();
    assert!(requests >= 10, "only {requests} requests: the test proves little");
    let mut failed = 0;
    for n in 0..requests {
        let trial = Trial::rotated().await;
        let what = format!("{:?}", fault(n));
        trial.store.set(fault(n));
        failed += usize::from(trial.sandbox.rewrap().await.is_err());
        trial.store.set(Fault::None);
        trial.check(&what).await;
        trial.recover(&what).await;
    }
    assert!(failed > requests / 2, "{failed} of {requests} faults were felt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_request() {
    at_every_request(Fault::FailsOnce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer() {
    at_every_request(Fault::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies() {
    at_every_request(Fault::Dies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_after_a_request() {
    at_every_request(Fault::DiesAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_service_that_goes_away() {
    // 5 questions for current versions, then 3 for each of 18 keys.
    for requests in 0..5 + 3 * 18 {
        let trial = Trial::rotated().await;
        let keys: Arc<dyn KeyService> = Counted::for_some(&trial.sandbox.keys, requests);
        let (into, stores) = (&trial.sandbox.into, &trial.sandbox.stores);
        let stopped = rewrap(into, "claims", stores, &keys, &RewrapOptions::default()).await;
        let error = stopped.expect_err("the key service went away").to_string();
        assert!(error.contains("key service is unavailable"), "{error}");
        let what = format!("after {requests} requests");
        trial.check(&what).await;
        trial.recover(&what).await;
    }
}
