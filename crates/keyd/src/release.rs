//! Whether a data key is released: the grant must be the scheduler's, in force, for the executor that presents it, and name
//! the class; the executor must be one that may use the class at all. Anything else is refused with its reason.

use std::sync::Arc;

use parcours_cluster::access::Access;
use parcours_cluster::grant::Grant;
use parcours_cluster::task_grant::{GrantError, Opened, TaskGrant};
use parcours_identity::{Principal, Role, Signatures};
use parcours_keys::{KeyError, KeyService, KeyUse, MasterKeyName};

use crate::protocol::{Answer, Asked, UnwrapRequest, Usable};

/// Decides on releases and makes them.
#[derive(Debug)]
pub struct Releases {
    access: Arc<Access>,
    signatures: Signatures,
    keys: Arc<dyn KeyService>,
}

impl Releases {
    /// Releases keys of this service to executors that `access` names, under grants that `signatures` believes.
    pub fn new(access: Arc<Access>, signatures: Signatures, keys: Arc<dyn KeyService>) -> Self {
        Self {
            access,
            signatures,
            keys,
        }
    }

    /// Answers each key of a request, in its order; each answer is logged.
    pub async fn answer(&self, peer: &Principal, request: &UnwrapRequest) -> Vec<Answer> {
        let grant = self.grant(peer, &request.grant);
        if let Err(refusal) = &grant {
            tracing::warn!(executor = %peer, keys = request.keys.len(), %refusal, "no key is released");
        }
        let mut answers = Vec::with_capacity(request.keys.len());
        for asked in &request.keys {
            answers.push(match &grant {
                Ok(grant) => self.release(peer, grant, asked).await,
                Err(refusal) => Answer::Denied(refusal.to_string()),
            });
        }
        answers
    }

    /// What an executor may use now.
    pub fn usable(&self, peer: &Principal) -> Usable {
        let grant = self.access.grant(peer);
        let datasets = grant
            .datasets()
            .map(|dataset| (dataset.to_owned(), grant.classes(dataset)));
        Usable {
            datasets: datasets.collect(),
        }
    }

    /// The grant in the token, if it was given to this executor.
    fn grant(&self, peer: &Principal, token: &str) -> Result<TaskGrant, GrantError> {
        let grant = TaskGrant::verify(&self.signatures, token)?;
        match peer.role() {
            Role::Executor(name) if grant.is_of_executor(name) => Ok(grant),
            _ => Err(GrantError::OtherExecutor),
        }
    }

    async fn release(&self, peer: &Principal, grant: &TaskGrant, asked: &Asked) -> Answer {
        let answer = match asked.read() {
            None => Answer::Denied("the request is malformed".to_owned()),
            Some((wrapped, aad)) => match may_use(&grant.datasets, &self.access.grant(peer), &wrapped.master.name) {
                Err(reason) => Answer::Denied(reason.to_owned()),
                Ok(()) => Answer::of(self.keys.unwrap(&wrapped, &aad).await.inspect_err(log_fault)),
            },
        };
        tracing::info!(
            query = grant.query,
            principal = %grant.sub,
            executor = %peer,
            key = asked.master,
            outcome = answer.outcome(),
            "data key asked for"
        );
        answer
    }
}

/// Whether both the task's grant and the executor's own entry cover a master key.
fn may_use(granted: &Opened, entry: &Grant, name: &MasterKeyName) -> Result<(), &'static str> {
    let dataset = name.dataset();
    let (in_grant, in_entry) = match name.key_use() {
        Some(KeyUse::Class(class)) => (granted.allows(dataset, class), entry.allows(dataset, class)),
        Some(KeyUse::Footer) => (granted.allows_any(dataset), !entry.classes(dataset).is_empty()),
        None => (false, false),
    };
    match (in_grant, in_entry) {
        (true, true) => Ok(()),
        (false, _) => Err("the query was not granted it"),
        (true, false) => Err("executors may not use it, or may no longer"),
    }
}

fn log_fault(error: &KeyError) {
    if !error.is_denial() {
        tracing::warn!(%error, "a master key could not be used");
    }
}
