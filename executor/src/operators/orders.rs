//! Orders that joins declare and do not keep. DataFusion 55 says of the rows of a join that they come in the order of the side
//! whose rows are taken one by one, and, where that order does not tell rows apart, in the order of the other side (its issue
//! 25052). They do not, when two rows of the first side are alike in its order:
//!
//! ```text
//! stays: (p, day 1), (p, day 1)    dispensings: (p, day 2), (p, day 3)
//! declared: by p, the stay's day, the dispensing's day; what comes: days 2, 3, 2, 3
//! ```
//!
//! A window that relies on it takes one group for several. Nor is a column the same in all rows, of which a join makes NULL
//! where there is no partner. Here, joins are made to declare what they keep, and rows are sorted where that is less than
//! somebody relies on.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::physical_expr::equivalence::{EquivalenceProperties, join_equivalence_properties};
use datafusion::physical_expr::projection::ProjectionMapping;
use datafusion::physical_expr::{LexOrdering, LexRequirement, PhysicalSortExpr, PhysicalSortRequirement};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, InputOrderMode, replace_children_if_necessary,
};

use super::joins::Join;
use super::node::{Node, Operator, Partition, Run};
use super::sorted::sorted;

/// The plan, where rows come in the orders that somebody relies on, those who read what it puts out included.
pub(super) fn kept(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let kept = below(plan, true)?;
    match plan.output_ordering() {
        Some(order) => in_order(kept, order),
        None => Ok(kept),
    }
}

/// The plan, whose order may come out as that of all (`asked`) without anybody saying so, in columns that do not come out.
fn below(plan: &Arc<dyn ExecutionPlan>, asked: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let (before, keeps) = (plan.children(), plan.maintains_input_order());
    let join = Join::of(plan).is_some();
    let passes = asked && !join && !plan.is::<AggregateExec>() && !plan.is::<SortExec>();
    let inputs = before
        .iter()
        .zip(keeps)
        .map(|(input, keeps)| below(input, passes && keeps));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let same = inputs.iter().zip(&before).all(|(now, before)| Arc::ptr_eq(now, before));
    let now = if same { Arc::clone(plan) } else { over(plan, inputs)? };
    match Join::of(&now) {
        Some(join) => with_own_order(plan, &now, &join, asked),
        None => Ok(now),
    }
}

/// The node over inputs that declare less than its own do, sorted where it relies on that.
fn over(node: &Arc<dyn ExecutionPlan>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    let node = match node.is::<AggregateExec>() {
        // It sees for itself in which order rows come, and groups them so.
        true => replace_children_if_necessary(Arc::clone(node), inputs.clone())?,
        false => Arc::clone(node),
    };
    let orders = relied_on(&node)?;
    let inputs = inputs.into_iter().zip(orders).map(|(input, order)| match order {
        Some(order) => in_order(input, &order),
        None => Ok(input),
    });
    replace_children_if_necessary(node, inputs.collect::<Result<Vec<_>>>()?)
}

/// The order of each input that a node relies on.
fn relied_on(node: &Arc<dyn ExecutionPlan>) -> Result<Vec<Option<LexOrdering>>> {
    let limit = (node.fetch().is_some() && !node.is::<SortExec>())
        || node.is::<LocalLimitExec>()
        || node.is::<GlobalLimitExec>();
    // A grouping calls all that it requires soft, but a function may take rows as they come.
    let as_they_come = node.downcast_ref::<AggregateExec>().is_some_and(|grouping| {
        let mut functions = grouping.aggr_expr().iter();
        functions.any(|function| function.order_sensitivity().hard_requires())
    });
    let inputs = node.children().into_iter().zip(node.maintains_input_order());
    let orders = inputs.zip(node.required_input_ordering());
    let orders = orders.map(|((input, keeps), required)| match required {
        Some(required) => {
            let (alternatives, soft) = required.into_alternatives();
            let soft = soft && !as_they_come;
            let mut declared = alternatives.iter().map(|required| declared(input, required));
            match declared.find(|order| !matches!(order, Ok(None))) {
                Some(order) => order,
                None => Ok(alternatives.first().filter(|_| !soft).and_then(any_direction)),
            }
        }
        None => Ok(input.output_ordering().filter(|_| limit && keeps).cloned()),
    });
    orders.collect()
}

/// The order that meets a requirement, if the plan declares it.
fn declared(plan: &Arc<dyn ExecutionPlan>, required: &LexRequirement) -> Result<Option<LexOrdering>> {
    let mut order: Vec<PhysicalSortExpr> = Vec::new();
    for requirement in required.iter() {
        let options = requirement.options.map_or_else(all_options, |options| vec![options]);
        let mut found = None;
        for options in options {
            let by = PhysicalSortExpr::new(Arc::clone(&requirement.expr), options);
            if found.is_none() && declares(plan, order.iter().chain([&by]))? {
                found = Some(by);
            }
        }
        let Some(by) = found else { return Ok(None) };
        order.push(by);
    }
    Ok(LexOrdering::new(order))
}

fn any_direction(required: &LexRequirement) -> Option<LexOrdering> {
    let by = |of: &PhysicalSortRequirement| {
        PhysicalSortExpr::new(
            Arc::clone(&of.expr),
            of.options.unwrap_or(SortOptions::new(false, false)),
        )
    };
    LexOrdering::new(required.iter().map(by))
}

fn all_options() -> Vec<SortOptions> {
    let all = [(false, false), (false, true), (true, false), (true, true)];
    all.map(|(down, first)| SortOptions::new(down, first)).to_vec()
}

fn declares<'a>(plan: &Arc<dyn ExecutionPlan>, order: impl Iterator<Item = &'a PhysicalSortExpr>) -> Result<bool> {
    plan.equivalence_properties().ordering_satisfy(order.cloned())
}

/// The plan, sorted if it does not declare this order.
fn in_order(plan: Arc<dyn ExecutionPlan>, order: &LexOrdering) -> Result<Arc<dyn ExecutionPlan>> {
    let mut first = order.len();
    while first > 0 && !declares(&plan, order.iter().take(first))? {
        first -= 1;
    }
    let order = order.clone();
    Ok(match first {
        all if all == order.len() => plan,
        0 => Arc::new(SortExec::new(order, plan).with_preserve_partitioning(true)),
        some => sorted(plan, order, some),
    })
}

/// Returns the plan with a sort below each window whose input does not declare the order of all columns of its partitions.
/// DataFusion 55 plans such windows and does not run them: where groups come in the order of one of their columns, since no two
/// groups are alike in it (`PARTITION BY patient, last_rank` over groups by patient), and over a side that turned out to be
/// empty. To be called last, when inputs declare what they declare as they run.
pub(crate) fn windows_in_order(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let Some(input) = unordered_input(&node) else {
            return Ok(Transformed::no(node));
        };
        let required = node.required_input_ordering().into_iter().flatten().next();
        let order = required.and_then(|required| any_direction(required.into_alternatives().0.first()?));
        let Some(order) = order else {
            return Ok(Transformed::no(node));
        };
        let sorted = SortExec::new(order.clone(), input).with_preserve_partitioning(true);
        // Of what is known besides, the engine would leave out of the order what it takes for needless.
        let declared = EquivalenceProperties::new_with_orderings(sorted.schema(), [order]);
        let sorted = Node::declaring(Arc::new(sorted), AsTheyCome, declared);
        replace_children_if_necessary(Arc::clone(&node), vec![sorted]).map(Transformed::yes)
    })
    .data()
}

/// The input of a window that could not tell its partitions apart by the order that the input declares.
fn unordered_input(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(window) = node.downcast_ref::<WindowAggExec>() {
        let partition_by = window.window_expr().first()?.partition_by();
        let declared = window.partition_by_sort_keys();
        let all = declared.is_ok_and(|declared| declared.len() == partition_by.len());
        return (!all).then(|| Arc::clone(window.input()));
    }
    let window = node.downcast_ref::<BoundedWindowAggExec>()?;
    let partition_by = window.window_expr().first()?.partition_by();
    let declared = window.partition_by_sort_keys();
    let needed = match window.input_order_mode {
        InputOrderMode::Sorted => partition_by.len(),
        InputOrderMode::PartiallySorted(_) | InputOrderMode::Linear => 0,
    };
    let all = declared.is_ok_and(|declared| declared.len() >= needed);
    (!all).then(|| Arc::clone(window.input()))
}

/// Returns a sort within runs for a sort of rows that are in the order of its first columns already.
pub(super) fn within_runs(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(sort) = node.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none()) else {
        return Ok(None);
    };
    let (input, order) = (sort.input(), sort.expr());
    let one_by_one = sort.preserve_partitioning() || input.output_partitioning().partition_count() == 1;
    if !one_by_one || !declares(input, order.iter().take(1))? {
        return Ok(None);
    }
    in_order(Arc::clone(input), order).map(Some)
}

/// The join, declaring what it keeps and no more. Sorted by all that it declared `before` where it gives its first rows alone,
/// or all in one partition and nobody has to say that they rely on it.
fn with_own_order(
    before: &Arc<dyn ExecutionPlan>,
    now: &Arc<dyn ExecutionPlan>,
    join: &Join,
    asked: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let own = own_order(now, join)?;
    if keeps_all(before, &own)? {
        return Ok(Arc::clone(now));
    }
    let fetch = now.fetch();
    let Some(whole) = fetch.map_or_else(|| Some(Arc::clone(now)), |_| now.with_fetch(None)) else {
        return internal_err!("a join does not give all of its rows");
    };
    let one = now.output_partitioning().partition_count() == 1;
    let sorted = before.output_ordering().filter(|_| fetch.is_some() || (one && asked));
    let honest = Node::declaring(whole, AsTheyCome, own);
    let honest = match sorted {
        Some(order) => in_order(honest, order)?,
        None => honest,
    };
    Ok(match fetch {
        Some(rows) => Arc::new(LocalLimitExec::new(honest, rows)),
        None => honest,
    })
}

/// Whether all orders and constants that a join declared are among its own.
fn keeps_all(before: &Arc<dyn ExecutionPlan>, own: &EquivalenceProperties) -> Result<bool> {
    let declared = before.equivalence_properties();
    for order in declared.oeq_class().iter() {
        if !own.ordering_satisfy(order.iter().cloned())? {
            return Ok(false);
        }
    }
    let constants = declared.constants();
    Ok(constants
        .iter()
        .all(|constant| own.is_expr_constant(&constant.expr).is_some()))
}

/// What is known of a join's rows, of all orders those of its leading side alone. A side that is NULL where the other has no
/// partner says nothing: what the engine takes for constant of it is not (`LEFT JOIN` of rows that a condition makes alike).
fn own_order(node: &Arc<dyn ExecutionPlan>, join: &Join) -> Result<EquivalenceProperties> {
    let of = |n: usize, has_nulls: bool| match has_nulls {
        true => EquivalenceProperties::new(join.inputs[n].schema()),
        false => join.inputs[n].equivalence_properties().clone(),
    };
    let left = of(0, matches!(join.join_type, JoinType::Right | JoinType::Full));
    let right = of(1, matches!(join.join_type, JoinType::Left | JoinType::Full));
    let (schema, kept) = (Arc::new(join.whole_output().0), node.maintains_input_order());
    // It appends the other side's order for a side that is looked up in the other: for none, that is.
    let own = join_equivalence_properties(left, right, &join.join_type, Arc::clone(&schema), &kept, None, join.on)?;
    Ok(match join.projection {
        Some(projection) => own.project(&ProjectionMapping::from_indices(projection, &schema)?, node.schema()),
        None => own,
    })
}

/// Rows as they come: a node that says what is known of them.
#[derive(Debug)]
struct AsTheyCome;

impl Operator for AsTheyCome {
    const NAME: &'static str = "AsTheyCome";

    fn begin(&self, _: Partition) -> Result<Box<dyn Run>> {
        Ok(Box::new(Self))
    }
}

impl Run for AsTheyCome {
    fn add(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>> {
        Ok(Some(rows))
    }

    fn end(&mut self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::operators::fixtures::{answer, both_tables, plan};
    use crate::operators::put_into;

    /// The same tables, which declare no order.
    async fn undeclared(context: &SessionContext) -> SessionContext {
        let unordered = SessionContext::new();
        for table in ["t", "s"] {
            let all = context.table(table).await.unwrap().collect().await.unwrap();
            let all = MemTable::try_new(all[0].schema(), vec![all]).unwrap();
            unordered.register_table(table, Arc::new(all)).unwrap();
        }
        unordered
    }

    #[tokio::test]
    async fn orders_that_joins_declare_are_kept() {
        let joins = [
            "t JOIN s ON s.p = t.p",
            "t LEFT JOIN s ON s.p = t.p",
            "s RIGHT JOIN t ON s.p = t.p AND s.d > t.d",
        ];
        let asked = [
            "t.p, t.d, s.d, count(*) FROM {} GROUP BY t.p, t.d, s.d",
            "s.p, s.d, t.d, sum(t.n) FROM {} GROUP BY s.p, s.d, t.d",
            "t.p, rank() OVER (PARTITION BY t.p ORDER BY t.d, s.d) FROM {}",
            "s.p, dense_rank() OVER (PARTITION BY s.p ORDER BY s.d, t.d) FROM {}",
            "x.d, dense_rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e) FROM (SELECT t.p, t.d, s.d AS e FROM {}) AS x",
            "s.c, rank() OVER (PARTITION BY s.c, t.p ORDER BY t.d, s.d) FROM {} WHERE s.c = 'C01'",
            "x.p, rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e) \
             FROM (SELECT t.p, t.d, s.d AS e, unnest(make_array(1, 2)) AS u FROM {}) AS x",
            "x.p, rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e) \
             FROM (SELECT t.p, t.d, s.d AS e FROM {} UNION ALL SELECT p, d, d AS e FROM t) AS x",
            "x.r, rank() OVER (PARTITION BY x.p ORDER BY x.d, x.e, x.r) \
             FROM (SELECT t.p, t.d, s.d AS e, rank() OVER (PARTITION BY t.p ORDER BY t.d, s.d) AS r FROM {}) AS x",
            "t.p, u.c, count(*) FROM {} LEFT JOIN (SELECT * FROM s WHERE c = 'C01') AS u ON u.p = t.p AND u.d = t.d \
             GROUP BY t.p, u.c",
            "t.d, rank() OVER (PARTITION BY t.p ORDER BY u.c, t.d) \
             FROM {} LEFT JOIN (SELECT * FROM s WHERE c = 'C01') AS u ON u.p = t.p AND u.n < t.n",
            "t.p, u.flag, count(*) FROM {} LEFT JOIN (SELECT p, n, 1 AS flag FROM s) AS u ON u.p = t.p AND u.n < t.n \
             GROUP BY t.p, u.flag",
            "t.p, nth_value(s.c, 2 ORDER BY t.d, s.d, s.c) FROM {} GROUP BY t.p",
            "x.p, rank() OVER (PARTITION BY x.p ORDER BY x.r) \
             FROM (SELECT y.p, y.r FROM (SELECT p, d, row_number() OVER (PARTITION BY p ORDER BY d) AS r FROM t) AS y \
                   JOIN s ON s.p = y.p) AS x",
        ];
        for (join, asked) in joins.iter().flat_map(|join| asked.map(|asked| (join, asked))) {
            let sql = format!("SELECT {}", asked.replace("{}", join));
            for hash in [true, false] {
                let context = both_tables(60, 64, hash).await;
                let plan = plan(&context, &sql).await;
                let shown = displayable(plan.as_ref()).indent(false).to_string();
                let ours = answer(put_into(plan).unwrap(), &context).await;
                let unordered = undeclared(&context).await;
                let theirs = answer(self::plan(&unordered, &sql).await, &unordered).await;
                assert_eq!(ours, theirs, "{sql}\n{shown}");
            }
        }
    }

    #[tokio::test]
    async fn windows_run_over_inputs_that_declare_less_than_they_need() {
        let context = both_tables(60, 64, true).await;
        let window = |function: &str| {
            format!("SELECT {function} OVER (PARTITION BY n ORDER BY d, p, c ROWS BETWEEN {{}}) AS v FROM t")
        };
        let whole = "UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING";
        let bounded = "UNBOUNDED PRECEDING AND CURRENT ROW";
        for (function, frame) in [("max(d)", whole), ("count(*)", bounded), ("ntile(3)", whole)] {
            let sql = window(function).replace("{}", frame);
            let planned = plan(&context, &sql).await;
            let expected = answer(Arc::clone(&planned), &context).await;
            // The same over rows whose order nobody declares, as a side that turned out to be empty has none.
            let unsorted = planned.transform_up(|node| {
                Ok(match node.downcast_ref::<SortExec>() {
                    Some(sort) => Transformed::yes(Arc::clone(sort.input())),
                    None => Transformed::no(node),
                })
            });
            let unsorted = unsorted.data().unwrap();
            assert_eq!(
                answer(windows_in_order(unsorted).unwrap(), &context).await,
                expected,
                "{sql}"
            );
        }
    }
}
