//! The Flight SQL service of the client listener: it translates between Flight SQL and [`QueryPort`], and owns what only
//! the protocol needs (tickets, handles of prepared statements, metadata answers, statuses). It plans nothing, runs
//! nothing and grants nothing; every statement, however it arrives, goes through [`QueryPort::prepare`]. Begin with
//! `service.rs`, where each call of the protocol arrives.

#![allow(
    clippy::result_large_err,
    reason = "a Status is large, but it is what every call returns"
)]

mod answer;
mod catalog;
mod columns;
mod front;
mod handle;
mod metadata;
mod parameters;
mod placeholders;
mod poll;
mod service;
mod session;
mod sql_info;
mod status;
#[cfg(test)]
mod tests;
mod ticket;
mod type_info;

use std::{sync::Arc, time::Duration};

use arrow_flight::flight_service_server::FlightServiceServer;

use self::front::Front;
pub use self::service::FlightSql;
use crate::port::QueryPort;

/// Largest message accepted from a client, in bytes: a handle with the longest statement and the largest parameters fits
/// twice.
const LARGEST_REQUEST: usize = 4 << 20;

/// What a site may set of the front.
#[derive(Clone, Debug)]
pub struct FrontOptions {
    /// How long a query's results wait for their reader to begin, from its submission or from the last poll. After that
    /// the query is cancelled and its ticket refused. 5 minutes unless set.
    pub ticket_life: Duration,
    /// How much of that is left once the connection that asked, or polled last, is closed. It is time enough for another
    /// connection of the same person to take over; then the query is cancelled. 5 seconds unless set.
    pub after_parting: Duration,
}

impl Default for FrontOptions {
    fn default() -> Self {
        Self {
            ticket_life: Duration::from_secs(300),
            after_parting: Duration::from_secs(5),
        }
    }
}

/// The front could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// No random key could be drawn.
    #[error("no random key for tickets and handles, the system's random source failed")]
    Random,
    /// The static metadata could not be built.
    #[error("flight sql metadata could not be built")]
    Metadata(#[source] Box<arrow_flight::error::FlightError>),
}

/// The service to mount on the client listener, whose connections must carry a [`parcours_identity::Peer`]. Called inside
/// a tokio runtime: it starts a task that cancels queries whose reader never came, and that ends with the service.
pub fn service<Q: QueryPort>(
    port: Arc<Q>,
    options: FrontOptions,
) -> Result<FlightServiceServer<FlightSql<Q>>, FrontError> {
    let front = Arc::new(Front::new(port, options)?);
    tokio::spawn(front::cancel_unread(Arc::downgrade(&front)));
    Ok(FlightServiceServer::new(FlightSql::new(front)).max_decoding_message_size(LARGEST_REQUEST))
}
