//! The scheduler's end of the control streams. An executor is a member of the cluster while its stream is open; when it
//! closes, for whatever reason, the executor is declared lost at once and its work is computed elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_flight::Action;
use futures::StreamExt;
use parcours_cluster::flight::{Answers, Results, refuse};
use parcours_cluster::orders::{ACTION, Order};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::guard::{executor_of, named_by};

/// Orders that may wait for a member; one that lets more pile up is taken for gone.
const WAITING_ORDERS: usize = 1024;

/// Told what was lost.
pub trait Losses: Send + Sync {
    /// The member of this id is gone, with every partition that it held.
    fn executor_lost(&self, id: String);

    /// A task of this job could not fetch a partition.
    fn partition_lost(&self, job: String);

    /// The plan of this job has a stage that is not proven sound.
    fn plan_refused(&self, job: String);
}

/// The members of the cluster, and the way to reach them.
#[derive(Default)]
pub struct Members {
    streams: Mutex<HashMap<String, mpsc::Sender<Order>>>,
}

impl Members {
    /// How many executors are connected.
    pub fn count(&self) -> usize {
        self.streams.lock().len()
    }

    /// Whether this executor, by the id of its process start, is connected.
    pub fn contains(&self, id: &str) -> bool {
        self.streams.lock().contains_key(id)
    }

    /// Gives an order to every member.
    pub fn order(&self, order: &Order) {
        self.streams.lock().retain(|id, stream| {
            let heard = stream.try_send(order.clone()).is_ok();
            if !heard {
                tracing::warn!(
                    executor = id,
                    "an executor does not take orders, its control stream is closed"
                );
            }
            heard
        });
    }

    /// Wakes every member but this one. Whoever has orders enough to read wakes by them.
    pub fn wake_others(&self, id: &str) {
        let streams = self.streams.lock();
        for (_, stream) in streams.iter().filter(|(other, _)| *other != id) {
            if stream.capacity() > WAITING_ORDERS / 2 {
                let _ = stream.try_send(Order::Wake);
            }
        }
    }

    /// Enters an executor by the id of its process start, and returns the orders that it is given.
    pub(crate) fn join(&self, id: &str) -> Result<mpsc::Receiver<Order>, Status> {
        let mut streams = self.streams.lock();
        if streams.contains_key(id) {
            return Err(Status::already_exists("this executor has a control stream already"));
        }
        let (sender, receiver) = mpsc::channel(WAITING_ORDERS);
        streams.insert(id.to_owned(), sender);
        Ok(receiver)
    }

    fn leave(&self, id: &str) {
        self.streams.lock().remove(id);
    }
}

/// Declares its member lost when the control stream is dropped.
struct Membership {
    members: Arc<Members>,
    id: String,
    losses: Arc<dyn Losses>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.members.leave(&self.id);
        tracing::warn!(executor = self.id, "control stream closed, executor is taken for lost");
        self.losses.executor_lost(self.id.clone());
    }
}

/// Answers the control action, and nothing else.
pub struct ControlService {
    members: Arc<Members>,
    losses: Arc<dyn Losses>,
}

impl ControlService {
    /// A service over the given members.
    pub fn new(members: Arc<Members>, losses: Arc<dyn Losses>) -> Self {
        Self { members, losses }
    }
}

#[tonic::async_trait]
impl Answers for ControlService {
    const REFUSAL: &'static str = "the internal listener answers executors' control action only";

    async fn action(&self, request: Request<Action>) -> Result<Results, Status> {
        let name = executor_of(&request)?;
        if request.get_ref().r#type != ACTION {
            return refuse::<Self, _>();
        }
        let id = String::from_utf8(request.get_ref().body.to_vec())
            .map_err(|_| Status::invalid_argument("the control action names no executor"))?;
        named_by(&name, &id)?;
        let orders = self.members.join(&id)?;
        tracing::info!(executor = id, "executor joined");
        let membership = Membership {
            members: self.members.clone(),
            id,
            losses: self.losses.clone(),
        };
        let answer = ReceiverStream::new(orders).map(move |order| {
            let _held_while_open = &membership;
            Ok(arrow_flight::Result {
                body: order.encode().into(),
            })
        });
        Ok(answer.boxed())
    }
}
