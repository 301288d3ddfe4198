//! A scheduler without listeners, and executors that ask it for work by hand: what tests of the guard, of members and of
//! lost executors stand on.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use ballista_core::BALLISTA_PROTOCOL_VERSION;
use ballista_core::serde::protobuf as pb;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use datafusion::execution::context::SessionContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{LogicalPlanBuilder, lit};
use parcours_cluster::options::TaskOptions;
use parcours_cluster::orders::Order;
use parcours_cluster::session::{engine_config, engine_state};
use parcours_cluster::task_grant::{Opened, Terms, ends_after};
use parcours_identity::testing::TestPki;
use parcours_identity::{ClientTls, Expects, Peer, Presence, Principal, Signer, pki};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tonic::{Request, Status};

use super::control::{Losses, Members};
use super::guard::GuardedScheduler;
use super::renewals::Renewals;
use crate::config::Limits;
use crate::engine::{self, Engine};
use crate::port::QueryId;
use crate::query::jobs::Jobs;
use crate::query::standing::{Query, Submission};
use crate::query::testing::person;

/// Of two members, by the ids of their process starts.
pub(crate) const ONE: &str = "executor-1:ab";
pub(crate) const TWO: &str = "executor-2:cd";

/// As how many tasks at once an executor is believed to run.
pub(crate) const MOST_SLOTS: usize = 3;

const DOMAIN: &str = "hospital.example";
const PATIENCE: Duration = Duration::from_secs(20);

/// What was told to be lost, in order.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) executors: Mutex<Vec<String>>,
    pub(crate) partitions_of: Mutex<Vec<String>>,
}

impl Losses for Told {
    fn executor_lost(&self, id: String, _: bool) {
        self.executors.lock().push(id);
    }

    fn partition_lost(&self, job: String) {
        self.partitions_of.lock().push(job);
    }

    fn plan_refused(&self, _: String) {}
}

/// The scheduler.
pub(crate) struct House {
    pub(crate) members: Arc<Members>,
    pub(crate) engine: Engine,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) guard: GuardedScheduler,
    pub(super) renewals: Renewals,
    pub(crate) told: Arc<Told>,
    _pki: TestPki,
}

impl House {
    /// One without members.
    pub(crate) async fn open() -> Self {
        parcours_identity::install_crypto_provider();
        let pki = TestPki::new(DOMAIN).unwrap();
        let tls = ClientTls::open(pki.scheduler_client().unwrap(), DOMAIN, Expects::AnyExecutor).unwrap();
        let scheduler = Principal::scheduler(DOMAIN).unwrap();
        pki.pki().issue(pki::Request::signing(scheduler, "signing")).unwrap();
        let signer = Arc::new(Signer::open(pki.pki().tls_files("signing"), DOMAIN).unwrap());
        let members = Arc::new(Members::default());
        let engine = engine::start(&members, tls).await.unwrap();
        let limits = Limits {
            query_seconds: 60,
            ..Limits::default()
        };
        let jobs = Jobs::new(engine.clone(), members.clone(), Arc::default(), &limits);
        let told = Arc::new(Told::default());
        let guard = GuardedScheduler::new(
            engine.clone(),
            members.clone(),
            told.clone(),
            signer.clone(),
            jobs.clone(),
            MOST_SLOTS,
        );
        Self {
            renewals: Renewals::new(engine.clone(), members.clone(), signer),
            members,
            engine,
            jobs,
            guard,
            told,
            _pki: pki,
        }
    }

    /// Lets an executor be a member for as long as its orders are kept.
    pub(crate) fn join(&self, id: &str) -> mpsc::Receiver<Order> {
        self.members.join(id).unwrap()
    }

    /// Reports for a member, and asks for work for it.
    pub(crate) async fn poll(
        &self,
        id: &str,
        free: u32,
        reports: Vec<pb::TaskStatus>,
    ) -> Result<Vec<pb::TaskDefinition>, Status> {
        let mut request = Request::new(asking(id, free, reports));
        let name = id.split(':').next().unwrap_or_default();
        request.extensions_mut().insert(Peer {
            principal: Principal::executor(DOMAIN, name).unwrap(),
            address: ([127, 0, 0, 1], 1).into(),
            presence: Presence::default(),
        });
        let answer = SchedulerGrpc::poll_work(&self.guard, request).await?;
        Ok(answer.into_inner().tasks)
    }

    /// Starts a query of one task.
    pub(crate) async fn start(&self) -> Arc<Query> {
        let (alice, id) = (person("alice"), QueryId::new());
        self.jobs.submit(&alice, id, one_task(id)).await.unwrap();
        self.jobs.get(&alice, &id).unwrap()
    }

    /// The task that a member is handed next.
    pub(crate) async fn task(&self, member: &str) -> pb::TaskDefinition {
        let handed = async {
            loop {
                if let Some(task) = self.poll(member, 1, Vec::new()).await.unwrap().pop() {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon(handed).await
    }
}

/// What is waited for, which is soon there.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

/// What an executor of four slots says when it asks for work.
pub(crate) fn asking(id: &str, free: u32, reports: Vec<pb::TaskStatus>) -> pb::PollWorkParams {
    pb::PollWorkParams {
        metadata: Some(registration(id)),
        num_free_vcores: free,
        task_status: reports,
    }
}

/// An executor of four slots.
pub(crate) fn registration(id: &str) -> pb::ExecutorRegistration {
    let slots = pb::executor_resource::Resource::Vcores(4);
    let slots = pb::ExecutorResource { resource: Some(slots) };
    pb::ExecutorRegistration {
        id: id.to_owned(),
        host: Some("127.0.0.1".to_owned()),
        port: 1,
        grpc_port: 1,
        specification: Some(pb::ExecutorSpecification { resources: vec![slots] }),
        os_info: Some(pb::ExecutorOperatingSystemSpecification::default()),
        ballista_protocol_version: BALLISTA_PROTOCOL_VERSION,
    }
}

/// A task's success, as its executor reports it.
pub(crate) fn done(task: &pb::TaskDefinition, executor: &str) -> pb::TaskStatus {
    let partition = pb::ShuffleWritePartition {
        partition_id: 0,
        num_batches: 1,
        num_rows: 1,
        num_bytes: 1,
        file_id: Some(u64::from(task.task_id)),
        is_sort_shuffle: false,
    };
    let done = pb::SuccessfulTask {
        executor_id: executor.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    ended(task, pb::task_status::Status::Successful(done))
}

/// A task that could not fetch a partition.
pub(crate) fn fetch_failed(task: &pb::TaskDefinition) -> pb::TaskStatus {
    let reason = pb::failed_task::FailedReason::FetchPartitionError(pb::FetchPartitionError::default());
    let failed = pb::FailedTask {
        failed_reason: Some(reason),
        ..Default::default()
    };
    ended(task, pb::task_status::Status::Failed(failed))
}

fn ended(task: &pb::TaskDefinition, end: pb::task_status::Status) -> pb::TaskStatus {
    pb::TaskStatus {
        job_id: task.job_id.clone(),
        stage_id: task.stage_id,
        task_id: task.task_id,
        stage_attempt_num: task.stage_attempt_num,
        status: Some(end),
        ..Default::default()
    }
}

/// A query of one row, which reads nothing.
fn one_task(query: QueryId) -> Submission {
    let terms = Terms {
        query: query.to_string(),
        sub: person("alice"),
        datasets: Opened::default(),
        exp: ends_after(Duration::from_secs(60)),
    };
    let options = TaskOptions {
        terms: terms.encode(),
        grant: String::new(),
    };
    let config = engine_config().with_option_extension(options);
    let state = engine_state(config, Arc::new(RuntimeEnv::default())).unwrap();
    let plan = LogicalPlanBuilder::values(vec![vec![lit(1)]]);
    let plan = plan.and_then(LogicalPlanBuilder::build).unwrap();
    Submission {
        context: Arc::new(SessionContext::new_with_state(state)),
        plan: plan.clone(),
        optimized: plan,
        opens: Opened::default(),
        partitions: 1,
        together: 1,
    }
}
