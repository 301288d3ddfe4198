//! Unions of totals, cut to a task's slice. Ballista restricts a task's plan to its partitions by narrowing the leaves; the
//! leaves below a total (a final aggregation, a merge) must stay whole, so that such a part of a union still answers in
//! every task, and its rows would come once per task. Here the parts that are not in the slice are left out; where the
//! slice cannot be told, the task is refused rather than run to a wrong answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary};

use crate::stage::Layout;

/// The plan with its union cut to the output partitions of the task.
pub(crate) fn cut(
    plan: Arc<dyn ExecutionPlan>,
    layout: &Layout,
    partitions: &[usize],
) -> Result<Arc<dyn ExecutionPlan>> {
    if !holds_totals(&plan) {
        return Ok(plan);
    }
    match layout {
        Layout::PassThrough if count(&plan) == partitions.len() => Ok(plan),
        Layout::PassThrough => {
            let cut = descend(&plan, partitions)?;
            if count(&cut) == partitions.len() {
                Ok(cut)
            } else {
                Err(refusal())
            }
        }
        Layout::Hash(_) => Err(refusal()),
    }
}

fn refusal() -> DataFusionError {
    DataFusionError::NotImplemented(
        "this UNION of totals cannot be split over tasks, query its parts one by one".to_owned(),
    )
}

fn count(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

/// Whether a union that is split over tasks has a part that is not.
fn holds_totals(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if collapses(plan) {
        return false;
    }
    if plan.is::<UnionExec>() && plan.children().into_iter().any(stays_whole) {
        return true;
    }
    aligned_children(plan).into_iter().any(holds_totals)
}

fn collapses(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CoalescePartitionsExec>() || plan.is::<SortPreservingMergeExec>()
}

/// The children whose partitions are the plan's own; others are read whole by every task.
fn aligned_children(plan: &Arc<dyn ExecutionPlan>) -> Vec<&Arc<dyn ExecutionPlan>> {
    let required = plan.input_distribution_requirements();
    let whole: Vec<bool> = required
        .per_child_distributions()
        .map(|d| matches!(d, Distribution::SinglePartition))
        .collect();
    let children = plan.children().into_iter().enumerate();
    children
        .filter(|(i, _)| !whole.get(*i).copied().unwrap_or(false))
        .map(|(_, child)| child)
        .collect()
}

/// Whether restricting the plan to a slice leaves it as it is.
fn stays_whole(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.children().is_empty() {
        return false;
    }
    let aligned = aligned_children(plan);
    collapses(plan) || aligned.is_empty() || aligned.into_iter().any(stays_whole)
}

/// Walks down to the union, through nodes with one child, and cuts it.
fn descend(plan: &Arc<dyn ExecutionPlan>, partitions: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
    if plan.is::<UnionExec>() {
        return cut_union(plan, partitions);
    }
    match plan.children().as_slice() {
        [child] => replace_children_if_necessary(plan.clone(), vec![descend(child, partitions)?]),
        _ => Err(refusal()),
    }
}

fn cut_union(union: &Arc<dyn ExecutionPlan>, partitions: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
    let children: Vec<Arc<dyn ExecutionPlan>> = union.children().into_iter().cloned().collect();
    let whole: Vec<bool> = children.iter().map(stays_whole).collect();
    let split: usize = children
        .iter()
        .zip(&whole)
        .filter(|(_, whole)| !**whole)
        .map(|(child, _)| count(child))
        .sum();
    let chosen: BTreeSet<usize> = partitions.iter().copied().collect();
    let kept: Vec<Arc<dyn ExecutionPlan>> = if whole.iter().all(|whole| *whole) {
        // Each part is one partition, so that its number is its place.
        children
            .into_iter()
            .enumerate()
            .filter(|(i, _)| chosen.contains(i))
            .map(|(_, child)| child)
            .collect()
    } else if split == partitions.len() {
        children
            .into_iter()
            .zip(whole)
            .filter(|(_, whole)| !whole)
            .map(|(child, _)| child)
            .collect()
    } else {
        return Err(refusal());
    };
    UnionExec::try_new(kept)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::empty::EmptyExec;

    fn leaf(partitions: usize) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        Arc::new(EmptyExec::new(schema).with_partitions(partitions))
    }

    fn total() -> Arc<dyn ExecutionPlan> {
        Arc::new(CoalescePartitionsExec::new(leaf(4)))
    }

    #[test]
    fn a_union_of_totals_answers_with_the_parts_of_its_slice() {
        let union = UnionExec::try_new(vec![total(), total(), total()]).unwrap();
        let cut_to = |slice: &[usize]| count(&cut(union.clone(), &Layout::PassThrough, slice).unwrap());
        assert_eq!((cut_to(&[1]), cut_to(&[0, 2]), cut_to(&[0, 1, 2])), (1, 2, 3));
    }

    #[test]
    fn a_mixed_union_is_cut_where_its_slice_can_be_told_and_refused_elsewhere() {
        // As restricted by the engine: two of the scan's partitions are in the slice, the total may be or not.
        let union = UnionExec::try_new(vec![leaf(2), total()]).unwrap();
        let cut_to = |slice: &[usize]| cut(union.clone(), &Layout::PassThrough, slice).map(|plan| count(&plan));
        assert_eq!(cut_to(&[0, 1]).unwrap(), 2);
        assert_eq!(cut_to(&[0, 1, 4]).unwrap(), 3);
        assert!(cut_to(&[4]).is_err());
    }

    #[test]
    fn unions_of_scans_are_left_alone() {
        let union = UnionExec::try_new(vec![leaf(2), leaf(1)]).unwrap();
        assert_eq!(count(&cut(union, &Layout::PassThrough, &[0, 1, 5]).unwrap()), 3);
    }
}
