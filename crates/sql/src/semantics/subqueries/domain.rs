//! The distinct bindings of a correlated subquery: the values that the columns it refers to take in the rows outside it. A
//! subquery that is computed for each of them is computed for each row.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::alike::{alike, never_holds};
use super::outer::{bind, has};
use super::prune::pruned;
use super::site::Site;
use super::statement::Statement;

/// The outer columns of a subquery, and the rows that they are taken from.
pub(super) struct Domain {
    pub(super) columns: Vec<Column>,
    source: Arc<LogicalPlan>,
}

impl Domain {
    /// The bindings of columns at a place. Rows that would be other ones when they are read again are refused.
    pub(super) fn of(site: &Site, columns: Vec<Column>) -> Result<Self> {
        let source = Self::source(site, &columns)?;
        if !reads_alike(&source)? {
            return plan_err!(
                "a correlated subquery reads the rows outside it twice, and rows below a LIMIT or of a function such as \
                 random() would be other ones the second time: put the LIMIT or the function above the subquery"
            );
        }
        Ok(Self { columns, source })
    }

    /// Whether the rows at a place are the same ones when they are read again.
    pub(super) fn reads_alike(site: &Site, columns: &[Column]) -> Result<bool> {
        reads_alike(Self::source(site, columns)?.as_ref())
    }

    fn source(site: &Site, columns: &[Column]) -> Result<Arc<LogicalPlan>> {
        let plain = columns.iter().all(|column| has(site.base.schema(), column));
        match plain {
            true => pruned(&site.base, columns),
            false => pruned(&Arc::new(site.plan.clone()), columns),
        }
    }

    /// The conditions under which a row outside has the binding in these columns of a table.
    pub(super) fn alike(
        &self,
        schema: &DFSchema,
        table: &DFSchema,
        columns: &[Column],
        never_null: &[bool],
    ) -> Result<Vec<Expr>> {
        let mut on = Vec::new();
        for ((outer, column), never_null) in self.columns.iter().zip(columns).zip(never_null) {
            on.extend(alike((outer, schema), (column, table), *never_null)?);
        }
        Ok(on)
    }

    /// Which of the bindings have no row for which this holds where they are NULL.
    pub(super) fn never_null(&self, condition: &Expr) -> Vec<bool> {
        let never = |column| never_holds(condition, column);
        self.columns.iter().map(never).collect()
    }

    /// An expression with columns in the place of references outside.
    pub(super) fn bind(&self, expr: Expr, columns: &[Column]) -> Result<Expr> {
        bind(expr, &|column| {
            let at = self.columns.iter().position(|known| known == column)?;
            columns.get(at).cloned().map(Expr::Column)
        })
    }
}

impl Statement {
    /// The bindings as a table, and its columns.
    pub(super) fn bindings(&mut self, domain: &Domain) -> Result<(LogicalPlan, Vec<Column>)> {
        let columns: Vec<Expr> = domain.columns.iter().cloned().map(Expr::Column).collect();
        let distinct = Aggregate::try_new(Arc::clone(&domain.source), columns.clone(), Vec::new())?;
        self.table(LogicalPlan::Aggregate(distinct), columns)
    }
}

/// Whether a plan gives the same rows each time.
fn reads_alike(plan: &LogicalPlan) -> Result<bool> {
    let mut alike = true;
    plan.apply(|node| {
        alike &= match node {
            LogicalPlan::Limit(_) => false,
            LogicalPlan::Sort(sort) => sort.fetch.is_none(),
            LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
            _ => true,
        };
        node.apply_expressions(|expr| {
            alike &= !expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(match alike {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    })?;
    Ok(alike)
}
