//! What an operator computes over codes, computed by the scan below it, which does so for the values of dictionaries. The
//! engine moves projections into scans, but not what a grouping computes: the texts of all rows would be made for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;

use super::by_value::ByValue;
use super::codes::{computes, only_column};
use super::merged::names_several;
use super::repeated_patient;

/// An expression of an operator over a scan.
#[derive(Debug)]
pub enum Wanted<'a> {
    /// Its values are wanted in its type.
    Values(&'a mut Arc<dyn PhysicalExpr>),
    /// If it is of texts that can be computed by value, they are wanted as a dictionary (of `Int32` and `Utf8`).
    Codes(&'a mut Arc<dyn PhysicalExpr>),
}

impl Wanted<'_> {
    fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        match self {
            Self::Values(expr) | Self::Codes(expr) => expr,
        }
    }

    fn expr_mut(&mut self) -> &mut Arc<dyn PhysicalExpr> {
        match self {
            Self::Values(expr) | Self::Codes(expr) => expr,
        }
    }
}

/// Takes out of expressions over a scan's columns what can be computed by value. The scan that computes it, over whose columns
/// the expressions are then; none, and no change, if `plan` is no scan of ours, or nothing of the kind is computed.
pub fn compute_in_scan(
    plan: &Arc<dyn ExecutionPlan>,
    mut wanted: Vec<Wanted<'_>>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let scan = plan.downcast_ref::<DataSourceExec>();
    let Some((config, source)) = scan.and_then(|scan| scan.downcast_to_file_source::<ParquetSource>()) else {
        return Ok(None);
    };
    let Some(projection) = source.projection() else {
        return Ok(None);
    };
    let schema = plan.schema();
    let width = schema.fields().len();
    // The column of the table that the scan puts out as this one, maybe under another name.
    let read = |column: &Column| {
        let read = projection.as_ref().get(column.index());
        read.and_then(|read| read.expr.downcast_ref::<Column>())
    };
    let plain = |column: &Column| read(column).is_some() && *schema.field(column.index()).data_type() == DataType::Utf8;
    let mut computed: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    let mut taken = Vec::with_capacity(wanted.len());
    for wanted in &wanted {
        let whole = match wanted {
            Wanted::Codes(expr) if expr.data_type(&schema)? == DataType::Utf8 => Some(expr),
            _ => None,
        };
        let without = Arc::clone(wanted.expr()).transform_down(|node| {
            let as_codes = whole.is_some_and(|whole| Arc::ptr_eq(whole, &node));
            let is_code = || {
                node.downcast_ref()
                    .and_then(read)
                    .is_some_and(|column| may_be_code(config, column))
            };
            let computed_here = computes(&node) || (as_codes && is_code());
            if only_column(&node).is_none_or(|column| !plain(&column)) || !computed_here {
                return Ok(Transformed::no(node));
            }
            let node = match as_codes {
                true => Arc::new(ByValue(node)),
                false => node,
            };
            let known = computed.iter().position(|known| known.as_ref() == node.as_ref());
            let n = known.unwrap_or(computed.len());
            if known.is_none() {
                computed.push(node);
            }
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&name(n), width + n));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })?;
        taken.push(without.data);
    }
    if computed.is_empty() {
        return Ok(None);
    }
    let read: BTreeSet<usize> = taken
        .iter()
        .flat_map(collect_columns)
        .map(|column| column.index())
        .collect();
    let kept: Vec<usize> = read.into_iter().filter(|column| *column < width).collect();
    for (wanted, without) in wanted.iter_mut().zip(taken) {
        *wanted.expr_mut() = moved(without, &kept, width)?;
    }
    let columns = kept.iter().map(|n| {
        let name = schema.field(*n).name();
        ProjectionExpr::new(Arc::new(Column::new(name, *n)), name.clone())
    });
    let computed = computed.into_iter().enumerate();
    let computed = computed.map(|(n, expr)| ProjectionExpr::new(expr, name(n)));
    let Some(source) = source.try_pushdown_projection(&ProjectionExprs::new(columns.chain(computed)))? else {
        return datafusion::common::internal_err!("a scan takes no projection");
    };
    let mut config = config.clone();
    config.file_source = source;
    Ok(Some(DataSourceExec::from_data_source(config)))
}

/// Whether this column of a table may be put out as codes alone. Files of a shard are merged by what the plan's order reads,
/// which is columns; and of a table with a row for each patient, a dictionary of patients would have to be made.
fn may_be_code(config: &FileScanConfig, column: &Column) -> bool {
    let patient = config.output_ordering.first().map(|order| &order.first().expr);
    let patient = patient.and_then(|patient| patient.downcast_ref::<Column>());
    let is_patient = patient.is_some_and(|patient| patient.name() == column.name());
    !names_several(config) && (!is_patient || repeated_patient(config).is_some())
}

/// The column of the *n*-th computation.
fn name(n: usize) -> String {
    format!("__by_value_{n}")
}

/// The expression over a scan that puts out the columns that are kept of `width`, and the computations behind them.
fn moved(expr: Arc<dyn PhysicalExpr>, kept: &[usize], width: usize) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = expr.transform_down(|node| {
        let Some(column) = node.downcast_ref::<Column>() else {
            return Ok(Transformed::no(node));
        };
        let place = match kept.binary_search(&column.index()) {
            Ok(place) => place,
            Err(_) => kept.len() + column.index().saturating_sub(width),
        };
        Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as _))
    })?;
    Ok(moved.data)
}
