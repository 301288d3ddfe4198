//! Who is given the work of an executor that asks for some. The engine's own way gives it all to whichever job comes first in
//! a table; here it goes to the person of whom the fewest tasks run, and among their queries to the oldest.
//!
//! Where several people wait, what the executor has room for is shared between them. A person with several queries leaves a
//! few slots of the cluster to others: a task that runs for minutes gives its slot to nobody meanwhile. One query alone may
//! have all of them.
//!
//! How a task is bound is the engine's `bind_one`, which it keeps to itself; it is written down again here.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::config::BallistaConfig;
use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::serde::protobuf::{AvailableVcores, task_status};
use ballista_core::serde::scheduler::TaskKey;
use ballista_scheduler::cluster::{BoundTask, DistributionPolicy};
use ballista_scheduler::state::execution_graph::{ExecutionGraphBox, TaskDescription, create_task_info};
use ballista_scheduler::state::execution_stage::{ExecutionStage, RunningStage};
use ballista_scheduler::state::task_manager::JobInfoCache;
use datafusion::common::Result;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use parcours_cluster::options::TaskOptions;
use parcours_cluster::task_grant::Terms;

use super::control::Members;

/// One of so many slots is left to others by a person with several queries.
const LEFT: usize = 8;
/// Of fewer slots none is left.
const FEW: usize = 4;

/// Gives work to executors.
pub(crate) struct Fair {
    members: Arc<Members>,
}

impl fmt::Debug for Fair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fair").finish_non_exhaustive()
    }
}

/// A job that may have work.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    job: JobId,
    /// In whose name it runs; nobody's jobs are one person's.
    person: String,
    /// When it was submitted.
    since: u64,
    /// How many of its tasks run.
    running: usize,
    /// Whether it has something to hand out.
    waits: bool,
}

/// What all jobs have and want.
#[derive(Debug)]
struct Claims {
    claims: Vec<Claim>,
    /// Slots of the cluster.
    slots: usize,
}

impl Claims {
    /// Tasks that run in a person's name.
    fn running(&self, person: &str) -> usize {
        let own = self.claims.iter().filter(|claim| claim.person == person);
        own.map(|claim| claim.running).sum()
    }

    /// Whether a person may have another task.
    fn may_take(&self, person: &str) -> bool {
        let queries = self.claims.iter().filter(|claim| claim.person == person).count();
        let left = match self.slots {
            slots if queries > 1 && slots >= FEW => (slots / LEFT).max(1),
            _ => return true,
        };
        self.running(person) + left < self.slots
    }

    /// The job whose turn it is, and how many people wait, its own among them. None if nobody may have anything.
    fn next(&self) -> Option<(JobId, usize)> {
        let waiting = self
            .claims
            .iter()
            .filter(|claim| claim.waits && self.may_take(&claim.person));
        let people: BTreeSet<&str> = waiting.clone().map(|claim| claim.person.as_str()).collect();
        let turn = |claim: &&Claim| (self.running(&claim.person), claim.since, claim.job.to_string());
        let next = waiting.min_by_key(turn)?;
        Some((next.job.clone(), people.len()))
    }

    /// Notes that a job was given so many tasks. One that could be given none has nothing to hand out.
    fn given(&mut self, job: &JobId, tasks: usize) {
        for claim in self.claims.iter_mut().filter(|claim| claim.job == *job) {
            claim.running += tasks;
            claim.waits = tasks > 0;
        }
    }
}

impl Fair {
    pub(crate) fn new(members: Arc<Members>) -> Self {
        Self { members }
    }

    async fn claims(&self, jobs: &HashMap<JobId, JobInfoCache>) -> Claims {
        let mut claims = Vec::with_capacity(jobs.len());
        for (job, info) in jobs {
            let graph = info.execution_graph.read().await;
            claims.push(claim_of(job, &graph));
        }
        Claims {
            claims,
            slots: self.members.slots(),
        }
    }
}

#[async_trait]
impl DistributionPolicy for Fair {
    async fn bind_tasks(
        &self,
        budgets: Vec<&mut AvailableVcores>,
        running_jobs: Arc<HashMap<JobId, JobInfoCache>>,
    ) -> Result<Vec<BoundTask>> {
        let mut bound = Vec::new();
        if budgets.iter().all(|budget| budget.vcores == 0) {
            return Ok(bound);
        }
        let mut claims = self.claims(&running_jobs).await;
        for budget in budgets {
            while budget.vcores > 0
                && let Some((job, people)) = claims.next()
            {
                let share = budget.vcores.div_ceil(u32::try_from(people).unwrap_or(u32::MAX).max(1));
                let tasks = match running_jobs.get(&job) {
                    Some(info) => bind(&job, info, budget, share).await,
                    None => Vec::new(),
                };
                claims.given(&job, tasks.len());
                bound.extend(tasks);
            }
        }
        Ok(bound)
    }

    fn name(&self) -> &str {
        "fair"
    }
}

fn claim_of(job: &JobId, graph: &ExecutionGraphBox) -> Claim {
    let running = graph.stages().values().map(running_tasks).sum();
    let resolved = |stage: &ExecutionStage| matches!(stage, ExecutionStage::Resolved(_));
    let options = graph.session_config();
    let terms = TaskOptions::of(&options)
        .ok()
        .map(|options| Terms::decode(&options.terms));
    let person = terms.and_then(|terms| terms.ok()).map(|terms| terms.sub.to_string());
    Claim {
        job: job.clone(),
        person: person.unwrap_or_default(),
        since: graph.start_time(),
        running,
        waits: graph.available_tasks() > 0 || graph.stages().values().any(resolved),
    }
}

fn running_tasks(stage: &ExecutionStage) -> usize {
    let ExecutionStage::Running(stage) = stage else {
        return 0;
    };
    let runs = |status: &task_status::Status| matches!(status, task_status::Status::Running(_));
    stage.task_infos.iter().filter(|task| runs(&task.task_status)).count()
}

/// Binds tasks of a job to an executor, until it has used so much of its budget or there are none.
async fn bind(job: &JobId, info: &JobInfoCache, budget: &mut AvailableVcores, share: u32) -> Vec<BoundTask> {
    let mut graph = info.execution_graph.write().await;
    let session = graph.session_id().to_owned();
    let mut part = AvailableVcores {
        executor_id: budget.executor_id.clone(),
        vcores: share.min(budget.vcores),
    };
    let given = part.vcores;
    let mut bound = Vec::new();
    while part.vcores > 0
        && let Some(stage) = graph.fetch_running_stage(&[])
    {
        match bind_one(stage, &session, job, &mut part) {
            Some(task) => bound.push(task),
            None => break,
        }
    }
    budget.vcores -= given - part.vcores;
    bound
}

/// Binds a task to an executor: draws partitions of the stage that wait, as many as the budget has room for.
fn bind_one(stage: &mut RunningStage, session: &str, job: &JobId, budget: &mut AvailableVcores) -> Option<BoundTask> {
    let collapses = collapses(&stage.plan);
    let partitions = match collapses {
        true => usize::MAX,
        false => (budget.vcores as usize).min(most_partitions(stage)),
    };
    let partitions = stage.pending.next_slice(partitions);
    if partitions.is_empty() {
        return None;
    }
    let vcores = if collapses { 1 } else { partitions.len() as u32 };
    let task_id = stage.task_infos.len();
    let failures = partitions
        .iter()
        .filter_map(|partition| stage.task_failure_numbers.get(*partition));
    let task_attempt = failures.copied().max().unwrap_or(0);
    let mut task = create_task_info(budget.executor_id.clone(), task_id);
    task.global_input_partition_ids = partitions.clone();
    task.vcores_consumed = vcores;
    stage.task_infos.push(task);
    budget.vcores = budget.vcores.saturating_sub(vcores);
    let task = TaskDescription {
        session_id: session.to_owned(),
        key: TaskKey {
            job_id: job.clone(),
            stage_id: stage.stage_id,
            task_id,
        },
        stage_attempt_num: stage.stage_attempt_num,
        task_attempt,
        global_input_partition_ids: partitions,
        vcores_consumed: vcores,
        plan: stage.plan.clone(),
        session_config: stage.session_config.clone(),
    };
    Some((budget.executor_id.clone(), task))
}

/// Most partitions of a task, as the session says.
fn most_partitions(stage: &RunningStage) -> usize {
    let config = stage.session_config.options().extensions.get::<BallistaConfig>();
    let most = config.map(BallistaConfig::max_partitions_per_task);
    most.filter(|most| *most > 0).unwrap_or(usize::MAX)
}

/// Whether all partitions of a stage come together in one below its writer: they must be one task then.
fn collapses(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut children = plan.children();
    while let [node] = children.as_slice() {
        if node.is::<ShuffleReaderExec>() || node.is::<RangeShuffleReaderExec>() {
            return false;
        }
        if node.output_partitioning().partition_count() == 1 {
            return true;
        }
        children = node.children();
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn claim(job: &str, person: &str, since: u64, running: usize) -> Claim {
        Claim {
            job: JobId::new(job),
            person: person.to_owned(),
            since,
            running,
            waits: true,
        }
    }

    fn claims(slots: usize, claims: impl IntoIterator<Item = Claim>) -> Claims {
        Claims {
            claims: claims.into_iter().collect(),
            slots,
        }
    }

    fn turn(claims: &Claims) -> Option<(String, usize)> {
        claims.next().map(|(job, people)| (job.to_string(), people))
    }

    #[test]
    fn whoever_has_least_comes_first_with_their_oldest_query() {
        let mut all = claims(
            16,
            [
                claim("a1", "alice", 1, 2),
                claim("a2", "alice", 2, 1),
                claim("d2", "dave", 9, 1),
                claim("d1", "dave", 4, 1),
            ],
        );
        assert_eq!(turn(&all), Some(("d1".into(), 2)));
        all.given(&JobId::new("d1"), 2);
        assert_eq!(turn(&all), Some(("a1".into(), 2)), "three against four");
        all.given(&JobId::new("a1"), 0);
        assert_eq!(turn(&all), Some(("a2".into(), 2)), "it has nothing to hand out");
        all.given(&JobId::new("a2"), 0);
        assert_eq!(turn(&all), Some(("d1".into(), 1)), "nobody else waits");
        for job in ["d1", "d2"] {
            all.given(&JobId::new(job), 0);
        }
        assert_eq!(turn(&all), None);
    }

    #[test]
    fn a_person_with_several_queries_leaves_slots_to_others() {
        let of_alice = |running| [claim("a1", "alice", 1, running), claim("a2", "alice", 2, 0)];
        assert!(turn(&claims(4, of_alice(2))).is_some());
        assert_eq!(turn(&claims(4, of_alice(3))), None);
        assert!(turn(&claims(32, of_alice(27))).is_some());
        assert_eq!(turn(&claims(32, of_alice(28))), None);
        // Others may have them, and are not held back by what Alice has.
        let with_dave = of_alice(3).into_iter().chain([claim("d", "dave", 9, 0)]);
        assert_eq!(turn(&claims(4, with_dave)), Some(("d".into(), 1)));
        // Of few slots none is left, and one query may have all.
        assert!(turn(&claims(3, of_alice(7))).is_some());
        assert!(turn(&claims(4, [claim("a1", "alice", 1, 9)])).is_some());
    }

    #[test]
    fn jobs_of_nobody_are_given_work_too() {
        assert_eq!(turn(&claims(4, [claim("x", "", 1, 0)])), Some(("x".into(), 1)));
        assert_eq!(turn(&claims(4, [])), None);
    }
}
