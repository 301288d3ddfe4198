//! Nodes that declare more of their rows than they keep: joins whose order is not known before they run, and aggregates of
//! GROUPING SETS.
//!
//! Ballista 55 chooses between the kinds of a join, and between its sides, when it knows how large they are. Until then a
//! node stands for the join that declares the order of the one that was planned first. A sort above it is dropped, and comes
//! back only where another node requires the order: below an ORDER BY of the whole, or a LIMIT, nothing does, and a limit
//! that was moved into the join stays there. It declares constant what is so in one side, too, though an outer join gives NULL
//! in its place. Every join is therefore planned below a mark that declares neither ([`marked`]). An executor knows the join
//! that it runs: it leaves the marks out ([`without_marks`]) and drops the sorts that this join makes needless.
//!
//! An aggregate of GROUPING SETS declares constant what is so below it (DataFusion 55), and gives NULL in its place to the
//! rows of other sets. The mark above it declares nothing, on executors, too.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PlanProperties};

use super::marks::{Mark, MarkExec};

/// The mark of such a node.
#[derive(Debug)]
pub(crate) struct Unordered;

/// Emits the rows of a join, of whose order nothing is known, or of an aggregate of sets.
pub(crate) type UnorderedExec = MarkExec<Unordered>;

impl Mark for Unordered {
    const NAME: &str = "UnorderedExec";
    const ORDERED: bool = false;
    const MOVES: bool = true;

    fn properties(input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
        let nothing = || EquivalenceProperties::new(input.schema());
        let kept = match groups_sets(input) {
            true => nothing(),
            false => known(input).unwrap_or_else(|_| nothing()),
        };
        Arc::new(PlanProperties::new(
            kept,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        ))
    }
}

/// What is known of the rows of a join, below projections perhaps: which columns are alike. A partitioning by one key of the
/// join is one by the other. A column that is the same in all rows of one side need not be in those of an outer join; what a
/// projection computes from nothing is.
fn known(plan: &Arc<dyn ExecutionPlan>) -> Result<EquivalenceProperties> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let below = known(projection.input())?;
        let mapping = projection
            .projection_expr()
            .projection_mapping(&projection.input().schema())?;
        let mut kept = below.project(&mapping, plan.schema());
        kept.clear_orderings();
        return Ok(kept);
    }
    let mut kept = EquivalenceProperties::new(plan.schema());
    for class in plan.equivalence_properties().eq_group().iter() {
        let mut exprs = class.iter();
        if let Some(first) = exprs.next() {
            exprs.try_for_each(|other| kept.add_equal_conditions(Arc::clone(first), Arc::clone(other)))?;
        }
    }
    Ok(kept)
}

/// The name of the node that stands for a join while Ballista has not chosen between its kinds.
const UNDECIDED: &str = "DynamicJoinSelectionExec";

fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<PiecewiseMergeJoinExec>()
        || plan.name() == UNDECIDED
}

/// Whether a plan is an aggregate of sets, below projections perhaps.
fn groups_sets(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return groups_sets(projection.input());
    }
    is_of_sets(plan)
}

fn is_of_sets(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let aggregate = plan.downcast_ref::<AggregateExec>();
    aggregate.is_some_and(|aggregate| !aggregate.group_expr().is_single())
}

/// Returns the plan with a mark above every join and every aggregate of sets, or above the projections over it: the engine
/// moves those below marks.
///
/// # Errors
/// If a node does not take the marks for its inputs.
pub(super) fn marked(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    marked_below(plan, false).data()
}

/// The same of a part of a plan, which is `covered` if there are only projections between it and a mark above it.
fn marked_below(node: Arc<dyn ExecutionPlan>, covered: bool) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mark = node.downcast_ref::<UnorderedExec>();
    if let Some(mark) = mark.filter(|_| covered) {
        let below = marked_below(Arc::clone(mark.input()), true)?;
        return Ok(Transformed::yes(below.data));
    }
    let covers = mark.is_some() || covered && node.is::<ProjectionExec>();
    let needs = !covered && (is_join(&node) || is_of_sets(&node));
    let node = node.map_children(|input| marked_below(input, covers))?;
    Ok(match needs {
        true => Transformed::yes(Arc::new(UnorderedExec::over(node.data))),
        false => node,
    })
}

/// The rule that does so. It is the first of all physical rules: none may see what such a node declares.
#[derive(Debug)]
pub(crate) struct Marks;

impl PhysicalOptimizerRule for Marks {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        marked(plan)
    }

    fn name(&self) -> &'static str {
        "unordered_nodes"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Returns the plan without marks above its joins.
///
/// # Errors
/// If a node does not take the joins as they are.
pub fn without_marks(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    UnorderedExec::taken_off(plan, |join| !groups_sets(join))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::arrow::compute::SortOptions;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::{JoinType, NullEquality, ScalarValue};
    use datafusion::logical_expr::Operator;
    use datafusion::physical_plan::aggregates::{AggregateMode, PhysicalGroupBy};
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::expressions::{col, lit};
    use datafusion::physical_plan::joins::PartitionMode;

    use super::*;

    fn join() -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("p", DataType::Int64, true)]));
        let side = || Arc::new(EmptyExec::new(Arc::clone(&schema))) as Arc<dyn ExecutionPlan>;
        let on = vec![(col("p", &schema).unwrap(), col("p", &schema).unwrap())];
        let mode = PartitionMode::CollectLeft;
        let equality = NullEquality::NullEqualsNothing;
        let join = HashJoinExec::try_new(side(), side(), on, None, &JoinType::Inner, None, mode, equality, false);
        Arc::new(join.unwrap())
    }

    fn projected(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let column = col("p", &input.schema()).unwrap();
        Arc::new(ProjectionExec::try_new(vec![(column, "p".to_owned())], input).unwrap())
    }

    fn names(plan: &Arc<dyn ExecutionPlan>) -> Vec<&str> {
        let below = plan.children().into_iter().next();
        let below = below.filter(|_| !is_join(plan)).map(names).unwrap_or_default();
        [vec![plan.name()], below].concat()
    }

    /// An aggregate of two sets of keys, or of one.
    fn grouped(sets: bool) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("p", DataType::Int64, true)]));
        let key = || vec![(col("p", &schema).unwrap(), "p".to_owned())];
        let null = vec![(lit(ScalarValue::Int64(None)), "p".to_owned())];
        let keys = match sets {
            true => PhysicalGroupBy::new(key(), null, vec![vec![false], vec![true]], true),
            false => PhysicalGroupBy::new_single(key()),
        };
        let input = Arc::new(EmptyExec::new(Arc::clone(&schema)));
        Arc::new(AggregateExec::try_new(AggregateMode::Partial, keys, vec![], vec![], input, schema).unwrap())
    }

    /// Marks of sets stay on executors, those of joins go.
    #[test]
    fn sets_are_marked_for_good_and_joins_until_they_run() {
        let once = marked(projected(grouped(true))).unwrap();
        assert_eq!(
            names(&once),
            ["ProjectionExec", "UnorderedExec", "AggregateExec", "EmptyExec"]
        );
        assert_eq!(names(&without_marks(once).unwrap()).len(), 4);
        let below: Arc<dyn ExecutionPlan> = Arc::new(UnorderedExec::over(projected(grouped(true))));
        assert_eq!(names(&without_marks(below).unwrap())[0], "UnorderedExec");
        assert_eq!(names(&marked(grouped(false)).unwrap()), ["AggregateExec", "EmptyExec"]);
        let joined = marked(projected(join())).unwrap();
        assert_eq!(
            names(&without_marks(joined).unwrap()),
            ["ProjectionExec", "HashJoinExec"]
        );
    }

    #[test]
    fn joins_of_every_kind_are_marked() {
        let schema = Arc::new(Schema::new(vec![Field::new("p", DataType::Int64, true)]));
        let side = || Arc::new(EmptyExec::new(Arc::clone(&schema))) as Arc<dyn ExecutionPlan>;
        let key = || col("p", &schema).unwrap();
        let (inner, equality) = (JoinType::Inner, NullEquality::NullEqualsNothing);
        let order = vec![SortOptions::default()];
        let merged = SortMergeJoinExec::try_new(side(), side(), vec![(key(), key())], None, inner, order, equality);
        let nested = NestedLoopJoinExec::try_new(side(), side(), None, &inner, None);
        let by_pieces = PiecewiseMergeJoinExec::try_new(side(), side(), (key(), key()), Operator::Lt, inner, 1);
        let joins: [Arc<dyn ExecutionPlan>; 5] = [
            join(),
            Arc::new(merged.unwrap()),
            Arc::new(nested.unwrap()),
            Arc::new(CrossJoinExec::new(side(), side())),
            Arc::new(by_pieces.unwrap()),
        ];
        for join in joins {
            let name = join.name().to_owned();
            assert_eq!(names(&marked(join).unwrap()), ["UnorderedExec", name.as_str()]);
        }
        assert_eq!(names(&marked(side()).unwrap()), ["EmptyExec"]);
    }

    /// Above a join nothing need stop: projections, filters and limits move below its mark, and orders do not come through it.
    #[test]
    fn projections_and_limits_move_below_marks() {
        let mark = Arc::new(UnorderedExec::over(join())) as Arc<dyn ExecutionPlan>;
        assert!(mark.supports_limit_pushdown());
        assert_eq!(mark.maintains_input_order(), [false]);
        let column = |plan: &Arc<dyn ExecutionPlan>| (col("p", &plan.schema()).unwrap(), "q".to_owned());
        let projection = ProjectionExec::try_new(vec![column(&mark)], Arc::clone(&mark)).unwrap();
        let moved = mark.try_swapping_with_projection(&projection).unwrap().unwrap();
        assert_eq!(names(&moved), ["UnorderedExec", "ProjectionExec", "HashJoinExec"]);
        assert_eq!(moved.schema(), projection.schema());
    }

    /// What is known of a join stays known, and of sets nothing is.
    #[test]
    fn columns_that_a_join_makes_alike_stay_alike() {
        let alike = |plan| {
            UnorderedExec::over(plan)
                .properties()
                .equivalence_properties()
                .eq_group()
                .len()
        };
        assert_eq!(alike(join()), 1);
        assert_eq!(alike(grouped(true)), 0);
    }

    /// A projection that the engine has moved below a mark gives no second mark, how often the rule may run.
    #[test]
    fn a_join_has_one_mark() {
        let over = |plan| Arc::new(UnorderedExec::over(plan)) as Arc<dyn ExecutionPlan>;
        let expected = ["UnorderedExec", "ProjectionExec", "HashJoinExec"];
        for plan in [
            over(projected(join())),
            over(projected(over(join()))),
            over(over(projected(join()))),
        ] {
            let once = marked(plan).unwrap();
            assert_eq!(names(&once), expected);
            assert_eq!(names(&marked(once).unwrap()), expected);
        }
        let above = marked(projected(join())).unwrap();
        assert_eq!(names(&above), ["ProjectionExec", "UnorderedExec", "HashJoinExec"]);
    }
}
