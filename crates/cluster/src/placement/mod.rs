//! Where the nodes of a plan may run: split over tasks, shard by shard, or whole in one task.
//!
//! Ballista 55 splits a stage by narrowing the leaves of its plan to the partitions of a task. That is right only where a
//! node's rows are decided by the rows of its own partition. It says nothing of the others, which would answer wrongly
//! without an error:
//!
//! - a **union** with a total among its parts ([`unions`]): the total is not narrowed, so that its row comes once per task;
//! - a **join that emits rows of the side that every task collects** ([`joins`]): each task sees its own rows of the other
//!   side only, so that a row without a partner comes once per task, or a row with a partner once per task that has one;
//! - a **partitioned join of a total with rows that are split**: partition *n* of one side is not partition *n* of the other.
//!
//! Such nodes are placed in one task when they are planned ([`planner`]): a [`unions::physical::PlacedUnionExec`] below them
//! brings all rows of a side together, and keeps them so when the engine plans the rest of the query anew. Executors check
//! each stage plan before it runs ([`soundness`]) and refuse what is not proven sound, whereupon the query is planned in a
//! plainer way.

mod joins;
mod limits;
mod marks;
pub mod planner;
mod root;
mod same_names;
mod settled;
pub mod soundness;
mod totals;
pub(crate) mod unions;
mod unordered;

pub(crate) use limits::{Limited, LimitedExec};
pub(crate) use marks::Mark;
pub use planner::PlannedOnce;
pub use root::is_root;
pub(crate) use root::{Root, RootExec};
pub use unordered::without_marks;
pub(crate) use unordered::{Marks, Unordered, UnorderedExec};

/// The name of the node that brings all rows of its inputs together in one task.
pub const IN_ONE_TASK: &str = "GatheredUnionExec";
