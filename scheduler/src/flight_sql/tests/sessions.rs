//! Session actions, as JDBC and ADBC send them.

use std::collections::HashMap;

use arrow_flight::Action;
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;

use super::{
    super::session::{
        CLOSE, CloseSessionResult, CloseStatus, GET, GetSessionOptionsResult, OptionErrorValue, OptionValue, SET,
        SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult,
    },
    Client, House, assert_refused,
};

async fn act<M: Message + Default>(client: &mut Client, name: &str, body: Vec<u8>) -> M {
    let body = client
        .do_action(Action::new(name, body))
        .await
        .unwrap()
        .message()
        .await
        .unwrap()
        .unwrap()
        .body;
    M::decode(&*body).unwrap()
}

async fn set(client: &mut Client, name: &str, value: Option<OptionValue>) -> Option<i32> {
    let value = SessionOptionValue { option_value: value };
    let request = SetSessionOptionsRequest {
        session_options: HashMap::from([(name.to_owned(), value)]),
    };
    let result = act::<SetSessionOptionsResult>(client, SET, request.encode_to_vec()).await;
    result.errors.get(name).map(|error| error.value)
}

fn text(value: &str) -> Option<OptionValue> {
    Some(OptionValue::String(value.to_owned()))
}

#[tokio::test]
async fn options_are_accepted_where_they_name_what_is_so() {
    let house = House::open().await;
    let (mut alice, mut bob) = (house.user("alice").await, house.user("bob").await);
    let error = |value: OptionErrorValue| Some(value as i32);
    assert_eq!(set(&mut bob, "catalog", text("parcours")).await, None);
    assert_eq!(
        set(&mut bob, "catalog", text("other")).await,
        error(OptionErrorValue::InvalidValue)
    );
    assert_eq!(
        set(&mut bob, "catalog", Some(OptionValue::Int64(1))).await,
        error(OptionErrorValue::InvalidValue)
    );
    assert_eq!(set(&mut bob, "schema", text("snds")).await, None);
    assert_eq!(
        set(&mut bob, "schema", text("omop")).await,
        error(OptionErrorValue::InvalidValue)
    );
    assert_eq!(
        set(&mut alice, "schema", text("omop")).await,
        error(OptionErrorValue::Error)
    );
    assert_eq!(set(&mut alice, "schema", None).await, None);
    assert_eq!(
        set(&mut alice, "colour", text("red")).await,
        error(OptionErrorValue::InvalidName)
    );
}

#[tokio::test]
async fn options_are_told_and_a_session_closes() {
    let house = House::open().await;
    let mut client = house.user("bob").await;
    let options = act::<GetSessionOptionsResult>(&mut client, GET, Vec::new())
        .await
        .session_options;
    let told = |name: &str| options[name].option_value.clone();
    assert_eq!(
        (told("catalog"), told("schema"), options.len()),
        (text("parcours"), text("snds"), 2)
    );
    let closed = act::<CloseSessionResult>(&mut client, CLOSE, Vec::new()).await;
    assert_eq!(closed.status, CloseStatus::Closed as i32);
}

/// The bytes of `{"catalog": "parcours"}` by the wire format of the protocol's own definition: field 1, an entry of key
/// (field 1) and value (field 2), whose text is field 1.
#[tokio::test]
async fn the_messages_are_those_of_the_protocol() {
    let house = House::open().await;
    let mut client = house.user("bob").await;
    let value = [&[0x0a, 8], "parcours".as_bytes()].concat();
    let entry = [&[0x0a, 7], "catalog".as_bytes(), &[0x12, value.len() as u8], &value].concat();
    let request = [&[0x0a, entry.len() as u8], entry.as_slice()].concat();
    let result = client
        .do_action(Action::new(SET, request))
        .await
        .unwrap()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(result.body.len(), 0, "no errors is an empty message");
}

#[tokio::test]
async fn actions_are_listed_and_others_refused() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let listed = client
        .inner_mut()
        .list_actions(arrow_flight::Empty {})
        .await
        .unwrap()
        .into_inner();
    let names = listed
        .map_ok(|action| action.r#type)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    assert_eq!(
        names,
        [
            "CreatePreparedStatement",
            "ClosePreparedStatement",
            "CancelFlightInfo",
            "CancelQuery",
            "SetSessionOptions",
            "GetSessionOptions",
            "CloseSession"
        ]
    );
    assert_refused(
        client.do_action(Action::new("Reboot", "")).await,
        Code::Unimplemented,
        "no such action",
    );
    assert_refused(
        client.do_action(Action::new("CancelQuery", "?")).await,
        Code::InvalidArgument,
        "not a flight sql",
    );
}
