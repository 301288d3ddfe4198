//! Ballista's scheduler service behind a guard: an executor may ask for work and report on the tasks that it was handed, under
//! the name in its certificate and while its control stream is open. Every task that it is handed carries a grant, signed for
//! it. Everything else, running queries first of all, is denied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf as pb;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use futures::stream::BoxStream;
use parcours_cluster::options::{GRANT, TERMS};
use parcours_cluster::task_grant::{Assignment, Terms};
use parcours_identity::{Role, Signer, peer};
use tonic::{Code, Request, Response, Status};

use super::control::{Losses, Members};
use super::handed::Granted;
use super::inputs::Inputs;
use super::soundness::take_unsound;
use crate::engine::Engine;
use crate::query::jobs::Jobs;

/// Most partitions that a task may have for each that an executor can compute at once.
const SLICE_MAX: usize = 8;

/// Most tasks that an executor may have in hand for each that it can compute at once. Of small ones it is handed several, and
/// asks for more before it has begun with all of them.
const IN_HAND_MAX: usize = 2 * SLICE_MAX;

/// The guarded service.
pub struct GuardedScheduler {
    engine: Engine,
    members: Arc<Members>,
    losses: Arc<dyn Losses>,
    signer: Arc<Signer>,
    jobs: Arc<Jobs>,
    /// As how many tasks at once an executor is believed to run at most.
    most_slots: usize,
}

impl GuardedScheduler {
    /// A guard before the engine that admits members only.
    pub fn new(
        engine: Engine,
        members: Arc<Members>,
        losses: Arc<dyn Losses>,
        signer: Arc<Signer>,
        jobs: Arc<Jobs>,
        most_slots: usize,
    ) -> Self {
        Self {
            engine,
            members,
            losses,
            signer,
            jobs,
            most_slots: most_slots.max(1),
        }
    }

    /// How many partitions an executor may be handed, that says how many tasks it runs at once and for how many it has room.
    /// One that says more than it can have, or reports on nothing, would be given all the work there is.
    pub(super) fn room(&self, executor: &pb::ExecutorRegistration, free: u32) -> u32 {
        let slots = slots_of(executor).min(self.most_slots);
        self.members.has_slots(&executor.id, slots);
        if self.members.in_hand(&executor.id) >= slots.saturating_mul(IN_HAND_MAX) {
            return 0;
        }
        let free = free.min(u32::try_from(slots).unwrap_or(u32::MAX));
        free.saturating_mul(self.slice(slots))
    }

    /// How many partitions a task is to have for each that the executor has room for. The engine gives a task as many as
    /// there is room for; where partitions are small, one task of several costs a round trip less for each.
    fn slice(&self, slots: usize) -> u32 {
        let slots = slots.saturating_mul(self.members.count());
        self.jobs.partitions_of_a_task(slots).min(SLICE_MAX) as u32
    }

    /// For how long a report of a task is waited for: longer than any query may take.
    fn longest(&self) -> Duration {
        self.jobs.limit().saturating_mul(2)
    }

    fn check<T>(&self, request: &Request<T>, id: &str) -> Result<(), Status> {
        is_of_a_member(&self.members, request, id)
    }
}

/// Whether a request comes from the executor that `id` names, and it is a member.
fn is_of_a_member<T>(members: &Members, request: &Request<T>, id: &str) -> Result<(), Status> {
    named_by(&executor_of(request)?, id)?;
    match members.contains(id) {
        true => Ok(()),
        false => Err(Status::failed_precondition(
            "open the control stream before asking for work",
        )),
    }
}

/// Whether partitions wait for somebody to compute them.
async fn work_is_left(engine: &Engine) -> bool {
    for job in engine.state.task_manager.get_running_job_cache().values() {
        if job.execution_graph.read().await.available_tasks() > 0 {
            return true;
        }
    }
    false
}

/// How many tasks an executor runs at once.
fn slots_of(executor: &pb::ExecutorRegistration) -> usize {
    let resources = executor.specification.iter().flat_map(|all| &all.resources);
    let vcores = resources.filter_map(|resource| match resource.resource {
        Some(pb::executor_resource::Resource::Vcores(vcores)) => Some(vcores as usize),
        _ => None,
    });
    vcores.max().unwrap_or(1)
}

/// The executor's name in the peer's certificate.
pub(super) fn executor_of<T>(request: &Request<T>) -> Result<String, Status> {
    match peer(request)?.principal.role() {
        Role::Executor(name) => Ok(name.clone()),
        _ => Err(Status::permission_denied("the internal listener serves executors only")),
    }
}

/// Whether `id`, which is `<name>:<process start>`, belongs to the executor of this name.
pub(super) fn named_by(name: &str, id: &str) -> Result<(), Status> {
    match id.split_once(':') {
        Some((claimed, start)) if claimed == name && !start.is_empty() => Ok(()),
        _ => Err(Status::permission_denied("an executor may speak for itself only")),
    }
}

/// Takes the reports of failed fetches out of `statuses` and names their jobs: those are computed anew, whole.
fn take_failed_fetches(statuses: &mut Vec<pb::TaskStatus>) -> BTreeSet<String> {
    let mut jobs = BTreeSet::new();
    statuses.retain(|status| {
        let failed_fetch = matches!(
            &status.status,
            Some(pb::task_status::Status::Failed(pb::FailedTask {
                failed_reason: Some(pb::failed_task::FailedReason::FetchPartitionError(_)),
                ..
            }))
        );
        if failed_fetch {
            jobs.insert(status.job_id.clone());
        }
        !failed_fetch
    });
    jobs
}

/// Takes all reports but those of one job out of `statuses`, job by job. The engine takes a list of reports for one, and drops
/// the rest of it, of whatever jobs, when it breaks down over a plan in between.
fn take_other_jobs(statuses: &mut Vec<pb::TaskStatus>) -> Vec<Vec<pb::TaskStatus>> {
    let mut jobs: BTreeMap<String, Vec<pb::TaskStatus>> = BTreeMap::new();
    for status in statuses.drain(..) {
        jobs.entry(status.job_id.clone()).or_default().push(status);
    }
    if let Some((_, last)) = jobs.pop_last() {
        *statuses = last;
    }
    jobs.into_values().collect()
}

async fn report(engine: &Engine, executor_id: &str, task_status: Vec<pb::TaskStatus>) -> Result<(), Status> {
    let reports = pb::UpdateTaskStatusParams {
        executor_id: executor_id.to_owned(),
        task_status,
    };
    SchedulerGrpc::update_task_status(engine, Request::new(reports))
        .await
        .map(|_| ())
}

/// Puts a grant, signed for this executor, in the place of each task's terms. Tasks for which that fails are taken out, and
/// their jobs named. What was signed is added to `granted`.
fn put_grants(
    tasks: &mut Vec<pb::TaskDefinition>,
    inputs: &Inputs,
    signer: &Signer,
    executor: &str,
    granted: &mut Vec<Granted>,
) -> BTreeSet<String> {
    let mut failed = BTreeSet::new();
    tasks.retain_mut(|task| match put_grant(task, inputs, signer, executor) {
        Ok(signed) => {
            granted.push(signed);
            true
        }
        Err(error) => {
            tracing::error!(job = task.job_id, %error, "a task is not handed out: no grant can be signed for it");
            failed.insert(task.job_id.clone());
            false
        }
    });
    failed
}

fn put_grant(
    task: &mut pb::TaskDefinition,
    inputs: &Inputs,
    signer: &Signer,
    executor: &str,
) -> anyhow::Result<Granted> {
    let terms = task.props.iter().find(|prop| prop.key == TERMS);
    let terms = Terms::decode(terms.and_then(|prop| prop.value.as_deref()).unwrap_or_default())?;
    let assignment = Assignment {
        job: task.job_id.clone(),
        executor: executor.to_owned(),
        stage: task.stage_id as usize,
        inputs: inputs.of_task(task),
    };
    let granted = Granted {
        terms,
        assignment,
        signed: Instant::now(),
    };
    let grant = granted.sign(signer)?;
    task.props.retain(|prop| prop.key != TERMS && prop.key != GRANT);
    task.props.push(pb::KeyValuePair {
        key: GRANT.to_owned(),
        value: Some(grant),
    });
    Ok(granted)
}

fn denied<T>() -> Result<T, Status> {
    Err(Status::permission_denied(
        "executors may ask for work and report on it, nothing else",
    ))
}

#[tonic::async_trait]
impl SchedulerGrpc for GuardedScheduler {
    type ExecuteQueryPushStream = BoxStream<'static, Result<pb::GetJobStatusResult, Status>>;

    async fn poll_work(
        &self,
        mut request: Request<pb::PollWorkParams>,
    ) -> Result<Response<pb::PollWorkResult>, Status> {
        let Some(metadata) = &request.get_ref().metadata else {
            return Err(Status::invalid_argument(
                "an executor that asks for work must say who it is",
            ));
        };
        if metadata.host.is_none() || metadata.specification.is_none() || metadata.os_info.is_none() {
            return Err(Status::invalid_argument(
                "an executor that asks for work must say where it is",
            ));
        }
        let id = metadata.id.clone();
        self.check(&request, &id)?;
        let _polling = self.members.polling(&id);
        let room = self.room(metadata, request.get_ref().num_free_vcores);
        request.get_mut().num_free_vcores = room;
        let reports = &mut request.get_mut().task_status;
        let mut lost = self.members.take_reports(&id, reports);
        lost.extend(take_failed_fetches(reports));
        for job in lost {
            self.losses.partition_lost(job);
        }
        let others = take_other_jobs(reports);
        let (engine, members, losses) = (self.engine.clone(), self.members.clone(), self.losses.clone());
        let (signer, longest) = (self.signer.clone(), self.longest());
        // A task of its own: the engine hands out tasks here, and must not be dropped with a caller that dies. Tasks that it
        // bound to a member which left meanwhile are seen by nobody but us.
        let answered = tokio::spawn(async move {
            for reports in others {
                report(&engine, &id, reports).await?;
            }
            let mut answer = SchedulerGrpc::poll_work(&engine, request).await;
            if let Ok(answer) = &mut answer {
                for job in take_unsound(&engine, &mut answer.get_mut().tasks).await {
                    losses.plan_refused(job);
                }
                let inputs = Inputs::of(&engine, &answer.get_ref().tasks).await;
                let mut granted = Vec::new();
                for job in put_grants(&mut answer.get_mut().tasks, &inputs, &signer, &id, &mut granted) {
                    losses.partition_lost(job);
                }
                members.hand_out(&id, &answer.get_ref().tasks, longest);
                members.grant(&id, granted);
            }
            // The engine says that a stage can begin only if nobody took of it before it was asked. Whoever finished the stage
            // before has just taken; the others would sleep on.
            let handed_out = answer.as_ref().is_ok_and(|answer| !answer.get_ref().tasks.is_empty());
            if handed_out && work_is_left(&engine).await {
                members.wake_others(&id);
            }
            if !members.contains(&id) {
                losses.executor_lost(id, false);
            }
            answer
        });
        let answer = answered
            .await
            .map_err(|_| Status::internal("the engine broke off while it handed out work"))?;
        if answer.as_ref().is_err_and(|status| status.code() == Code::Internal) {
            self.jobs.look_at_engine().await;
        }
        answer
    }

    /// That an executor lives is known by its control stream. The engine would register, and dial, whomever the beat names.
    async fn heart_beat_from_executor(
        &self,
        _: Request<pb::HeartBeatParams>,
    ) -> Result<Response<pb::HeartBeatResult>, Status> {
        denied()
    }

    /// That an executor goes is known by its control stream, too.
    async fn executor_stopped(
        &self,
        _: Request<pb::ExecutorStoppedParams>,
    ) -> Result<Response<pb::ExecutorStoppedResult>, Status> {
        denied()
    }

    async fn register_executor(
        &self,
        _: Request<pb::RegisterExecutorParams>,
    ) -> Result<Response<pb::RegisterExecutorResult>, Status> {
        denied()
    }

    async fn update_task_status(
        &self,
        _: Request<pb::UpdateTaskStatusParams>,
    ) -> Result<Response<pb::UpdateTaskStatusResult>, Status> {
        denied()
    }

    async fn create_update_session(
        &self,
        _: Request<pb::CreateUpdateSessionParams>,
    ) -> Result<Response<pb::CreateUpdateSessionResult>, Status> {
        denied()
    }

    async fn remove_session(
        &self,
        _: Request<pb::RemoveSessionParams>,
    ) -> Result<Response<pb::RemoveSessionResult>, Status> {
        denied()
    }

    async fn execute_query_push(
        &self,
        _: Request<pb::ExecuteQueryParams>,
    ) -> Result<Response<Self::ExecuteQueryPushStream>, Status> {
        denied()
    }

    async fn execute_query(
        &self,
        _: Request<pb::ExecuteQueryParams>,
    ) -> Result<Response<pb::ExecuteQueryResult>, Status> {
        denied()
    }

    async fn get_job_status(
        &self,
        _: Request<pb::GetJobStatusParams>,
    ) -> Result<Response<pb::GetJobStatusResult>, Status> {
        denied()
    }

    async fn get_job_metrics(
        &self,
        _: Request<pb::GetJobMetricsParams>,
    ) -> Result<Response<pb::GetJobMetricsResult>, Status> {
        denied()
    }

    async fn cancel_job(&self, _: Request<pb::CancelJobParams>) -> Result<Response<pb::CancelJobResult>, Status> {
        denied()
    }

    async fn clean_job_data(
        &self,
        _: Request<pb::CleanJobDataParams>,
    ) -> Result<Response<pb::CleanJobDataResult>, Status> {
        denied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parcours_identity::{Peer, Presence, Principal};

    use super::*;

    #[test]
    fn a_member_asks_for_work_under_its_certificates_name() {
        let from = |principal: Option<&str>| {
            let mut request = Request::new(());
            let peer = principal.map(|principal| Peer {
                principal: principal.parse::<Principal>().unwrap(),
                address: ([127, 0, 0, 1], 1).into(),
                presence: Presence::default(),
            });
            peer.into_iter()
                .for_each(|peer| drop(request.extensions_mut().insert(peer)));
            request
        };
        let members = Members::default();
        let _orders = members.join("one:ab12").unwrap();
        let code = |principal, id| is_of_a_member(&members, &from(principal), id).map_err(|status| status.code());
        let (one, two) = (
            Some("spiffe://hospital.example/executor/one"),
            Some("spiffe://hospital.example/executor/two"),
        );
        assert_eq!(code(one, "one:ab12"), Ok(()));
        assert_eq!(code(one, "one:cd34"), Err(Code::FailedPrecondition));
        assert_eq!(code(two, "two:ab12"), Err(Code::FailedPrecondition));
        assert_eq!(code(two, "one:ab12"), Err(Code::PermissionDenied));
        let alice = Some("spiffe://hospital.example/user/one");
        assert_eq!(code(alice, "one:ab12"), Err(Code::PermissionDenied));
        assert_eq!(code(None, "one:ab12"), Err(Code::Unauthenticated));
    }

    #[test]
    fn an_executor_speaks_for_itself_only() {
        assert!(named_by("executor-1", "executor-1:ab12").is_ok());
        for id in ["executor-2:ab12", "executor-1", "executor-1:", "executor-10:ab12", ""] {
            assert!(named_by("executor-1", id).is_err(), "{id}");
        }
    }

    #[test]
    fn reports_go_job_by_job() {
        let of = |job: &str, task_id| pb::TaskStatus {
            job_id: job.to_owned(),
            task_id,
            ..Default::default()
        };
        let told = |statuses: &[pb::TaskStatus]| -> Vec<(String, u32)> {
            let told = statuses.iter().map(|status| (status.job_id.clone(), status.task_id));
            told.collect()
        };
        let mut statuses = vec![of("b", 1), of("a", 2), of("b", 3)];
        let others = take_other_jobs(&mut statuses);
        assert_eq!(told(&statuses), [("b".to_owned(), 1), ("b".to_owned(), 3)]);
        assert_eq!(others.len(), 1);
        assert_eq!(told(&others[0]), [("a".to_owned(), 2)]);
        assert!(take_other_jobs(&mut Vec::new()).is_empty());
    }

    #[test]
    fn failed_fetches_are_taken_out_and_name_their_jobs() {
        let failed = |job: &str, reason| pb::TaskStatus {
            job_id: job.to_owned(),
            status: Some(pb::task_status::Status::Failed(pb::FailedTask {
                failed_reason: Some(reason),
                ..Default::default()
            })),
            ..Default::default()
        };
        let fetch = || pb::failed_task::FailedReason::FetchPartitionError(pb::FetchPartitionError::default());
        let other = pb::failed_task::FailedReason::ExecutionError(pb::ExecutionError::default());
        let mut statuses = vec![failed("a", fetch()), failed("b", other), failed("a", fetch())];
        let jobs: Vec<_> = take_failed_fetches(&mut statuses).into_iter().collect();
        assert_eq!(jobs, ["a"]);
        assert_eq!(statuses.len(), 1);
        assert_eq!(statuses[0].job_id, "b");
    }
}
