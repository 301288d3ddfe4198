//! Queries as jobs of the engine: submitted, followed to their end, stopped when their reader goes away or their time is
//! up, and forgotten everywhere once their results were read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow_flight::FlightData;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{JobStatus, job_status};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use futures::future::BoxFuture;
use parcours_cluster::access::Access;
use parcours_cluster::failure::without_values;
use parcours_cluster::orders::Order;
use parcours_identity::Principal;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::errors;
use super::planning::Planning;
use super::recovery::MOST_LOSSES;
use super::standing::{Query, Standing, Submission};
use crate::config::Limits;
use crate::engine::{self, Engine};
use crate::internal::control::Members;
use crate::metrics::Counters;
use crate::port::{Phase, Progress, QueryError, QueryId};

/// For how long the end of a query can still be asked about.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How often a query is tried before its person is told that executors are lost again and again.
const ATTEMPTS: usize = 10;

/// How often running queries are held against what their people are granted.
const LOOK_AT_ACCESS: Duration = Duration::from_millis(500);

/// All queries of this scheduler.
pub struct Jobs {
    engine: Engine,
    pub(super) members: Arc<Members>,
    counters: Arc<Counters>,
    limit: Duration,
    per_person: usize,
    /// How queries are planned at first.
    planning: Planning,
    queries: Mutex<HashMap<QueryId, Arc<Query>>>,
    /// Whether the engine's event loop was found to have ended.
    engine_ended: watch::Sender<bool>,
}

impl Jobs {
    /// Jobs on this engine, within these limits.
    pub fn new(engine: Engine, members: Arc<Members>, counters: Arc<Counters>, limits: &Limits) -> Arc<Self> {
        let planning = match limits.plan_once {
            true => Planning::Once,
            false => Planning::ByShard,
        };
        Arc::new(Self {
            engine,
            members,
            counters,
            limit: Duration::from_secs(limits.query_seconds),
            per_person: limits.queries_per_person,
            planning,
            queries: Mutex::default(),
            engine_ended: watch::Sender::new(false),
        })
    }

    /// Finds out whether the engine's event loop has ended, after the engine refused what it always takes.
    pub async fn look_at_engine(&self) {
        if !engine::takes_events(&self.engine).await && !self.engine_ended.send_replace(true) {
            tracing::error!("the engine's event loop has ended, no query can be computed any more");
        }
    }

    /// Waits until the engine's event loop is found to have ended. Nothing brings it back but another process.
    pub async fn engine_ended(&self) {
        let mut ended = self.engine_ended.subscribe();
        if ended.wait_for(|ended| *ended).await.is_err() {
            std::future::pending().await
        }
    }

    /// Queries that run or are being read.
    pub fn running(&self) -> usize {
        self.queries
            .lock()
            .values()
            .filter(|query| !query.is_released())
            .count()
    }

    /// How many partitions a task may have, so that neither a large query gets too many at once nor one of few partitions
    /// is computed by less than all `slots`.
    pub fn partitions_of_a_task(&self, slots: usize) -> usize {
        let running = self.running_queries();
        let submissions = running.iter().filter_map(|query| query.submission.as_ref());
        let share = |submission: &Submission| submission.partitions.div_ceil(slots.max(1)).min(submission.together);
        submissions.map(share).min().unwrap_or(1).max(1)
    }

    /// Enters a query whose answer the scheduler computed itself.
    pub fn enter_local(self: &Arc<Self>, who: &Principal, id: QueryId, messages: Vec<FlightData>) {
        let query = self.enter(who, id, None);
        query.end(Standing::Local(Arc::new(messages)));
    }

    /// Submits a query and follows it; answers as soon as it is in the queue.
    pub async fn submit(
        self: &Arc<Self>,
        who: &Principal,
        id: QueryId,
        submission: Submission,
    ) -> Result<(), QueryError> {
        self.check_room(who)?;
        let query = self.enter(who, id, Some(submission));
        let followed = self.follow(&query, query.next_attempt()).await;
        if followed.is_err() {
            self.queries.lock().remove(&id);
        }
        followed
    }

    fn check_room(&self, who: &Principal) -> Result<(), QueryError> {
        if self.members.count() == 0 {
            return Err(QueryError::Unavailable {
                message: "no executor is connected, try again in a moment".to_owned(),
            });
        }
        let own = self
            .queries
            .lock()
            .values()
            .filter(|query| query.owner == *who && query.runs())
            .count();
        if own >= self.per_person {
            return Err(QueryError::ResourcesExhausted {
                message: format!("you run {own} queries already, which is the limit, wait for one to end or cancel it"),
            });
        }
        Ok(())
    }

    fn enter(&self, who: &Principal, id: QueryId, submission: Option<Submission>) -> Arc<Query> {
        let query = Arc::new(Query::new(id, who, submission, self.planning));
        self.queries.lock().insert(id, query.clone());
        self.counters.started.inc();
        query
    }

    /// Submits the query's plan to the engine as this attempt and watches it in the background.
    async fn follow(self: &Arc<Self>, query: &Arc<Query>, attempt: usize) -> Result<(), QueryError> {
        let internal = || QueryError::Internal { query: Some(query.id) };
        let submission = query.submission.as_ref().ok_or_else(internal)?;
        let planning = query.planning();
        let plan = planning.over(submission).map_err(|error| errors::of_planning(&error))?;
        let (sender, statuses) = mpsc::channel(64);
        let submitted = self
            .engine
            .submit_job(
                &query.id.to_string(),
                planning.session(&submission.context),
                &plan,
                Some(sender),
            )
            .await;
        let job = match submitted {
            Ok(job) => job,
            Err(error) => {
                self.look_at_engine().await;
                return Err(errors::of_job(query.id, &error.to_string()));
            }
        };
        tracing::info!(query = %query.id, job = %job, attempt, "query submitted");
        *query.job.lock() = Some(job.to_string());
        if !query.runs() {
            // Cancelled while it was being submitted.
            self.stop_job(query).await;
            self.forget_job(query);
            return Ok(());
        }
        let (jobs, query) = (self.clone(), query.clone());
        tokio::spawn(jobs.watch(query, attempt, statuses));
        Ok(())
    }

    /// Boxed, because what is watched may be followed by another attempt that is watched.
    fn watch(
        self: Arc<Self>,
        query: Arc<Query>,
        attempt: usize,
        mut statuses: mpsc::Receiver<JobStatus>,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let left = self.time_left(&query);
            let standing = tokio::select! {
                biased;
                () = query.overtaken(attempt) => return,
                standing = end_of(&mut statuses) => standing,
                () = tokio::time::sleep(left) => Standing::TimedOut,
            };
            match standing {
                Standing::Failed(text) if errors::is_fault_of_ours(&text) => {
                    let _turn = query.turn.lock().await;
                    self.failed(&query, attempt, text).await;
                }
                Standing::TimedOut => {
                    if query.end(Standing::TimedOut) {
                        self.stop_job(&query).await;
                    }
                }
                standing => {
                    query.end(standing);
                }
            }
        })
    }

    /// Plans a query anew, more plainly, over whose plan the engine broke down in this attempt. Callers hold the query's
    /// turn.
    async fn failed(self: &Arc<Self>, query: &Arc<Query>, attempt: usize, text: Arc<str>) {
        if !query.runs() || !query.is_attempt(attempt) {
            return;
        }
        self.plan_plainer(query, text).await;
    }

    /// Plans a query anew, more plainly, or ends it if there is no plainer way. Callers hold the query's turn.
    pub(super) async fn plan_plainer(self: &Arc<Self>, query: &Arc<Query>, why: Arc<str>) {
        match query.planning().plainer() {
            Some(planning) => self.plan_otherwise(query, planning, &why).await,
            None => {
                if query.end(Standing::Failed(why)) {
                    self.stop_job(query).await;
                }
            }
        }
    }

    /// Plans a query anew, once for all. Callers hold the query's turn.
    pub(super) async fn plan_once(self: &Arc<Self>, query: &Arc<Query>) {
        if query.plan_otherwise(Planning::Once) {
            tracing::info!(query = %query.id, "planning comes to no end, the query is planned once");
            self.counters.planned_once.inc();
            self.try_again(query).await;
        }
    }

    /// Computes a query anew, planned in this way. Callers hold the query's turn.
    async fn plan_otherwise(self: &Arc<Self>, query: &Arc<Query>, planning: Planning, why: &str) {
        if !query.plan_otherwise(planning) {
            return;
        }
        let cause = without_values(why);
        tracing::warn!(query = %query.id, ?planning, cause, "the engine broke down over a plan, the query is planned anew");
        self.counters.replanned.inc();
        self.try_again(query).await;
    }

    /// Computes the query once more, its results having been lost before a row was sent. Seen through in a task of its own:
    /// the reader may go away meanwhile, and a job submitted by half is one that nobody could stop.
    pub async fn resubmit(self: &Arc<Self>, query: &Arc<Query>) {
        let (jobs, query) = (self.clone(), query.clone());
        let again = async move {
            let _turn = query.turn.lock().await;
            query.reopen();
            jobs.try_again(&query).await;
        };
        if let Err(error) = tokio::spawn(again).await {
            tracing::error!(%error, "a query could not be computed anew");
        }
    }

    /// Plans the query of this job in a plainer way: a stage of its plan is not proven sound.
    pub async fn plan_refused(self: &Arc<Self>, job: &str) {
        for query in self.running_queries() {
            let _turn = query.turn.lock().await;
            let is_its_job = query.job.lock().as_deref() == Some(job);
            if query.runs() && is_its_job {
                self.plan_plainer(&query, "a stage is not proven sound".into()).await;
            }
        }
    }

    pub(super) fn running_queries(&self) -> Vec<Arc<Query>> {
        let queries = self.queries.lock();
        queries.values().filter(|query| query.runs()).cloned().collect()
    }

    /// What is to be said of the engine's graph of the query's job; nothing if there is none, or none any more.
    pub(super) async fn of_graph<T>(&self, query: &Query, say: impl FnOnce(&ExecutionGraphBox) -> T) -> Option<T> {
        let job = JobId::new(query.job.lock().as_deref()?);
        let info = self
            .engine
            .state
            .task_manager
            .get_running_job_cache()
            .get(&job)
            .cloned()?;
        let graph = info.execution_graph.read().await;
        Some(say(&graph))
    }

    /// The next attempt, unless there were too many or no executor is left. Callers hold the query's turn.
    pub(super) async fn try_again(self: &Arc<Self>, query: &Arc<Query>) {
        // From here on, what the engine says of the attempt before is not heard.
        let attempt = query.next_attempt();
        tracing::warn!(query = %query.id, attempt, "the query is computed anew");
        self.stop_job(query).await;
        self.forget_job(query);
        if attempt > ATTEMPTS {
            query.end(Standing::Lost);
            return;
        }
        if !self.some_executor().await {
            query.end(Standing::WithoutExecutor);
            return;
        }
        if let Err(error) = self.follow(query, attempt).await {
            tracing::error!(query = %query.id, %error, "a query could not be submitted again");
            query.end(Standing::Lost);
        }
    }

    /// The query of this name, if it is this person's.
    pub fn get(&self, who: &Principal, id: &QueryId) -> Result<Arc<Query>, QueryError> {
        let query = self.queries.lock().get(id).cloned();
        query
            .filter(|query| query.owner == *who)
            .ok_or_else(|| QueryError::NotFound {
                kind: "query",
                name: id.to_string(),
                near: Vec::new(),
            })
    }

    /// Stops a query. One that has ended loses its results; its end stays as it was.
    pub async fn cancel(self: &Arc<Self>, query: &Arc<Query>) {
        if query.end(Standing::Cancelled) {
            self.counters.cancelled.inc();
            tracing::info!(query = %query.id, "query cancelled");
        }
        self.stop_job(query).await;
        self.release(query);
    }

    /// Ends, for as long as it is awaited, every query that reads what its person is no longer granted, also one whose results
    /// are being read.
    pub async fn keep_within(self: &Arc<Self>, access: &Access) {
        loop {
            tokio::time::sleep(LOOK_AT_ACCESS).await;
            let held: Vec<_> = self
                .queries
                .lock()
                .values()
                .filter(|query| !query.is_released())
                .cloned()
                .collect();
            for query in held {
                if let Some(why) = query.beyond(&access.grant(&query.owner)) {
                    self.withdraw(&query, why.into()).await;
                }
            }
        }
    }

    async fn withdraw(self: &Arc<Self>, query: &Arc<Query>, why: Arc<str>) {
        if !query.withdraw(&why) {
            return;
        }
        tracing::warn!(query = %query.id, %why, "query stopped");
        query.end(Standing::Withdrawn(why));
        self.stop_job(query).await;
        self.forget_job(query);
    }

    /// Ends a query whose results were read, or whose failure was told.
    pub fn release(self: &Arc<Self>, query: &Arc<Query>) {
        self.forget_job(query);
        if query.released.swap(true, Ordering::AcqRel) {
            return;
        }
        // That it is done can be asked about for a while yet.
        query.forget_results();
        let (jobs, query) = (self.clone(), query.clone());
        tokio::spawn(async move {
            tokio::time::sleep(REMEMBERED).await;
            jobs.queries.lock().remove(&query.id);
        });
    }

    pub(super) async fn stop_job(&self, query: &Query) {
        let Some(job) = query.job.lock().clone() else { return };
        self.members.order(&Order::Cancel { job: job.clone() });
        if let Err(error) = self.engine.cancel_job(JobId::new(job.as_str())).await {
            tracing::error!(query = %query.id, %error, "the engine does not stop a job");
            self.look_at_engine().await;
        }
    }

    pub(super) fn forget_job(&self, query: &Query) {
        if let Some(job) = query.job.lock().take() {
            self.members.order(&Order::Forget { job });
        }
    }

    /// How far a query is.
    pub async fn progress(&self, query: &Query) -> Result<Progress, QueryError> {
        let finished = Progress {
            phase: Phase::Finished,
            tasks_done: 0,
            tasks_total: 0,
        };
        match query.standing() {
            Standing::Running => Ok(self.tasks_of(query).await),
            Standing::Done(_) | Standing::Local(_) | Standing::Released => Ok(finished),
            standing => Err(self.error_of(query, &standing)),
        }
    }

    async fn tasks_of(&self, query: &Query) -> Progress {
        let (phase, (tasks_done, tasks_total)) = match self.of_graph(query, tasks_of_graph).await {
            Some(tasks) => (Phase::Running, tasks),
            None => (Phase::Queued, (0, 0)),
        };
        Progress {
            phase,
            tasks_done,
            tasks_total,
        }
    }

    /// What a standing that is no success means to the person who asked.
    pub fn error_of(&self, query: &Query, standing: &Standing) -> QueryError {
        match standing {
            Standing::Failed(text) => errors::of_job(query.id, text),
            Standing::TimedOut => QueryError::TimedOut { limit: self.limit },
            Standing::Withdrawn(why) => QueryError::Denied {
                message: why.to_string(),
            },
            Standing::Cancelled => QueryError::Cancelled,
            Standing::Lost => QueryError::Unavailable {
                message: "executors or partitions of the query were lost or damaged again and again, try again later"
                    .to_owned(),
            },
            Standing::WithoutExecutor => QueryError::Unavailable {
                message: "the executors of the query were lost and no other came, try again in a moment".to_owned(),
            },
            Standing::LostUnder => QueryError::ResourcesExhausted {
                message: format!(
                    "{MOST_LOSSES} executors were lost while they computed this query, it is not tried again: ask for less at \
                     once, or tell the operator of the cluster"
                ),
            },
            Standing::Released => QueryError::Invalid {
                message: "the results of the query are no longer kept, run it again".to_owned(),
            },
            Standing::Running | Standing::Done(_) | Standing::Local(_) => {
                QueryError::Internal { query: Some(query.id) }
            }
        }
    }

    /// How long a query may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long a query may still take.
    pub fn time_left(&self, query: &Query) -> Duration {
        self.limit.saturating_sub(query.started.elapsed())
    }

    /// Counts the end of a query's reading.
    pub fn count_end(&self, succeeded: bool) {
        if succeeded {
            self.counters.succeeded.inc()
        } else {
            self.counters.failed.inc()
        };
    }
}

/// How the job ended, from what the engine says of it.
async fn end_of(statuses: &mut mpsc::Receiver<JobStatus>) -> Standing {
    while let Some(status) = statuses.recv().await {
        if let Some(standing) = standing_of(status) {
            return standing;
        }
    }
    Standing::Failed("the engine lost sight of the job".into())
}

fn standing_of(status: JobStatus) -> Option<Standing> {
    match status.status? {
        job_status::Status::Successful(done) => {
            let mut partitions = done.partition_location;
            // Every task reports a partition. Ballista 55 calls a job done whose last stage never ran, where a rule changes
            // the plan below a stage that runs.
            if partitions.is_empty() {
                return Some(Standing::Failed("the engine ended the job without a result".into()));
            }
            partitions.sort_by_key(|location| location.partition_id.as_ref().map(|id| id.partition_id));
            Some(Standing::Done(Arc::new(partitions)))
        }
        job_status::Status::Failed(failed) => Some(Standing::Failed(failed.error.into())),
        _ => None,
    }
}

/// Tasks done, and all that are known.
fn tasks_of_graph(graph: &ExecutionGraphBox) -> (u64, u64) {
    let stages = graph.stages().values().map(tasks_of_stage);
    stages.fold((0, 0), |sum, stage| (sum.0 + stage.0, sum.1 + stage.1))
}

fn tasks_of_stage(stage: &ExecutionStage) -> (u64, u64) {
    match stage {
        ExecutionStage::Running(stage) => {
            let waiting = stage.available_tasks();
            let known = stage.task_infos.len();
            (
                (known - stage.running_tasks().len().min(known)) as u64,
                (known + waiting) as u64,
            )
        }
        ExecutionStage::Successful(stage) => (stage.partitions as u64, stage.partitions as u64),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests;
