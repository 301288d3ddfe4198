//! The daemon's face: two actions for executors, nothing for anyone else.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use futures::StreamExt;
use parcours_cluster::flight::{Answers, Results, refuse};
use parcours_identity::{Peer, peer};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use crate::metrics::Counters;
use crate::protocol::{FOLLOW, KEYS_MAX, UNWRAP, UnwrapRequest};
use crate::release::Releases;

/// How often a follower's entry is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A follower hears something at least every so many looks.
const AT_LEAST_EVERY: u32 = 4;

/// Answers executors.
#[derive(Debug)]
pub(crate) struct KeyDaemon {
    releases: Arc<Releases>,
    counters: Arc<Counters>,
}

impl KeyDaemon {
    pub(crate) fn new(releases: Arc<Releases>, counters: Arc<Counters>) -> Self {
        Self { releases, counters }
    }

    async fn unwrap(&self, who: &Peer, body: &[u8]) -> Result<Results, Status> {
        let request: UnwrapRequest =
            serde_json::from_slice(body).map_err(|_| Status::invalid_argument("the request cannot be read"))?;
        if request.keys.len() > KEYS_MAX {
            return Err(Status::invalid_argument(format!(
                "ask for at most {KEYS_MAX} keys at once"
            )));
        }
        let answers = self.releases.answer(&who.principal, &request).await;
        answers.iter().for_each(|answer| self.counters.count(answer));
        let answer = encode(&answers)?;
        Ok(futures::stream::once(async { Ok(answer) }).boxed())
    }

    fn follow(&self, who: Peer) -> Results {
        let (sender, receiver) = mpsc::channel(4);
        let releases = self.releases.clone();
        tokio::spawn(async move {
            let (mut told, mut looks) = (None, 0);
            loop {
                let usable = releases.usable(&who.principal);
                if told.as_ref() != Some(&usable) || looks % AT_LEAST_EVERY == 0 {
                    if sender.send(encode(&usable)).await.is_err() {
                        return;
                    }
                    told = Some(usable);
                }
                looks = looks.wrapping_add(1);
                tokio::time::sleep(LOOK).await;
            }
        });
        ReceiverStream::new(receiver).boxed()
    }
}

#[allow(clippy::result_large_err)]
fn encode(message: &impl Serialize) -> Result<arrow_flight::Result, Status> {
    let body = serde_json::to_vec(message).map_err(|_| Status::internal("an answer cannot be written"))?;
    Ok(arrow_flight::Result { body: body.into() })
}

#[tonic::async_trait]
impl Answers for KeyDaemon {
    const REFUSAL: &'static str = "the key daemon answers executors that ask for keys, nothing else";

    async fn action(&self, request: Request<Action>) -> Result<Results, Status> {
        let who = peer(&request)?;
        match request.get_ref().r#type.as_str() {
            UNWRAP => self.unwrap(&who, &request.get_ref().body).await,
            FOLLOW => Ok(self.follow(who)),
            _ => refuse::<Self, _>(),
        }
    }
}
