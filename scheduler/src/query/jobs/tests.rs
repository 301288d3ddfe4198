//! Queries belong to their owners, are limited in number, and end when a grant does.

#![allow(clippy::unwrap_used, clippy::panic)]

use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlanBuilder;
use parcours_cluster::task_grant::Opened;
use parcours_identity::testing::TestPki;
use parcours_identity::{ClientTls, Expects};
use parcours_keys::ColumnClass;

use super::*;
use crate::engine;
use crate::query::testing::{person, reading};

/// Jobs of a scheduler without executors, `per_person` at once.
async fn jobs(per_person: usize) -> Arc<Jobs> {
    parcours_identity::install_crypto_provider();
    let pki = TestPki::new("hospital.example").unwrap();
    let files = pki.scheduler_client().unwrap();
    let tls = ClientTls::open(files, pki.trust_domain(), Expects::AnyExecutor).unwrap();
    let members = Arc::new(Members::default());
    let engine = engine::start(&members, tls).await.unwrap();
    let limits = Limits {
        query_seconds: 60,
        queries_per_person: per_person,
        ..Limits::default()
    };
    Jobs::new(engine, members, Arc::default(), &limits)
}

fn submission() -> Submission {
    Submission {
        context: Arc::new(SessionContext::new()),
        plan: LogicalPlanBuilder::empty(true).build().unwrap(),
        optimized: LogicalPlanBuilder::empty(true).build().unwrap(),
        opens: Opened::default(),
        partitions: 1,
        together: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_its_owners() {
    let jobs = jobs(1).await;
    let (alice, bob, id) = (person("alice"), person("bob"), QueryId::new());
    jobs.enter_local(&alice, id, Vec::new());
    assert_eq!(jobs.get(&alice, &id).unwrap().id, id);
    for (who, id) in [(&bob, id), (&alice, QueryId::new())] {
        let refusal = jobs.get(who, &id).err().unwrap();
        // Somebody else's query and one that never was are answered alike.
        assert!(
            matches!(refusal, QueryError::NotFound { kind: "query", .. }),
            "{refusal}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_read_once() {
    let jobs = jobs(1).await;
    let (alice, id) = (person("alice"), QueryId::new());
    jobs.enter_local(&alice, id, Vec::new());
    let query = jobs.get(&alice, &id).unwrap();
    query.take().unwrap();
    assert!(query.take().unwrap_err().to_string().contains("can be read once"));
}

/// Its end is remembered for a while, its rows are not.
#[tokio::test(flavor = "multi_thread")]
async fn results_that_are_released_are_kept_no_longer() {
    let jobs = jobs(1).await;
    let alice = person("alice");
    for ended in ["read", "cancelled"] {
        let id = QueryId::new();
        jobs.enter_local(&alice, id, vec![FlightData::default()]);
        let query = jobs.get(&alice, &id).unwrap();
        let Standing::Local(messages) = query.standing() else {
            panic!("its rows are here");
        };
        let kept = Arc::downgrade(&messages);
        drop(messages);
        assert_eq!(kept.strong_count(), 1);
        match ended {
            "read" => jobs.release(&query),
            _ => jobs.cancel(&query).await,
        }
        assert_eq!(kept.strong_count(), 0, "{ended}");
        let progress = jobs.progress(&query).await.unwrap();
        assert_eq!(progress.phase, Phase::Finished);
        let told = jobs.error_of(&query, &query.standing()).to_string();
        assert!(
            told.contains("no longer kept"),
            "a reader that comes too late is told: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_executor_nothing_is_submitted() {
    let jobs = jobs(1).await;
    let (alice, id) = (person("alice"), QueryId::new());
    let refusal = jobs.submit(&alice, id, submission()).await.unwrap_err();
    assert!(matches!(refusal, QueryError::Unavailable { .. }), "{refusal}");
    assert!(jobs.get(&alice, &id).is_err() && jobs.running() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_runs_so_many_queries_and_others_run_theirs() {
    let jobs = jobs(2).await;
    let _orders = jobs.members.join("executor-1:ab").unwrap();
    let (alice, bob) = (person("alice"), person("bob"));
    let own: Vec<_> = (0..2)
        .map(|_| jobs.enter(&alice, QueryId::new(), Some(submission())))
        .collect();
    let refusal = jobs.check_room(&alice).unwrap_err();
    assert!(matches!(refusal, QueryError::ResourcesExhausted { .. }), "{refusal}");
    jobs.check_room(&bob).unwrap();
    own[0].end(Standing::Cancelled);
    jobs.check_room(&alice).unwrap();
}

/// A class that is taken from a person ends what reads it, of theirs alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_granted_is_ended() {
    let jobs = jobs(4).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |classes: &str| {
        let entry = |name| format!("[\"spiffe://hospital.example/user/{name}\"]\nclaims = {classes}\n");
        std::fs::write(file.path(), entry("alice") + &entry("bob")).unwrap();
    };
    write("[\"plain\", \"health\"]");
    let access = Access::open(file.path()).unwrap();
    let enter = |who, class| {
        let submission = Submission {
            opens: reading(class),
            ..submission()
        };
        jobs.enter(&person(who), QueryId::new(), Some(submission))
    };
    let (health, plain) = (enter("alice", ColumnClass::Health), enter("bob", ColumnClass::Plain));
    let kept = tokio::spawn({
        let jobs = jobs.clone();
        async move { jobs.keep_within(&access).await }
    });
    tokio::time::sleep(LOOK_AT_ACCESS * 3).await;
    assert!(health.runs() && plain.runs(), "nothing was taken yet");
    write("[\"plain\"]");
    let ended = tokio::time::timeout(Duration::from_secs(10), health.ended())
        .await
        .unwrap();
    match ended {
        Standing::Withdrawn(why) => assert_eq!(&*why, "you are no longer granted class health of dataset claims"),
        other => panic!("ended otherwise: {other:?}"),
    }
    assert!(plain.runs(), "it reads nothing of the class");
    kept.abort();
    jobs.withdraw(&plain, "the project has ended".into()).await;
    assert!(!plain.runs(), "it ends at the first word of it");
}
