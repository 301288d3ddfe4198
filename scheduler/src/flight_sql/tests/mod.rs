//! The service over mTLS, called with the Arrow crate's own client, over a query service that is single-process
//! DataFusion on small tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod metadata;
mod polling;
mod query_service;
mod sessions;
mod statements;
mod tickets;

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, compute::concat_batches};
use arrow_flight::{FlightInfo, error::FlightError, sql::client::FlightSqlServiceClient};
use futures::TryStreamExt;
use parcours_identity::{Accepts, ClientTls, Expects, Listener, ServerTls, testing::TestPki};
use tonic::{
    Code, Status,
    transport::{Channel, Server},
};

use self::query_service::SingleProcess;
use super::{FrontOptions, service};

type Client = FlightSqlServiceClient<Channel>;

/// A listener with the service behind it, for as long as the test lasts.
struct House {
    pki: TestPki,
    address: String,
    service: Arc<SingleProcess>,
}

impl House {
    async fn open() -> Self {
        Self::with(Accepts::Users, FrontOptions::default()).await
    }

    async fn with(accepts: Accepts, options: FrontOptions) -> Self {
        let pki = TestPki::new("hospital.example").unwrap();
        let tls = ServerTls::open(pki.scheduler_server().unwrap(), pki.trust_domain(), accepts, "client").unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), tls).await.unwrap();
        let address = listener.local_addr().to_string();
        let single = Arc::new(SingleProcess::new());
        let front = service(single.clone(), options).unwrap();
        tokio::spawn(
            Server::builder()
                .add_service(front)
                .serve_with_incoming(listener.incoming()),
        );
        Self {
            pki,
            address,
            service: single,
        }
    }

    async fn user(&self, name: &str) -> Client {
        self.client(self.pki.user(name).unwrap()).await
    }

    async fn client(&self, files: parcours_identity::TlsFiles) -> Client {
        let tls = ClientTls::open(files, self.pki.trust_domain(), Expects::Scheduler).unwrap();
        FlightSqlServiceClient::new(tls.connect(&self.address).await.unwrap())
    }

    /// Waits for the query service to have cancelled or lost a query.
    async fn stopped(&self, count: usize) {
        let stopped = async {
            while self.service.stopped().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), stopped)
            .await
            .expect("the query was not stopped");
    }
}

/// Reads what an info points to, and checks on the way that it has one ordered endpoint here and keeps its promises.
async fn fetch(client: &mut Client, info: FlightInfo) -> RecordBatch {
    assert!(info.ordered);
    assert_eq!((info.endpoint.len(), info.endpoint[0].location.len()), (1, 0));
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let promised = Arc::new(info.try_decode_schema().unwrap());
    let mut stream = client.do_get(ticket).await.unwrap();
    let batches = (&mut stream).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(stream.schema(), Some(&promised));
    concat_batches(&promised, &batches).unwrap()
}

async fn query(client: &mut Client, sql: &str) -> RecordBatch {
    let info = client.execute(sql.into(), None).await.unwrap();
    fetch(client, info).await
}

/// The status inside a client's error.
fn status<T>(result: Result<T, FlightError>) -> Status {
    match result {
        Err(FlightError::Tonic(status)) => *status,
        Err(other) => panic!("not a status: {other}"),
        Ok(_) => panic!("not refused"),
    }
}

fn assert_refused<T>(result: Result<T, FlightError>, code: Code, says: &str) {
    let status = status(result);
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(says), "{status}");
}
