//! Conditions of merge joins that keep rows without a partner. DataFusion 55 evaluates the condition of such a join for these
//! rows, too, with NULL for the columns of the side that has none, in a batch whose schema is that of the sides: a column that
//! is never NULL there ends the query with "Column … is declared as non-nullable but contains null values". What the condition
//! says of such a row does not matter, since it comes out once either way. Here, conditions read columns that may be NULL.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;

/// Returns the plan with conditions that can be evaluated for rows without a partner.
pub(super) fn of_rows_alone(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let rewritten = plan.transform_down(|node| {
        let join = node.downcast_ref::<SortMergeJoinExec>();
        match join.and_then(|join| Some((join, evaluable(join)?))) {
            Some((join, filter)) => Ok(Transformed::yes(with_filter(join, filter)?)),
            None => Ok(Transformed::no(node)),
        }
    });
    rewritten.data()
}

/// The condition of a join over columns that may be NULL; none if it need not change.
fn evaluable(join: &SortMergeJoinExec) -> Option<JoinFilter> {
    let keeps = matches!(join.join_type(), JoinType::Left | JoinType::Right | JoinType::Full);
    let filter = join.filter().as_ref().filter(|_| keeps)?;
    if filter.schema().fields().iter().all(|field| field.is_nullable()) {
        return None;
    }
    let fields = filter.schema().fields().iter();
    let fields: Vec<Field> = fields.map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let schema = Schema::new_with_metadata(fields, filter.schema().metadata().clone());
    let (condition, columns) = (Arc::clone(filter.expression()), filter.column_indices().to_vec());
    Some(JoinFilter::new(condition, columns, Arc::new(schema)))
}

/// Returns the merge join with another condition.
pub(crate) fn with_filter(join: &SortMergeJoinExec, filter: JoinFilter) -> Result<Arc<dyn ExecutionPlan>> {
    let join = SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        Some(filter),
        join.join_type(),
        join.sort_options().to_vec(),
        join.null_equality(),
    )?;
    Ok(Arc::new(join))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{Int64Array, RecordBatch};
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// A session with a table `t` of a column that is never NULL, whose joins are merged or not.
    fn context(merge: bool) -> SessionContext {
        let config = SessionConfig::new()
            .with_target_partitions(if merge { 2 } else { 1 })
            .set_bool("datafusion.optimizer.prefer_hash_join", !merge);
        let context = SessionContext::new_with_config(config);
        let numbers: Int64Array = (0..2_000_i64).map(|n| n % 50).collect();
        let batch = RecordBatch::try_from_iter_with_nullable([("n", Arc::new(numbers) as _, false)]).unwrap();
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        context.register_table("t", Arc::new(table)).unwrap();
        context
    }

    async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
        context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
    }

    async fn answer(context: &SessionContext, plan: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        collect(plan, context.task_ctx()).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_without_a_partner_are_kept_whatever_their_condition_reads() {
        let (merging, hashing) = (context(true), context(false));
        let mut failures = 0;
        for join in ["LEFT", "RIGHT", "FULL"] {
            for condition in ["a.n + b.n > 60", "a.n + b.n > 1000", "b.n IS NULL OR a.n < 3"] {
                let sql = format!(
                    "SELECT count(*), count(a.n), count(b.n), sum(a.n), sum(b.n) FROM t AS a {join} JOIN t AS b \
                     ON a.n = b.n + 1 AND ({condition})"
                );
                let engines = plan(&merging, &sql).await;
                let shown = displayable(engines.as_ref()).indent(false).to_string();
                assert!(shown.contains("SortMergeJoinExec"), "{sql}\n{shown}");
                failures += usize::from(answer(&merging, plan(&merging, &sql).await).await.is_err());
                let ours = answer(&merging, of_rows_alone(engines).unwrap()).await.unwrap();
                let expected = answer(&hashing, plan(&hashing, &sql).await).await.unwrap();
                assert_eq!(ours, expected, "{sql}");
            }
        }
        assert!(failures > 0, "the engine does this by itself now");
    }
}
