//! A query followed by polling.

use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightDescriptor, PollInfo,
    sql::{Any, CommandGetTableTypes, CommandStatementQuery, ProstMessageExt, TicketStatementQuery},
};
use prost::Message;
use tonic::{Code, Status};

use super::{Client, House, fetch};

async fn poll(client: &mut Client, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
    Ok(client.inner_mut().poll_flight_info(descriptor).await?.into_inner())
}

fn statement() -> FlightDescriptor {
    let command = CommandStatementQuery {
        query: "select id from personnes".into(),
        transaction_id: None,
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

#[tokio::test]
async fn progress_grows_until_there_is_a_ticket() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let mut answer = poll(&mut client, statement()).await.unwrap();
    let mut progress = vec![answer.progress];
    while let Some(next) = answer.flight_descriptor.take() {
        assert_eq!(answer.info.unwrap().endpoint, []);
        answer = poll(&mut client, next).await.unwrap();
        progress.push(answer.progress);
    }
    assert_eq!(progress, [None, Some(0.25), Some(0.5), Some(0.75), Some(1.0)]);
    assert_eq!(fetch(&mut client, answer.info.unwrap()).await.num_rows(), 4);
    assert_eq!(house.service.prepared(), 1);
}

#[tokio::test]
async fn polling_is_for_its_owner_and_opens_nothing_else() {
    let house = House::open().await;
    let (mut alice, mut bob) = (house.user("alice").await, house.user("bob").await);
    let answer = poll(&mut alice, statement()).await.unwrap();
    let next = answer.flight_descriptor.unwrap();
    assert_eq!(
        poll(&mut bob, next.clone()).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let mut altered = next.clone();
    altered.cmd = [&next.cmd[..next.cmd.len() - 6], &[0; 6]].concat().into();
    assert_eq!(
        poll(&mut alice, altered).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    // What polls does not read.
    let ticket = TicketStatementQuery {
        statement_handle: answer.info.unwrap().app_metadata,
    };
    let read = alice
        .inner_mut()
        .do_get(arrow_flight::Ticket::new(ticket.as_any().encode_to_vec()))
        .await;
    assert_eq!(read.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_query_that_is_polled_can_be_cancelled() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let answer = poll(&mut client, statement()).await.unwrap();
    let request = CancelFlightInfoRequest::new(answer.info.unwrap());
    client
        .do_action(Action::new("CancelFlightInfo", request.encode_to_vec()))
        .await
        .unwrap();
    assert_eq!(house.service.stopped().len(), 1);
    let next = poll(&mut client, answer.flight_descriptor.unwrap()).await.unwrap_err();
    assert_eq!(
        (next.code(), next.message().contains("cancelled")),
        (Code::FailedPrecondition, true)
    );
}

#[tokio::test]
async fn metadata_is_complete_at_once() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let any: Any = CommandGetTableTypes {}.as_any();
    let answer = poll(&mut client, FlightDescriptor::new_cmd(any.encode_to_vec()))
        .await
        .unwrap();
    assert_eq!((answer.flight_descriptor, answer.progress), (None, Some(1.0)));
    assert_eq!(answer.info.unwrap().endpoint.len(), 1);
}
