//! What the calls of the protocol come down to: prepare, bind, run, read once, cancel. It holds the keys of this process
//! and the queries that wait for their reader; everything else is asked of the query service.

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use arrow_flight::{
    FlightData, FlightDescriptor, FlightInfo,
    sql::{
        ActionCreatePreparedStatementResult, Any, Command, ProstMessageExt, TicketStatementQuery,
        metadata::{SqlInfoData, XdbcTypeInfoData},
    },
};
use bytes::Bytes;
use futures::Stream;
use parcours_identity::{Peer, Principal};
use prost::Message;
use tonic::Status;

use super::{
    FrontError, FrontOptions, answer,
    answer::Messages,
    columns,
    handle::{HandleError, LONGEST_STATEMENT, Prepared, Sealer},
    parameters, placeholders,
    sql_info::sql_info,
    ticket::{Purpose, Signer, TicketError, Waiting},
    type_info::type_info,
};
use crate::port::{PlannedStatement, QueryId, QueryPort, Started};

/// The state of the front, shared by all calls.
pub(super) struct Front<Q> {
    pub port: Arc<Q>,
    pub signer: Signer,
    pub waiting: Waiting,
    pub life: Duration,
    after_parting: Duration,
    pub sql_info: SqlInfoData,
    pub type_info: XdbcTypeInfoData,
    sealer: Sealer,
}

impl<Q: QueryPort> Front<Q> {
    pub fn new(port: Arc<Q>, options: FrontOptions) -> Result<Self, FrontError> {
        let metadata = |error| FrontError::Metadata(Box::new(error));
        Ok(Self {
            port,
            signer: Signer::new().map_err(|_| FrontError::Random)?,
            waiting: Waiting::default(),
            life: options.ticket_life,
            after_parting: options.after_parting,
            sql_info: sql_info().map_err(metadata)?,
            type_info: type_info().map_err(metadata)?,
            sealer: Sealer::new().map_err(|_| FrontError::Random)?,
        })
    }

    /// The text of a statement as it arrived, its placeholders numbered.
    pub fn text(&self, who: &Principal, sql: &str) -> Result<Prepared, Status> {
        self.port.check_granted(who)?;
        if sql.len() > LONGEST_STATEMENT {
            return Err(HandleError::TooLong { bytes: sql.len() }.into());
        }
        Ok(Prepared {
            sql: placeholders::number(sql)?,
            parameters: None,
        })
    }

    /// What a handle stands for.
    pub fn open(&self, who: &Principal, handle: &[u8]) -> Result<Prepared, Status> {
        Ok(self.sealer.open(who, handle)?)
    }

    /// Plans a statement and seals it into a handle.
    pub async fn prepare(&self, who: &Principal, sql: &str) -> Result<ActionCreatePreparedStatementResult, Status> {
        let prepared = self.text(who, sql)?;
        let statement = self.port.prepare(who, &prepared.sql).await?;
        let parameters = columns::described_parameters(statement.parameters());
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.sealer.seal(who, &prepared)?,
            dataset_schema: answer::schema_bytes(&columns::described(&statement.schema()))?,
            parameter_schema: answer::schema_bytes(&parameters)?,
        })
    }

    /// Plans a statement for its schema only.
    pub async fn schema(&self, who: &Principal, prepared: &Prepared) -> Result<Bytes, Status> {
        let statement = self.port.prepare(who, &prepared.sql).await?;
        answer::schema_bytes(&columns::described(&statement.schema()))
    }

    /// A new handle, with the row of parameters that follows.
    pub async fn bind<S>(&self, who: &Principal, handle: &[u8], messages: S) -> Result<Bytes, Status>
    where
        S: Stream<Item = Result<FlightData, Status>> + Send + Unpin,
    {
        self.port.check_granted(who)?;
        let prepared = self.open(who, handle)?;
        let parameters = Some(parameters::receive(messages).await?);
        Ok(self.sealer.seal(who, &Prepared { parameters, ..prepared })?)
    }

    /// Plans and submits, and lets the results be read.
    pub async fn submit(self: &Arc<Self>, asker: &Peer, prepared: &Prepared) -> Result<Started, Status> {
        let statement = self.port.prepare(&asker.principal, &prepared.sql).await?;
        let values = parameters::coerce(prepared.parameters.as_ref(), statement.parameters())?;
        let (front, asker) = (self.clone(), asker.clone());
        to_the_end(async move {
            let Started { query, schema } = front.port.start(&asker.principal, &statement, values).await?;
            let schema = columns::described(&schema);
            front.waiting.admit(query, &asker, schema.clone(), front.life);
            Ok(Started { query, schema })
        })
        .await
    }

    /// Runs a statement and says where its results will be.
    pub async fn execute(
        self: &Arc<Self>,
        asker: &Peer,
        prepared: &Prepared,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let Started { query, schema } = self.submit(asker, prepared).await?;
        answer::info(&schema, self.ticket(&asker.principal, &query), descriptor)
    }

    /// The ticket that reads a query's results.
    pub fn ticket(&self, who: &Principal, query: &QueryId) -> Bytes {
        let statement_handle = self.signer.issue(Purpose::Read, who, query, self.life).into();
        TicketStatementQuery { statement_handle }
            .as_any()
            .encode_to_vec()
            .into()
    }

    /// Redeems a ticket: the schema that was promised, then the data as it comes.
    pub async fn read(&self, who: &Principal, ticket: &TicketStatementQuery) -> Result<Messages<FlightData>, Status> {
        let query = self
            .signer
            .verify(Purpose::Read, who, &ticket.statement_handle)?
            .in_time()?;
        let unread = self.waiting.redeem(&query)?;
        let results = self.port.results(who, &query).await?;
        Ok(answer::relay(&unread.schema, results))
    }

    /// Cancels the query that an info belongs to, whether its results are being read, wait to be, or are followed by
    /// polling. A ticket is good for this as long as the process lives.
    pub async fn cancel(self: &Arc<Self>, who: &Principal, info: &FlightInfo) -> Result<(), Status> {
        let query = self.query_of(who, info)?;
        // Whoever reads already has taken it out.
        let _ = self.waiting.redeem(&query);
        let (front, who) = (self.clone(), who.clone());
        to_the_end(async move { Ok(front.port.cancel(&who, &query).await?) }).await
    }

    fn query_of(&self, who: &Principal, info: &FlightInfo) -> Result<QueryId, TicketError> {
        let ticket = info
            .endpoint
            .iter()
            .find_map(|endpoint| statement_ticket(&endpoint.ticket.as_ref()?.ticket));
        let verified = match ticket {
            Some(ticket) => self.signer.verify(Purpose::Read, who, &ticket.statement_handle)?,
            None => self.signer.verify(Purpose::Poll, who, &info.app_metadata)?,
        };
        Ok(verified.query)
    }
}

/// Sees a change through although its client may go away meanwhile, whereupon its call is dropped: a query that was
/// started by half would be one that nobody can read, cancel or forget.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let lost = |_| Status::internal("the request was broken off in the server, try again");
    tokio::spawn(change).await.map_err(lost)?
}

fn statement_ticket(ticket: &[u8]) -> Option<TicketStatementQuery> {
    match Command::try_from(Any::decode(ticket).ok()?).ok()? {
        Command::TicketStatementQuery(ticket) => Some(ticket),
        _ => None,
    }
}

/// Cancels queries whose reader never came, until the front is gone.
pub(super) async fn cancel_unread<Q: QueryPort>(front: Weak<Front<Q>>) {
    while let Some(front) = front.upgrade() {
        for (query, who) in front.waiting.expired(front.after_parting) {
            tracing::info!(%query, principal = %who, "nobody came to read the results, the query is cancelled");
            if let Err(error) = front.port.cancel(&who, &query).await {
                tracing::warn!(%query, code = ?Status::from(error).code(), "an unread query could not be cancelled");
            }
        }
        let pause = (front.life / 10).clamp(Duration::from_millis(10), Duration::from_secs(1));
        drop(front);
        tokio::time::sleep(pause).await;
    }
}
