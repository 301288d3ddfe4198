//! The scheduler's end of the control streams. An executor is a member of the cluster while its stream is open; when it
//! closes, for whatever reason, the executor is declared lost at once and its work is computed elsewhere. So it is when
//! nothing was heard of it for long, be its stream open or not. What a member has in hand is kept with it
//! ([`handed`](super::handed)), and gone with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use ballista_core::serde::protobuf as pb;
use futures::StreamExt;
use parcours_cluster::flight::{Answers, Results, refuse};
use parcours_cluster::orders::{ACTION, BEAT, Beat, Order, executor_name};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::guard::{executor_of, named_by};
use super::handed::{Granted, InHand, Unfounded};
use crate::metrics::Refusals;

/// Orders that may wait for a member; one that lets more pile up is taken for gone.
const WAITING_ORDERS: usize = 1024;

/// How often it is looked who is silent.
const LOOK: Duration = Duration::from_millis(250);

/// Told what was lost.
pub trait Losses: Send + Sync {
    /// The member of this id is gone, with every partition that it held. Whether it had said before that it would go.
    fn executor_lost(&self, id: String, announced: bool);

    /// A task of this job could not fetch a partition, or nothing can be believed of it.
    fn partition_lost(&self, job: String);

    /// The plan of this job has a stage that is not proven sound.
    fn plan_refused(&self, job: String);
}

/// One member.
struct Member {
    /// Its name, and the start of its process.
    id: String,
    orders: mpsc::Sender<Order>,
    in_hand: InHand,
    /// How many tasks it runs at once, as far as it is believed.
    slots: usize,
    /// For how long nothing was heard of it, as often as it was looked.
    silent: Duration,
    /// How many of its polls are being answered; meanwhile it has nothing to say.
    polls: usize,
    /// Whether it said that it will go.
    leaves: bool,
    /// Whether it was told that a report of this member was refused.
    told_of_report: bool,
    /// Whether it was told that another process asked to be this member.
    told_of_second: bool,
}

impl Member {
    fn new(id: &str, orders: mpsc::Sender<Order>) -> Self {
        Self {
            id: id.to_owned(),
            orders,
            in_hand: InHand::default(),
            slots: 0,
            silent: Duration::ZERO,
            polls: 0,
            leaves: false,
            told_of_report: false,
            told_of_second: false,
        }
    }

    /// Tells the operator, once, that a report of this member was refused. What stands in the report is not repeated.
    fn tell_of_report(&mut self, why: Unfounded) {
        if !std::mem::replace(&mut self.told_of_report, true) {
            let executor = &self.id;
            tracing::error!(executor, %why, "an executor's report is refused, look at what runs under its certificate");
        }
    }

    /// Tells the operator, once, that somebody else asked to be this member: an executor that lost its connection and comes
    /// back before that was noticed here, or whoever has a copy of its certificate.
    fn tell_of_second(&mut self, second: &str) {
        if !std::mem::replace(&mut self.told_of_second, true) {
            tracing::error!(
                executor = self.id,
                second,
                "a second process asks to be an executor that is a member already, and is refused"
            );
        }
    }
}

/// The members of the cluster, by name, and the way to reach them. An executor is a member once: who joins under the name of
/// a member would be given its work, and be asked for its results.
#[derive(Default)]
pub struct Members {
    members: Mutex<HashMap<String, Member>>,
    refusals: Refusals,
}

/// The member of this id.
fn of_id<'a>(members: &'a mut HashMap<String, Member>, id: &str) -> Option<&'a mut Member> {
    members.get_mut(executor_name(id)).filter(|member| member.id == id)
}

impl Members {
    /// How many executors are connected.
    pub fn count(&self) -> usize {
        self.members.lock().len()
    }

    /// Whether this executor, by the id of its process start, is connected.
    pub fn contains(&self, id: &str) -> bool {
        of_id(&mut self.members.lock(), id).is_some()
    }

    /// What members, or who would be one, were refused.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// How many tasks all members run at once, as far as they have said.
    pub(super) fn slots(&self) -> usize {
        self.members.lock().values().map(|member| member.slots).sum()
    }

    /// Notes how many tasks a member runs at once.
    pub(super) fn has_slots(&self, id: &str, slots: usize) {
        if let Some(member) = of_id(&mut self.members.lock(), id) {
            member.slots = slots;
        }
    }

    /// How many tasks a member has in hand.
    pub(super) fn in_hand(&self, id: &str) -> usize {
        of_id(&mut self.members.lock(), id).map_or(0, |member| member.in_hand.count())
    }

    /// Notes that a member is handed these tasks. Those that it has had for longer than `longest` are forgotten.
    pub(super) fn hand_out(&self, id: &str, tasks: &[pb::TaskDefinition], longest: Duration) {
        if let Some(member) = of_id(&mut self.members.lock(), id) {
            member.in_hand.give(tasks, longest);
        }
    }

    /// Notes under which grants a member is handed tasks.
    pub(super) fn grant(&self, id: &str, granted: Vec<Granted>) {
        if let Some(member) = of_id(&mut self.members.lock(), id) {
            member.in_hand.grant(granted);
        }
    }

    /// The grants of tasks in members' hands that were signed so long ago, as [`InHand::take_aged`].
    pub(super) fn take_aged(&self, age: Duration) -> Vec<Granted> {
        let mut members = self.members.lock();
        let aged = members.values_mut().flat_map(|member| member.in_hand.take_aged(age));
        aged.collect()
    }

    /// Gives an order to one member. Nothing happens if it is none any more, or has orders enough to read.
    pub(super) fn order_one(&self, id: &str, order: Order) {
        if let Some(member) = of_id(&mut self.members.lock(), id) {
            let _ = member.orders.try_send(order);
        }
    }

    /// Leaves those of a member's reports in `reports` that are the first ones of tasks which it has in hand, and takes these
    /// out of its hand. Returns the jobs of tasks that were in its hand and of which it says what cannot be.
    pub(super) fn take_reports(&self, id: &str, reports: &mut Vec<pb::TaskStatus>) -> BTreeSet<String> {
        let mut broken = BTreeSet::new();
        let mut members = self.members.lock();
        let mut member = of_id(&mut members, id);
        reports.retain_mut(|report| {
            let taken = match &mut member {
                Some(member) => member.in_hand.take(id, report),
                None => Err(Unfounded::NotInHand),
            };
            let Err(why) = taken else { return true };
            self.refusals.reports.inc();
            if let Some(member) = &mut member {
                member.tell_of_report(why);
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
        self.members.lock().retain(|_, member| {
            let heard = member.orders.try_send(order.clone()).is_ok();
            if !heard {
                tracing::warn!(
                    executor = member.id,
                    "an executor does not take orders, its control stream is closed"
                );
            }
            heard
        });
    }

    /// Wakes every member but this one. Whoever has orders enough to read wakes by them.
    pub fn wake_others(&self, id: &str) {
        let members = self.members.lock();
        for member in members.values().filter(|member| member.id != id) {
            if member.orders.capacity() > WAITING_ORDERS / 2 {
                let _ = member.orders.try_send(Order::Wake);
            }
        }
    }

    /// Enters an executor by the id of its process start, and returns the orders that it is given. Refused while there is a
    /// member of its name.
    pub(crate) fn join(&self, id: &str) -> Result<mpsc::Receiver<Order>, Status> {
        let mut members = self.members.lock();
        if let Some(member) = members.get_mut(executor_name(id)) {
            self.refusals.joins.inc();
            member.tell_of_second(id);
            return Err(Status::already_exists("an executor of this name is a member already"));
        }
        let (sender, receiver) = mpsc::channel(WAITING_ORDERS);
        members.insert(executor_name(id).to_owned(), Member::new(id, sender));
        Ok(receiver)
    }

    /// Takes a member out. Whether it had said that it would go.
    fn leave(&self, id: &str) -> bool {
        let mut members = self.members.lock();
        // Another start of the executor may be a member by now.
        let leaves = of_id(&mut members, id).map(|member| member.leaves);
        if leaves.is_some() {
            members.remove(executor_name(id));
        }
        leaves.unwrap_or(false)
    }

    /// Notes that a member says that it runs, and whether it will go. Whether it is a member.
    fn hear(&self, beat: &Beat) -> bool {
        let mut members = self.members.lock();
        let Some(member) = of_id(&mut members, &beat.id) else {
            return false;
        };
        member.silent = Duration::ZERO;
        member.leaves = beat.leaves;
        true
    }

    /// Notes that a member asks for work. Until what is returned is dropped, it is not expected to say anything else: how long
    /// it takes to be answered is not its doing.
    pub(super) fn polling(self: &Arc<Self>, id: &str) -> Polling {
        self.count_polls(id, |polls| polls + 1);
        Polling {
            members: self.clone(),
            id: id.to_owned(),
        }
    }

    fn count_polls(&self, id: &str, count: impl FnOnce(usize) -> usize) {
        if let Some(member) = of_id(&mut self.members.lock(), id) {
            member.silent = Duration::ZERO;
            member.polls = count(member.polls);
        }
    }

    /// Takes out the members that were silent for so long, and says who had said that they would go. Time is counted by looks:
    /// a scheduler that was stopped itself, or had no processor, cannot say who was silent meanwhile.
    fn take_silent(&self, limit: Duration) -> Vec<(String, bool)> {
        let mut silent = Vec::new();
        self.members.lock().retain(|_, member| {
            if member.polls == 0 {
                member.silent += LOOK;
            }
            let stays = member.silent < limit;
            if !stays {
                silent.push((member.id.clone(), member.leaves));
            }
            stays
        });
        silent
    }
}

/// A poll of a member that is being answered.
pub(super) struct Polling {
    members: Arc<Members>,
    id: String,
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.members.count_polls(&self.id, |polls| polls.saturating_sub(1));
    }
}

/// Declares lost, for as long as it is awaited, every member of which nothing was heard for so long.
pub async fn end_silent(members: &Members, losses: &dyn Losses, limit: Duration) {
    loop {
        tokio::time::sleep(LOOK).await;
        for (id, announced) in members.take_silent(limit) {
            tracing::warn!(
                executor = id,
                ?limit,
                "nothing is heard of an executor, it is taken for lost"
            );
            losses.executor_lost(id, announced);
        }
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
        let announced = self.members.leave(&self.id);
        tracing::warn!(
            executor = self.id,
            announced,
            "control stream closed, executor is taken for lost"
        );
        self.losses.executor_lost(self.id.clone(), announced);
    }
}

/// Answers the control action and beats, and nothing else.
pub struct ControlService {
    members: Arc<Members>,
    losses: Arc<dyn Losses>,
}

impl ControlService {
    /// A service over the given members.
    pub fn new(members: Arc<Members>, losses: Arc<dyn Losses>) -> Self {
        Self { members, losses }
    }

    fn hear(&self, name: &str, body: &[u8]) -> Result<Results, Status> {
        let beat = Beat::decode(body).map_err(|_| Status::invalid_argument("the beat names no executor"))?;
        named_by(name, &beat.id)?;
        match self.members.hear(&beat) {
            true => Ok(futures::stream::empty().boxed()),
            false => Err(Status::failed_precondition("the executor is no member")),
        }
    }

    fn join(&self, name: &str, body: &[u8]) -> Result<Results, Status> {
        let id = String::from_utf8(body.to_vec())
            .map_err(|_| Status::invalid_argument("the control action names no executor"))?;
        named_by(name, &id)?;
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

#[tonic::async_trait]
impl Answers for ControlService {
    const REFUSAL: &'static str = "the internal listener answers executors' control actions only";

    async fn action(&self, request: Request<Action>) -> Result<Results, Status> {
        let name = executor_of(&request)?;
        let Action { r#type, body } = request.get_ref();
        match r#type.as_str() {
            ACTION => self.join(&name, body),
            BEAT => self.hear(&name, body),
            _ => refuse::<Self, _>(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tonic::Code;

    use super::*;

    #[test]
    fn an_executor_is_a_member_once() {
        let members = Members::default();
        let (_orders, _others) = (members.join("one:ab").unwrap(), members.join("two:ab").unwrap());
        for second in ["one:cd", "one:ab"] {
            assert_eq!(
                members.join(second).unwrap_err().code(),
                Code::AlreadyExists,
                "{second}"
            );
        }
        assert_eq!((members.count(), members.refusals().joins.get()), (2, 2));
        assert!(members.contains("one:ab") && !members.contains("one:cd") && !members.contains("one"));
    }

    #[test]
    fn an_executor_that_left_may_join_again() {
        let members = Members::default();
        let before = members.join("one:ab").unwrap();
        members.leave("one:cd");
        assert!(members.contains("one:ab"), "another start of it is not a member");
        members.leave("one:ab");
        drop(before);
        let mut orders = members.join("one:cd").unwrap();
        // The stream of the start before is noticed to be gone after the executor is back.
        members.leave("one:ab");
        assert!(members.contains("one:cd"));
        members.order(&Order::Wake);
        assert_eq!(orders.try_recv().unwrap(), Order::Wake);
    }

    /// How often it is looked until somebody is taken for silent.
    fn looks(limit: Duration) -> u32 {
        (limit.as_millis() / LOOK.as_millis()) as u32
    }

    fn beat(id: &str, leaves: bool) -> Beat {
        Beat {
            id: id.to_owned(),
            leaves,
        }
    }

    #[test]
    fn who_is_silent_for_long_is_no_member() {
        let (members, limit) = (Members::default(), Duration::from_secs(10));
        let (_one, _two) = (members.join("one:ab").unwrap(), members.join("two:cd").unwrap());
        for look in 1..looks(limit) {
            assert!(members.hear(&beat("two:cd", look > 3)));
            assert!(members.take_silent(limit).is_empty(), "look {look}");
        }
        assert_eq!(members.take_silent(limit), [("one:ab".to_owned(), false)]);
        assert!(members.contains("two:cd") && !members.contains("one:ab"));
        assert!(!members.hear(&beat("one:ab", false)), "it has to join again");
        members.join("one:ef").unwrap();
        let gone = (0..looks(limit))
            .flat_map(|_| members.take_silent(limit))
            .collect::<Vec<_>>();
        assert_eq!(gone.len(), 2);
        assert!(gone.contains(&("two:cd".to_owned(), true)), "it had said so");
    }

    #[test]
    fn who_waits_for_an_answer_is_not_silent() {
        let (members, limit) = (Arc::new(Members::default()), Duration::from_secs(2));
        let _orders = members.join("one:ab").unwrap();
        let (first, second) = (members.polling("one:ab"), members.polling("one:ab"));
        drop(first);
        for _ in 0..2 * looks(limit) {
            assert!(members.take_silent(limit).is_empty());
        }
        drop(second);
        let gone = (1..=looks(limit)).find(|_| !members.take_silent(limit).is_empty());
        assert_eq!(gone, Some(looks(limit)), "from the answer on it is");
    }

    #[test]
    fn an_executor_that_says_so_leaves_announced() {
        let members = Members::default();
        let _orders = members.join("one:ab").unwrap();
        members.hear(&beat("one:ab", true));
        assert!(members.leave("one:ab") && !members.leave("one:ab"));
    }

    #[test]
    fn the_others_are_woken() {
        let members = Members::default();
        let mut orders = ["one:ab", "two:cd"].map(|id| members.join(id).unwrap());
        members.wake_others("one:ab");
        assert!(orders[0].try_recv().is_err());
        assert_eq!(orders[1].try_recv().unwrap(), Order::Wake);
    }
}
