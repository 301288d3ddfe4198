//! The parameters that a statement names. A plan may have fewer: an order by a parameter is none, and a name of WITH that is
//! not read takes its parameters with it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Statement, Value, ValueWithSpan, visit_expressions};

/// Returns the numbers of the parameters `$1`, `$2`, … that a statement names.
pub fn parameters(statement: &Statement) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let _: ControlFlow<()> = visit_expressions(statement, |expr| {
        if let Expr::Value(ValueWithSpan {
            value: Value::Placeholder(name),
            ..
        }) = expr
        {
            found.extend(name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()));
        }
        ControlFlow::Continue(())
    });
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::sql::sqlparser::{dialect::GenericDialect, parser::Parser};

    use super::*;

    #[test]
    fn parameters_are_found_wherever_they_stand() {
        let sql =
            "WITH w AS (SELECT CAST($2 AS DATE)) SELECT x IN ($1, 3) FROM t WINDOW v AS (PARTITION BY $4) LIMIT $3";
        let statement = Parser::parse_sql(&GenericDialect {}, sql).unwrap().remove(0);
        assert_eq!(parameters(&statement).into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
