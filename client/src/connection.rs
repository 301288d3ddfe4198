//! An open connection to a scheduler's client listener, over mTLS.
//!
//! One connection carries any number of queries at once and is cheap to clone. It takes part in no decision: which
//! datasets and columns the principal may read is the scheduler's to say, for every query.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use parcours_identity::{ClientTls, Expects, IdentityError, TlsFiles};
use prost::Message;
use tonic::transport::Channel;

use crate::catalog::{self, Catalog};
use crate::error::{ClientError, chain};
use crate::parameter::Parameter;
use crate::prepared::Prepared;
use crate::profile::Profile;
use crate::results::RecordBatchStream;

pub(crate) type Flight = FlightServiceClient<Channel>;

/// Largest message accepted, in bytes. Schedulers send batches far below it; the bound is against a runaway peer.
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// A connection to a scheduler as one principal.
#[derive(Debug, Clone)]
pub struct Connection {
    flight: Flight,
}

impl Connection {
    /// Connects and completes the TLS handshake.
    ///
    /// # Errors
    /// [`ClientError::Profile`] for an address that is not `grpc+tls://host:port`, [`ClientError::Connect`] when the
    /// files cannot be read, nothing listens, or one end refuses the other's certificate.
    pub async fn open(profile: &Profile) -> Result<Self, ClientError> {
        let authority = profile.authority()?;
        let refused = |error: IdentityError| ClientError::Connect {
            uri: profile.uri.clone(),
            reason: error.connect_reason().map_or_else(|| chain(&error), str::to_owned),
        };
        let files = TlsFiles {
            ca: profile.ca.clone(),
            cert: profile.cert.clone(),
            key: profile.key.clone(),
            crl: profile.crl.clone(),
        };
        let tls = ClientTls::open(files, &profile.trust_domain, Expects::Scheduler).map_err(refused)?;
        Ok(Self::over(tls.connect(&authority).await.map_err(refused)?))
    }

    /// A connection over a channel that is already open and already authenticated.
    pub fn over(channel: Channel) -> Self {
        Self {
            flight: FlightServiceClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE),
        }
    }

    /// Runs one statement. The answer's schema is known when this returns; its rows come as the cluster finishes them.
    ///
    /// Dropping the future or the stream cancels the query.
    ///
    /// # Errors
    /// The scheduler's refusal or failure, as [`ClientError`].
    pub async fn query(&self, sql: impl Into<String>) -> Result<RecordBatchStream, ClientError> {
        let command = CommandStatementQuery {
            query: sql.into(),
            transaction_id: None,
        };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        self.run(descriptor, None).await
    }

    /// Runs one statement with values for its `$1`, `$2`, …: `parameters[0]` is `$1`. The values travel as data, never
    /// as text of the statement.
    ///
    /// # Errors
    /// [`ClientError::Parameter`] when their number or a type does not fit, else as for [`Connection::query`].
    pub async fn query_with(
        &self,
        sql: impl Into<String>,
        parameters: &[Parameter],
    ) -> Result<RecordBatchStream, ClientError> {
        let mut statement = Prepared::create(self.flight.clone(), sql.into()).await?;
        statement.bind(parameters).await?;
        self.run(statement.descriptor(), Some(statement)).await
    }

    /// Every table the principal may see, with its columns.
    ///
    /// # Errors
    /// As for [`Connection::query`].
    pub async fn catalog(&self) -> Result<Catalog, ClientError> {
        let descriptor = FlightDescriptor::new_cmd(catalog::command().as_any().encode_to_vec());
        let rows = self.run(descriptor, None).await?.collect_all().await?;
        Catalog::from_batches(&rows)
    }

    /// The names of the tables the principal may see, qualified as a query would write them.
    ///
    /// # Errors
    /// As for [`Connection::query`].
    pub async fn tables(&self) -> Result<Vec<String>, ClientError> {
        Ok(self
            .catalog()
            .await?
            .tables
            .iter()
            .map(catalog::Table::qualified)
            .collect())
    }

    async fn run(
        &self,
        descriptor: FlightDescriptor,
        statement: Option<Prepared>,
    ) -> Result<RecordBatchStream, ClientError> {
        let info = self.flight.clone().get_flight_info(descriptor).await?.into_inner();
        RecordBatchStream::open(self.flight.clone(), info, statement).await
    }
}
