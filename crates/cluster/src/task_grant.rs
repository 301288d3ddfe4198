//! What travels with every task: the grant under which it runs. The scheduler writes the terms when it admits a query and
//! signs them when it hands out a task, for the executor that takes it. The executor checks the grant against the task,
//! the key service against the certificate of whoever presents it, and so does another executor of which partitions are
//! asked; none of them believes anything that is not signed.
//!
//! A grant is a JSON Web Token of the scheduler's (`parcours_identity::Signer`). One that was altered, belongs to another
//! job or executor, or is over, is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parcours_identity::{Principal, Signatures, Signer, SigningError};
use parcours_keys::ColumnClass;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::partition::PartitionKey;

/// How long a grant holds, in seconds. While its tasks run it is signed anew, so that it is over soon after its job is.
const LIFE: u64 = 120;

/// How old a grant is when it is signed anew. Several in a row may be late before one is over.
pub const RENEWED_AFTER: Duration = Duration::from_secs(LIFE / 4);

/// How far the clocks of two machines may be apart, in seconds.
const SKEW: u64 = 30;

/// The terms of one query, as the scheduler admitted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The query's id, as it stands in logs.
    pub query: String,
    /// In whose name it runs.
    pub sub: Principal,
    /// What it may open.
    pub datasets: Opened,
    /// When it must have ended, in seconds since 1970.
    pub exp: u64,
}

/// What a query may open, by dataset. Empty means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opened(pub BTreeMap<String, DatasetTerms>);

/// What a query may open of one dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetTerms {
    /// The version that it reads.
    pub version: u64,
    /// The tables that it reads, each with the classes of the columns that it reads there: those whose keys may be released.
    /// None stand with a table whose rows are counted and not looked at.
    pub tables: BTreeMap<String, BTreeSet<ColumnClass>>,
}

/// What an executor is to do under a grant: tasks of one stage of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The engine's name for the attempt at the query.
    pub job: String,
    /// The executor's id of its process start, `<name>:<start>`.
    pub executor: String,
    /// The stage.
    pub stage: usize,
    /// The stages whose partitions it reads.
    pub inputs: BTreeSet<usize>,
}

/// A grant: the terms of a query, for one stage of a job on one executor. The claims have the names of RFC 7519 where it has
/// one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskGrant {
    /// Who signed it.
    pub iss: Principal,
    /// In whose name the query runs.
    pub sub: Principal,
    /// The query's id, as it stands in logs.
    pub query: String,
    /// The engine's name for the attempt at the query.
    pub job: String,
    /// Which executor may use it: its id of this process start, `<name>:<start>`.
    pub executor: String,
    /// Of which stage its tasks are.
    pub stage: usize,
    /// Of which stages they read partitions.
    pub inputs: BTreeSet<usize>,
    /// When it was signed, in seconds since 1970.
    pub iat: u64,
    /// Until when it holds, in seconds since 1970.
    pub exp: u64,
    /// What it grants.
    pub datasets: Opened,
}

/// The token of a grant, where the tasks that run under it find it.
pub struct HeldGrant(RwLock<Arc<str>>);

impl HeldGrant {
    /// Holds this token.
    pub fn new(token: &str) -> Arc<Self> {
        Arc::new(Self(RwLock::new(token.into())))
    }

    /// Returns the token.
    pub fn token(&self) -> Arc<str> {
        self.0.read().clone()
    }

    /// Holds this token from now on.
    pub fn renew(&self, token: &str) {
        *self.0.write() = token.into();
    }
}

impl fmt::Debug for HeldGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldGrant").finish_non_exhaustive()
    }
}

/// Why a grant is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// There is none.
    #[error("the task has no grant")]
    Missing,
    /// It is not signed by the scheduler, or was altered.
    #[error("the task's grant is refused: {0}")]
    Signature(#[from] SigningError),
    /// It is signed, but says nothing that can be understood in full.
    #[error("the task's grant is refused: it cannot be read")]
    Unreadable,
    /// Its time is up.
    #[error("the task's grant is refused: it has expired")]
    Expired,
    /// It is from a time to come.
    #[error("the task's grant is refused: it is not valid yet, check the clocks")]
    Early,
    /// It was given to another job.
    #[error("the task's grant is refused: it belongs to another job")]
    OtherJob,
    /// It was given to another executor.
    #[error("the task's grant is refused: it belongs to another executor")]
    OtherExecutor,
    /// It was given to a task of another stage, or to one that does not read this stage.
    #[error("the task's grant is refused: it belongs to another stage")]
    OtherStage,
}

impl Terms {
    /// The terms as they are laid beside a query's options, before anyone signs them.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads terms.
    ///
    /// # Errors
    /// [`GrantError::Missing`] for no text at all, [`GrantError::Unreadable`] for any other.
    pub fn decode(text: &str) -> Result<Self, GrantError> {
        if text.is_empty() {
            return Err(GrantError::Missing);
        }
        serde_json::from_str(text).map_err(|_| GrantError::Unreadable)
    }
}

impl Opened {
    /// Whether keys of this class of a table may be released.
    pub fn allows(&self, dataset: &str, table: &str, class: ColumnClass) -> bool {
        let classes = self.classes(dataset, table);
        classes.is_some_and(|classes| classes.contains(&class))
    }

    /// Whether a table is read at all, and so the footers of its files.
    pub fn allows_footers(&self, dataset: &str, table: &str) -> bool {
        self.classes(dataset, table).is_some()
    }

    fn classes(&self, dataset: &str, table: &str) -> Option<&BTreeSet<ColumnClass>> {
        self.0.get(dataset)?.tables.get(table)
    }

    /// Each dataset and class of which columns are read.
    pub fn reads(&self) -> BTreeSet<(&str, ColumnClass)> {
        let reads = self.0.iter().flat_map(|(dataset, terms)| {
            let classes = terms.tables.values().flatten();
            classes.map(move |class| (dataset.as_str(), *class))
        });
        reads.collect()
    }
}

impl TaskGrant {
    /// Signs the terms for what an executor is to do, for a short while.
    ///
    /// # Errors
    /// [`SigningError::Key`] when the signing certificate cannot be used.
    pub fn sign(signer: &Signer, terms: Terms, assignment: Assignment) -> Result<String, SigningError> {
        let grant = Self {
            iss: signer.principal(),
            sub: terms.sub,
            query: terms.query,
            job: assignment.job,
            executor: assignment.executor,
            stage: assignment.stage,
            inputs: assignment.inputs,
            iat: now(),
            exp: terms.exp.min(now() + LIFE),
            datasets: terms.datasets,
        };
        signer.sign(&serde_json::to_vec(&grant).map_err(|_| SigningError::Malformed)?)
    }

    /// The grant in a token, if the scheduler signed it and it is in force.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(signatures: &Signatures, token: &str) -> Result<Self, GrantError> {
        if token.is_empty() {
            return Err(GrantError::Missing);
        }
        let (signer, payload) = signatures.verify(token)?;
        let grant: Self = serde_json::from_slice(&payload).map_err(|_| GrantError::Unreadable)?;
        if grant.iss != signer || grant.sub.trust_domain() != signer.trust_domain() {
            return Err(GrantError::Unreadable);
        }
        grant.check_now()?;
        Ok(grant)
    }

    /// Whether it was given to an executor, by its id, for a stage of a job.
    ///
    /// # Errors
    /// [`GrantError::OtherJob`], [`GrantError::OtherExecutor`] or [`GrantError::OtherStage`].
    pub fn check_task(&self, job: &str, stage: usize, executor: &str) -> Result<(), GrantError> {
        match (self.job == job, self.executor == executor, self.stage == stage) {
            (true, true, true) => Ok(()),
            (false, _, _) => Err(GrantError::OtherJob),
            (_, false, _) => Err(GrantError::OtherExecutor),
            (_, _, false) => Err(GrantError::OtherStage),
        }
    }

    /// Whether an executor of this name may fetch a partition under it: one of the same job, and of a stage that its tasks
    /// read.
    ///
    /// # Errors
    /// [`GrantError::OtherExecutor`], [`GrantError::OtherJob`] or [`GrantError::OtherStage`].
    pub fn check_fetch(&self, executor: &str, partition: &PartitionKey) -> Result<(), GrantError> {
        match (
            self.is_of_executor(executor),
            self.job == partition.job,
            self.inputs.contains(&partition.stage),
        ) {
            (true, true, true) => Ok(()),
            (false, _, _) => Err(GrantError::OtherExecutor),
            (_, false, _) => Err(GrantError::OtherJob),
            (_, _, false) => Err(GrantError::OtherStage),
        }
    }

    /// Whether its time has come and is not up.
    ///
    /// # Errors
    /// [`GrantError::Early`] or [`GrantError::Expired`].
    pub fn check_now(&self) -> Result<(), GrantError> {
        self.check_time(now())
    }

    /// Whether it was given to the executor of this name, whichever of its process starts.
    pub fn is_of_executor(&self, name: &str) -> bool {
        self.executor.split_once(':').is_some_and(|(owner, _)| owner == name)
    }

    fn check_time(&self, now: u64) -> Result<(), GrantError> {
        if self.iat > now + SKEW {
            return Err(GrantError::Early);
        }
        if now > self.exp + SKEW {
            return Err(GrantError::Expired);
        }
        Ok(())
    }
}

/// When something that may last so long must have ended, in seconds since 1970.
pub fn ends_after(limit: Duration) -> u64 {
    now() + limit.as_secs()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parcours_identity::pki::{InitOptions, Pki, Request};
    use parcours_identity::{ClientTls, Expects};

    use super::*;

    const DOMAIN: &str = "hospital.example";

    fn cluster() -> (tempfile::TempDir, Signer, Signatures) {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
        let (scheduler, executor) = (
            Principal::scheduler(DOMAIN).unwrap(),
            Principal::executor(DOMAIN, "executor-1").unwrap(),
        );
        pki.issue(Request::signing(scheduler, "signing")).unwrap();
        pki.issue(Request::client(executor, "executor")).unwrap();
        let signer = Signer::open(pki.tls_files("signing"), DOMAIN).unwrap();
        let tls = ClientTls::open(pki.tls_files("executor"), DOMAIN, Expects::Scheduler).unwrap();
        (folder, signer, tls.signatures())
    }

    fn terms() -> Terms {
        let of_claims = DatasetTerms {
            version: 3,
            tables: [
                ("stay".to_owned(), [ColumnClass::Plain, ColumnClass::Health].into()),
                ("label".to_owned(), [ColumnClass::Plain].into()),
                ("visit".to_owned(), BTreeSet::new()),
            ]
            .into(),
        };
        Terms {
            query: "q1".into(),
            sub: Principal::user(DOMAIN, "alice").unwrap(),
            datasets: Opened([("claims".to_owned(), of_claims)].into()),
            exp: ends_after(Duration::from_secs(60)),
        }
    }

    fn assignment(job: &str, executor: &str) -> Assignment {
        Assignment {
            job: job.to_owned(),
            executor: executor.to_owned(),
            stage: 3,
            inputs: [1, 2].into(),
        }
    }

    #[test]
    fn a_grant_says_what_was_signed_and_to_whom() {
        let (_folder, signer, signatures) = cluster();
        let token = TaskGrant::sign(&signer, terms(), assignment("J1", "executor-1:ab")).unwrap();
        let grant = TaskGrant::verify(&signatures, &token).unwrap();
        assert_eq!((&grant.sub, grant.query.as_str()), (&terms().sub, "q1"));
        let opened = &grant.datasets;
        assert_eq!(opened, &terms().datasets);
        assert!(opened.allows("claims", "stay", ColumnClass::Health) && opened.allows_footers("claims", "stay"));
        assert!(!opened.allows("claims", "stay", ColumnClass::Identity) && !opened.allows_footers("omop", "stay"));
        assert!(
            !opened.allows("claims", "label", ColumnClass::Health),
            "read of another table"
        );
        assert!(!opened.allows("claims", "visit", ColumnClass::Plain) && opened.allows_footers("claims", "visit"));
        assert!(!opened.allows_footers("claims", "act"));
        let reads = [("claims", ColumnClass::Plain), ("claims", ColumnClass::Health)];
        assert_eq!(opened.reads(), reads.into());
        assert_eq!(grant.check_task("J1", 3, "executor-1:ab"), Ok(()));
        assert_eq!(grant.check_task("J2", 3, "executor-1:ab"), Err(GrantError::OtherJob));
        assert_eq!(
            grant.check_task("J1", 3, "executor-1:cd"),
            Err(GrantError::OtherExecutor)
        );
        assert_eq!(grant.check_task("J1", 2, "executor-1:ab"), Err(GrantError::OtherStage));
        assert!(grant.is_of_executor("executor-1") && !grant.is_of_executor("executor-10"));
    }

    #[test]
    fn a_grant_lets_its_executor_fetch_what_its_stage_reads() {
        let (_folder, signer, signatures) = cluster();
        let token = TaskGrant::sign(&signer, terms(), assignment("J1", "executor-1:ab")).unwrap();
        let grant = TaskGrant::verify(&signatures, &token).unwrap();
        let fetches = |executor: &str, job: &str, stage| {
            let partition = PartitionKey {
                job: job.to_owned(),
                stage,
                partition: 0,
                task: 0,
            };
            grant.check_fetch(executor, &partition)
        };
        assert_eq!(fetches("executor-1", "J1", 1), Ok(()));
        assert_eq!(fetches("executor-1", "J1", 2), Ok(()));
        for executor in ["executor-2", "executor-10", "executor-1:ab", ""] {
            assert_eq!(fetches(executor, "J1", 1), Err(GrantError::OtherExecutor), "{executor}");
        }
        assert_eq!(fetches("executor-1", "J2", 1), Err(GrantError::OtherJob));
        // Its own stage is not among those that it reads.
        for stage in [0, 3, 4] {
            assert_eq!(
                fetches("executor-1", "J1", stage),
                Err(GrantError::OtherStage),
                "{stage}"
            );
        }
    }

    #[test]
    fn a_grant_is_over_soon_and_with_its_query() {
        let (_folder, signer, signatures) = cluster();
        let life = |seconds| {
            let mut terms = terms();
            terms.exp = now() + seconds;
            let token = TaskGrant::sign(&signer, terms, assignment("J1", "executor-1:ab")).unwrap();
            let grant = TaskGrant::verify(&signatures, &token).unwrap();
            grant.exp - grant.iat
        };
        assert_eq!(life(3600), LIFE);
        assert!(life(20) <= 20);
        assert!(RENEWED_AFTER.as_secs() * 3 < LIFE);
    }

    #[test]
    fn a_grant_that_is_renewed_is_found_by_whoever_holds_it() {
        let held = HeldGrant::new("first");
        let other = held.clone();
        held.renew("second");
        assert_eq!(&*other.token(), "second");
        assert!(!format!("{held:?}").contains("second"));
    }

    #[test]
    fn a_grant_that_is_over_or_not_yet_is_refused() {
        let (_folder, signer, signatures) = cluster();
        let mut over = terms();
        over.exp = now() - SKEW - 1;
        let token = TaskGrant::sign(&signer, over, assignment("J1", "executor-1:ab")).unwrap();
        assert_eq!(TaskGrant::verify(&signatures, &token), Err(GrantError::Expired));
        let early = TaskGrant {
            iat: now() + 3600,
            ..written(&signer)
        };
        let token = signer.sign(&serde_json::to_vec(&early).unwrap()).unwrap();
        assert_eq!(TaskGrant::verify(&signatures, &token), Err(GrantError::Early));
    }

    /// A grant of Alice's, as another signer would write it.
    fn written(signer: &Signer) -> TaskGrant {
        let terms = terms();
        TaskGrant {
            iss: signer.principal(),
            sub: terms.sub,
            query: terms.query,
            job: "J1".into(),
            executor: "executor-1:ab".into(),
            stage: 3,
            inputs: [1, 2].into(),
            iat: now(),
            exp: terms.exp,
            datasets: terms.datasets,
        }
    }

    #[test]
    fn clocks_may_differ_by_so_much() {
        let (_folder, signer, _) = cluster();
        let grant = written(&signer);
        let at = |time: u64| grant.check_time(time);
        assert_eq!(at(grant.iat - SKEW), Ok(()));
        assert_eq!(at(grant.iat - SKEW - 1), Err(GrantError::Early));
        assert_eq!(at(grant.exp + SKEW), Ok(()));
        assert_eq!(at(grant.exp + SKEW + 1), Err(GrantError::Expired));
    }

    #[test]
    fn a_grant_speaks_for_its_signer_and_people_of_its_domain() {
        let (_folder, signer, signatures) = cluster();
        let of_another = TaskGrant {
            iss: Principal::executor(DOMAIN, "executor-1").unwrap(),
            ..written(&signer)
        };
        let of_elsewhere = TaskGrant {
            sub: Principal::user("elsewhere.example", "alice").unwrap(),
            ..written(&signer)
        };
        for grant in [of_another, of_elsewhere] {
            let token = signer.sign(&serde_json::to_vec(&grant).unwrap()).unwrap();
            assert_eq!(TaskGrant::verify(&signatures, &token), Err(GrantError::Unreadable));
        }
    }

    #[test]
    fn terms_are_read_as_they_were_written() {
        assert_eq!(
            Terms::decode(&terms().encode()).map(|read| read.datasets),
            Ok(terms().datasets)
        );
        assert_eq!(Terms::decode("").map(drop), Err(GrantError::Missing));
        assert_eq!(Terms::decode("{").map(drop), Err(GrantError::Unreadable));
    }

    #[test]
    fn nothing_and_nonsense_grant_nothing() {
        let (_folder, signer, signatures) = cluster();
        assert_eq!(TaskGrant::verify(&signatures, ""), Err(GrantError::Missing));
        for payload in [&b"{}"[..], b"[]", b"not json"] {
            let token = signer.sign(payload).unwrap();
            assert_eq!(TaskGrant::verify(&signatures, &token), Err(GrantError::Unreadable));
        }
        let unsigned = serde_json::to_string(&terms()).unwrap();
        assert!(matches!(
            TaskGrant::verify(&signatures, &unsigned),
            Err(GrantError::Signature(_))
        ));
    }
}
