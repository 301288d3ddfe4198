//! An optimizer rule: a series in FROM of which no column is read is read all the same, and its column dropped above.
//! DataFusion 55 writes the series of a scan without columns as one of no columns, of which an executor cannot make rows.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::source_as_provider;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{LogicalPlan, Projection, TableScan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Reads the column of every series.
#[derive(Debug, Default)]
pub(super) struct WholeSeries;

impl OptimizerRule for WholeSeries {
    fn name(&self) -> &str {
        "whole_series"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::TableScan(scan) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let reads_nothing = scan.projection.as_ref().is_some_and(Vec::is_empty);
        if !reads_nothing || !is_series(scan)? {
            return Ok(Transformed::no(plan));
        }
        let whole = TableScanBuilder::from(scan.clone()).with_projection(None).build()?;
        let whole = Arc::new(LogicalPlan::TableScan(whole));
        let nothing = Projection::try_new(Vec::new(), whole)?;
        Ok(Transformed::yes(LogicalPlan::Projection(nothing)))
    }
}

fn is_series(scan: &TableScan) -> Result<bool> {
    Ok(source_as_provider(&scan.source)?.is::<GenerateSeriesTable>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn a_series_without_columns_has_its_rows() {
        let state = SessionStateBuilder::new().with_default_features();
        let state = state.with_optimizer_rule(Arc::new(WholeSeries)).build();
        let context = SessionContext::new_with_state(state);
        let sql = "SELECT count(*) FROM generate_series(1, 3) AS s (i) CROSS JOIN (VALUES (1), (2)) AS v (x)";
        let frame = context.sql(sql).await.unwrap();
        let plan = frame.clone().into_optimized_plan().unwrap().to_string();
        assert!(plan.contains("TableScan: generate_series()\n"), "{plan}");
        assert!(frame.to_string().await.unwrap().contains("| 6 "));
    }
}
