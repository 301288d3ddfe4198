//! The columns of what a statement selects from, as far as its text and the tables say them: `NATURAL JOIN` becomes `JOIN …
//! USING` of the columns that both sides have, and a table whose alias names its first columns alone keeps the names of the
//! others. The engine would read the common column of an outer join as the left one, and wants a name for every column.

use std::collections::{HashMap, HashSet};

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
    Value, WildcardAdditionalOptions,
};

use super::forms::pivot;
use super::names::{compared, last, left_out, own_name, quoted};
use super::refusal::{Checked, refuse};
use super::using::constraint_mut;
use super::walk::{Pass, walk};

/// What is known of tables before a statement is planned.
pub trait Tables {
    /// The columns of a table in their order, or `None` if there is no such table.
    fn columns(&self, name: &ObjectName) -> Option<Vec<String>>;
}

/// Nothing is known of any table.
impl Tables for () {
    fn columns(&self, _: &ObjectName) -> Option<Vec<String>> {
        None
    }
}

/// Writes the columns out that a statement leaves to the tables.
pub(super) fn write_out(statement: &mut Statement, tables: &dyn Tables) -> Checked {
    let mut wanted = Wanted(false);
    walk(statement, &mut wanted)?;
    match wanted.0 {
        true => walk(
            statement,
            &mut Columns {
                tables,
                with: Vec::new(),
            },
        ),
        false => Ok(()),
    }
}

/// Whether a statement leaves columns to the tables.
struct Wanted(bool);

impl Pass for Wanted {
    fn enter_query(&mut self, query: &mut Query) -> Checked {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0 |= with.into_iter().any(|named| !named.alias.columns.is_empty());
        Ok(())
    }

    fn enter_select(&mut self, select: &mut Select) -> Checked {
        self.0 |= select.from.iter().any(is_natural);
        Ok(())
    }

    fn enter_factor(&mut self, factor: &mut TableFactor) -> Checked {
        self.0 |= alias_mut(factor).is_some_and(|alias| !alias.columns.is_empty());
        self.0 |= matches!(factor, TableFactor::NestedJoin { table_with_joins, .. } if is_natural(table_with_joins));
        Ok(())
    }
}

fn is_natural(from: &TableWithJoins) -> bool {
    let natural = |join: &Join| {
        let on = super::using::constraint(&join.join_operator);
        matches!(on, Some(JoinConstraint::Natural))
    };
    from.joins.iter().any(natural)
}

/// Names of columns, or `None` where the text does not say them.
type Names = Option<Vec<String>>;

struct Columns<'a> {
    tables: &'a dyn Tables,
    /// What is named by WITH, from the outside.
    with: Vec<HashMap<String, Names>>,
}

impl Pass for Columns<'_> {
    fn enter_query(&mut self, query: &mut Query) -> Checked {
        self.with.push(HashMap::new());
        let named = query.with.iter_mut().flat_map(|with| &mut with.cte_tables);
        for named in named {
            let columns = self.of_query(&named.query);
            complete(&mut named.alias, columns.as_ref());
            let columns = under(columns, Some(&named.alias));
            self.name(compared(&named.alias.name), columns);
        }
        Ok(())
    }

    fn leave_query(&mut self, _: &mut Query) -> Checked {
        self.with.pop();
        Ok(())
    }

    fn enter_select(&mut self, select: &mut Select) -> Checked {
        select.from.iter_mut().try_for_each(|from| self.join(from))
    }

    fn enter_factor(&mut self, factor: &mut TableFactor) -> Checked {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            self.join(table_with_joins)?;
        }
        let columns = self.of_bare(factor);
        if let Some(alias) = alias_mut(factor) {
            complete(alias, columns.as_ref());
        }
        Ok(())
    }
}

impl Columns<'_> {
    fn name(&mut self, name: String, columns: Names) {
        if let Some(with) = self.with.last_mut() {
            with.insert(name, columns);
        }
    }

    /// Writes the natural joins of a FROM as joins by the columns that they mean.
    fn join(&mut self, from: &mut TableWithJoins) -> Checked {
        let mut left = self.of_factor(&from.relation);
        for Join {
            relation,
            join_operator,
            ..
        } in &mut from.joins
        {
            let right = self.of_factor(relation);
            if let Some(on @ JoinConstraint::Natural) = constraint_mut(join_operator) {
                match left
                    .as_ref()
                    .zip(right.as_ref())
                    .and_then(|(left, right)| common(left, right))
                {
                    Some(columns) => *on = by(&columns),
                    None if !is_inner(join_operator) => {
                        return refuse("the columns of this NATURAL JOIN are not known, say USING (…)");
                    }
                    None => {}
                }
            }
            left = joined(left, right, join_operator);
        }
        Ok(())
    }

    fn of_query(&mut self, query: &Query) -> Names {
        self.with.push(HashMap::new());
        for named in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = self.of_query(&named.query);
            self.name(compared(&named.alias.name), under(columns, Some(&named.alias)));
        }
        let columns = self.of_body(&query.body);
        self.with.pop();
        columns
    }

    fn of_body(&mut self, body: &SetExpr) -> Names {
        match body {
            SetExpr::Select(select) => self.of_select(select),
            SetExpr::Query(query) => self.of_query(query),
            SetExpr::SetOperation { left, .. } => self.of_body(left),
            SetExpr::Values(values) => {
                let width = values.rows.first()?.len();
                Some((1..=width).map(|n| format!("column{n}")).collect())
            }
            _ => None,
        }
    }

    fn of_select(&mut self, select: &Select) -> Names {
        let mut names = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => names.push(own_name(expr)?),
                SelectItem::ExprWithAlias { alias, .. } => names.push(compared(alias)),
                SelectItem::Wildcard(options) => names.extend(shown(self.of_from(&select.from)?, options)?),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), options) => {
                    names.extend(shown(self.of_table(&select.from, table)?, options)?);
                }
                _ => return None,
            }
        }
        Some(names)
    }

    fn of_from(&mut self, from: &[TableWithJoins]) -> Names {
        let mut names = Vec::new();
        for from in from {
            names.extend(self.of_joins(from)?);
        }
        Some(names)
    }

    fn of_joins(&mut self, from: &TableWithJoins) -> Names {
        let mut left = self.of_factor(&from.relation);
        for join in &from.joins {
            let right = self.of_factor(&join.relation);
            left = joined(left, right, &join.join_operator);
        }
        left
    }

    /// The columns of the table that has this name in a FROM.
    fn of_table(&mut self, from: &[TableWithJoins], table: &ObjectName) -> Names {
        let wanted = last(table)?;
        let factors = from.iter().flat_map(|from| {
            let joined = from.joins.iter().map(|join| &join.relation);
            std::iter::once(&from.relation).chain(joined)
        });
        let mut named = factors.filter(|factor| name_of(factor).is_some_and(|name| name == wanted));
        let factor = named.next()?;
        self.of_factor(factor)
    }

    fn of_factor(&mut self, factor: &TableFactor) -> Names {
        under(self.of_bare(factor), alias(factor))
    }

    /// The columns of an element of FROM by the names that its alias replaces.
    fn of_bare(&mut self, factor: &TableFactor) -> Names {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.of_name(name),
            TableFactor::Derived { subquery, .. } => self.of_query(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => self.of_joins(table_with_joins),
            TableFactor::Pivot { .. } => {
                let mut written = factor.clone();
                pivot::rewrite(&mut written).ok()?;
                match &written {
                    TableFactor::Derived { subquery, .. } => self.of_query(subquery),
                    _ => None,
                }
            }
            // Other functions have as many columns as their arguments say.
            TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => {
                let series = ["generate_series", "range"].contains(&last(name)?.as_str());
                series.then(|| vec!["value".to_owned()])
            }
            _ => None,
        }
    }

    fn of_name(&self, name: &ObjectName) -> Names {
        if let [ObjectNamePart::Identifier(bare)] = name.0.as_slice() {
            let bare = compared(bare);
            if let Some(columns) = self.with.iter().rev().find_map(|with| with.get(&bare)) {
                return columns.clone();
            }
        }
        self.tables.columns(name)
    }
}

/// The columns that both sides have, or `None` where one has such a column twice.
fn common(left: &[String], right: &[String]) -> Option<Vec<String>> {
    let common: Vec<String> = left.iter().filter(|name| right.contains(name)).cloned().collect();
    let once = |side: &[String]| {
        let found = side.iter().filter(|name| common.contains(name)).count();
        found == common.iter().collect::<HashSet<_>>().len()
    };
    (once(left) && once(right)).then_some(common)
}

/// The condition that rows have the same values in these columns; that of a cross join if there are none.
fn by(columns: &[String]) -> JoinConstraint {
    match columns {
        [] => JoinConstraint::On(Expr::Value(Value::Boolean(true).into())),
        columns => {
            let names = columns.iter().map(|name| ObjectName::from(vec![quoted(name)]));
            JoinConstraint::Using(names.collect())
        }
    }
}

fn is_inner(operator: &JoinOperator) -> bool {
    matches!(operator, JoinOperator::Join(_) | JoinOperator::Inner(_))
}

/// What a join shows: the common columns, and those of both sides.
fn joined(left: Names, right: Names, operator: &JoinOperator) -> Names {
    let common = match super::using::constraint(operator) {
        Some(JoinConstraint::Using(columns)) => columns.iter().map(last).collect::<Option<Vec<_>>>()?,
        Some(JoinConstraint::Natural) => common(left.as_ref()?, right.as_ref()?)?,
        _ => Vec::new(),
    };
    match operator {
        JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) | JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) => left,
        JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => right,
        _ => {
            let others = left?.into_iter().chain(right?);
            let others = others.filter(|name| !common.contains(name)).collect::<Vec<_>>();
            Some(common.iter().cloned().chain(others).collect())
        }
    }
}

/// The columns under an alias, which may name the first of them.
fn under(columns: Names, alias: Option<&TableAlias>) -> Names {
    let named = alias.map(|alias| alias.columns.iter().map(|column| compared(&column.name)));
    let named: Vec<String> = named.into_iter().flatten().collect();
    match columns {
        Some(columns) => {
            let others = columns.into_iter().skip(named.len());
            Some(named.iter().cloned().chain(others).collect())
        }
        None if named.is_empty() => None,
        None => Some(named),
    }
}

/// Adds the names of the last columns to an alias that names the first.
fn complete(alias: &mut TableAlias, columns: Option<&Vec<String>>) {
    let named = alias.columns.len();
    if named == 0 {
        return;
    }
    let others = columns.into_iter().flatten().skip(named);
    alias.columns.extend(others.map(|name| TableAliasColumnDef {
        name: quoted(name),
        data_type: None,
    }));
}

/// The columns that a star with these options shows.
fn shown(columns: Vec<String>, options: &WildcardAdditionalOptions) -> Names {
    if options.opt_ilike.is_some() || options.opt_rename.is_some() {
        return None;
    }
    let without = left_out(options);
    Some(columns.into_iter().filter(|name| !without.contains(name)).collect())
}

fn name_of(factor: &TableFactor) -> Option<String> {
    match (alias(factor), factor) {
        (Some(alias), _) => Some(compared(&alias.name)),
        (None, TableFactor::Table { name, .. } | TableFactor::Function { name, .. }) => last(name),
        _ => None,
    }
}

fn alias(factor: &TableFactor) -> Option<&TableAlias> {
    match factor {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. }
        | TableFactor::Pivot { alias, .. } => alias.as_ref(),
        _ => None,
    }
}

fn alias_mut(factor: &mut TableFactor) -> Option<&mut TableAlias> {
    match factor {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. }
        | TableFactor::Pivot { alias, .. } => alias.as_mut(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    const TABLES: &str = "CREATE TABLE t (a INT, b INT) AS VALUES (1, 10), (2, 20);
        CREATE TABLE u (c INT, a INT) AS VALUES (7, 2), (8, 3);
        CREATE TABLE w (d INT) AS VALUES (5)";

    #[tokio::test]
    async fn natural_joins_are_joins_by_common_columns() {
        let context = session(TABLES).await;
        for (sql, expected) in [
            ("SELECT * FROM t NATURAL JOIN u", "a,b,c|2,20,7"),
            (
                "SELECT a, u.a AS x FROM t NATURAL LEFT JOIN u ORDER BY 1",
                "a,x|1,NULL|2,2",
            ),
            (
                "SELECT a, b FROM t NATURAL FULL JOIN u ORDER BY a",
                "a,b|1,10|2,20|3,NULL",
            ),
            (
                "SELECT a FROM t NATURAL RIGHT JOIN (SELECT a AS a FROM u) s ORDER BY a",
                "a|2|3",
            ),
            ("SELECT * FROM t NATURAL JOIN w", "a,b,d|1,10,5|2,20,5"),
            (
                "WITH v (b) AS (SELECT 20) SELECT * FROM v NATURAL JOIN t NATURAL JOIN u",
                "b,a,c|20,2,7",
            ),
            (
                "SELECT count(*) FROM (t NATURAL JOIN u) NATURAL JOIN (VALUES (2)) z (a)",
                "count(*)|1",
            ),
            ("SELECT sum(a) FROM t NATURAL JOIN u GROUP BY a", "sum(a)|2"),
            ("SELECT max(a) AS m FROM (SELECT a FROM t x NATURAL JOIN u) s", "m|2"),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn an_alias_may_name_the_first_columns() {
        let context = session(TABLES).await;
        for (sql, expected) in [
            ("SELECT x, b FROM t AS s (x) WHERE x = 1", "x,b|1,10"),
            (
                "SELECT * FROM (SELECT a, b, a + b AS n FROM t WHERE a = 1) AS s (x, y)",
                "x,y,n|1,10,11",
            ),
            (
                "WITH s (x) AS (SELECT * FROM t) SELECT max(x), max(b) FROM s",
                "max(x),max(b)|2,20",
            ),
            (
                "SELECT * FROM (SELECT * FROM t PIVOT (sum(b) FOR a IN (1 AS one, 2 AS two))) AS s (x)",
                "x,two|10,20",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }
}
