//! Grants are short. While a task is in a member's hand its grant is signed anew and sent over the member's control stream;
//! when the job has ended, nothing of it is signed any more, and what was signed is soon over, whoever has a copy of it.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::JobId;
use parcours_cluster::orders::{Order, Token};
use parcours_cluster::task_grant::RENEWED_AFTER;
use parcours_identity::Signer;

use super::control::Members;
use super::handed::Granted;
use crate::engine::Engine;

/// How often it is looked which grants have aged.
const LOOK: Duration = Duration::from_secs(5);

/// Signs grants anew.
pub struct Renewals {
    engine: Engine,
    members: Arc<Members>,
    signer: Arc<Signer>,
}

impl Renewals {
    /// Renewals of what is in the hands of these members, while the engine runs its job.
    pub fn new(engine: Engine, members: Arc<Members>, signer: Arc<Signer>) -> Self {
        Self {
            engine,
            members,
            signer,
        }
    }

    /// Renews grants for as long as it is awaited.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.renew(RENEWED_AFTER);
        }
    }

    /// Renews those that were signed so long ago, of jobs that run.
    pub(super) fn renew(&self, age: Duration) {
        let running = self.engine.state.task_manager.get_running_job_cache();
        for granted in self.members.take_aged(age) {
            if running.contains_key(&JobId::new(granted.assignment.job.as_str())) {
                self.send(&granted);
            }
        }
    }

    fn send(&self, granted: &Granted) {
        let job = granted.assignment.job.clone();
        match granted.sign(&self.signer) {
            Ok(grant) => {
                let order = Order::Renew {
                    job,
                    stage: granted.assignment.stage,
                    grant: Token(grant),
                };
                self.members.order_one(&granted.assignment.executor, order);
            }
            Err(error) => tracing::error!(job, %error, "the grant of a task that runs cannot be signed anew"),
        }
    }
}
