//! A Flight service that answers actions, and tickets where it says so, and refuses every other call: what the processes
//! of a cluster serve each other. Who may call is the listener's matter, which action means what the implementation's.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// What answers an action.
pub type Results = BoxStream<'static, Result<arrow_flight::Result, Status>>;
/// What answers a ticket.
pub type Data = BoxStream<'static, Result<FlightData, Status>>;

/// The calls that are answered.
#[tonic::async_trait]
pub trait Answers: Send + Sync + 'static {
    /// Why everything else is refused, for whoever tries.
    const REFUSAL: &'static str;

    /// Answers an action, or refuses it by [`refuse`].
    async fn action(&self, request: Request<Action>) -> Result<Results, Status>;

    /// Answers a ticket; refused unless an implementation says otherwise.
    async fn ticket(&self, _: Request<Ticket>) -> Result<Data, Status> {
        refuse::<Self, _>()
    }
}

/// The refusal of a service.
// A Status is large, but it is what every handler returns.
#[allow(clippy::result_large_err)]
pub fn refuse<A: Answers + ?Sized, T>() -> Result<T, Status> {
    Err(Status::permission_denied(A::REFUSAL))
}

/// A Flight service that is no wider than what it [`Answers`].
#[derive(Debug)]
pub struct Narrow<A>(pub A);

#[tonic::async_trait]
impl<A: Answers> FlightService for Narrow<A> {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = Data;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = Results;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = Data;

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Results>, Status> {
        self.0.action(request).await.map(Response::new)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Data>, Status> {
        self.0.ticket(request).await.map(Response::new)
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        refuse::<A, _>()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        refuse::<A, _>()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        refuse::<A, _>()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        refuse::<A, _>()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        refuse::<A, _>()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        refuse::<A, _>()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        refuse::<A, _>()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        refuse::<A, _>()
    }
}
