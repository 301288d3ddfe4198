//! Abuse of tickets: each kind is refused, with its own sentence, and reads nothing.

use std::time::Duration;

use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightInfo, Ticket,
    error::FlightError,
    sql::{ActionCancelQueryRequest, Any, ProstMessageExt, TicketStatementQuery},
};
use bytes::Bytes;
use futures::TryStreamExt;
use parcours_identity::Accepts;
use prost::Message;
use tonic::Code;

use super::{super::FrontOptions, Client, House, assert_refused, fetch};

async fn started(client: &mut Client) -> FlightInfo {
    client.execute("select id from personnes".into(), None).await.unwrap()
}

fn signed(info: &FlightInfo) -> Vec<u8> {
    let any = Any::decode(&*info.endpoint[0].ticket.as_ref().unwrap().ticket).unwrap();
    any.unpack::<TicketStatementQuery>()
        .unwrap()
        .unwrap()
        .statement_handle
        .to_vec()
}

async fn redeem(client: &mut Client, handle: Vec<u8>) -> Result<usize, FlightError> {
    let ticket = TicketStatementQuery {
        statement_handle: handle.into(),
    }
    .as_any()
    .encode_to_vec();
    let batches = client
        .do_get(Ticket::new(ticket))
        .await?
        .try_collect::<Vec<_>>()
        .await?;
    Ok(batches.iter().map(|batch| batch.num_rows()).sum())
}

#[tokio::test]
async fn a_forged_ticket_is_refused() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let ticket = signed(&started(&mut client).await);
    let says = "not issued by this server or was altered";
    for position in 0..ticket.len() {
        let mut forged = ticket.clone();
        forged[position] ^= 0x20;
        assert_refused(redeem(&mut client, forged).await, Code::InvalidArgument, says);
    }
    for length in [0, 1, 31, 32, 57, ticket.len() - 1] {
        assert_refused(
            redeem(&mut client, ticket[..length].to_vec()).await,
            Code::InvalidArgument,
            says,
        );
    }
    assert_eq!(redeem(&mut client, ticket).await.unwrap(), 4);
}

#[tokio::test]
async fn a_ticket_of_another_server_is_refused() {
    let (house, other) = (House::open().await, House::open().await);
    let ticket = signed(&started(&mut other.user("alice").await).await);
    assert_refused(
        redeem(&mut house.user("alice").await, ticket).await,
        Code::InvalidArgument,
        "run the query again",
    );
}

#[tokio::test]
async fn a_ticket_of_someone_else_is_refused() {
    let house = House::open().await;
    let (mut alice, mut bob) = (house.user("alice").await, house.user("bob").await);
    let ticket = signed(&started(&mut alice).await);
    assert_refused(
        redeem(&mut bob, ticket.clone()).await,
        Code::PermissionDenied,
        "issued to someone else",
    );
    assert_eq!(redeem(&mut alice, ticket).await.unwrap(), 4);
}

#[tokio::test]
async fn a_ticket_is_good_once() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let ticket = signed(&started(&mut client).await);
    assert_eq!(redeem(&mut client, ticket.clone()).await.unwrap(), 4);
    assert_refused(
        redeem(&mut client, ticket).await,
        Code::FailedPrecondition,
        "already used",
    );
}

#[tokio::test]
async fn of_many_who_redeem_at_once_one_reads() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let ticket = signed(&started(&mut client).await);
    let attempts = (0..16).map(|_| {
        let (mut client, ticket) = (client.clone(), ticket.clone());
        tokio::spawn(async move { redeem(&mut client, ticket).await.is_ok() })
    });
    let read = futures::future::join_all(attempts).await;
    assert_eq!(read.into_iter().filter(|read| *read.as_ref().unwrap()).count(), 1);
}

#[tokio::test]
async fn an_expired_ticket_is_refused_and_its_query_stopped() {
    let options = FrontOptions {
        ticket_life: Duration::from_millis(100),
        ..FrontOptions::default()
    };
    let house = House::with(Accepts::Users, options).await;
    let mut client = house.user("alice").await;
    let ticket = signed(&started(&mut client).await);
    house.stopped(1).await;
    assert_refused(
        redeem(&mut client, ticket).await,
        Code::FailedPrecondition,
        "has expired",
    );
}

#[tokio::test]
async fn a_query_whose_client_went_away_unread_is_stopped() {
    let house = House::with(Accepts::Users, parting()).await;
    let mut client = house.user("alice").await;
    let ticket = signed(&started(&mut client).await);
    tokio::time::sleep(PARTING * 3).await;
    assert_eq!(house.service.stopped(), [], "the client is still here");
    drop(client);
    house.stopped(1).await;
    assert_refused(
        redeem(&mut house.user("alice").await, ticket).await,
        Code::FailedPrecondition,
        "cancelled",
    );
}

#[tokio::test]
async fn a_query_whose_client_went_away_before_it_was_told_is_stopped() {
    let house = House::with(Accepts::Users, parting()).await;
    let mut client = house.user("alice").await;
    let held = house.service.hold_starts().await;
    tokio::select! {
        _ = started(&mut client) => panic!("the start is held back"),
        () = entered(&house) => {}
    }
    drop(client);
    tokio::time::sleep(PARTING).await;
    drop(held);
    house.stopped(1).await;
}

async fn entered(house: &House) {
    while house.service.started() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn another_connection_may_take_over_in_time() {
    let house = House::with(Accepts::Users, FrontOptions::default()).await;
    let mut first = house.user("alice").await;
    let ticket = signed(&started(&mut first).await);
    drop(first);
    assert_eq!(redeem(&mut house.user("alice").await, ticket).await.unwrap(), 4);
    assert_eq!(house.service.stopped(), []);
}

const PARTING: Duration = Duration::from_millis(200);

/// Queries that their client leaves end soon; their tickets would last much longer.
fn parting() -> FrontOptions {
    FrontOptions {
        ticket_life: Duration::from_secs(60),
        after_parting: PARTING,
    }
}

#[tokio::test]
async fn a_query_is_cancelled_by_its_owner_only() {
    let house = House::open().await;
    let (mut alice, mut bob) = (house.user("alice").await, house.user("bob").await);
    let info = started(&mut alice).await;
    let cancel = Action::new(
        "CancelFlightInfo",
        CancelFlightInfoRequest::new(info.clone()).encode_to_vec(),
    );
    assert_refused(
        bob.do_action(cancel.clone()).await,
        Code::PermissionDenied,
        "issued to someone else",
    );
    assert_eq!(house.service.stopped(), []);
    let answer = alice.do_action(cancel).await.unwrap().message().await.unwrap().unwrap();
    assert_eq!(answer.body, Bytes::from_static(&[8, 1]), "status 1 is cancelled");
    assert_eq!(house.service.stopped().len(), 1);
    assert_refused(
        redeem(&mut alice, signed(&info)).await,
        Code::FailedPrecondition,
        "cancelled",
    );
}

#[tokio::test]
async fn the_older_action_cancels_too() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let info = started(&mut client).await;
    let request = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let action = Action::new("CancelQuery", request.as_any().encode_to_vec());
    let body = client
        .do_action(action)
        .await
        .unwrap()
        .message()
        .await
        .unwrap()
        .unwrap()
        .body;
    let any = Any::decode(&*body).unwrap();
    assert_eq!(
        any.unpack::<arrow_flight::sql::ActionCancelQueryResult>()
            .unwrap()
            .unwrap()
            .result,
        1
    );
    assert_eq!(house.service.stopped().len(), 1);
    let nothing = ActionCancelQueryRequest {
        info: FlightInfo::new().encode_to_vec().into(),
    };
    let nothing = Action::new("CancelQuery", nothing.as_any().encode_to_vec());
    assert_refused(
        client.do_action(nothing).await,
        Code::InvalidArgument,
        "not issued by this server",
    );
}

#[tokio::test]
async fn a_ticket_is_needed_for_each_reading() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    for _ in 0..3 {
        let info = started(&mut client).await;
        assert_eq!(fetch(&mut client, info).await.num_rows(), 4);
    }
    assert_eq!(house.service.stopped(), []);
}
