//! How one node names a partition to another: between executors in a fetch action, beside the grant of the task that reads
//! it, from the scheduler in a ticket.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The Flight action by which one executor fetches a partition from another: an Arrow IPC stream, in chunks. Its body is a
/// [`Fetch`].
pub const FETCH: &str = "parcours.partition";

/// One partition of one stage, as one task wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionKey {
    /// The job.
    pub job: String,
    /// The stage that wrote it.
    pub stage: usize,
    /// The output partition.
    pub partition: usize,
    /// The task that wrote it.
    pub task: u64,
}

impl PartitionKey {
    /// What binds the sealed bytes to their place: a partition moved elsewhere no longer opens.
    pub fn context(&self) -> Vec<u8> {
        format!(
            "parcours-partition/{}/{}/{}/{}",
            self.job, self.stage, self.partition, self.task
        )
        .into_bytes()
    }

    /// As it travels in an action or a ticket.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a key from an action or a ticket; a job that could not be a path component is refused.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes)
            .ok()
            .filter(|key| crate::orders::is_job_id(&key.job))
    }
}

/// What an executor asks another for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// The token of the grant under which its task runs ([`TaskGrant`](crate::task_grant::TaskGrant)).
    pub grant: String,
    /// The partition.
    pub partition: PartitionKey,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl Fetch {
    /// As it travels in an action.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads one from an action; a job that could not be a path component is refused.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes)
            .ok()
            .filter(|fetch| crate::orders::is_job_id(&fetch.partition.job))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Fetch, PartitionKey};

    #[test]
    fn a_key_survives_the_wire_and_paths_do_not() {
        let key = PartitionKey {
            job: "J1".into(),
            stage: 2,
            partition: 3,
            task: 4,
        };
        assert_eq!(PartitionKey::decode(&key.encode()).unwrap(), key);
        let fetch = |partition| Fetch {
            grant: "secret.token".into(),
            partition,
        };
        assert_eq!(Fetch::decode(&fetch(key.clone()).encode()).unwrap(), fetch(key.clone()));
        // A key alone, as it was once asked for, brings no grant.
        assert!(Fetch::decode(&key.encode()).is_none());
        let escape = PartitionKey {
            job: "../../etc".into(),
            ..key
        };
        assert!(PartitionKey::decode(&escape.encode()).is_none());
        assert!(Fetch::decode(&fetch(escape).encode()).is_none());
        assert!(PartitionKey::decode(b"{}").is_none() && Fetch::decode(b"{}").is_none());
    }

    #[test]
    fn a_fetch_shows_no_grant() {
        let fetch = Fetch {
            grant: "secret.token".into(),
            partition: PartitionKey {
                job: "J1".into(),
                stage: 2,
                partition: 3,
                task: 4,
            },
        };
        assert!(!format!("{fetch:?}").contains("secret"));
    }
}
