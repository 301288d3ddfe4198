//! Which column classes a plan reads, and whether the grant covers each. The plan is looked at as it will run, after the
//! optimizer: a column that no operator touches is not read, and one that a filter alone touches is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use parcours_cluster::grant::Grant;
use parcours_keys::ColumnClass;
use parcours_tables::{SnapshotTable, TableSnapshot};

use crate::port::QueryError;

/// Dataset → class → columns read, as `table.column`.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Dataset → table → classes of the columns read; none of a table whose rows are counted and not looked at.
    tables: BTreeMap<String, BTreeMap<String, BTreeSet<ColumnClass>>>,
    classes: BTreeMap<(String, ColumnClass), BTreeSet<String>>,
    partitions: usize,
    bytes: u64,
}

/// Most bytes of files, of all tables together, whose shards are handed out as one task.
const ONE_TASK: u64 = 16 << 20;

impl Touched {
    /// How many shards the widest table read has; 1 if none is sharded.
    pub fn partitions(&self) -> usize {
        self.partitions.max(1)
    }

    /// How many shards are so small together that handing each out by itself would cost as much as computing it; 1 where
    /// a shard is worth a task.
    pub fn shards_of_a_task(&self) -> usize {
        let shard = (self.bytes / self.partitions() as u64).max(1);
        usize::try_from(ONE_TASK / shard).unwrap_or(usize::MAX).max(1)
    }

    /// The classes read of each dataset; none of one whose rows are counted and not looked at.
    pub fn classes(&self) -> BTreeMap<String, BTreeSet<ColumnClass>> {
        let of_tables = |tables: &BTreeMap<_, BTreeSet<_>>| tables.values().flatten().copied().collect();
        let classes = self
            .tables
            .iter()
            .map(|(dataset, tables)| (dataset.clone(), of_tables(tables)));
        classes.collect()
    }

    /// The classes read of each table, by dataset.
    pub fn tables(&self) -> &BTreeMap<String, BTreeMap<String, BTreeSet<ColumnClass>>> {
        &self.tables
    }

    /// Refuses what the grant does not cover, naming the class and the columns.
    pub fn admit(&self, grant: &Grant) -> Result<(), QueryError> {
        let refused: Vec<String> = self
            .classes
            .iter()
            .filter(|((dataset, class), _)| !grant.allows(dataset, *class))
            .map(|((dataset, class), columns)| {
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                format!("class {class} of dataset {dataset} (columns {})", columns.join(", "))
            })
            .collect();
        if refused.is_empty() {
            return Ok(());
        }
        Err(QueryError::Denied {
            message: format!("you are not granted {}", refused.join("; ")),
        })
    }

    fn enter(&mut self, table: &TableSnapshot) {
        self.bytes += table.bytes();
        self.classes_of(table);
        if table.is_sharded() {
            self.partitions = self.partitions.max(table.files_by_shard().len());
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<()> {
        let Some(table) = snapshot(scan)? else {
            return Ok(());
        };
        self.enter(&table);
        let schema = table.schema();
        let mut columns: BTreeSet<String> = match &scan.projection {
            Some(indices) => indices
                .iter()
                .filter_map(|i| schema.fields().get(*i))
                .map(|f| f.name().clone())
                .collect(),
            None => schema.fields().iter().map(|field| field.name().clone()).collect(),
        };
        for filter in &scan.filters {
            columns.extend(filter.column_refs().into_iter().map(|column| column.name.clone()));
        }
        for column in columns {
            self.read(&table, &column);
        }
        Ok(())
    }

    fn classes_of(&mut self, table: &TableSnapshot) -> &mut BTreeSet<ColumnClass> {
        let tables = self.tables.entry(table.dataset().to_owned()).or_default();
        tables.entry(table.name().to_owned()).or_default()
    }

    /// Notes that a column of a table is read.
    pub fn read(&mut self, table: &TableSnapshot, column: &str) {
        let (class, read) = named(table, column);
        self.classes_of(table).insert(class.1);
        self.classes.entry(class).or_default().insert(read);
    }

    /// Whether a column of a table is read.
    pub fn reads(&self, table: &TableSnapshot, column: &str) -> bool {
        let (class, read) = named(table, column);
        self.classes.get(&class).is_some_and(|columns| columns.contains(&read))
    }
}

/// A column's dataset and class, and its name. A column without a class cannot be in a dataset; should one be, it counts as
/// the most guarded.
fn named(table: &TableSnapshot, column: &str) -> ((String, ColumnClass), String) {
    let class = table.class_of(column).unwrap_or(ColumnClass::Identity);
    (
        (table.dataset().to_owned(), class),
        format!("{}.{column}", table.name()),
    )
}

/// The table of ours that is scanned.
fn snapshot(scan: &TableScan) -> Result<Option<Arc<TableSnapshot>>> {
    let provider = source_as_provider(&scan.source)?;
    let table = provider.downcast_ref::<SnapshotTable>().map(SnapshotTable::table);
    Ok(table.cloned())
}

/// What a plan reads at most that is not optimized: of each table, the columns that are named anywhere.
pub fn named_in(plan: &LogicalPlan) -> Result<Touched> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = part {
                    names.insert(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let mut touched = Touched::default();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = snapshot(scan)?
        {
            touched.enter(&table);
            let fields = table.schema();
            for field in fields.fields().iter().filter(|field| names.contains(field.name())) {
                touched.read(&table, field.name());
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(touched)
}

/// What an optimized plan reads.
pub fn touched(plan: &LogicalPlan) -> Result<Touched> {
    let mut touched = Touched::default();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            touched.scan(scan)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(touched)
}

#[cfg(test)]
mod tests;
