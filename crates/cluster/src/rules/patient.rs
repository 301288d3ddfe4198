//! Where a column comes from: whether it is the patient id of a sharded table, under whatever name.

use datafusion::common::{Column, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};
use parcours_tables::SnapshotTable;

use super::below::below;
use crate::placement::unions::logical::PlacedUnion;

/// The dataset whose patient id the column is; none if it is not one. Rows that come out of `plan` then lie in the shard
/// that their patient belongs to, as long as nothing exchanges them.
pub(super) fn dataset_of_patient(plan: &LogicalPlan, column: &Column) -> Result<Option<String>> {
    if let Some((input, expr)) = below(plan, column)? {
        return match expr {
            Expr::Column(below) => dataset_of_patient(input, &below),
            _ => Ok(None),
        };
    }
    match plan {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source)?;
            let table = provider.downcast_ref::<SnapshotTable>();
            let is_patient = |id: Option<&str>| id == Some(column.name()) && scan.projected_schema.has_column(column);
            let table = table.filter(|table| is_patient(table.declared_patient()));
            Ok(table.map(|table| table.table().dataset().to_owned()))
        }
        LogicalPlan::Union(union) => {
            let at = union.schema.index_of_column(column)?;
            dataset_in_parts(union.inputs.iter().map(AsRef::as_ref), at)
        }
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<PlacedUnion>() => {
            let at = extension.node.schema().index_of_column(column)?;
            dataset_in_parts(extension.node.inputs().into_iter(), at)
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Window(_) | LogicalPlan::Join(_) => {
            let holders = plan
                .inputs()
                .into_iter()
                .filter(|input| input.schema().has_column(column));
            match holders.collect::<Vec<_>>().as_slice() {
                [input] => dataset_of_patient(input, column),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// The dataset whose patient id the column at this place is in every part of a union.
fn dataset_in_parts<'a>(parts: impl Iterator<Item = &'a LogicalPlan>, at: usize) -> Result<Option<String>> {
    let mut found = None;
    for part in parts {
        let column = Column::from(part.schema().qualified_field(at));
        let dataset = dataset_of_patient(part, &column)?;
        if dataset.is_none() || found.as_ref().is_some_and(|found| Some(found) != dataset.as_ref()) {
            return Ok(None);
        }
        found = dataset;
    }
    Ok(found)
}
