//! An analyzer rule: the columns of the result have the names that the statement says, of which two may be one. Until here
//! those that occur again have names of ours (`syntax/names`), since the engine refuses equal ones.

use std::collections::HashSet;

use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;

use crate::syntax::declared_name;

/// The table that columns of one name are told apart by; a number follows.
const OUTPUT: &str = "__parcours_output_";

/// Gives the columns of the result the names that the statement says.
#[derive(Debug, Default)]
pub(crate) struct DeclaredNames;

impl AnalyzerRule for DeclaredNames {
    fn name(&self) -> &str {
        "declared_names"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let schema = plan.schema();
        let again: HashSet<&str> = schema
            .fields()
            .iter()
            .filter_map(|field| declared_name(field.name()))
            .collect();
        if again.is_empty() {
            return Ok(plan);
        }
        let columns: Vec<Expr> = schema
            .iter()
            .enumerate()
            .map(|(at, (qualifier, field))| {
                let column = Expr::Column((qualifier, field).into());
                let name = declared_name(field.name()).unwrap_or(field.name());
                match again.contains(name) {
                    true => column.alias_qualified(Some(TableReference::bare(format!("{OUTPUT}{at}"))), name),
                    false => column,
                }
            })
            .collect();
        LogicalPlanBuilder::from(plan).project(columns)?.build()
    }
}
