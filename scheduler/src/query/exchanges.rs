//! What a plan exchanges between executors, in words: a part of every explanation. Rows of a patient lie in one shard, and
//! whatever works by patient stays there; here is said what does not, and for the sake of what.

use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use parcours_cluster::placement::IN_ONE_TASK;

/// The exchanges and sorts of a plan, a line each, from the result down.
pub fn told(plan: &Arc<dyn ExecutionPlan>) -> String {
    let mut lines = Vec::new();
    tell(plan, None, &mut lines);
    if lines.is_empty() {
        lines.push("none: every step runs inside the shards".to_owned());
    }
    lines.join("\n")
}

fn tell(node: &Arc<dyn ExecutionPlan>, wanted_by: Option<&str>, lines: &mut Vec<String>) {
    lines.extend(line_of(node, wanted_by.unwrap_or("the result")));
    let wants = what(node);
    let wanted_by = wants.as_deref().or(wanted_by);
    for child in node.children() {
        tell(child, wanted_by, lines);
    }
}

/// What is to be said of a node itself.
fn line_of(node: &Arc<dyn ExecutionPlan>, wanted_by: &str) -> Option<String> {
    if let Some(exchange) = node.downcast_ref::<RepartitionExec>() {
        let Partitioning::Hash(keys, _) = exchange.partitioning() else {
            return None;
        };
        let keys = listed(keys.iter());
        return Some(match (is_partial(exchange.input()), shard_column(exchange.input())) {
            (true, _) => format!("groups by ({keys}) are brought together, one row of a group and task"),
            (false, Some(patient)) => {
                format!(
                    "rows leave their shards for {wanted_by}: it goes by ({keys}), and not by the column {patient} itself"
                )
            }
            (false, None) => format!("rows are exchanged by ({keys}) for {wanted_by}"),
        });
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let sent = *join.partition_mode() == PartitionMode::CollectLeft;
        return sent.then(|| {
            format!(
                "the smaller side of {} is sent to every task",
                what(node).unwrap_or_default()
            )
        });
    }
    if node.name() == IN_ONE_TASK {
        return Some(format!("rows are brought together in one task for {wanted_by}"));
    }
    let sort = node.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none())?;
    let patient = shard_column(sort.input())?;
    let keys = listed(sort.expr().iter().map(|by| &by.expr));
    Some(format!(
        "rows of each shard, which lie by {patient}, are sorted by ({keys}) for {wanted_by}"
    ))
}

/// A node that wants rows in certain places, in words.
fn what(node: &Arc<dyn ExecutionPlan>) -> Option<String> {
    let hashed = node.downcast_ref::<HashJoinExec>().map(HashJoinExec::on);
    let merged = || node.downcast_ref::<SortMergeJoinExec>().map(SortMergeJoinExec::on);
    if let Some(on) = hashed.or_else(merged) {
        return Some(format!("the join on ({})", listed(on.iter().map(|(left, _)| left))));
    }
    if node.is::<NestedLoopJoinExec>() || node.is::<CrossJoinExec>() {
        return Some("a join without equal columns".to_owned());
    }
    if let Some(grouping) = node.downcast_ref::<AggregateExec>() {
        let keys = grouping.group_expr().expr().iter().map(|(key, _)| key);
        return Some(format!("the grouping by ({})", listed(keys)));
    }
    let keys = match node.downcast_ref::<WindowAggExec>() {
        Some(window) => window.partition_keys(),
        None => node.downcast_ref::<BoundedWindowAggExec>()?.partition_keys(),
    };
    Some(format!("the window by ({})", listed(keys.iter())))
}

fn is_partial(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<AggregateExec>()
        .is_some_and(|grouping| *grouping.mode() == AggregateMode::Partial)
}

/// The column by which rows lie in shards; none if they lie anywhere.
fn shard_column(node: &Arc<dyn ExecutionPlan>) -> Option<String> {
    match node.output_partitioning() {
        Partitioning::Range(range) => range.ordering().iter().next().map(|by| name(&by.expr)),
        _ => None,
    }
}

fn listed<'a>(keys: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>) -> String {
    keys.map(name).collect::<Vec<_>>().join(", ")
}

/// An expression as people write it: columns without their place.
fn name(expr: &Arc<dyn PhysicalExpr>) -> String {
    let text = expr.to_string();
    match text.rsplit_once('@') {
        Some((column, place)) if place.bytes().all(|byte| byte.is_ascii_digit()) => column.to_owned(),
        _ => text,
    }
}
