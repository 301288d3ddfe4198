//! One query: who asked, how it stands, and which attempt at it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use arrow_flight::FlightData;
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use parcours_cluster::grant::Grant;
use parcours_cluster::task_grant::Opened;
use parcours_identity::Principal;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::planning::Planning;
use crate::port::{QueryError, QueryId};

/// How a query stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Not ended.
    Running,
    /// Its result partitions, in order.
    Done(Arc<Vec<PartitionLocation>>),
    /// Computed in the scheduler; its messages.
    Local(Arc<Vec<FlightData>>),
    /// Done, and its results were read or will never be: nothing is kept of them.
    Released,
    /// The engine's words; see [`errors::of_job`](super::errors::of_job).
    Failed(Arc<str>),
    /// Executors or partitions were lost again and again.
    Lost,
    /// The last executor was lost, and none came.
    WithoutExecutor,
    /// Executors were lost while they computed it, so many that it is tried no more.
    LostUnder,
    /// Stopped by its owner or because nobody reads.
    Cancelled,
    /// Stopped because its time was up.
    TimedOut,
    /// Stopped because its person is no longer granted what it reads; the sentence for them.
    Withdrawn(Arc<str>),
}

/// What was submitted, kept so that it can be computed again if its results are lost before anyone saw a row.
#[derive(Clone)]
pub struct Submission {
    /// The session.
    pub context: Arc<SessionContext>,
    /// The plan, as analysed.
    pub plan: LogicalPlan,
    /// The plan that was admitted.
    pub optimized: LogicalPlan,
    /// What it opens.
    pub opens: Opened,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many of them may be one task.
    pub together: usize,
}

/// One query.
pub struct Query {
    /// Its name.
    pub id: QueryId,
    /// Who asked.
    pub owner: Principal,
    /// When it was started.
    pub started: Instant,
    pub(super) submission: Option<Submission>,
    /// The engine's name for the attempt that runs now.
    pub(super) job: Mutex<Option<String>>,
    /// Held while a new attempt takes the place of another.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) released: AtomicBool,
    /// How it is planned.
    planning: Mutex<Planning>,
    /// Which attempt counts now; the first is 1.
    attempt: watch::Sender<usize>,
    standing: watch::Sender<Standing>,
    /// Why its results may no longer be read.
    withdrawn: watch::Sender<Option<Arc<str>>>,
    taken: AtomicBool,
    /// Executors that were lost while they computed a part of it.
    losses: AtomicUsize,
}

impl Query {
    /// A query that has just been asked.
    pub(super) fn new(id: QueryId, owner: &Principal, submission: Option<Submission>, planning: Planning) -> Self {
        Self {
            id,
            owner: owner.clone(),
            started: Instant::now(),
            submission,
            job: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            released: AtomicBool::new(false),
            planning: Mutex::new(planning),
            attempt: watch::Sender::new(0),
            standing: watch::Sender::new(Standing::Running),
            withdrawn: watch::Sender::new(None),
            taken: AtomicBool::new(false),
            losses: AtomicUsize::new(0),
        }
    }

    /// Counts that an executor was lost while it computed a part of this query, and returns how many were.
    pub(super) fn lost_executor(&self) -> usize {
        self.losses.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Takes the one right to read the results.
    pub fn take(&self) -> Result<(), QueryError> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return Err(QueryError::Invalid {
                message: "the results of a query can be read once".to_owned(),
            });
        }
        Ok(())
    }

    /// How it is planned.
    pub(super) fn planning(&self) -> Planning {
        *self.planning.lock()
    }

    /// Has it planned in this way from the next attempt on; whether that is another one.
    pub(super) fn plan_otherwise(&self, planning: Planning) -> bool {
        std::mem::replace(&mut *self.planning.lock(), planning) != planning
    }

    /// Waits until the query is no longer running.
    pub async fn ended(&self) -> Standing {
        let mut standing = self.standing.subscribe();
        let ended = standing
            .wait_for(|standing| !matches!(standing, Standing::Running))
            .await;
        ended.map_or(Standing::Cancelled, |standing| standing.clone())
    }

    /// What it reads that this grant does not cover, in words.
    pub(super) fn beyond(&self, grant: &Grant) -> Option<String> {
        let reads = self.submission.iter().flat_map(|submission| submission.opens.reads());
        let lost = reads.filter(|(dataset, class)| !grant.allows(dataset, *class));
        let lost: Vec<String> = lost
            .map(|(dataset, class)| format!("class {class} of dataset {dataset}"))
            .collect();
        (!lost.is_empty()).then(|| format!("you are no longer granted {}", lost.join("; ")))
    }

    /// Withdraws the right to go on with it, or to read its results. Whether it was not withdrawn before.
    pub(super) fn withdraw(&self, why: &Arc<str>) -> bool {
        self.withdrawn.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(why.clone());
            }
            first
        })
    }

    /// Waits until the right is withdrawn, and says why.
    pub(super) async fn withdrawn(&self) -> Arc<str> {
        let mut withdrawn = self.withdrawn.subscribe();
        let seen = withdrawn.wait_for(Option::is_some).await;
        let why = seen.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Ends a running query; whether it was running.
    pub(super) fn end(&self, standing: Standing) -> bool {
        self.standing.send_if_modified(|current| {
            let running = matches!(current, Standing::Running);
            if running {
                *current = standing;
            }
            running
        })
    }

    /// How it stands now.
    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Whether its results were read, or will never be.
    pub(super) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// Whether it is running.
    pub(crate) fn runs(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Running)
    }

    /// Opens the next attempt, which is the only one that counts from now on.
    pub(super) fn next_attempt(&self) -> usize {
        self.attempt.send_modify(|attempt| *attempt += 1);
        *self.attempt.borrow()
    }

    /// Whether this attempt is the one that counts.
    pub(super) fn is_attempt(&self, attempt: usize) -> bool {
        *self.attempt.borrow() == attempt
    }

    /// Completes when this attempt is no longer the one that counts: the query ended, or is computed anew.
    pub(super) async fn overtaken(&self, attempt: usize) {
        let (mut standing, mut current) = (self.standing.subscribe(), self.attempt.subscribe());
        tokio::select! {
            _ = standing.wait_for(|standing| !matches!(standing, Standing::Running)) => {}
            _ = current.wait_for(|current| *current != attempt) => {}
        }
    }

    /// Forgets the results of a query that is done.
    pub(super) fn forget_results(&self) {
        self.standing.send_if_modified(|current| {
            let held = matches!(current, Standing::Done(_) | Standing::Local(_));
            if held {
                *current = Standing::Released;
            }
            held
        });
    }

    /// Takes back that the query is done: its results are gone.
    pub(super) fn reopen(&self) {
        self.standing.send_if_modified(|current| {
            let done = matches!(current, Standing::Done(_));
            if done {
                *current = Standing::Running;
            }
            done
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::logical_expr::LogicalPlanBuilder;
    use parcours_keys::ColumnClass::{self, Health, Plain};

    use super::*;
    use crate::query::testing::{all_but, granted, person, reading};

    fn query(class: ColumnClass) -> Query {
        let submission = Submission {
            context: Arc::new(SessionContext::new()),
            plan: LogicalPlanBuilder::empty(true).build().unwrap(),
            optimized: LogicalPlanBuilder::empty(true).build().unwrap(),
            opens: reading(class),
            partitions: 1,
            together: 1,
        };
        Query::new(QueryId::new(), &person("alice"), Some(submission), Planning::ByShard)
    }

    #[test]
    fn a_query_is_beyond_a_grant_by_what_it_reads() {
        let query = query(Health);
        assert_eq!(query.beyond(&granted([Health])), None);
        let said = "you are no longer granted class health of dataset claims";
        for grant in [granted(all_but(Health)), granted([]), Grant::default()] {
            assert_eq!(query.beyond(&grant).as_deref(), Some(said));
        }
    }

    #[test]
    fn a_right_is_withdrawn_once() {
        let (query, why) = (query(Plain), Arc::from("why"));
        assert!(query.withdraw(&why) && !query.withdraw(&Arc::from("another reason")));
        assert_eq!(futures::executor::block_on(query.withdrawn()), why);
    }

    #[test]
    fn a_query_that_ended_stays_as_it_ended() {
        let query = query(Plain);
        assert!(query.end(Standing::Cancelled) && !query.end(Standing::TimedOut));
        assert!(matches!(query.standing(), Standing::Cancelled) && !query.runs());
        query.reopen();
        assert!(!query.runs(), "only results that are there can be lost");
    }
}
