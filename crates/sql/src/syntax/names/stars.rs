//! Which columns the stars of a list hold, as far as the text says it.

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, ObjectName, ObjectNamePart, Select, SelectItem, SelectItemQualifiedWildcardKind,
    TableFactor, TableWithJoins, WildcardAdditionalOptions,
};

use super::{Seen, compared};

/// The stars of a list of `SELECT`, and what it selects from.
pub(super) struct Stars {
    stars: Vec<Star>,
    /// The names of the tables that it selects from.
    tables: Vec<String>,
    distinct: bool,
}

/// `*` or `table.*`.
struct Star {
    table: Option<String>,
    without: Vec<String>,
}

impl Stars {
    /// Returns those of a `SELECT`.
    pub(super) fn of(select: &Select) -> Self {
        let mut tables = Vec::new();
        for from in &select.from {
            add_tables(from, &mut tables);
        }
        Self {
            stars: select.projection.iter().filter_map(star).collect(),
            tables,
            distinct: select.distinct.is_some(),
        }
    }

    /// Whether a star holds this plain column already. A column of the result counts as held wherever it may be.
    pub(super) fn hold(&self, column: &Expr, name: &str, seen: Seen) -> bool {
        let table = table_of(column);
        let of_ours = match &table {
            Some(table) => seen == Seen::Result || self.tables.contains(table),
            None => seen != Seen::Lateral,
        };
        let shown = self
            .stars
            .iter()
            .filter(|star| !star.without.iter().any(|left_out| left_out == name));
        of_ours && shown.into_iter().any(|star| self.may_hold(star, table.as_ref(), seen))
    }

    fn may_hold(&self, star: &Star, table: Option<&String>, seen: Seen) -> bool {
        match (&star.table, table) {
            (None, _) => true,
            (Some(of), Some(table)) => of == table,
            (Some(_), None) => self.tables.len() == 1 || (seen == Seen::Result && !self.distinct),
        }
    }
}

fn star(item: &SelectItem) -> Option<Star> {
    let (table, options) = match item {
        SelectItem::Wildcard(options) => (None, options),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
            (Some(last(name)?), options)
        }
        _ => return None,
    };
    Some(Star {
        table,
        without: left_out(options),
    })
}

/// The names of the columns that a star leaves out.
pub(in crate::syntax) fn left_out(options: &WildcardAdditionalOptions) -> Vec<String> {
    let mut names: Vec<String> = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => last(name).into_iter().collect(),
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().filter_map(last).collect(),
        None => Vec::new(),
    };
    if let Some(except) = &options.opt_except {
        names.push(compared(&except.first_element));
        names.extend(except.additional_elements.iter().map(compared));
    }
    names
}

/// The last part of a name.
pub(in crate::syntax) fn last(name: &ObjectName) -> Option<String> {
    match name.0.last() {
        Some(ObjectNamePart::Identifier(name)) => Some(compared(name)),
        _ => None,
    }
}

/// The table that a column's name says.
fn table_of(column: &Expr) -> Option<String> {
    match column {
        Expr::CompoundIdentifier(names) => names.iter().rev().nth(1).map(compared),
        Expr::Nested(inner) => table_of(inner),
        _ => None,
    }
}

fn add_tables(from: &TableWithJoins, tables: &mut Vec<String>) {
    add_table(&from.relation, tables);
    for join in &from.joins {
        add_table(&join.relation, tables);
    }
}

fn add_table(factor: &TableFactor, tables: &mut Vec<String>) {
    let name = match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => return add_tables(table_with_joins, tables),
        TableFactor::Table { name, alias: None, .. } | TableFactor::Function { name, alias: None, .. } => last(name),
        TableFactor::Table { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => alias.as_ref().map(|alias| compared(&alias.name)),
        _ => None,
    };
    // What has no name counts as a table all the same.
    tables.push(name.unwrap_or_default());
}
