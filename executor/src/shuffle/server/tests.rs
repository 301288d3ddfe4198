//! Who is given which partitions: executors what their tasks read, by the grants of these, the scheduler every result.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use parcours_cluster::task_grant::{Assignment, Opened, TaskGrant, Terms, ends_after};
use parcours_identity::pki::{InitOptions, Pki, Request as Certificate};
use parcours_identity::{ClientTls, Expects, Peer, Presence, Principal, Signer};
use tonic::Code;

use super::*;

const DOMAIN: &str = "hospital.example";
const BYTES: &[u8] = b"of a partition";

/// An executor with a partition of stages 1 and 2 of jobs `a` and `b`, and the scheduler that signs.
struct Site {
    folder: tempfile::TempDir,
    pki: Pki,
    server: PartitionServer,
}

impl Site {
    fn new() -> Self {
        parcours_identity::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
        pki.issue(Certificate::signing(Principal::scheduler(DOMAIN).unwrap(), "signing"))
            .unwrap();
        let executor = Principal::executor(DOMAIN, "executor-1").unwrap();
        pki.issue(Certificate::client(executor, "executor")).unwrap();
        let tls = ClientTls::open(pki.tls_files("executor"), DOMAIN, Expects::AnyExecutor).unwrap();
        let store = PartitionStore::open(&folder.path().join("partitions"), 1 << 20, 1 << 20).unwrap();
        for (job, stage) in [("a", 1), ("a", 2), ("b", 1), ("b", 2)] {
            let mut writer = store.create(&partition(job, stage)).unwrap();
            writer.write_all(BYTES).unwrap();
            writer.finish().unwrap();
        }
        let server = PartitionServer {
            store: Arc::new(store),
            grants: KnownGrants::new(tls.signatures()),
            #[cfg(feature = "measure-plain")]
            stock: None,
        };
        Self { folder, pki, server }
    }

    /// A grant of the scheduler's for a task of job `a` on executor 2, which reads stage 1.
    fn token(&self) -> String {
        self.until(ends_after(Duration::from_secs(60)))
    }

    fn until(&self, exp: u64) -> String {
        let signer = Signer::open(self.pki.tls_files("signing"), DOMAIN).unwrap();
        let terms = Terms {
            query: "q1".into(),
            sub: Principal::user(DOMAIN, "alice").unwrap(),
            datasets: Opened::default(),
            exp,
        };
        let assignment = Assignment {
            job: "a".to_owned(),
            executor: "executor-2:cd".to_owned(),
            stage: 3,
            inputs: BTreeSet::from([1]),
        };
        TaskGrant::sign(&signer, terms, assignment).unwrap()
    }

    /// What an executor is answered, that asks for a partition under a grant.
    async fn fetch(&self, executor: &str, grant: &str, partition: PartitionKey) -> Result<Vec<u8>, Status> {
        let fetch = Fetch {
            grant: grant.to_owned(),
            partition,
        };
        self.ask(Principal::executor(DOMAIN, executor).unwrap(), fetch.encode())
            .await
    }

    async fn ask(&self, who: Principal, body: Vec<u8>) -> Result<Vec<u8>, Status> {
        let results = self.server.action(from(who, Action::new(FETCH, body))).await?;
        let chunks: Vec<_> = results.try_collect().await?;
        Ok(chunks.into_iter().flat_map(|chunk| chunk.body).collect())
    }
}

fn from<T>(who: Principal, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Peer {
        principal: who,
        address: ([127, 0, 0, 1], 1).into(),
        presence: Presence::default(),
    });
    request
}

fn partition(job: &str, stage: usize) -> PartitionKey {
    PartitionKey {
        job: job.to_owned(),
        stage,
        partition: 0,
        task: 0,
    }
}

#[tokio::test]
async fn an_executor_fetches_what_its_task_reads_and_nothing_else() {
    let site = Site::new();
    let token = site.token();
    assert_eq!(
        site.fetch("executor-2", &token, partition("a", 1)).await.unwrap(),
        BYTES
    );
    for (executor, job, stage, said) in [
        ("executor-2", "b", 1, "belongs to another job"),
        ("executor-2", "a", 2, "belongs to another stage"),
        ("executor-3", "a", 1, "belongs to another executor"),
        ("executor-1", "a", 1, "belongs to another executor"),
    ] {
        let refusal = site.fetch(executor, &token, partition(job, stage)).await.unwrap_err();
        assert_eq!(refusal.code(), Code::PermissionDenied, "{executor} {job} {stage}");
        assert!(refusal.message().contains(said), "{said}: {refusal}");
    }
    // All the same under a token that is known by now.
    assert_eq!(site.server.grants.count(), 1);
    assert_eq!(
        site.fetch("executor-2", &token, partition("a", 1)).await.unwrap(),
        BYTES
    );
}

#[tokio::test]
async fn nothing_is_fetched_under_no_grant() {
    let site = Site::new();
    let over = site.until(ends_after(Duration::ZERO) - 60);
    let mut altered = site.token();
    altered.replace_range(altered.len() - 8..altered.len() - 4, "AAAA");
    let executor = || Principal::executor(DOMAIN, "executor-2").unwrap();
    for token in ["", "no token", &altered, &over] {
        let refusal = site.fetch("executor-2", token, partition("a", 1)).await.unwrap_err();
        assert_eq!(refusal.code(), Code::PermissionDenied, "{token}");
    }
    // As it was asked for when the certificate was enough.
    let bare = site.ask(executor(), partition("a", 1).encode()).await.unwrap_err();
    assert_eq!(bare.code(), Code::InvalidArgument);
    assert_eq!(site.server.grants.count(), 0, "what is refused is not remembered");
}

#[tokio::test]
async fn a_grant_of_another_authority_fetches_nothing() {
    let site = Site::new();
    let others = Pki::init(&site.folder.path().join("others"), DOMAIN, InitOptions::default()).unwrap();
    others
        .issue(Certificate::signing(Principal::scheduler(DOMAIN).unwrap(), "signing"))
        .unwrap();
    let forged = Site {
        pki: others,
        ..Site::new()
    }
    .token();
    let refusal = site.fetch("executor-2", &forged, partition("a", 1)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn the_scheduler_has_results_by_its_role_and_fetches_nothing() {
    let site = Site::new();
    let scheduler = || Principal::scheduler(DOMAIN).unwrap();
    let fetch = Fetch {
        grant: site.token(),
        partition: partition("a", 1),
    };
    let refusal = site.ask(scheduler(), fetch.encode()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::PermissionDenied);
    let ticket = || Ticket {
        ticket: partition("a", 1).encode().into(),
    };
    assert!(site.server.ticket(from(scheduler(), ticket())).await.is_ok());
    let executor = Principal::executor(DOMAIN, "executor-2").unwrap();
    let refusal = site.server.ticket(from(executor, ticket())).await.err().unwrap();
    assert_eq!(refusal.code(), Code::PermissionDenied);
}
