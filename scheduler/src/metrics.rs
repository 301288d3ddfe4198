//! The scheduler's metrics, in one place. They count queries, executors and datasets; none names a query, a person or a value.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::datasets::Datasets;
use crate::internal::control::Members;
use crate::query::jobs::Jobs;

/// What is counted as it happens.
#[derive(Debug, Default)]
pub struct Counters {
    /// Queries started.
    pub started: Counter,
    /// Queries whose results were read to the end.
    pub succeeded: Counter,
    /// Queries that failed or whose reader went away.
    pub failed: Counter,
    /// Queries cancelled.
    pub cancelled: Counter,
    /// Times that a query was planned anew because the engine broke down over its plan.
    pub replanned: Counter,
    /// Times that a query was planned once for all because planning it after each stage came to no end.
    pub planned_once: Counter,
}

/// What executors were refused.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Reports of tasks that were not handed to the executor, that it had reported before, or that cannot be.
    pub reports: Counter,
    /// Processes that asked to be an executor which is a member already.
    pub joins: Counter,
}

struct Measured {
    jobs: Arc<Jobs>,
    members: Arc<Members>,
    datasets: Arc<Datasets>,
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measured")
    }
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let values: [(&str, &str, usize); 4] = [
            (
                "executors_connected",
                "executors whose control stream is open",
                self.members.count(),
            ),
            (
                "queries_running",
                "queries that run or are being read",
                self.jobs.running(),
            ),
            (
                "datasets_stale",
                "datasets that could not be looked up, or not be opened at their latest version: the last known one is served",
                self.datasets.stale(),
            ),
            (
                "dumpable",
                "1 if the process's memory may be dumped or read by processes of its user, 0 if not",
                usize::from(parcours_cluster::residue::is_dumpable()),
            ),
        ];
        for (name, help, value) in values {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// A registry of all of it.
pub fn registry(counters: &Counters, jobs: Arc<Jobs>, members: Arc<Members>, datasets: Arc<Datasets>) -> Registry {
    let mut registry = Registry::with_prefix("parcours_scheduler");
    registry.register("queries_started", "queries started", counters.started.clone());
    registry.register(
        "queries_succeeded",
        "queries whose results were read to the end",
        counters.succeeded.clone(),
    );
    registry.register(
        "queries_failed",
        "queries that failed or were left by their reader",
        counters.failed.clone(),
    );
    registry.register("queries_cancelled", "queries cancelled", counters.cancelled.clone());
    registry.register(
        "queries_replanned",
        "times that a query was planned anew, more plainly, because the engine broke down over its plan",
        counters.replanned.clone(),
    );
    registry.register(
        "queries_planned_once",
        "times that a query was planned once for all, because a side of a join turned out to be empty and planning after each stage came to no end",
        counters.planned_once.clone(),
    );
    registry.register(
        "reports_refused",
        "reports of executors on tasks that they had not in hand, or that cannot be: should stay 0",
        members.refusals().reports.clone(),
    );
    registry.register(
        "members_refused",
        "processes that asked to be an executor which is a member already: one that comes back too early, or a stolen certificate",
        members.refusals().joins.clone(),
    );
    registry.register_collector(Box::new(Measured {
        jobs,
        members,
        datasets,
    }));
    registry
}
