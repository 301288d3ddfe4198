//! The executor's end of the control stream: opens it, and carries out the orders that come.

use std::sync::Arc;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use ballista_executor::executor::Executor;
use parcours_cluster::orders::{ACTION, BEAT, BEAT_EVERY, Beat, Order};
use tokio::sync::Notify;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::keys::TaskKeys;
use crate::shuffle::store::PartitionStore;
use crate::slots::Slots;
use crate::tasks::RunningTasks;

/// Opens the control stream under the id of this membership.
pub(crate) async fn open(channel: Channel, id: &str) -> Result<Streaming<arrow_flight::Result>, Status> {
    let action = Action::new(ACTION, id.as_bytes().to_vec());
    Ok(FlightServiceClient::new(channel).do_action(action).await?.into_inner())
}

/// Says, for as long as it is awaited, that this executor runs, and whether it is being drained.
pub(crate) async fn beat(channel: Channel, id: String, slots: Arc<Slots>) {
    let mut client = FlightServiceClient::new(channel);
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        let beat = Beat {
            id: id.clone(),
            leaves: slots.are_closed(),
        };
        // Whether the membership lasts is known by the control stream.
        if let Err(status) = client.do_action(Action::new(BEAT, beat.encode())).await {
            tracing::debug!(code = ?status.code(), "a beat was not heard");
        }
    }
}

/// What orders act upon.
pub(crate) struct Controlled {
    pub(crate) executor: Arc<Executor>,
    pub(crate) tasks: Arc<RunningTasks>,
    pub(crate) store: Arc<PartitionStore>,
    pub(crate) keys: Arc<TaskKeys>,
    pub(crate) wake: Arc<Notify>,
}

impl Controlled {
    /// Carries out orders until the stream ends.
    pub(crate) async fn follow(&self, mut orders: Streaming<arrow_flight::Result>) -> Result<(), Status> {
        while let Some(message) = orders.message().await? {
            let order =
                Order::decode(&message.body).map_err(|_| Status::unimplemented("an order is not known here"))?;
            self.carry_out(order).await;
        }
        Ok(())
    }

    async fn carry_out(&self, order: Order) {
        match order {
            Order::Wake => self.wake.notify_one(),
            Order::Forget { job } => self.store.end(&job),
            Order::Renew { job, stage, grant } => self.keys.renew(&job, stage, &grant.0),
            Order::Cancel { job } => {
                // Ended first, so that a task which is just being decoded finds the door closed.
                self.store.end(&job);
                self.tasks.cancel(&self.executor, &job).await;
                self.store.end(&job);
                tracing::info!(job, "job cancelled");
            }
        }
    }
}
