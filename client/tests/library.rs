//! The library against a Flight SQL server of arrow-flight's own making, over real mTLS: order of endpoints, large
//! messages, bound parameters, errors on the way, and what the server sees when a stream is dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Date32Array, Int32Array, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult,
    ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, Ticket};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use parcours::{ClientError, Connection, Parameter, Profile};
use parcours_identity::pki::{InitOptions, Pki, Request as Certificate};
use parcours_identity::{Accepts, Listener, Principal, ServerTls};
use prost::Message;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::{Request, Response, Status};

type Results = Pin<Box<dyn Stream<Item = Result<arrow_flight::FlightData, Status>> + Send>>;

/// A server whose statements are words; it says what became of them.
#[derive(Clone)]
struct Server {
    events: UnboundedSender<&'static str>,
}

/// Says that a stream is gone.
struct Gone(UnboundedSender<&'static str>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send("stream dropped");
    }
}

fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter(vec![("n", Arc::new(Int64Array::from_iter_values(range)) as ArrayRef)]).unwrap()
}

fn encoded(
    schema: Arc<Schema>,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> Results {
    let encoder = FlightDataEncoderBuilder::new()
        .with_max_flight_data_size(usize::MAX)
        .with_schema(schema);
    encoder.build(batches).map_err(Status::from).boxed()
}

fn info(tickets: &[&str]) -> FlightInfo {
    tickets.iter().fold(FlightInfo::new(), |info, name| {
        let ticket = TicketStatementQuery {
            statement_handle: (*name).to_owned().into(),
        };
        let ticket = Ticket::new(ticket.as_any().encode_to_vec());
        info.with_endpoint(
            FlightEndpoint::new()
                .with_ticket(ticket)
                .with_location("grpc+tls://elsewhere.test:1"),
        )
    })
}

#[tonic::async_trait]
impl FlightSqlService for Server {
    type FlightService = Server;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        match query.query.as_str() {
            "two endpoints" => Ok(Response::new(info(&["first", "second"]))),
            "no endpoint" => Ok(Response::new(
                FlightInfo::new().try_with_schema(&numbers(0..0).schema()).unwrap(),
            )),
            "denied" => Err(Status::permission_denied("class health of dataset snds is not granted")),
            other => Ok(Response::new(info(&[other]))),
        }
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let schema = numbers(0..0).schema();
        let gone = Gone(self.events.clone());
        Ok(Response::new(match &*ticket.statement_handle {
            b"first" => encoded(schema, stream::iter([Ok(numbers(0..3)), Ok(numbers(3..5))])),
            b"second" => encoded(schema, stream::iter([Ok(numbers(5..8))])),
            b"large" => encoded(schema, stream::iter([Ok(numbers(0..1_500_000))])),
            b"breaks" => {
                let error = FlightError::from(Status::resource_exhausted("executor-2 has no memory left"));
                encoded(schema, stream::iter([Ok(numbers(0..3)), Err(error)]))
            }
            b"endless" => {
                let batches = stream::unfold(gone, |gone| async move { Some((Ok(numbers(0..1000)), gone)) });
                encoded(schema, batches)
            }
            b"silent" => encoded(
                schema,
                stream::once(async move {
                    let _gone = gone;
                    futures::future::pending().await
                }),
            ),
            _ => return Err(Status::not_found("no such result")),
        }))
    }

    async fn do_action_create_prepared_statement(
        &self,
        _: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let fields = vec![
            Field::new("$1", DataType::Int32, true),
            Field::new("$2", DataType::Date32, true),
        ];
        let options = arrow::ipc::writer::IpcWriteOptions::default();
        let message: arrow_flight::IpcMessage = SchemaAsIpc::new(&Schema::new(fields), &options).try_into().unwrap();
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: "unbound".into(),
            dataset_schema: Default::default(),
            parameter_schema: message.0,
        })
    }

    /// The new handle is the bound row itself, written as IPC: a server that keeps no state.
    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        assert_eq!(&*query.prepared_statement_handle, b"unbound");
        let data = request.into_inner().map_err(FlightError::from);
        let mut batches = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(data);
        let row = batches.try_next().await.map_err(Status::from)?.unwrap();
        let mut bytes = Vec::new();
        let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &row.schema()).unwrap();
        writer.write(&row).unwrap();
        writer.finish().unwrap();
        drop(writer);
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(bytes.into()),
        })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = Ticket::new(query.as_any().encode_to_vec());
        Ok(Response::new(
            FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(ticket)),
        ))
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let bytes = std::io::Cursor::new(query.prepared_statement_handle);
        let row = arrow::ipc::reader::StreamReader::try_new(bytes, None)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        Ok(Response::new(encoded(row.schema(), stream::iter([Ok(row)]))))
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        self.events
            .send("statement closed")
            .map_err(|error| Status::internal(error.to_string()))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = Ticket::new(query.as_any().encode_to_vec());
        Ok(Response::new(
            FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(ticket)),
        ))
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let mut tables = query.into_builder();
        tables
            .append("parcours", "snds", "pharmacie", "TABLE", &numbers(0..0).schema())
            .unwrap();
        tables
            .append("parcours", "snds", "deces", "TABLE", &Schema::empty())
            .unwrap();
        let schema = tables.schema();
        Ok(Response::new(encoded(schema, stream::iter([tables.build()]))))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

struct Cluster {
    profile: Profile,
    events: UnboundedReceiver<&'static str>,
    pki: Pki,
    _folder: TempDir,
}

async fn cluster() -> Cluster {
    parcours_identity::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki"), "test", InitOptions::default()).unwrap();
    let scheduler = Principal::scheduler("test").unwrap();
    pki.issue(Certificate::server(scheduler, ["localhost"], "scheduler"))
        .unwrap();
    pki.issue(Certificate::client(Principal::user("test", "alice").unwrap(), "alice"))
        .unwrap();
    let tls = ServerTls::open(pki.tls_files("scheduler"), "test", Accepts::Users, "client").unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
    let port = listener.local_addr().port();
    let (sender, events) = unbounded_channel();
    let service = FlightServiceServer::new(Server { events: sender });
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(listener.incoming()),
    );
    let files = pki.tls_files("alice");
    let profile = Profile {
        uri: format!("grpc+tls://localhost:{port}"),
        ca: files.ca,
        cert: files.cert,
        key: files.key,
        trust_domain: "test".to_owned(),
        crl: files.crl,
    };
    Cluster {
        profile,
        events,
        pki,
        _folder: folder,
    }
}

impl Cluster {
    async fn connect(&self) -> Connection {
        Connection::open(&self.profile).await.unwrap()
    }

    async fn next_event(&mut self) -> &'static str {
        tokio::time::timeout(Duration::from_secs(10), self.events.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

fn joined(batches: &[RecordBatch]) -> RecordBatch {
    arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap()
}

#[tokio::test]
async fn endpoints_are_read_in_order_and_suggested_addresses_never_dialled() {
    let connection = cluster().await.connect().await;
    let batches = connection
        .query("two endpoints")
        .await
        .unwrap()
        .collect_all()
        .await
        .unwrap();
    assert_eq!(joined(&batches), numbers(0..8));
    let none = connection.query("no endpoint").await.unwrap();
    assert_eq!(none.schema(), numbers(0..0).schema());
    assert!(none.collect_all().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_large_message_is_read() {
    let connection = cluster().await.connect().await;
    let batches = connection.query("large").await.unwrap().collect_all().await.unwrap();
    assert_eq!(joined(&batches), numbers(0..1_500_000));
}

#[tokio::test]
async fn refusals_and_failures_on_the_way_keep_kind_and_sentence() {
    let connection = cluster().await.connect().await;
    let denied = connection.query("denied").await.unwrap_err();
    assert!(
        matches!(&denied, ClientError::Denied(said) if said.contains("class health")),
        "{denied}"
    );
    assert!(matches!(
        connection.query("no such").await.unwrap_err(),
        ClientError::NotFound(_)
    ));
    let mut breaks = connection.query("breaks").await.unwrap();
    assert_eq!(breaks.try_next().await.unwrap().unwrap(), numbers(0..3));
    let broken = breaks.try_next().await.unwrap_err();
    assert!(
        matches!(&broken, ClientError::Exhausted(said) if said.contains("executor-2")),
        "{broken}"
    );
    assert!(breaks.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn dropping_a_stream_ends_the_call_at_the_server() {
    let mut cluster = cluster().await;
    let connection = cluster.connect().await;
    let mut endless = connection.query("endless").await.unwrap();
    assert_eq!(endless.try_next().await.unwrap().unwrap().num_rows(), 1000);
    drop(endless);
    assert_eq!(cluster.next_event().await, "stream dropped");
    // Also before any row has come.
    drop(connection.query("silent").await.unwrap());
    assert_eq!(cluster.next_event().await, "stream dropped");
}

#[tokio::test]
async fn parameters_are_bound_as_announced_and_the_statement_is_closed() {
    let mut cluster = cluster().await;
    let connection = cluster.connect().await;
    let values = [Parameter::from("42"), Parameter::from("1970-01-11")];
    let batches = connection
        .query_with("any", &values)
        .await
        .unwrap()
        .collect_all()
        .await
        .unwrap();
    assert_eq!(batches[0].column(0).as_ref(), &Int32Array::from(vec![42]));
    assert_eq!(batches[0].column(1).as_ref(), &Date32Array::from(vec![10]));
    assert_eq!(cluster.next_event().await, "statement closed");
    let wrong = connection.query_with("any", &values[..1]).await.unwrap_err();
    assert!(matches!(wrong, ClientError::Parameter(_)), "{wrong}");
}

#[tokio::test]
async fn the_catalog_has_tables_and_columns() {
    let connection = cluster().await.connect().await;
    assert_eq!(connection.tables().await.unwrap(), ["snds.deces", "snds.pharmacie"]);
    let catalog = connection.catalog().await.unwrap();
    let columns = catalog.find("pharmacie").next().unwrap().columns.clone();
    assert_eq!(columns, Schema::clone(&numbers(0..0).schema()));
}

#[tokio::test]
async fn a_scheduler_that_is_not_the_expected_one_is_refused() {
    let cluster = cluster().await;
    let refused = |profile: Profile| async move { Connection::open(&profile).await.map(drop).unwrap_err() };
    let other = tempfile::tempdir().unwrap();
    let foreign = Pki::init(&other.path().join("pki"), "test", InitOptions::default()).unwrap();
    let strange_ca = Profile {
        ca: foreign.tls_files("any").ca,
        crl: None,
        ..cluster.profile.clone()
    };
    assert!(matches!(refused(strange_ca).await, ClientError::Connect { .. }));
    let strange_host = Profile {
        uri: cluster.profile.uri.replace("localhost", "127.0.0.1"),
        ..cluster.profile.clone()
    };
    assert!(matches!(refused(strange_host).await, ClientError::Connect { .. }));
    cluster.pki.revoke("scheduler.pem").unwrap();
    assert!(matches!(
        refused(cluster.profile.clone()).await,
        ClientError::Connect { .. }
    ));
}

#[tokio::test]
async fn our_own_revoked_certificate_is_said_to_be_the_reason() {
    let cluster = cluster().await;
    cluster.pki.revoke("alice.pem").unwrap();
    let error = Connection::open(&cluster.profile)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(error.to_lowercase().contains("revoked"), "{error}");
}

#[test]
fn a_trust_domain_is_read_from_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki"), "hospital.test", InitOptions::default()).unwrap();
    pki.issue(Certificate::client(
        Principal::user("hospital.test", "alice").unwrap(),
        "alice",
    ))
    .unwrap();
    let files = pki.tls_files("alice");
    assert_eq!(Profile::trust_domain_of(&files.cert).unwrap(), "hospital.test");
    assert!(Profile::trust_domain_of(&files.ca).is_err());
    assert!(Profile::trust_domain_of(&files.key).is_err());
}
