//! Whether a data key is released: the grant must be the scheduler's, in force, for the executor that presents it, and name
//! the table and the class; the executor must be one that may use the class at all. Anything else is refused with its reason.
//!
//! Of which file a key is, the additional data of its wrapping says. Whoever names another file than the key was wrapped for
//! gets no key that way: it does not unwrap.

use std::sync::Arc;

use parcours_cluster::access::Access;
use parcours_cluster::grant::Grant;
use parcours_cluster::task_grant::{GrantError, Opened, TaskGrant};
use parcours_identity::{Principal, Role, Signatures};
use parcours_keys::{FileContext, KeyError, KeyService, KeyUse, MasterKeyName};

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
            Some((wrapped, aad)) => {
                match may_use(&grant.datasets, &self.access.grant(peer), &wrapped.master.name, &aad) {
                    Err(reason) => Answer::Denied(reason.to_owned()),
                    Ok(()) => Answer::of(self.keys.unwrap(&wrapped, &aad).await.inspect_err(log_fault)),
                }
            }
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

/// Whether both the task's grant and the executor's own entry cover a key of a file that this master key wrapped.
fn may_use(granted: &Opened, entry: &Grant, name: &MasterKeyName, aad: &[u8]) -> Result<(), &'static str> {
    let (place, key_use) = FileContext::of_wrap_aad(aad).ok_or("the request names no file")?;
    let (dataset, table) = (place.dataset.as_str(), place.table.as_str());
    if name.dataset() != dataset || name.key_use() != Some(key_use) {
        return Err("the key is not one of the file that is named");
    }
    let (in_grant, in_entry) = match key_use {
        KeyUse::Class(class) => (granted.allows(dataset, table, class), entry.allows(dataset, class)),
        KeyUse::Footer => (
            granted.allows_footers(dataset, table),
            !entry.classes(dataset).is_empty(),
        ),
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
