//! The daemon's metrics, in one place. They count keys; none names a query, a person or a key.

use std::fmt;
use std::sync::Arc;

use parcours_cluster::residue;
use parcours_keys::{KeyMeasure, KeyMeters, LockedMemory};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
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
}

/// A registry that reads what was counted whenever it is scraped.
pub(crate) fn registry(counters: &Counters, meters: Arc<KeyMeters>) -> Registry {
    let mut registry = Registry::with_prefix("parcours_keyd");
    registry.register(
        "keys",
        "data keys asked for since the start, by outcome",
        counters.keys.clone(),
    );
    registry.register_collector(Box::new(MasterKeys(meters)));
    registry
}

/// Uses of master keys.
#[derive(Debug)]
struct MasterKeys(Arc<KeyMeters>);

impl Collector for MasterKeys {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let measures = self.0.measures();
        let labels = |measure: &KeyMeasure| {
            [
                ("operation", measure.operation.as_str()),
                ("outcome", measure.outcome.as_str()),
            ]
        };
        let help = "uses of master keys since the start";
        let mut uses = encoder.encode_descriptor("master_key_uses", help, None, MetricType::Counter)?;
        for measure in &measures {
            ConstCounter::new(measure.count).encode(uses.encode_family(&labels(measure))?)?;
        }
        let locked = LockedMemory::now();
        for (name, help, value) in [
            (
                "key_pages_locked",
                "pages of 4 KiB that hold keys and are locked in memory",
                locked.locked,
            ),
            (
                "key_pages_refused",
                "pages of 4 KiB that hold keys and could not be locked in memory",
                locked.refused,
            ),
            (
                "dumpable",
                "whether other processes of the same user may look into this one's memory",
                usize::from(residue::is_dumpable()),
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let help = "how long they took together";
        let unit = Some(&Unit::Seconds);
        let mut times = encoder.encode_descriptor("master_key_time", help, unit, MetricType::Counter)?;
        for measure in &measures {
            ConstCounter::new(measure.total.as_secs_f64()).encode(times.encode_family(&labels(measure))?)?;
        }
        Ok(())
    }
}
