//! Each call of the Flight protocol, who makes it, and what it is turned into. Only people are served; what would change
//! something is refused here, with a sentence that says so.

use std::sync::Arc;

use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty, FlightData,
    FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
    flight_service_server::FlightService,
    sql::{
        ActionCancelQueryRequest, ActionCancelQueryResult, ActionCreatePreparedStatementRequest, Any, Command,
        CommandPreparedStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
    },
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use parcours_identity::{Peer, Principal, Role};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::{
    answer::{self, Messages},
    front::Front,
    handle::Prepared,
    poll::PollQuery,
    session, status,
};
use crate::port::QueryPort;

/// The Flight SQL service over a [`QueryPort`]; made by [`super::service`].
pub struct FlightSql<Q> {
    front: Arc<Front<Q>>,
}

impl<Q: QueryPort> FlightSql<Q> {
    pub(super) fn new(front: Arc<Front<Q>>) -> Self {
        Self { front }
    }

    /// The statement that a command runs; `None` for metadata.
    fn statement(&self, who: &Principal, command: &Command) -> Result<Option<Prepared>, Status> {
        match command {
            Command::CommandStatementQuery(query) => {
                outside_transactions(query.transaction_id.as_ref())?;
                self.front.text(who, &query.query).map(Some)
            }
            Command::CommandPreparedStatementQuery(query) => {
                self.front.open(who, &query.prepared_statement_handle).map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn act(&self, who: &Principal, action: Action) -> Result<Option<Bytes>, Status> {
        let answer = match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let request = unpack::<ActionCreatePreparedStatementRequest>(&action.body)?;
                outside_transactions(request.transaction_id.as_ref())?;
                self.front.prepare(who, &request.query).await?.as_any().encode_to_vec()
            }
            // A handle holds all there is: nothing is kept that could be closed.
            "ClosePreparedStatement" => return Ok(None),
            "CancelFlightInfo" => {
                let request: CancelFlightInfoRequest = decode(&action.body)?;
                self.front.cancel(who, &request.info.unwrap_or_default()).await?;
                CancelFlightInfoResult::new(CancelStatus::Cancelled).encode_to_vec()
            }
            "CancelQuery" => {
                let request = unpack::<ActionCancelQueryRequest>(&action.body)?;
                self.front.cancel(who, &decode(&request.info)?).await?;
                ActionCancelQueryResult {
                    result: CancelStatus::Cancelled as i32,
                }
                .as_any()
                .encode_to_vec()
            }
            session::SET => session::set(decode(&action.body)?, &self.front.port.catalog(who).await?).encode_to_vec(),
            session::GET => session::get(&self.front.port.catalog(who).await?).encode_to_vec(),
            session::CLOSE => session::close().encode_to_vec(),
            other => return Err(refuse_action(other)),
        };
        Ok(Some(answer.into()))
    }
}

#[tonic::async_trait]
impl<Q: QueryPort> FlightService for FlightSql<Q> {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;
    type DoExchangeStream = Messages<FlightData>;

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let asker = asker(&request)?;
        let descriptor = request.into_inner();
        let command = command(&descriptor.cmd)?;
        let info = match self.statement(&asker.principal, &command)? {
            Some(statement) => self.front.execute(&asker, &statement, descriptor).await?,
            None => {
                let schema = self
                    .front
                    .metadata_schema(&command)
                    .ok_or_else(|| refuse_command(&command))?;
                answer::info(&schema, descriptor.cmd.clone(), descriptor)?
            }
        };
        Ok(Response::new(info))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let asker = asker(&request)?;
        let any: Any = decode(&request.get_ref().cmd)?;
        if let Some(poll) = PollQuery::recognise(&any) {
            return Ok(Response::new(
                self.front.poll_next(&asker, &poll?, request.into_inner()).await?,
            ));
        }
        if let Some(statement) = self.statement(&asker.principal, &command(&request.get_ref().cmd)?)? {
            return Ok(Response::new(
                self.front.poll_first(&asker, &statement, request.into_inner()).await?,
            ));
        }
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(PollInfo {
            info: Some(info),
            progress: Some(1.0),
            ..PollInfo::default()
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let who = who(&request)?;
        let command = command(&request.get_ref().cmd)?;
        let schema = match self.statement(&who, &command)? {
            Some(statement) => self.front.schema(&who, &statement).await?,
            None => {
                let schema = self
                    .front
                    .metadata_schema(&command)
                    .ok_or_else(|| refuse_command(&command))?;
                answer::schema_bytes(&schema)?
            }
        };
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let who = who(&request)?;
        match command(&request.get_ref().ticket)? {
            Command::TicketStatementQuery(ticket) => Ok(Response::new(self.front.read(&who, &ticket).await?)),
            other => {
                let refusal = refuse_command(&other);
                let batch = self.front.metadata(&who, other).await?.ok_or(refusal)?;
                Ok(Response::new(answer::batch(batch)))
            }
        }
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let who = who(&request)?;
        let mut messages = request.into_inner();
        let first = messages.message().await?.unwrap_or_default();
        let Some(descriptor) = &first.flight_descriptor else {
            return Err(Status::invalid_argument("the first message has no descriptor"));
        };
        let handle = match command(&descriptor.cmd)? {
            Command::CommandPreparedStatementQuery(CommandPreparedStatementQuery {
                prepared_statement_handle,
            }) => prepared_statement_handle,
            other => return Err(refuse_command(&other)),
        };
        let messages = stream::iter([Ok(first)]).chain(messages);
        let handle = self.front.bind(&who, &handle, messages).await?;
        let result = DoPutPreparedStatementResult {
            prepared_statement_handle: Some(handle),
        };
        Ok(Response::new(answer::one(PutResult {
            app_metadata: result.encode_to_vec().into(),
        })))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let who = who(&request)?;
        let answer = self.act(&who, request.into_inner()).await?;
        Ok(Response::new(
            stream::iter(answer.map(|body| Ok(arrow_flight::Result { body }))).boxed(),
        ))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        who(&request)?;
        let actions = ACTIONS.map(|(name, description)| {
            Ok(ActionType {
                r#type: name.to_owned(),
                description: description.to_owned(),
            })
        });
        Ok(Response::new(stream::iter(actions).boxed()))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        who(&request)?;
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented(
            "no handshake is needed: the client certificate says who you are",
        ))
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("exchange is not supported, run a query"))
    }
}

/// What `ListActions` answers.
const ACTIONS: [(&str, &str); 7] = [
    (
        "CreatePreparedStatement",
        "Plans a statement; ActionCreatePreparedStatementRequest to …Result",
    ),
    (
        "ClosePreparedStatement",
        "Forgets a prepared statement; ActionClosePreparedStatementRequest to nothing",
    ),
    (
        "CancelFlightInfo",
        "Cancels a query; CancelFlightInfoRequest to CancelFlightInfoResult",
    ),
    (
        "CancelQuery",
        "Cancels a query; ActionCancelQueryRequest to ActionCancelQueryResult",
    ),
    (
        session::SET,
        "Sets options of the session; SetSessionOptionsRequest to SetSessionOptionsResult",
    ),
    (
        session::GET,
        "Reads options of the session; GetSessionOptionsRequest to GetSessionOptionsResult",
    ),
    (
        session::CLOSE,
        "Ends the session; CloseSessionRequest to CloseSessionResult",
    ),
];

/// The person whose certificate the connection carries.
fn who<T>(request: &Request<T>) -> Result<Principal, Status> {
    Ok(asker(request)?.principal)
}

/// The person, and the connection.
fn asker<T>(request: &Request<T>) -> Result<Peer, Status> {
    let peer = parcours_identity::peer(request)?;
    match peer.principal.role() {
        Role::User(_) => Ok(peer),
        _ => Err(Status::permission_denied(
            "only people are served here: use a certificate of a user",
        )),
    }
}

fn command(bytes: &[u8]) -> Result<Command, Status> {
    Command::try_from(decode::<Any>(bytes)?).map_err(|_| malformed())
}

fn unpack<M: ProstMessageExt>(bytes: &[u8]) -> Result<M, Status> {
    decode::<Any>(bytes)?.unpack().ok().flatten().ok_or_else(malformed)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Status> {
    M::decode(bytes).map_err(|_| malformed())
}

fn malformed() -> Status {
    Status::invalid_argument("the request is not a flight sql message")
}

fn outside_transactions(transaction: Option<&Bytes>) -> Result<(), Status> {
    match transaction {
        Some(id) if !id.is_empty() => Err(Status::invalid_argument("there are no transactions here, send none")),
        _ => Ok(()),
    }
}

fn refuse_command(command: &Command) -> Status {
    match command {
        Command::CommandStatementUpdate(_) | Command::CommandPreparedStatementUpdate(_) => {
            status::read_only("an update")
        }
        Command::CommandStatementIngest(_) => status::read_only("an upload"),
        Command::CommandStatementSubstraitPlan(_) => {
            Status::unimplemented("substrait plans are not supported, send sql")
        }
        _ => Status::invalid_argument("the request is not one that this call answers"),
    }
}

fn refuse_action(name: &str) -> Status {
    match name {
        "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => {
            Status::unimplemented("transactions are not supported: this server is read-only")
        }
        "CreatePreparedSubstraitPlan" => Status::unimplemented("substrait plans are not supported, send sql"),
        _ => Status::unimplemented("no such action, ListActions names those there are"),
    }
}
