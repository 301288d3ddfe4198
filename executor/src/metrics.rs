//! The executor's metrics, in one place. They count and measure; none names a query, a person or a value.

use std::fmt;
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryPool;
use parcours_keys::LockedMemory;
use parcours_sealed::SpillFiles;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::keys::TaskKeys;
use crate::membership::Node;
use crate::pool::NodePool;
use crate::shuffle::store::PartitionStore;
use crate::tasks::RunningTasks;

struct Measured {
    tasks: Arc<RunningTasks>,
    store: Arc<PartitionStore>,
    keys: Arc<TaskKeys>,
    pool: Arc<NodePool>,
    spill: Arc<SpillFiles>,
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
        pool: node.pool.clone(),
        spill: node.spill.clone(),
    };
    registry.register_collector(Box::new(measured));
    registry.register(
        "operators",
        "operators of ours in the plans of tasks since the start, by name",
        node.operators.family(),
    );
    registry
}

/// A metric's name, its help text and its value now.
type Value = (&'static str, &'static str, u64);

impl Measured {
    fn work(&self) -> [Value; 7] {
        let (keys, footers) = (
            self.keys.reading().key_counters(),
            self.keys.reading().footer_counters(),
        );
        let locked = LockedMemory::now();
        [
            ("tasks_running", "tasks that run now", self.tasks.count() as u64),
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
            (
                "key_pages_locked",
                "pages of 4 KiB that hold keys and are locked in memory",
                locked.locked as u64,
            ),
            (
                "key_pages_refused",
                "pages of 4 KiB that hold keys and could not be locked in memory",
                locked.refused as u64,
            ),
        ]
    }

    fn scratch(&self) -> [Value; 9] {
        let spill = self.spill.counters();
        [
            (
                "partition_bytes",
                "bytes of partitions held now, sealed on disk or in memory",
                self.store.used(),
            ),
            (
                "partition_bytes_in_memory",
                "bytes of small partitions held in memory now",
                self.store.in_memory(),
            ),
            (
                "partitions_begun",
                "partitions begun since the start",
                self.store.partitions_begun(),
            ),
            (
                "partition_bytes_made",
                "bytes of partitions since the start, compressed, as they are read by others",
                self.store.bytes_made(),
            ),
            (
                "partition_bytes_written",
                "sealed bytes of partitions written to disk since the start",
                self.store.bytes_written(),
            ),
            ("spill_bytes", "sealed bytes of spill files held now", spill.bytes),
            ("spill_files", "spill files held now", spill.files),
            (
                "spill_bytes_written",
                "sealed bytes of spill files written since the start",
                spill.bytes_written,
            ),
            (
                "spill_files_created",
                "spill files created since the start",
                spill.files_created,
            ),
        ]
    }

    fn memory(&self) -> [Value; 4] {
        [
            (
                "memory_pool_bytes",
                "size of the memory pool of all tasks",
                self.pool.size(),
            ),
            (
                "memory_reserved_bytes",
                "bytes of the memory pool reserved now",
                self.pool.reserved() as u64,
            ),
            (
                "memory_reserved_peak_bytes",
                "most bytes of the memory pool reserved at once since the start",
                self.pool.peak() as u64,
            ),
            (
                "dumpable",
                "1 if the process's memory may be dumped or read by processes of its user, 0 if not",
                u64::from(parcours_cluster::residue::is_dumpable()),
            ),
        ]
    }
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let values = self.work().into_iter().chain(self.scratch()).chain(self.memory());
        for (name, help, value) in values {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
