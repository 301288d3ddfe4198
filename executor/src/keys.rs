//! The keys of tasks. Each task's grant is verified here and turned into the keys that its scans may ask the key daemon for;
//! what the daemon takes back is forgotten, and tasks that read it end. An executor holds no master key.

use std::collections::BTreeSet;
use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use parcours_cluster::failure::{Cause, Failure};
use parcours_cluster::task_grant::{DatasetTerms, GrantError, Opened, TaskGrant};
use parcours_identity::Signatures;
use parcours_keyd::client::KeyDaemonClient;
use parcours_keyd::protocol::Usable;
use parcours_keys::{ColumnClass, KeyError, class_key};
use parcours_tables::scan::{Grants, Reading, ScanKeys};
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
}

/// What one task may do.
pub(crate) struct Granted {
    /// The query it belongs to.
    pub(crate) query: String,
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
        }
    }

    /// Caches and their counters.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// What a task of this job may do on this executor, by its grant.
    pub(crate) fn of_task(&self, token: &str, job: &str, executor: &str) -> Result<Granted, DataFusionError> {
        let grant = TaskGrant::verify(&self.signatures, token)
            .and_then(|grant| grant.check_task(job, executor).map(|()| grant))
            .map_err(|refusal| refused(&refusal, job))?;
        let service = self.daemon.under(token);
        let scans = self
            .reading
            .keys_through(grants(&grant, |terms| &terms.classes), &service);
        let scans = scans.reading_only(grants(&grant, |terms| &terms.reads));
        let usable = StillUsable {
            reads: grant.datasets,
            usable: self.usable.subscribe(),
        };
        Ok(Granted {
            query: grant.query,
            scans,
            usable,
        })
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
fn grants(grant: &TaskGrant, classes: impl Fn(&DatasetTerms) -> &BTreeSet<ColumnClass>) -> Grants {
    let holder = Grants::none().held_by(grant.sub.to_string());
    grant.datasets.0.iter().fold(holder, |grants, (dataset, terms)| {
        grants.with(dataset, classes(terms).iter().copied())
    })
}

fn refused(refusal: &GrantError, job: &str) -> DataFusionError {
    tracing::warn!(job, %refusal, "task refused");
    DataFusionError::Execution(Failure::new(Cause::Denied, refusal.to_string()).to_string())
}

/// Whether a task's keys may still be used.
pub(crate) struct StillUsable {
    reads: Opened,
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
        let error = match class_key(&dataset, class) {
            Ok(key) => KeyError::Denied {
                key,
                reason: "executors may no longer use it".to_owned(),
            },
            Err(error) => error,
        };
        DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(error))))
    }

    fn lost(&self, usable: &Usable) -> Option<(String, ColumnClass)> {
        let mut reads = self.reads.reads();
        let lost = reads.find(|(dataset, class)| !usable.allows(dataset, *class));
        lost.map(|(dataset, class)| (dataset.to_owned(), class))
    }
}
