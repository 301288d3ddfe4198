//! The stages in which queries ran, read from the scheduler's log at the level at which the engine tells its plans, and
//! made comparable: what differs from one run to the next, as names of files and numbers of stages, is left out.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// What a scheduler has to log for [`plans`] to find anything.
pub const LOG: &str = "off,ballista_scheduler::state::task_manager=info,ballista_scheduler::state::aqe::planner=debug";

const SUBMITTED: &str = "Submitting execution graph for job_id";
const PLANNED: &str = "Distributed physical plan (after optimization):";

/// The plan of each query that a scheduler ran, in the order in which they were submitted, as it was when the last stage
/// began: a line a node, each exchange the end of a stage.
pub fn plans(log: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    let mut plans = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (submitted, planned) = (line.contains(SUBMITTED), line.contains(PLANNED));
        if !submitted && !planned {
            continue;
        }
        let mut plan = String::new();
        while let Some(node) = lines.next_if(|line| is_node(line)) {
            let _ = writeln!(plan, "{}", comparable(node));
        }
        match plans.last_mut() {
            Some(last) if planned => *last = plan,
            _ => plans.push(plan),
        }
    }
    Ok(plans)
}

fn is_node(line: &str) -> bool {
    let name = line.trim_start().split([':', ' ']).next().unwrap_or_default();
    name.ends_with("Exec")
}

/// A node without what no two runs have alike.
fn comparable(node: &str) -> String {
    let indent: String = node.chars().take_while(|c| *c == ' ').collect();
    let said = node.trim();
    let said = if said.starts_with("DataSourceExec") {
        scan(said)
    } else {
        let kept = |part: &&str| {
            let volatile = ["plan_id=", "stage_id=", "stage_resolved=", "is_final="];
            !volatile.iter().any(|name| part.starts_with(name))
        };
        let (name, parts) = said.split_once(": ").unwrap_or((said, ""));
        let parts: Vec<&str> = parts.split(", ").filter(kept).collect();
        [name, &parts.join(", ")].join(": ").trim_end_matches(": ").to_owned()
    };
    indent + &said
}

/// A scan: its table and what it does with it, not the files nor where the shards are split.
fn scan(said: &str) -> String {
    let table = said.split_once("/snds/").and_then(|(_, rest)| rest.split('/').next());
    let after = |name: &str| said.split_once(name).map(|(_, rest)| rest);
    let mut text = format!("DataSourceExec: {}", table.unwrap_or("no file"));
    for (name, end) in [("projection=[", "], "), ("output_ordering=[", "], ")] {
        if let Some((value, _)) = after(name).and_then(|rest| rest.split_once(end)) {
            let _ = write!(text, ", {name}{value}]");
        }
    }
    if said.contains("output_partitioning=Range([") {
        text += ", by shard";
    }
    if let Some(rest) = after(", predicate=") {
        let predicate = rest.split(", pruning_predicate=").next().unwrap_or(rest);
        let _ = write!(text, ", predicate={predicate}");
    }
    text
}

/// The lines that two plans do not share, those of `before` with a minus, those of `after` with a plus, in order.
pub fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[same..], &after[same..]);
    let tail = before
        .iter()
        .rev()
        .zip(after.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (before, after) = (&before[..before.len() - tail], &after[..after.len() - tail]);
    let marked = |mark: char, lines: &[&str]| lines.iter().map(|line| format!("{mark} {line}\n")).collect::<String>();
    marked('-', before) + &marked('+', after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_run_is_left_out() {
        assert_eq!(
            comparable("  ExchangeExec: partitioning=Hash([c@2], 16), plan_id=4, stage_id=0, stage_resolved=true"),
            "  ExchangeExec: partitioning=Hash([c@2], 16)"
        );
        assert_eq!(comparable("CoalescePartitionsExec"), "CoalescePartitionsExec");
        let scan = "DataSourceExec: file_groups={2 groups: [[t/snds/stay/shard=0000/a.parquet~9], []]}, projection=[pid, d], \
                    output_ordering=[pid@0 ASC NULLS LAST], output_partitioning=Range([pid@0 ASC NULLS LAST], [(8)], 2), \
                    file_type=parquet, predicate=n@3 > 20, pruning_predicate=x";
        assert_eq!(
            comparable(scan),
            "DataSourceExec: stay, projection=[pid, d], output_ordering=[pid@0 ASC NULLS LAST], by shard, predicate=n@3 > 20"
        );
    }

    #[test]
    fn differences_are_told_by_line() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n"), "- b\n+ x\n");
        assert_eq!(difference("a\n", "a\n"), "");
    }
}
