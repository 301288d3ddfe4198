//! The daemon's metrics, in one place. They count keys; none names a query, a person or a key.

use std::fmt;
use std::sync::Arc;

use parcours_keys::{KeyMeasure, KeyMeters};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use crate::protocol::Answer;

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    keys: Family<Outcome, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Counters {
    pub(crate) fn count(&self, answer: &Answer) {
        let outcome = answer.outcome();
        self.keys.get_or_create(&Outcome { outcome }).inc();
    }

    /// A registry that reads them.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("parcours_keyd");
        registry.register(
            "keys",
            "data keys asked for since the start, by outcome",
            self.keys.clone(),
        );
        registry
    }
}
