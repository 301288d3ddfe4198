//! The executor's side: a key service that asks the daemon, under the grant of a task, and the stream that tells what the
//! executor may use. It keeps no key; caches that forget stand before it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use async_trait::async_trait;
use parcours_cluster::task_grant::HeldGrant;
use parcours_identity::{ClientTls, IdentityError};
use parcours_keys::{DataKey, KeyError, KeyService, MasterKeyId, MasterKeyName, WrappedKey};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use zeroize::Zeroizing;

use crate::protocol::{Answer, Asked, FOLLOW, UNWRAP, UnwrapRequest, Usable, unavailable};

/// How long the daemon may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Pauses before a request is repeated that failed for a passing reason. A denial is never asked about twice.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// A daemon that says nothing for so long while it is followed is taken for gone.
const SILENCE: Duration = Duration::from_secs(10);

/// The way to a key daemon. Cheap to clone; it connects when it is first used, and again after a loss.
#[derive(Clone)]
pub struct KeyDaemonClient {
    address: String,
    channel: Channel,
}

impl KeyDaemonClient {
    /// A client of the daemon at `host:port`; `tls` must expect the key service there.
    ///
    /// # Errors
    /// [`IdentityError::Address`] for an address of another form.
    pub fn new(tls: &ClientTls, address: &str) -> Result<Self, IdentityError> {
        Ok(Self {
            address: address.to_owned(),
            channel: tls.connect_lazy(address)?,
        })
    }

    /// The daemon as a key service, asked under this grant.
    pub fn under(&self, grant: &Arc<HeldGrant>) -> Arc<dyn KeyService> {
        Arc::new(UnderGrant {
            client: self.clone(),
            grant: grant.clone(),
        })
    }

    /// Follows what this executor may use: hands each state to `told`, the first one soon.
    ///
    /// # Errors
    /// Why the stream ended; it never ends well.
    pub async fn follow(&self, mut told: impl FnMut(Usable)) -> Status {
        let mut states = match self.act(FOLLOW, Vec::new()).await {
            Ok(states) => states,
            Err(status) => return status,
        };
        loop {
            let message = match timeout(SILENCE, states.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return Status::unavailable("the key daemon closed the stream"),
                Ok(Err(status)) => return status,
                Err(_) => return Status::deadline_exceeded("the key daemon is silent"),
            };
            match serde_json::from_slice(&message.body) {
                Ok(usable) => told(usable),
                Err(_) => return Status::internal("the key daemon says what is not understood"),
            }
        }
    }

    async fn act(&self, action: &str, body: Vec<u8>) -> Result<Streaming<arrow_flight::Result>, Status> {
        let mut client = FlightServiceClient::new(self.channel.clone());
        Ok(client.do_action(Action::new(action, body)).await?.into_inner())
    }

    async fn ask(&self, request: &UnwrapRequest) -> Result<Vec<Answer>, Status> {
        let body = serde_json::to_vec(request).map_err(|_| Status::internal("the request cannot be written"))?;
        let mut answers = self.act(UNWRAP, body).await?;
        let message = answers.message().await?;
        let message = message.ok_or_else(|| Status::internal("the key daemon did not answer"))?;
        let body = Zeroizing::new(message.body.to_vec());
        serde_json::from_slice(&body).map_err(|_| Status::internal("the key daemon's answer cannot be read"))
    }
}

impl fmt::Debug for KeyDaemonClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDaemonClient")
            .field("address", &self.address)
            .finish()
    }
}

/// The daemon under one grant.
struct UnderGrant {
    client: KeyDaemonClient,
    grant: Arc<HeldGrant>,
}

impl fmt::Debug for UnderGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnderGrant")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyService for UnderGrant {
    async fn wrap(&self, name: &MasterKeyName, _: &DataKey, _: &[u8]) -> Result<WrappedKey, KeyError> {
        Err(reads_only(name))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        let request = UnwrapRequest {
            grant: self.grant.token().to_string(),
            keys: vec![Asked::new(wrapped, aad)],
        };
        for pause in PAUSES {
            match self.once(&request, wrapped).await {
                Err(error) if error.is_passing() => tokio::time::sleep(pause).await,
                answer => return answer,
            }
        }
        self.once(&request, wrapped).await
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        Err(reads_only(name))
    }
}

impl UnderGrant {
    async fn once(&self, request: &UnwrapRequest, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
        let answers = match timeout(LIMIT, self.client.ask(request)).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(status)) => return Err(of_status(&status)),
            Err(_) => return Err(unavailable("the key daemon does not answer")),
        };
        match answers.as_slice() {
            [answer] => answer.read(wrapped),
            _ => Err(unavailable("the key daemon answered something else than was asked")),
        }
    }
}

fn reads_only(name: &MasterKeyName) -> KeyError {
    KeyError::Denied {
        key: name.clone(),
        reason: "an executor reads and writes no key".to_owned(),
    }
}

fn of_status(status: &Status) -> KeyError {
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::Unimplemented => {
            KeyError::Refused {
                reason: format!("the key daemon refuses this executor ({:?})", status.code()),
            }
        }
        _ => {
            let cause = IdentityError::behind(status).map(ToString::to_string);
            unavailable(&cause.unwrap_or_else(|| "the key daemon cannot be reached".to_owned()))
        }
    }
}
