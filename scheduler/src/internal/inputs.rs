//! Which stages the tasks that are handed out read. Their grants name these, and executors give out partitions of no other
//! stage under them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ballista_core::JobId;
use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::serde::protobuf as pb;
use ballista_core::serde::scheduler::PartitionLocation;
use datafusion::physical_plan::ExecutionPlan;

use crate::engine::Engine;

/// The stages that each stage reads, by job and stage.
#[derive(Debug, Default)]
pub(super) struct Inputs(BTreeMap<(String, u32), BTreeSet<usize>>);

impl Inputs {
    /// Looks up what the stages of these tasks read, in the plans of the engine. One that is not there any more reads
    /// nothing: its job has ended.
    pub(super) async fn of(engine: &Engine, tasks: &[pb::TaskDefinition]) -> Self {
        let mut inputs = Self::default();
        for task in tasks {
            let stage = (task.job_id.clone(), task.stage_id);
            if let Entry::Vacant(unknown) = inputs.0.entry(stage) {
                unknown.insert(inputs_of(engine, task).await);
            }
        }
        inputs
    }

    /// The stages that a task reads.
    pub(super) fn of_task(&self, task: &pb::TaskDefinition) -> BTreeSet<usize> {
        let stage = (task.job_id.clone(), task.stage_id);
        self.0.get(&stage).cloned().unwrap_or_default()
    }
}

async fn inputs_of(engine: &Engine, task: &pb::TaskDefinition) -> BTreeSet<usize> {
    let mut inputs = BTreeSet::new();
    let jobs = engine.state.task_manager.get_running_job_cache();
    let Some(job) = jobs.get(&JobId::new(task.job_id.as_str())).cloned() else {
        return inputs;
    };
    let graph = job.execution_graph.read().await;
    if let Some(stage) = graph.stages().get(&(task.stage_id as usize)) {
        collect(stage.plan(), &mut inputs);
    }
    inputs
}

/// Adds the stages that a plan reads: those of the partitions that its readers name.
fn collect(node: &dyn ExecutionPlan, inputs: &mut BTreeSet<usize>) {
    if let Some(reader) = node.downcast_ref::<ShuffleReaderExec>() {
        named_by(&reader.partition, inputs);
    } else if let Some(reader) = node.downcast_ref::<RangeShuffleReaderExec>() {
        named_by(&reader.partition, inputs);
    }
    for child in node.children() {
        collect(child.as_ref(), inputs);
    }
}

fn named_by(partitions: &[Vec<PartitionLocation>], inputs: &mut BTreeSet<usize>) {
    // Nearly all of them are of one stage.
    let mut last = None;
    for location in partitions.iter().flatten() {
        let stage = location.partition_id.stage_id;
        if last.replace(stage) != Some(stage) {
            inputs.insert(stage);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use ballista_core::serde::scheduler::{
        ExecutorMetadata, ExecutorOperatingSystemSpecification, ExecutorSpecification, PartitionId, PartitionStats,
    };
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::Partitioning;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::union::UnionExec;

    use super::*;

    fn location(stage_id: usize, partition_id: usize) -> PartitionLocation {
        PartitionLocation {
            map_partition_id: 0,
            partition_id: PartitionId {
                job_id: JobId::new("J"),
                stage_id,
                partition_id,
            },
            executor_meta: ExecutorMetadata {
                id: "executor-1:ab".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 1,
                grpc_port: 1,
                specification: ExecutorSpecification::default(),
                os_info: ExecutorOperatingSystemSpecification::default(),
            },
            partition_stats: PartitionStats::default(),
            file_id: Some(0),
            is_sort_shuffle: false,
        }
    }

    #[test]
    fn a_plan_reads_the_stages_whose_partitions_it_names() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let reader = |stage: usize| -> Arc<dyn ExecutionPlan> {
            let partitions = vec![vec![location(stage, 0), location(stage, 0)], vec![location(stage, 1)]];
            let partitioning = Partitioning::UnknownPartitioning(2);
            Arc::new(ShuffleReaderExec::try_new(stage, partitions, schema.clone(), partitioning).unwrap())
        };
        let none: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(schema.clone()));
        let read = |inputs: Vec<Arc<dyn ExecutionPlan>>| {
            let mut read = BTreeSet::new();
            collect(UnionExec::try_new(inputs).unwrap().as_ref(), &mut read);
            read
        };
        assert_eq!(read(vec![reader(4), none.clone(), reader(2)]), [2, 4].into());
        assert!(read(vec![none.clone(), none]).is_empty());
    }
}
