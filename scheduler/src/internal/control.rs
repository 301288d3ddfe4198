//! The scheduler's end of the control streams. An executor is a member of the cluster while its stream is open; when it
//! closes, for whatever reason, the executor is declared lost at once and its work is computed elsewhere. What a member has
//! in hand is kept with it ([`handed`](super::handed)), and gone with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use ballista_core::serde::protobuf as pb;
use futures::StreamExt;
use parcours_cluster::flight::{Answers, Results, refuse};
use parcours_cluster::orders::{ACTION, Order};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::guard::{executor_of, named_by};
use super::handed::{InHand, Unfounded};
use crate::metrics::Refusals;

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

/// One member.
struct Member {
    orders: mpsc::Sender<Order>,
    in_hand: InHand,
    /// Whether it was told of that a report of this member was refused.
    told: bool,
}

impl Member {
    fn new(orders: mpsc::Sender<Order>) -> Self {
        Self {
            orders,
            in_hand: InHand::default(),
            told: false,
        }
    }

    /// Tells the operator, once, that a report of this member was refused. What stands in the report is not repeated.
    fn tell(&mut self, id: &str, why: Unfounded) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(executor = id, %why, "an executor's report is refused, look at what runs under its certificate");
        }
    }
}

/// The members of the cluster, and the way to reach them.
#[derive(Default)]
pub struct Members {
    members: Mutex<HashMap<String, Member>>,
    refusals: Refusals,
}

impl Members {
    /// How many executors are connected.
    pub fn count(&self) -> usize {
        self.members.lock().len()
    }

    /// Whether this executor, by the id of its process start, is connected.
    pub fn contains(&self, id: &str) -> bool {
        self.members.lock().contains_key(id)
    }

    /// What members, or who would be one, were refused.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Notes that a member is handed these tasks. Those that it has had for longer than `longest` are forgotten.
    pub(super) fn hand_out(&self, id: &str, tasks: &[pb::TaskDefinition], longest: Duration) {
        if let Some(member) = self.members.lock().get_mut(id) {
            member.in_hand.give(tasks, longest);
        }
    }

    /// Leaves those of a member's reports in `reports` that are the first ones of tasks which it has in hand, and takes these
    /// out of its hand. Returns the jobs of tasks that were in its hand and of which it says what cannot be.
    pub(super) fn take_reports(&self, id: &str, reports: &mut Vec<pb::TaskStatus>) -> BTreeSet<String> {
        let mut broken = BTreeSet::new();
        let mut members = self.members.lock();
        let mut member = members.get_mut(id);
        reports.retain_mut(|report| {
            let taken = match &mut member {
                Some(member) => member.in_hand.take(id, report),
                None => Err(Unfounded::NotInHand),
            };
            let Err(why) = taken else { return true };
            self.refusals.reports.inc();
            if let Some(member) = &mut member {
                member.tell(id, why);
            }
            if matches!(why, Unfounded::Impossible(_)) {
                broken.insert(report.job_id.clone());
            }
            false
        });
        broken
    }

    /// Gives an order to every member.
    pub fn order(&self, order: &Order) {
        self.members.lock().retain(|id, member| {
            let heard = member.orders.try_send(order.clone()).is_ok();
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
        let members = self.members.lock();
        for (_, member) in members.iter().filter(|(other, _)| *other != id) {
            if member.orders.capacity() > WAITING_ORDERS / 2 {
                let _ = member.orders.try_send(Order::Wake);
            }
        }
    }

    /// Enters an executor by the id of its process start, and returns the orders that it is given.
    pub(crate) fn join(&self, id: &str) -> Result<mpsc::Receiver<Order>, Status> {
        let mut members = self.members.lock();
        if members.contains_key(id) {
            return Err(Status::already_exists("this executor has a control stream already"));
        }
        let (sender, receiver) = mpsc::channel(WAITING_ORDERS);
        members.insert(id.to_owned(), Member::new(sender));
        Ok(receiver)
    }

    fn leave(&self, id: &str) {
        self.members.lock().remove(id);
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
