//! The control stream: what a scheduler tells an executor without being asked. An executor opens one server-streaming
//! Flight action, [`ACTION`], on the internal listener as soon as it starts and holds it for its life; when the stream
//! ends, either side takes the other for gone. A process that is stopped closes no stream: by another action, [`BEAT`], an
//! executor says that it runs.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The Flight action that opens the control stream. Its body is the executor's id of this process start.
pub const ACTION: &str = "parcours.control";

/// The Flight action by which a member says that it runs. Its body is a [`Beat`].
pub const BEAT: &str = "parcours.beat";

/// How often a member says so.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);

/// That an executor runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// Its id of this process start.
    pub id: String,
    /// Whether it takes no further task, and will be gone when those that it has are done or its patience is.
    pub leaves: bool,
}

impl Beat {
    /// The beat as it travels.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a beat.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// One order to an executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// There is work: ask for it now instead of at the next idle poll.
    Wake,
    /// Stop every task of the job, take no further one, and remove its data.
    Cancel {
        /// The job concerned.
        job: String,
    },
    /// The job has ended and its results have been read: remove its data and key.
    Forget {
        /// The job concerned.
        job: String,
    },
    /// The grant of tasks that run was signed anew.
    Renew {
        /// The job concerned.
        job: String,
        /// The stage of the tasks.
        stage: usize,
        /// The grant.
        grant: Token,
    },
}

/// The token of a grant ([`TaskGrant`](crate::task_grant::TaskGrant)).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Order {
    /// The order as it travels.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads an order; an unknown one is an error, since ignoring a cancellation would be worse than failing.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// The name of the executor in the id of one of its process starts, which is `<name>:<start>`.
pub fn executor_name(id: &str) -> &str {
    id.split_once(':').map_or(id, |(name, _)| name)
}

/// Whether text can name a job in a path: Ballista's ids are letters and digits, and nothing else is let near a path.
pub fn is_job_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn orders_survive_the_wire_and_unknown_ones_do_not() {
        for order in [
            Order::Wake,
            Order::Cancel { job: "J1".into() },
            Order::Forget { job: "J2".into() },
            Order::Renew {
                job: "J3".into(),
                stage: 2,
                grant: Token("secret.token".into()),
            },
        ] {
            assert!(!format!("{order:?}").contains("secret"));
            assert_eq!(Order::decode(&order.encode()).unwrap(), order);
        }
        assert!(Order::decode(b"{\"explode\":{}}").is_err());
        assert!(Order::decode(b"").is_err());
    }

    #[test]
    fn beats_survive_the_wire() {
        for leaves in [false, true] {
            let beat = Beat {
                id: "executor-1:ab".into(),
                leaves,
            };
            assert_eq!(Beat::decode(&beat.encode()).unwrap(), beat);
        }
        assert!(Beat::decode(b"executor-1:ab").is_err());
    }

    #[test]
    fn an_executors_id_begins_with_its_name() {
        for id in ["executor-1:ab12", "executor-1:", "executor-1"] {
            assert_eq!(executor_name(id), "executor-1", "{id}");
        }
        assert_eq!(executor_name(":executor-1"), "");
    }

    #[test]
    fn job_ids_are_safe_in_paths() {
        assert!(is_job_id("01JABC-x_9"));
        for bad in ["", "..", "a/b", "a\0b", &"x".repeat(65)] {
            assert!(!is_job_id(bad), "{bad:?}");
        }
    }
}
