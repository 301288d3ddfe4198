//! `PollFlightInfo`: a query followed by asking again. The first call submits and answers at once; each next one answers
//! when something has changed, or after [`PATIENCE`]; the last one carries the ticket. A query that nobody asks for any
//! more is cancelled like one that nobody reads.

use std::{sync::Arc, time::Duration};

use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightDescriptor, PollInfo, sql::Any};
use bytes::Bytes;
use parcours_identity::{Peer, Principal};
use prost::Message;
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::{
    answer,
    front::Front,
    handle::Prepared,
    ticket::{Purpose, TicketError},
};
use crate::port::{Phase, Progress, QueryId, QueryPort, Started};

/// How long an unchanged query keeps its client waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often progress is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

const TYPE_URL: &str = "type.googleapis.com/parcours.flight_sql.PollQuery";

/// The descriptor of the next call: which query, signed, and what its client knows already.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PollQuery {
    #[prost(bytes = "bytes", tag = "1")]
    token: Bytes,
    #[prost(uint64, tag = "2")]
    tasks_done: u64,
    #[prost(uint64, tag = "3")]
    tasks_total: u64,
}

impl PollQuery {
    /// The descriptor of a next call, if this is one.
    pub fn recognise(any: &Any) -> Option<Result<Self, TicketError>> {
        (any.type_url == TYPE_URL).then(|| Self::decode(&*any.value).map_err(|_| TicketError::Forged))
    }

    fn knows(&self, progress: &Progress) -> bool {
        (self.tasks_done, self.tasks_total) == (progress.tasks_done, progress.tasks_total)
    }
}

impl<Q: QueryPort> Front<Q> {
    /// The first call.
    pub async fn poll_first(
        self: &Arc<Self>,
        asker: &Peer,
        prepared: &Prepared,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo, Status> {
        let Started { query, schema } = self.submit(asker, prepared).await?;
        let nothing = Progress {
            phase: Phase::Queued,
            tasks_done: 0,
            tasks_total: 0,
        };
        self.poll_info(&asker.principal, query, nothing, &schema, descriptor)
    }

    /// Each next call.
    pub async fn poll_next(
        &self,
        asker: &Peer,
        poll: &PollQuery,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo, Status> {
        let who = &asker.principal;
        let query = self.signer.verify(Purpose::Poll, who, &poll.token)?.in_time()?;
        let schema = self.waiting.extend(&query, &asker.presence, self.life)?;
        let until = Instant::now() + PATIENCE;
        let mut progress = self.port.progress(who, &query).await?;
        while progress.phase != Phase::Finished && poll.knows(&progress) && Instant::now() < until {
            sleep(LOOK).await;
            progress = self.port.progress(who, &query).await?;
        }
        self.poll_info(who, query, progress, &schema, descriptor)
    }

    fn poll_info(
        &self,
        who: &Principal,
        query: QueryId,
        progress: Progress,
        schema: &SchemaRef,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo, Status> {
        if progress.phase == Phase::Finished {
            let info = answer::info(schema, self.ticket(who, &query), descriptor)?;
            return Ok(PollInfo {
                info: Some(info),
                progress: Some(1.0),
                ..PollInfo::default()
            });
        }
        let token = Bytes::from(self.signer.issue(Purpose::Poll, who, &query, self.life));
        let info = answer::unread_info(schema, descriptor)?.with_app_metadata(token.clone());
        let Progress {
            tasks_done,
            tasks_total,
            ..
        } = progress;
        let next = PollQuery {
            token,
            tasks_done,
            tasks_total,
        }
        .encode_to_vec()
        .into();
        let next = Any {
            type_url: TYPE_URL.into(),
            value: next,
        }
        .encode_to_vec();
        Ok(PollInfo {
            info: Some(info),
            flight_descriptor: Some(FlightDescriptor::new_cmd(next)),
            progress: (tasks_total > 0).then(|| (tasks_done as f64 / tasks_total as f64).min(1.0)),
            expiration_time: None,
        })
    }
}
