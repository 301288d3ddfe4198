//! The executor's metrics, in one place. They count and measure; none names a query, a person or a value.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::keys::TaskKeys;
use crate::membership::Node;
use crate::shuffle::store::PartitionStore;
use crate::tasks::RunningTasks;

struct Measured {
    tasks: Arc<RunningTasks>,
    store: Arc<PartitionStore>,
    keys: Arc<TaskKeys>,
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measured")
    }
}

/// A registry that reads the node whenever it is scraped.
pub(crate) fn registry(node: &Node) -> Registry {
    let mut registry = Registry::with_prefix("parcours_executor");
    let measured = Measured {
        tasks: node.tasks.clone(),
        store: node.store.clone(),
        keys: node.keys.clone(),
    };
    registry.register_collector(Box::new(measured));
    registry
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (keys, footers) = (
            self.keys.reading().key_counters(),
            self.keys.reading().footer_counters(),
        );
        let values: [(&str, &str, u64); 6] = [
            ("tasks_running", "tasks that run now", self.tasks.count() as u64),
            (
                "partition_bytes",
                "sealed bytes of partitions held now",
                self.store.used(),
            ),
            ("key_unwraps", "data keys unwrapped since the start", keys.unwraps),
            (
                "key_cache_hits",
                "data keys taken from the cache since the start",
                keys.hits,
            ),
            (
                "footer_cache_hits",
                "file footers taken from the cache since the start",
                footers.hits,
            ),
            (
                "footer_cache_misses",
                "file footers read and decrypted since the start",
                footers.misses,
            ),
        ];
        for (name, help, value) in values {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
