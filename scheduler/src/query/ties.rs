//! What a statement reads of its tables, for the orders that break ties: the columns that it reads anyway, and the order in
//! which a table's rows lie where the person is granted it.

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use parcours_cluster::grant::Grant;
use parcours_sql::semantics::ties::{Tables, break_ties};
use parcours_tables::{SnapshotTable, TableSnapshot};

use super::admission::Touched;
use super::errors::of_planning;
use crate::port::QueryError;

/// Returns the plan with a total order wherever an order decides, and adds what is read for that to `touched`.
pub fn broken(plan: LogicalPlan, touched: &mut Touched, grant: &Grant) -> Result<LogicalPlan, QueryError> {
    let tables = Granted {
        touched,
        grant,
        orders: RefCell::default(),
    };
    let plan = break_ties(plan, &tables).map_err(|error| of_planning(&error))?;
    for (table, column) in tables.orders.into_inner() {
        touched.read(&table, &column);
    }
    Ok(plan)
}

struct Granted<'a> {
    touched: &'a Touched,
    grant: &'a Grant,
    /// Columns that are read for the order of their table.
    orders: RefCell<Vec<(Arc<TableSnapshot>, String)>>,
}

impl Tables for Granted<'_> {
    fn reads(&self, scan: &TableScan, column: &str) -> bool {
        snapshot(scan).is_none_or(|table| self.touched.reads(&table, column))
    }

    fn order(&self, scan: &TableScan, at_hand: &dyn Fn(&String) -> bool) -> Vec<String> {
        let Some(table) = snapshot(scan).filter(|table| table.is_sharded()) else {
            return Vec::new();
        };
        let granted = |column: &str| {
            let class = table.class_of(column);
            class.is_some_and(|class| self.grant.allows(table.dataset(), class))
        };
        let columns: Vec<String> = table.sorted_by().map(str::to_owned).collect();
        if !columns.iter().all(|column| granted(column) && at_hand(column)) {
            return Vec::new();
        }
        let read = columns.iter().map(|column| (Arc::clone(&table), column.clone()));
        self.orders.borrow_mut().extend(read);
        columns
    }
}

/// The table of ours that is scanned.
fn snapshot(scan: &TableScan) -> Option<Arc<TableSnapshot>> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider
        .downcast_ref::<SnapshotTable>()
        .map(|provider| Arc::clone(provider.table()))
}
