//! Executors that report what they should not: nothing of it reaches the engine. Should its event loop end all the same, that
//! is noticed.

#![allow(clippy::unwrap_used, clippy::panic)]

use ballista_core::serde::protobuf as pb;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use parcours_cluster::orders::Order;
use tonic::{Code, Request};

use super::testing::{House, MOST_SLOTS, ONE, TWO, asking, done, fetch_failed, registration, soon};
use crate::engine::takes_events;
use crate::query::standing::Standing;

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_hears_the_first_report_of_a_task_from_the_member_that_has_it() {
    let house = House::open().await;
    let _orders = [house.join(ONE), house.join(TWO)];
    let query = house.start().await;
    let task = house.task(ONE).await;
    let refused = || house.members.refusals().reports.get();

    let foreign = done(&task, TWO);
    house.poll(TWO, 0, vec![foreign]).await.unwrap();
    assert_eq!(refused(), 1, "another member's task");

    let no_such_task = pb::TaskStatus {
        task_id: 999,
        ..done(&task, ONE)
    };
    let of_no_stage = pb::TaskStatus {
        stage_id: 999,
        status: None,
        ..done(&task, ONE)
    };
    house.poll(ONE, 0, vec![no_such_task, of_no_stage]).await.unwrap();
    assert_eq!(refused(), 3, "tasks that there are not");
    assert!(query.runs());

    let twice = vec![done(&task, ONE), done(&task, ONE)];
    house.poll(ONE, 0, twice).await.unwrap();
    house.poll(ONE, 0, vec![done(&task, ONE)]).await.unwrap();
    assert_eq!(refused(), 5, "replayed");
    match soon(query.ended()).await {
        Standing::Done(partitions) => assert_eq!(partitions.len(), 1, "its rows come once"),
        other => panic!("ended otherwise: {other:?}"),
    }
    assert_eq!(house.told.partitions_of.lock().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_computed_anew_by_the_word_of_whoever_has_a_task_of_it() {
    let house = House::open().await;
    let _orders = [house.join(ONE), house.join(TWO)];
    let query = house.start().await;
    let task = house.task(ONE).await;
    let anew = || house.told.partitions_of.lock().clone();

    house.poll(TWO, 0, vec![fetch_failed(&task)]).await.unwrap();
    assert!(anew().is_empty(), "it has no task of the job");
    house.poll(ONE, 0, vec![fetch_failed(&task)]).await.unwrap();
    assert_eq!(anew(), std::slice::from_ref(&task.job_id));
    assert!(query.runs());

    // What cannot be is not believed, and its task is not waited for.
    let _another = house.start().await;
    let task = house.task(ONE).await;
    house.poll(ONE, 0, vec![done(&task, TWO)]).await.unwrap();
    assert_eq!(anew().last(), Some(&task.job_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_is_handed_what_it_can_have_room_for() {
    let house = House::open().await;
    let _orders = house.join(ONE);
    let room = |free| house.guard.room(&registration(ONE), free);
    assert_eq!((room(0), room(1)), (0, 1));
    assert_eq!(room(4) as usize, MOST_SLOTS, "it says that it has four slots");
    assert_eq!(room(u32::MAX) as usize, MOST_SLOTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_reports_on_nothing_is_handed_no_more() {
    let house = House::open().await;
    let _orders = house.join(ONE);
    let tasks = (0..16 * MOST_SLOTS as u32).map(|task_id| pb::TaskDefinition {
        task_id,
        ..Default::default()
    });
    let tasks = tasks.collect::<Vec<_>>();
    let room = || house.guard.room(&registration(ONE), 1);
    let long = std::time::Duration::from_secs(60);
    house.members.hand_out(ONE, &tasks[1..], long);
    assert_eq!(room(), 1);
    house.members.hand_out(ONE, &tasks[..1], long);
    assert_eq!(room(), 0);
    house.poll(ONE, 0, vec![done(&tasks[7], ONE)]).await.unwrap();
    assert_eq!(room(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_had_in_hand_is_gone_with_it() {
    let house = House::open().await;
    let orders = house.join(ONE);
    let query = house.start().await;
    let task = house.task(ONE).await;
    drop(orders);
    // The stream is gone; the next order finds out.
    house.members.order(&Order::Wake);
    let refusal = house.poll(ONE, 0, vec![done(&task, ONE)]).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    let _orders = house.join(ONE);
    house.poll(ONE, 0, vec![done(&task, ONE)]).await.unwrap();
    assert_eq!(house.members.refusals().reports.get(), 1);
    assert!(query.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_signed_anew_while_its_task_is_in_hand_and_its_job_runs() {
    let house = House::open().await;
    let mut orders = house.join(ONE);
    let query = house.start().await;
    let task = house.task(ONE).await;
    let mut renewed = || {
        house.renewals.renew(std::time::Duration::ZERO);
        let mut renewed = Vec::new();
        while let Ok(order) = orders.try_recv() {
            if let Order::Renew { job, stage, .. } = order {
                renewed.push((job, stage));
            }
        }
        renewed
    };
    let of_task = (task.job_id.clone(), task.stage_id as usize);
    assert_eq!(renewed(), std::slice::from_ref(&of_task));
    assert_eq!(renewed(), [of_task], "again");
    house.poll(ONE, 0, vec![done(&task, ONE)]).await.unwrap();
    assert!(renewed().is_empty(), "the task has ended");
    soon(query.ended()).await;

    // A member that reports on nothing keeps what it has until its job ends, and no longer.
    let query = house.start().await;
    let _task = house.task(ONE).await;
    assert_eq!(renewed().len(), 1);
    house.jobs.cancel(&query).await;
    soon(async {
        while !renewed().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_registered_by_a_beat_or_ended_by_a_word() {
    let house = House::open().await;
    let _orders = house.join(ONE);
    let beat = pb::HeartBeatParams {
        executor_id: ONE.to_owned(),
        metadata: Some(registration(TWO)),
        ..Default::default()
    };
    let beat = SchedulerGrpc::heart_beat_from_executor(&house.guard, Request::new(beat)).await;
    assert_eq!(beat.unwrap_err().code(), Code::PermissionDenied);
    let stopped = pb::ExecutorStoppedParams {
        executor_id: TWO.to_owned(),
        reason: String::new(),
    };
    let stopped = SchedulerGrpc::executor_stopped(&house.guard, Request::new(stopped)).await;
    assert_eq!(stopped.unwrap_err().code(), Code::PermissionDenied);
    let known = house.engine.state.executor_manager.get_executor_metadata(TWO).await;
    assert!(known.is_err());
}

/// Past the guard, a report of a task that there is not ends the engine's event loop.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_engines_event_loop_is_noticed_at_the_next_poll() {
    let house = House::open().await;
    let _orders = house.join(ONE);
    let _query = house.start().await;
    let task = house.task(ONE).await;
    assert!(takes_events(&house.engine).await);
    house.jobs.look_at_engine().await;
    let no_such_task = pb::TaskStatus {
        task_id: 999,
        ..done(&task, ONE)
    };
    let past_the_guard = Request::new(asking(ONE, 0, vec![no_such_task]));
    SchedulerGrpc::poll_work(&house.engine, past_the_guard).await.unwrap();
    soon(async {
        while house.poll(ONE, 0, Vec::new()).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    soon(house.jobs.engine_ended()).await;
    assert!(!takes_events(&house.engine).await);
}
