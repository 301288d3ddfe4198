//! The keys of tasks. Each task's grant is verified here and turned into the keys that its scans may ask the key daemon for;
//! what the daemon takes back is forgotten, and tasks that read it end. An executor holds no master key. A grant is short and
//! is renewed by the scheduler while its tasks run: whoever asks for something looks up the grant of that moment.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use parcours_cluster::failure::{Cause, Failure};
use parcours_cluster::task_grant::{GrantError, HeldGrant, Opened, TaskGrant};
use parcours_identity::Signatures;
use parcours_keyd::client::KeyDaemonClient;
use parcours_keyd::protocol::Usable;
use parcours_keys::{ColumnClass, KeyError, class_key};
use parcours_tables::scan::{Grants, Reading, ScanKeys};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Pause before the key daemon is followed again.
const AGAIN: Duration = Duration::from_millis(500);

/// What every task of this process asks its keys from.
pub(crate) struct TaskKeys {
    signatures: Signatures,
    daemon: KeyDaemonClient,
    reading: Reading,
    /// What the daemon said last; none until it has said anything.
    usable: watch::Sender<Option<Usable>>,
    /// The grants of tasks that run, by job and stage.
    held: Mutex<HashMap<(String, usize), Weak<HeldGrant>>>,
}

/// What one task may do.
pub(crate) struct Granted {
    /// The query it belongs to.
    pub(crate) query: String,
    /// The grant under which it asks for keys and partitions.
    pub(crate) held: Arc<HeldGrant>,
    /// The keys of its scans.
    pub(crate) scans: ScanKeys,
    /// Whether it may go on.
    pub(crate) usable: StillUsable,
}

impl TaskKeys {
    pub(crate) fn new(signatures: Signatures, daemon: KeyDaemonClient, reading: Reading) -> Self {
        Self {
            signatures,
            daemon,
            reading,
            usable: watch::Sender::new(None),
            held: Mutex::default(),
        }
    }

    /// Caches and their counters.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Who is believed to sign grants.
    pub(crate) fn signatures(&self) -> Signatures {
        self.signatures.clone()
    }

    /// What a task of this stage of a job may do on this executor, by its grant.
    pub(crate) fn of_task(
        &self,
        token: &str,
        job: &str,
        stage: usize,
        executor: &str,
    ) -> Result<Granted, DataFusionError> {
        let grant = TaskGrant::verify(&self.signatures, token)
            .and_then(|grant| grant.check_task(job, stage, executor).map(|()| grant))
            .map_err(|refusal| refused(&refusal, job))?;
        let held = self.hold(job, stage, token);
        let service = self.daemon.under(&held);
        let scans = self.reading.keys_through(grants(&grant), &service);
        let usable = StillUsable {
            reads: Arc::new(grant.datasets),
            usable: self.usable.subscribe(),
        };
        Ok(Granted {
            query: grant.query,
            held,
            scans,
            usable,
        })
    }

    /// Holds the grant of a task that begins, in the place of an older one of its stage.
    fn hold(&self, job: &str, stage: usize, token: &str) -> Arc<HeldGrant> {
        let mut all = self.held.lock();
        all.retain(|_, held| held.strong_count() > 0);
        let key = (job.to_owned(), stage);
        if let Some(held) = all.get(&key).and_then(Weak::upgrade) {
            held.renew(token);
            return held;
        }
        let held = HeldGrant::new(token);
        all.insert(key, Arc::downgrade(&held));
        held
    }

    /// Holds a grant that was signed anew; nothing happens if no task of its stage runs here any more.
    pub(crate) fn renew(&self, job: &str, stage: usize, token: &str) {
        let held = self.held.lock().get(&(job.to_owned(), stage)).and_then(Weak::upgrade);
        if let Some(held) = held {
            held.renew(token);
        }
    }

    /// Follows the key daemon for good, and forgets what may no longer be used. While the daemon is away nothing is kept.
    pub(crate) async fn follow(&self) {
        loop {
            let status = self.daemon.follow(|usable| self.told(usable)).await;
            tracing::warn!(code = ?status.code(), reason = status.message(), "the key daemon is not followed, keys are forgotten");
            self.reading.forget_all();
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn told(&self, now: Usable) {
        let before = self.usable.borrow().clone().unwrap_or_default();
        for (dataset, class) in before.lost_since(&now) {
            tracing::warn!(dataset, %class, "keys may no longer be used, they are forgotten");
            if let Err(error) = self.reading.forget(dataset, class) {
                tracing::error!(%error, "keys could not be forgotten by name, all are");
                self.reading.forget_all();
            }
        }
        self.usable.send_if_modified(|current| {
            let changed = current.as_ref() != Some(&now);
            *current = Some(now);
            changed
        });
    }
}

/// The grant in the terms of scans.
fn grants(grant: &TaskGrant) -> Grants {
    let mut grants = Grants::none().held_by(grant.sub.to_string());
    for (dataset, terms) in &grant.datasets.0 {
        for (table, classes) in &terms.tables {
            grants = grants.with_table(dataset, table, classes.iter().copied());
        }
    }
    grants
}

fn refused(refusal: &GrantError, job: &str) -> DataFusionError {
    tracing::warn!(job, %refusal, "task refused");
    DataFusionError::Execution(Failure::new(Cause::Denied, refusal.to_string()).to_string())
}

/// Whether a task's keys may still be used.
#[derive(Clone)]
pub(crate) struct StillUsable {
    reads: Arc<Opened>,
    usable: watch::Receiver<Option<Usable>>,
}

impl StillUsable {
    /// Completes when they may not, with the error that names the class.
    pub(crate) async fn revoked(&self) -> DataFusionError {
        let mut usable = self.usable.clone();
        let lost = |usable: &Option<Usable>| usable.as_ref().and_then(|usable| self.lost(usable));
        let seen = usable.wait_for(|usable| lost(usable).is_some()).await;
        let Some((dataset, class)) = seen.ok().and_then(|usable| lost(&usable)) else {
            return std::future::pending().await;
        };
        taken_back(&dataset, class)
    }

    /// The same error, if they may not be used now.
    pub(crate) fn refusal(&self) -> Option<DataFusionError> {
        let lost = self.usable.borrow().as_ref().and_then(|usable| self.lost(usable));
        lost.map(|(dataset, class)| taken_back(&dataset, class))
    }

    fn lost(&self, usable: &Usable) -> Option<(String, ColumnClass)> {
        let mut reads = self.reads.reads().into_iter();
        let lost = reads.find(|(dataset, class)| !usable.allows(dataset, *class));
        lost.map(|(dataset, class)| (dataset.to_owned(), class))
    }
}

fn taken_back(dataset: &str, class: ColumnClass) -> DataFusionError {
    let error = match class_key(dataset, class) {
        Ok(key) => KeyError::Denied {
            key,
            reason: "executors may no longer use it".to_owned(),
        },
        Err(error) => error,
    };
    DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(error))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::collections::BTreeSet;

    use parcours_cluster::task_grant::{Assignment, DatasetTerms, Terms, ends_after};
    use parcours_identity::pki::{InitOptions, Pki, Request};
    use parcours_identity::{ClientTls, Expects, Principal, Signer};
    use parcours_keys::CacheOptions;
    use parcours_keys::ColumnClass::{Health, Identity, Plain};
    use parcours_tables::Stores;

    use super::*;

    const DOMAIN: &str = "hospital.example";
    const EXECUTOR: &str = "executor-1:ab12";

    /// A scheduler that signs, and the keys of an executor's tasks.
    struct Site {
        _folder: tempfile::TempDir,
        signer: Signer,
        keys: TaskKeys,
    }

    impl Site {
        fn new() -> Self {
            parcours_identity::install_crypto_provider();
            let folder = tempfile::tempdir().unwrap();
            let pki = Pki::init(&folder.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
            pki.issue(Request::signing(Principal::scheduler(DOMAIN).unwrap(), "signing"))
                .unwrap();
            let executor = Principal::executor(DOMAIN, "executor-1").unwrap();
            pki.issue(Request::client(executor, "executor")).unwrap();
            let tls = ClientTls::open(pki.tls_files("executor"), DOMAIN, Expects::KeyService).unwrap();
            // Nobody listens there: a key that is asked for is not given.
            let daemon = KeyDaemonClient::new(&tls, "127.0.0.1:1").unwrap();
            let stores = Arc::new(Stores::default());
            let reading = Reading::new(
                daemon.under(&HeldGrant::new("")),
                stores,
                CacheOptions::default(),
                1 << 20,
            );
            Self {
                signer: Signer::open(pki.tls_files("signing"), DOMAIN).unwrap(),
                keys: TaskKeys::new(tls.signatures(), daemon, reading),
                _folder: folder,
            }
        }

        /// A grant of a query that reads class health of one table and counts the rows of another, for a job on an executor.
        fn token(&self, job: &str, executor: &str) -> String {
            let terms = DatasetTerms {
                version: 1,
                tables: [
                    ("stay".to_owned(), [Health].into()),
                    ("visit".to_owned(), BTreeSet::new()),
                ]
                .into(),
            };
            let terms = Terms {
                query: "q1".into(),
                sub: Principal::user(DOMAIN, "alice").unwrap(),
                datasets: Opened([("claims".to_owned(), terms)].into()),
                exp: ends_after(Duration::from_secs(60)),
            };
            let assignment = Assignment {
                job: job.to_owned(),
                executor: executor.to_owned(),
                stage: 1,
                inputs: BTreeSet::new(),
            };
            TaskGrant::sign(&self.signer, terms, assignment).unwrap()
        }

        fn refusal(&self, token: &str) -> String {
            match self.keys.of_task(token, "J1", 1, EXECUTOR) {
                Err(error) => error.to_string(),
                Ok(granted) => panic!("granted to query {}", granted.query),
            }
        }
    }

    #[tokio::test]
    async fn a_task_runs_under_the_grant_of_its_job_on_its_executor() {
        let site = Site::new();
        let token = site.token("J1", EXECUTOR);
        assert_eq!(site.keys.of_task(&token, "J1", 1, EXECUTOR).unwrap().query, "q1");
        let mut altered = token.into_bytes();
        let middle = altered.len() / 2;
        altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        for (token, said) in [
            (site.token("J2", EXECUTOR), "it belongs to another job"),
            (site.token("J1", "executor-2:cd34"), "it belongs to another executor"),
            // The same executor, before it was started anew.
            (site.token("J1", "executor-1:0000"), "it belongs to another executor"),
            (String::new(), "the task has no grant"),
            (altered, "the task's grant is refused"),
            ("nonsense".to_owned(), "the task's grant is refused"),
        ] {
            let refusal = site.refusal(&token);
            assert!(refusal.contains(said), "{said}: {refusal}");
        }
        let of_another_stage = site.keys.of_task(&site.token("J1", EXECUTOR), "J1", 2, EXECUTOR);
        let refusal = of_another_stage.err().unwrap().to_string();
        assert!(refusal.contains("it belongs to another stage"), "{refusal}");
    }

    #[tokio::test]
    async fn a_grant_is_renewed_for_the_tasks_of_its_stage_that_run() {
        let site = Site::new();
        let begin = || {
            let token = site.token("J1", EXECUTOR);
            let granted = site.keys.of_task(&token, "J1", 1, EXECUTOR);
            granted.unwrap()
        };
        let task = begin();
        let first = task.held.token();
        site.keys.renew("J2", 1, "of another job");
        site.keys.renew("J1", 2, "of another stage");
        assert_eq!(task.held.token(), first);
        site.keys.renew("J1", 1, "renewed");
        assert_eq!(&*task.held.token(), "renewed");
        let second = begin();
        assert_ne!(
            &*task.held.token(),
            "renewed",
            "a task that begins brings the newest one"
        );
        assert!(Arc::ptr_eq(&task.held, &second.held));
        drop((task, second));
        site.keys.renew("J1", 1, "nobody is left");
        assert_ne!(&*begin().held.token(), "nobody is left");
        assert_eq!(site.keys.held.lock().len(), 1);
    }

    #[tokio::test]
    async fn scans_are_granted_what_the_grant_says_to_its_holder() {
        let site = Site::new();
        let grant = TaskGrant::verify(&site.keys.signatures, &site.token("J1", EXECUTOR)).unwrap();
        let holder = Grants::none().held_by("spiffe://hospital.example/user/alice");
        let named = holder
            .with_table("claims", "stay", [Health])
            .with_table("claims", "visit", []);
        assert_eq!(grants(&grant), named);
    }

    #[tokio::test]
    async fn the_daemon_is_followed_for_good() {
        let site = Site::new();
        let following = tokio::time::timeout(Duration::from_millis(200), site.keys.follow());
        assert!(following.await.is_err(), "it ended while nobody listened");
    }

    #[tokio::test]
    async fn a_task_ends_when_what_it_reads_may_no_longer_be_used() {
        let site = Site::new();
        let granted = site
            .keys
            .of_task(&site.token("J1", EXECUTOR), "J1", 1, EXECUTOR)
            .unwrap();
        let told = |classes: &[ColumnClass]| {
            site.keys.told(Usable {
                datasets: [("claims".to_owned(), classes.iter().copied().collect())].into(),
            });
        };
        let soon = || tokio::time::timeout(Duration::from_millis(200), granted.usable.revoked());
        let waiting = site
            .keys
            .of_task(&site.token("J1", EXECUTOR), "J1", 1, EXECUTOR)
            .unwrap()
            .usable;
        let waiting = tokio::spawn(async move { waiting.revoked().await.to_string() });
        assert!(soon().await.is_err(), "the daemon has not said anything yet");
        told(&[Health, Identity]);
        assert!(soon().await.is_err(), "plain is not read");
        assert!(granted.usable.refusal().is_none());
        told(&[Plain, Identity]);
        let revoked = soon().await.unwrap().to_string();
        assert_eq!(granted.usable.refusal().unwrap().to_string(), revoked);
        assert!(revoked.contains("class health of dataset claims"), "{revoked}");
        let told = tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(told, revoked, "who waited since before is told");
    }
}
