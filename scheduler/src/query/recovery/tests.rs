//! Queries under which executors are lost.

#![allow(clippy::unwrap_used)]

use parcours_cluster::orders::Order;

use super::*;
use crate::internal::testing::{House, ONE, TWO, done, soon};
use crate::port::QueryError;

/// Its third attempt would take the next executor along.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_tried_no_more_when_two_executors_were_lost_under_it() {
    let house = House::open().await;
    let _orders = [house.join(ONE), house.join(TWO)];
    let (query, other) = (house.start().await, house.start().await);
    for announced in [true, true, false] {
        house.task(ONE).await;
        house.task(ONE).await;
        house.jobs.executor_lost(ONE, announced).await;
        assert!(query.runs() && other.runs(), "one loss is no proof");
    }
    assert!(query.is_attempt(4) && other.is_attempt(4));

    // Whoever computes nothing of a query is not lost under it.
    house.jobs.executor_lost(TWO, false).await;
    assert!(query.is_attempt(4) && other.is_attempt(4));

    house.task(TWO).await;
    house.jobs.executor_lost(TWO, false).await;
    let ended = [query, other]
        .into_iter()
        .filter(|query| !query.runs())
        .collect::<Vec<_>>();
    assert_eq!(ended.len(), 1, "the one that it computed");
    let standing = ended[0].standing();
    assert!(matches!(standing, Standing::LostUnder), "{standing:?}");
    let told = house.jobs.error_of(&ended[0], &standing).to_string();
    assert!(
        told.starts_with("2 executors were lost while they computed this query"),
        "{told}"
    );
    soon(ended[0].ended()).await;
}

#[test]
fn a_task_that_runs_is_more_than_partitions_that_are_left() {
    use ballista_core::serde::protobuf::{FailedTask, RunningTask, SuccessfulTask, task_status::Status};
    let (executor_id, executor) = (ONE.to_owned(), ONE);
    let running = Status::Running(RunningTask {
        executor_id: executor_id.clone(),
    });
    let done = Status::Successful(SuccessfulTask {
        executor_id,
        ..Default::default()
    });
    assert_eq!(share_in(&running, executor), Share::Task);
    assert_eq!(share_in(&done, executor), Share::Partitions);
    assert_eq!(
        share_in(&Status::Failed(FailedTask::default()), executor),
        Share::Nothing
    );
    assert!(
        [&running, &done]
            .into_iter()
            .all(|task| share_in(task, TWO) == Share::Nothing)
    );
    assert!(Share::Task > Share::Partitions && Share::Partitions > Share::Nothing);
}

/// Both executors were lost at once, and what was computed anew in between had no task that either of them took.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_nobody_took_a_task_of_ends_when_no_executor_comes() {
    let house = House::open().await;
    let orders = house.join(ONE);
    let query = house.start().await;
    let watched = tokio::spawn({
        let jobs = house.jobs.clone();
        async move { jobs.end_without_executors(Duration::from_millis(500)).await }
    });
    tokio::time::sleep(LOOK_AT_MEMBERS * 4).await;
    assert!(query.runs(), "there is an executor");
    drop(orders);
    house.members.order(&Order::Wake);
    house.jobs.executor_lost(ONE, false).await;
    assert!(query.runs(), "another may come");
    let standing = soon(query.ended()).await;
    assert!(matches!(standing, Standing::WithoutExecutor), "{standing:?}");
    let told = house.jobs.error_of(&query, &standing);
    assert!(matches!(told, QueryError::Unavailable { .. }), "{told}");
    watched.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_goes_on_with_an_executor_that_comes_in_time() {
    let house = House::open().await;
    let orders = house.join(ONE);
    let query = house.start().await;
    let watched = tokio::spawn({
        let jobs = house.jobs.clone();
        async move { jobs.end_without_executors(Duration::from_secs(2)).await }
    });
    drop(orders);
    house.members.order(&Order::Wake);
    let _orders = house.join(TWO);
    let task = house.task(TWO).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(query.runs());
    house.poll(TWO, 0, vec![done(&task, TWO)]).await.unwrap();
    assert!(matches!(soon(query.ended()).await, Standing::Done(_)));
    watched.abort();
}
