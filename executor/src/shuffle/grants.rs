//! Which executor may fetch which partition: one whose task reads it, by the grant that the scheduler signed for that task.
//! A certificate alone fetches nothing.
//!
//! A task asks for many partitions under one grant. A token that was believed is believed for a while without being verified
//! again, as long as it is in force; a signer's certificate that is revoked meanwhile is found out at the end of that while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parcours_cluster::task_grant::{GrantError, TaskGrant};
use parcours_identity::Signatures;
use parking_lot::Mutex;

use super::Fetch;

/// For how long a token is believed before its signature is verified again.
const BELIEVED: Duration = Duration::from_secs(5);
/// Most tokens that are remembered.
const REMEMBERED: usize = 1024;

/// Grants that were presented lately, by their tokens.
pub(super) struct KnownGrants {
    signatures: Signatures,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    grant: Arc<TaskGrant>,
    since: Instant,
}

impl KnownGrants {
    pub(super) fn new(signatures: Signatures) -> Self {
        Self {
            signatures,
            known: Mutex::default(),
        }
    }

    /// Whether the executor of this name may have what it asks for.
    pub(super) fn check(&self, executor: &str, fetch: &Fetch) -> Result<(), GrantError> {
        let grant = self.believed(&fetch.grant)?;
        grant.check_fetch(executor, &fetch.partition)
    }

    /// The grant in a token, if the scheduler signed it and it is in force.
    fn believed(&self, token: &str) -> Result<Arc<TaskGrant>, GrantError> {
        let known = self.known.lock().get(token).cloned();
        if let Some(known) = known.filter(|known| known.since.elapsed() < BELIEVED) {
            return known.grant.check_now().map(|()| known.grant);
        }
        let verified = TaskGrant::verify(&self.signatures, token).map(Arc::new);
        let mut all = self.known.lock();
        match &verified {
            Ok(grant) => {
                if all.len() >= REMEMBERED {
                    all.retain(|_, known| known.since.elapsed() < BELIEVED);
                }
                if all.len() < REMEMBERED {
                    let (grant, since) = (grant.clone(), Instant::now());
                    all.insert(token.to_owned(), Known { grant, since });
                }
            }
            Err(_) => drop(all.remove(token)),
        }
        verified
    }

    /// How many tokens are remembered.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.known.lock().len()
    }
}
