//! Statements and prepared statements, by each way that a statement can come.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use arrow_flight::{
    Action, FlightDescriptor, IpcMessage, SchemaResult,
    sql::{
        ActionBeginTransactionRequest, ActionCreatePreparedSubstraitPlanRequest, Command,
        CommandPreparedStatementQuery, CommandStatementIngest, CommandStatementQuery, ProstMessageExt,
    },
};
use futures::{StreamExt, stream};
use parcours_identity::Accepts;
use prost::Message;
use tonic::Code;

use super::{
    super::{FrontOptions, handle::LONGEST_STATEMENT},
    Client, House, assert_refused, fetch, query,
    query_service::{BIRTHS, people},
};

fn row(columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_from_iter(
        columns
            .into_iter()
            .enumerate()
            .map(|(i, column)| (format!("{i}"), column)),
    )
    .unwrap()
}

fn names_and_types(schema: &Schema) -> Vec<(&str, &DataType)> {
    schema
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), field.data_type()))
        .collect()
}

fn said<'a>(field: &'a Field, key: &str) -> Option<&'a str> {
    field
        .metadata()
        .get(&format!("ARROW:FLIGHT:SQL:{key}"))
        .map(String::as_str)
}

async fn get_schema(client: &mut Client, command: impl ProstMessageExt) -> Schema {
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let SchemaResult { schema } = client.inner_mut().get_schema(descriptor).await.unwrap().into_inner();
    IpcMessage(schema).try_into().unwrap()
}

#[tokio::test]
async fn a_statement_answers_its_rows_under_the_promised_schema() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let rows = query(&mut client, "select * from personnes order by id").await;
    assert_eq!(rows.columns(), people().columns());
    let schema = rows.schema();
    let names = schema
        .fields()
        .iter()
        .map(|field| said(field, "TYPE_NAME").unwrap())
        .collect::<Vec<_>>();
    assert_eq!(names, ["BIGINT", "VARCHAR", "DATE", "DECIMAL"]);
    assert_eq!(
        (said(schema.field(3), "PRECISION"), said(schema.field(3), "SCALE")),
        (Some("9"), Some("2"))
    );
    assert_eq!(
        query(&mut client, "select id from personnes where id > 9")
            .await
            .num_rows(),
        0
    );
}

#[tokio::test]
async fn question_marks_are_bound_and_converted() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let sql = "select id, '?' as mark from personnes where naissance >= ? and id < ? /* ? */ order by id desc";
    let mut statement = client.prepare(sql.into(), None).await.unwrap();
    let expected = [("$1", &DataType::Date32), ("$2", &DataType::Int64)];
    assert_eq!(names_and_types(statement.parameter_schema().unwrap()), expected);
    let dataset = statement.dataset_schema().unwrap().clone();
    assert_eq!(
        names_and_types(&dataset),
        [("id", &DataType::Int64), ("mark", &DataType::Utf8)]
    );

    let bound = vec![
        Arc::new(StringArray::from(vec!["1970-01-01"])) as ArrayRef,
        Arc::new(Float64Array::from(vec![4.0])),
    ];
    statement.set_parameters(row(bound)).unwrap();
    let info = statement.execute().await.unwrap();
    assert_eq!(info.clone().try_decode_schema().unwrap(), dataset);
    let rows = fetch(&mut client, info).await;
    let born_since = (1..=3)
        .rev()
        .filter(|id| BIRTHS[*id as usize - 1] >= 0)
        .collect::<Vec<i64>>();
    assert_eq!(rows.column(0).as_ref(), &Int64Array::from(born_since));

    let bound = vec![
        Arc::new(StringArray::from(vec!["2005-01-01"])) as ArrayRef,
        Arc::new(Int64Array::from(vec![9])),
    ];
    statement.set_parameters(row(bound)).unwrap();
    let info = statement.execute().await.unwrap();
    assert_eq!(
        fetch(&mut client, info).await.column(0).as_ref(),
        &Int64Array::from(vec![4])
    );
    statement.close().await.unwrap();
}

#[tokio::test]
async fn a_parameter_without_a_type_takes_that_of_its_value() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let mut statement = client.prepare("select $1 as it".into(), None).await.unwrap();
    assert_eq!(
        names_and_types(statement.parameter_schema().unwrap()),
        [("$1", &DataType::Null)]
    );
    statement
        .set_parameters(row(vec![Arc::new(Float64Array::from(vec![2.5]))]))
        .unwrap();
    let info = statement.execute().await.unwrap();
    assert_eq!(
        fetch(&mut client, info).await.column(0).as_ref(),
        &Float64Array::from(vec![2.5])
    );
}

#[tokio::test]
async fn the_schema_can_be_asked_for_alone() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let sql = "select naissance, count(*) as n from personnes where id > ? group by naissance";
    let statement = client.prepare(sql.into(), None).await.unwrap();
    let command = CommandStatementQuery {
        query: sql.into(),
        transaction_id: None,
    };
    assert_eq!(
        &get_schema(&mut client, command).await,
        statement.dataset_schema().unwrap()
    );
    assert_eq!(house.service.prepared(), 2);
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let mut statement = client
        .prepare("select id from personnes where id = ?".into(), None)
        .await
        .unwrap();
    assert_refused(
        statement.execute().await,
        Code::InvalidArgument,
        "has 1 parameters and 0 were bound",
    );
    for (bound, code, says) in [
        (
            row(vec![
                Arc::new(Int64Array::from(vec![1])),
                Arc::new(Int64Array::from(vec![2])),
            ]),
            Code::InvalidArgument,
            "1 parameters and 2",
        ),
        (
            row(vec![Arc::new(Float64Array::from(vec![1.5]))]),
            Code::InvalidArgument,
            "$1 expects Int64",
        ),
        (
            row(vec![Arc::new(Int64Array::from(vec![1, 2]))]),
            Code::Unimplemented,
            "several rows",
        ),
        (
            row(vec![Arc::new(Int64Array::from(Vec::<i64>::new()))]),
            Code::InvalidArgument,
            "no row",
        ),
    ] {
        statement.set_parameters(bound).unwrap();
        assert_refused(statement.execute().await, code, says);
    }
}

#[tokio::test]
async fn a_handle_is_of_use_to_its_owner_only() {
    let house = House::open().await;
    let (mut alice, mut bob) = (house.user("alice").await, house.user("bob").await);
    let run = async |client: &mut Client, prepared_statement_handle: Vec<u8>| {
        let command = CommandPreparedStatementQuery {
            prepared_statement_handle: prepared_statement_handle.into(),
        };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        client.inner_mut().get_flight_info(descriptor).await.map_err(Into::into)
    };
    let handle = handle(&mut alice, "select id from personnes where nom = 'Zoé'").await;
    assert!(!handle.windows(4).any(|text| text == "Zoé".as_bytes()));
    assert!(run(&mut alice, handle.clone()).await.is_ok());
    assert_refused(
        run(&mut bob, handle.clone()).await,
        Code::NotFound,
        "belongs to someone else",
    );
    for position in [0, 5, 20, handle.len() - 1] {
        let mut altered = handle.clone();
        altered[position] ^= 1;
        assert_refused(run(&mut alice, altered).await, Code::NotFound, "prepare it again");
    }
    assert_refused(run(&mut alice, Vec::new()).await, Code::NotFound, "prepare it again");
}

async fn handle(client: &mut Client, sql: &str) -> Vec<u8> {
    let request = arrow_flight::sql::ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    };
    let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
    let body = client
        .do_action(action)
        .await
        .unwrap()
        .message()
        .await
        .unwrap()
        .unwrap()
        .body;
    let any = arrow_flight::sql::Any::decode(&*body).unwrap();
    match Command::try_from(any).unwrap() {
        Command::ActionCreatePreparedStatementResult(result) => result.prepared_statement_handle.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_would_change_something_is_refused_by_every_way() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let says = "this server is read-only";
    for sql in [
        "insert into personnes select * from personnes",
        "create view v as select 1",
        "set datafusion.catalog.location = '/'",
    ] {
        assert_refused(client.execute(sql.into(), None).await, Code::PermissionDenied, says);
        assert_refused(client.prepare(sql.into(), None).await, Code::PermissionDenied, says);
    }
    assert_eq!(house.service.prepared(), 6);
    assert_refused(
        client.execute_update("select 1".into(), None).await,
        Code::PermissionDenied,
        says,
    );
    let mut statement = client.prepare("select 1".into(), None).await.unwrap();
    assert_refused(statement.execute_update().await, Code::PermissionDenied, says);
    let rows = stream::iter([Ok(people())]);
    let upload = client.execute_ingest(CommandStatementIngest::default(), rows).await;
    assert_refused(upload, Code::PermissionDenied, "an upload is refused");
    let begin = Action::new(
        "BeginTransaction",
        ActionBeginTransactionRequest {}.as_any().encode_to_vec(),
    );
    assert_refused(
        client.do_action(begin).await,
        Code::Unimplemented,
        "transactions are not supported",
    );
    let plan = ActionCreatePreparedSubstraitPlanRequest::default()
        .as_any()
        .encode_to_vec();
    assert_refused(
        client.do_action(Action::new("CreatePreparedSubstraitPlan", plan)).await,
        Code::Unimplemented,
        "sql",
    );
    let inside = client.execute("select 1".into(), Some("t".into())).await;
    assert_refused(inside, Code::InvalidArgument, "no transactions");
}

#[tokio::test]
async fn mistakes_have_their_code_and_sentence() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    for (sql, code, says) in [
        ("selec 1", Code::InvalidArgument, "syntax error"),
        ("select 'open", Code::InvalidArgument, "Unterminated"),
        ("select ?, $1", Code::InvalidArgument, "mixes ? and $n"),
        ("select nope from personnes", Code::InvalidArgument, "nope"),
        ("select 1 from nowhere", Code::NotFound, "nowhere"),
    ] {
        assert_refused(client.execute(sql.into(), None).await, code, says);
        assert_refused(client.prepare(sql.into(), None).await, code, says);
    }
    let long = format!("select '{}'", "x".repeat(LONGEST_STATEMENT));
    assert_refused(
        client.execute(long, None).await,
        Code::ResourceExhausted,
        "exceeds the limit",
    );
    let garbage = client
        .inner_mut()
        .get_flight_info(FlightDescriptor::new_cmd(vec![1, 2, 3]))
        .await;
    assert_eq!(garbage.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_reader_who_goes_away_stops_the_query() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let sql =
        "select a.value, b.value as other from generate_series(1, 100000) a cross join generate_series(1, 1000) b";
    let info = client.execute(sql.into(), None).await.unwrap();
    let mut results = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(results.next().await.unwrap().unwrap().num_rows() > 0);
    assert_eq!(house.service.stopped(), []);
    drop((results, client));
    house.stopped(1).await;
}

#[tokio::test]
async fn a_reader_who_reads_to_the_end_stops_nothing() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    assert_eq!(query(&mut client, "select 1").await.num_rows(), 1);
    assert_eq!(house.service.stopped(), []);
}

#[tokio::test]
async fn only_people_are_served() {
    let house = House::with(Accepts::Executors, FrontOptions::default()).await;
    let mut executor = house.client(house.pki.executor_client("e1").unwrap()).await;
    let says = "only people are served";
    assert_refused(
        executor.execute("select 1".into(), None).await,
        Code::PermissionDenied,
        says,
    );
    assert_refused(
        executor.prepare("select 1".into(), None).await,
        Code::PermissionDenied,
        says,
    );
    assert_refused(executor.get_catalogs().await, Code::PermissionDenied, says);
    assert_refused(
        executor.execute_update("select 1".into(), None).await,
        Code::PermissionDenied,
        says,
    );
    assert_eq!(house.service.prepared(), 0);
}

#[tokio::test]
async fn nothing_of_a_person_is_read_to_whom_nothing_is_granted() {
    let house = House::open().await;
    let mut mallory = house.user("mallory").await;
    let says = "nothing is granted to you";
    for sql in ["select 1", "selec 1", "select '?"] {
        let denied = Code::PermissionDenied;
        assert_refused(mallory.execute(sql.into(), None).await, denied, says);
        assert_refused(mallory.prepare(sql.into(), None).await, denied, says);
    }
    let command = CommandStatementQuery {
        query: "select 1".into(),
        transaction_id: None,
    };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let refusal = mallory.inner_mut().get_schema(descriptor).await.unwrap_err();
    assert_eq!(refusal.code(), Code::PermissionDenied);
    assert_eq!(house.service.prepared(), 0);
}
