//! A scan whose shards have several files each: the files of a shard are read side by side and merged in the order that the
//! plan relies on. It exists on executors only, in the place of a scan that names the files of a shard as one.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use super::ScanError;
use crate::provider::named;
use crate::together::apart;

/// A scan's files, one by one, and which of them each of its partitions has.
pub(super) struct Apart {
    pub(super) config: FileScanConfig,
    pub(super) partitions: Vec<Range<usize>>,
}

/// Whether a scan names several files as one.
pub(super) fn names_several(config: &FileScanConfig) -> bool {
    let mut files = config.file_groups.iter().flat_map(|group| group.iter());
    files.any(|file| apart(&file.object_meta.location).is_some())
}

/// The scan with its files one by one; none if it names no several as one.
pub(super) fn take_apart(config: &FileScanConfig) -> Result<Option<Apart>, ScanError> {
    if !names_several(config) {
        return Ok(None);
    }
    let (mut files, mut partitions) = (Vec::new(), Vec::new());
    for group in &config.file_groups {
        let start = files.len();
        for file in group.iter() {
            match apart(&file.object_meta.location) {
                // A part of several files would be a part of none of them.
                Some(_) if file.range.is_some() => {
                    return Err(ScanError::Place {
                        path: file.object_meta.location.to_string(),
                    });
                }
                Some(parts) => files.extend(parts.into_iter().map(|(path, size)| named(path, size))),
                None => files.push(PartitionedFile::clone(file)),
            }
        }
        partitions.push(start..files.len());
    }
    let groups = files.into_iter().map(|file| FileGroup::new(vec![file])).collect();
    let config = FileScanConfigBuilder::from(config.clone())
        .with_file_groups(groups)
        .with_output_partitioning(None)
        .build();
    Ok(Some(Apart { config, partitions }))
}

/// Merges the files of each partition.
#[derive(Debug)]
pub(super) struct MergedScan {
    files: Arc<DataSourceExec>,
    partitions: Vec<Range<usize>>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MergedScan {
    /// `files` has a partition for each file; the scan that is replaced has `properties`.
    pub(super) fn new(
        files: Arc<DataSourceExec>,
        partitions: Vec<Range<usize>>,
        limit: Option<usize>,
        properties: &Arc<PlanProperties>,
    ) -> Self {
        Self {
            files,
            partitions,
            limit,
            properties: Arc::clone(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(self.properties.eq_properties.schema())
    }

    /// In the order that the scan declares.
    fn in_order(
        &self,
        partition: usize,
        files: Vec<SendableRecordBatchStream>,
        context: &TaskContext,
    ) -> Result<SendableRecordBatchStream> {
        let ordering = self.properties.output_ordering();
        let ordering = ordering.ok_or_else(|| DataFusionError::Internal("a merge has no order".to_owned()))?;
        let reservation = MemoryConsumer::new(format!("MergedScan[{partition}]")).register(context.memory_pool());
        StreamingMergeBuilder::new()
            .with_streams(files)
            .with_schema(self.schema())
            .with_expressions(ordering)
            .with_metrics(BaselineMetrics::new(&self.metrics, partition))
            .with_batch_size(context.session_config().batch_size())
            .with_reservation(reservation)
            .with_fetch(self.limit)
            .build()
    }

    /// One file after the other, where no column of the order is read.
    fn in_turn(&self, partition: usize, files: Vec<SendableRecordBatchStream>) -> SendableRecordBatchStream {
        let rows = stream::iter(files).flatten().into_stream();
        let rows = Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows));
        match self.limit {
            None => rows,
            limit => {
                let measured = BaselineMetrics::new(&self.metrics, partition);
                Box::pin(LimitStream::new(rows, 0, limit, measured))
            }
        }
    }
}

impl DisplayAs for MergedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.partitions.iter().map(ExactSizeIterator::len).sum();
        write!(f, "MergedScan: {files} files in {} shards", self.partitions.len())
    }
}

impl ExecutionPlan for MergedScan {
    fn name(&self) -> &'static str {
        "MergedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// The scan of single files is a part of this node, not a child of it: nothing may be put between them.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => Err(DataFusionError::Plan("a scan has no children".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let files = self.partitions.get(partition).cloned().unwrap_or_default();
        let open = |file| self.files.execute(file, Arc::clone(&context));
        let mut files = files.map(open).collect::<Result<Vec<_>>>()?;
        match (files.pop(), files.is_empty(), self.properties.output_ordering()) {
            (Some(file), true, _) => Ok(file),
            (Some(last), false, Some(_)) => {
                files.push(last);
                self.in_order(partition, files, &context)
            }
            (last, _, _) => {
                files.extend(last);
                Ok(self.in_turn(partition, files))
            }
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
