//! How many tables a statement reads once every name of a `WITH` stands for its query, as the engine plans it. Names
//! that refer twice to the one before double with each: eighteen of them are a quarter of a million tables, from a page
//! of text.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Query, Statement};

use super::names::compared;
use super::refusal::{Checked, Refusal};
use super::walk::{Pass, walk};

/// The most tables that a statement may read, with every name of a `WITH` counted as often as it is used.
pub const MAX_TABLES: u64 = 2_000;

/// Refuses a statement that reads too many tables.
pub(crate) fn check(statement: &mut Statement) -> Checked {
    walk(statement, &mut Expansion::default())
}

/// The queries around the one that is visited.
#[derive(Default)]
struct Expansion {
    around: Vec<Scope>,
}

/// One query: how many tables it has read so far, and how many each of its names reads.
#[derive(Default)]
struct Scope {
    tables: u64,
    known: Vec<(String, u64)>,
    /// The queries of `WITH` that are still to come, by address.
    coming: Vec<(*const Query, String)>,
}

impl Pass for Expansion {
    fn enter_query(&mut self, query: &mut Query) -> Checked {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.around.push(Scope {
            coming: named
                .map(|cte| (std::ptr::from_ref(cte.query.as_ref()), compared(&cte.alias.name)))
                .collect(),
            ..Scope::default()
        });
        Ok(())
    }

    fn leave_query(&mut self, query: &mut Query) -> Checked {
        let tables = self.around.pop().map_or(0, |scope| scope.tables);
        let Some(outer) = self.around.last_mut() else {
            return bounded(tables, None);
        };
        let address = std::ptr::from_ref::<Query>(query);
        match outer.coming.iter().position(|(coming, _)| *coming == address) {
            Some(at) => {
                let (_, name) = outer.coming.swap_remove(at);
                outer.known.push((name.clone(), tables));
                bounded(tables, Some(&name))
            }
            None => {
                outer.tables = outer.tables.saturating_add(tables);
                Ok(())
            }
        }
    }

    fn relation(&mut self, relation: &mut ObjectName) -> Checked {
        let tables = self.tables_of(relation);
        if let Some(scope) = self.around.last_mut() {
            scope.tables = scope.tables.saturating_add(tables);
        }
        Ok(())
    }
}

impl Expansion {
    fn tables_of(&self, relation: &ObjectName) -> u64 {
        let Some(name) = single(relation).map(compared) else {
            return 1;
        };
        let known = self.around.iter().rev().flat_map(|scope| scope.known.iter().rev());
        // Even a query of no table has to be planned wherever it is named.
        known
            .filter(|(known, _)| *known == name)
            .map(|(_, tables)| (*tables).max(1))
            .next()
            .unwrap_or(1)
    }
}

fn single(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(name),
        _ => None,
    }
}

fn bounded(tables: u64, name: Option<&str>) -> Checked {
    if tables <= MAX_TABLES {
        return Ok(());
    }
    let what = name.map_or_else(|| "the statement".to_owned(), |name| format!("{name} of WITH"));
    Err(Refusal::too_large(format!(
        "{what} reads more than {MAX_TABLES} tables, since each name counts as often as it is used: split the statement"
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::syntax::testing::parsed;

    fn doubling(times: usize) -> String {
        let mut with = vec!["c0 AS (SELECT 1 AS x FROM t)".to_owned()];
        for n in 1..=times {
            let before = n - 1;
            with.push(format!(
                "c{n} AS (SELECT a.x FROM c{before} a JOIN c{before} b ON a.x = b.x)"
            ));
        }
        format!("WITH {} SELECT * FROM c{times}", with.join(", "))
    }

    #[test]
    fn names_that_double_are_refused_by_the_first_that_is_too_large() {
        check(&mut parsed(&doubling(10))).unwrap();
        let refused = check(&mut parsed(&doubling(40))).unwrap_err().to_string();
        assert!(refused.starts_with("c11 of WITH reads"), "{refused}");
    }

    #[test]
    fn names_are_found_from_subqueries_and_hidden_by_nearer_ones() {
        let inner = doubling(10).replace("SELECT * FROM c10", "SELECT 1 FROM u WHERE x IN (SELECT x FROM c10)");
        check(&mut parsed(&inner)).unwrap();
        let twice = inner.replace("FROM c10)", "FROM c10 UNION ALL SELECT x FROM C10)");
        let refused = check(&mut parsed(&twice)).unwrap_err().to_string();
        assert!(refused.starts_with("the statement reads"), "{refused}");
        let hidden = doubling(10).replace(
            "SELECT * FROM c10",
            "SELECT * FROM (WITH c10 AS (SELECT 1 FROM t) SELECT * FROM c10 a, c10 b, c10 c)",
        );
        check(&mut parsed(&hidden)).unwrap();
    }

    #[test]
    fn a_recursive_name_counts_once_in_itself() {
        check(&mut parsed(
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT * FROM r",
        ))
        .unwrap();
    }
}
