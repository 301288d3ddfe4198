//! Tickets: who may read which query's results, once, and until when. A ticket is signed with a key that lives and dies
//! with the process, so nothing about it can be guessed or altered; what may still be read is kept in [`Waiting`].

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arrow::datatypes::SchemaRef;
use aws_lc_rs::{hmac, rand::SystemRandom};
use parcours_identity::{Peer, Presence, Principal};
use parking_lot::Mutex;

use crate::port::QueryId;

/// Why a ticket is not honoured. The four cases say what to do, and nothing of another person's query.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub(super) enum TicketError {
    /// Not signed by this process: altered, made up, or from before a restart.
    #[error("ticket was not issued by this server or was altered, run the query again")]
    Forged,
    /// Signed for another principal.
    #[error("ticket was issued to someone else, run the query yourself")]
    Foreign,
    /// Its time to begin reading has passed; the query was stopped.
    #[error("ticket has expired, run the query again and read its results sooner")]
    Expired,
    /// Already used, or its query was cancelled.
    #[error("ticket was already used or its query cancelled, results can be read once: run the query again")]
    Spent,
}

/// What a signature is for: a ticket reads results, a poll handle asks for progress, and neither is good for the other.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Redeemed with `DoGet`.
    Read = 1,
    /// Presented to `PollFlightInfo`.
    Poll = 2,
}

/// Signs and checks tickets.
pub(super) struct Signer {
    key: hmac::Key,
}

const ID: usize = 16;
const EXPIRY: usize = 8;
const HEADER: usize = 1 + ID + EXPIRY;
const SIGNATURE: usize = 32;

/// A ticket whose signature and principal are right; whether it is still good is a question of time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// The query it is for.
    pub query: QueryId,
    expires_ms: u64,
}

impl Verified {
    /// Refuses a ticket whose time has passed.
    pub fn in_time(self) -> Result<QueryId, TicketError> {
        if now_ms() < self.expires_ms {
            Ok(self.query)
        } else {
            Err(TicketError::Expired)
        }
    }
}

impl Signer {
    /// A signer with a new random key.
    pub fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
        })
    }

    /// Purpose, query, expiry (milliseconds since 1970) and principal in clear, then the signature over all of them.
    pub fn issue(&self, purpose: Purpose, who: &Principal, query: &QueryId, life: Duration) -> Vec<u8> {
        let expires_ms = now_ms().saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let mut ticket = Vec::with_capacity(HEADER + SIGNATURE + 64);
        ticket.push(purpose as u8);
        ticket.extend_from_slice(query.as_bytes());
        ticket.extend_from_slice(&expires_ms.to_be_bytes());
        ticket.extend_from_slice(who.to_string().as_bytes());
        let signature = hmac::sign(&self.key, &ticket);
        ticket.extend_from_slice(signature.as_ref());
        ticket
    }

    /// Checks signature, purpose and principal, in this order.
    pub fn verify(&self, purpose: Purpose, who: &Principal, ticket: &[u8]) -> Result<Verified, TicketError> {
        let split = ticket
            .len()
            .checked_sub(SIGNATURE)
            .filter(|split| *split >= HEADER)
            .ok_or(TicketError::Forged)?;
        let (signed, signature) = ticket.split_at(split);
        hmac::verify(&self.key, signed, signature).map_err(|_| TicketError::Forged)?;
        let (header, owner) = signed.split_at(HEADER);
        let (id, expiry) = header[1..].split_at(ID);
        if header[0] != purpose as u8 {
            return Err(TicketError::Forged);
        }
        if owner != who.to_string().as_bytes() {
            return Err(TicketError::Foreign);
        }
        let id = id.try_into().map_err(|_| TicketError::Forged)?;
        let expiry = expiry.try_into().map_err(|_| TicketError::Forged)?;
        Ok(Verified {
            query: QueryId::from_bytes(id),
            expires_ms: u64::from_be_bytes(expiry),
        })
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A query that was started and whose reader has not come yet.
pub(super) struct Unread {
    /// Who started it.
    pub who: Principal,
    /// The schema of its results, as promised.
    pub schema: SchemaRef,
    until: Instant,
    /// The connection that asked for it last.
    asker: Presence,
}

/// The queries whose results wait for their one reader.
#[derive(Default)]
pub(super) struct Waiting {
    queries: Mutex<HashMap<QueryId, Unread>>,
}

impl Waiting {
    /// Lets a query's results be read once within `life`.
    pub fn admit(&self, query: QueryId, asker: &Peer, schema: SchemaRef, life: Duration) {
        self.queries.lock().insert(
            query,
            Unread {
                who: asker.principal.clone(),
                schema,
                until: Instant::now() + life,
                asker: asker.presence.clone(),
            },
        );
    }

    /// Gives a reader who is still following the query, perhaps over another connection, another `life`.
    pub fn extend(&self, query: &QueryId, asker: &Presence, life: Duration) -> Result<SchemaRef, TicketError> {
        let mut queries = self.queries.lock();
        let unread = queries.get_mut(query).ok_or(TicketError::Spent)?;
        unread.until = Instant::now() + life;
        unread.asker = asker.clone();
        Ok(unread.schema.clone())
    }

    /// Takes the right to read; the second to ask gets nothing.
    pub fn redeem(&self, query: &QueryId) -> Result<Unread, TicketError> {
        self.queries.lock().remove(query).ok_or(TicketError::Spent)
    }

    /// Takes out all whose time has passed. Those whose asker is no longer connected have `after_parting` left at most,
    /// from the first call that finds it so.
    pub fn expired(&self, after_parting: Duration) -> Vec<(QueryId, Principal)> {
        let now = Instant::now();
        let is_late = |unread: &mut Unread| {
            if !unread.asker.is_here() {
                unread.until = unread.until.min(now + after_parting);
            }
            unread.until <= now
        };
        let late: Vec<_> = self.queries.lock().extract_if(|_, unread| is_late(unread)).collect();
        late.into_iter().map(|(query, unread)| (query, unread.who)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn results_wait_as_long_as_they_were_given() {
        let (waiting, query, long) = (Waiting::default(), QueryId::new(), Duration::from_secs(60));
        let asker = Peer {
            principal: Principal::user("hospital.example", "alice").unwrap(),
            address: ([127, 0, 0, 1], 1).into(),
            presence: Presence::default(),
        };
        waiting.admit(query, &asker, Arc::new(Schema::empty()), Duration::ZERO);
        waiting.extend(&query, &Presence::default(), long).unwrap();
        assert!(
            waiting.expired(long).is_empty(),
            "it was extended, and its asker has just left"
        );
        assert_eq!(waiting.expired(Duration::ZERO), [(query, asker.principal)]);
        assert!(matches!(waiting.redeem(&query), Err(TicketError::Spent)));
    }
}
