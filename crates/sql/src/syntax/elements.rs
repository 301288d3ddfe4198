//! Lists in brackets, `[a, b]` and `ARRAY[a, b]`, of which the engine plans the elements as if they stood alone: it knows no
//! column of an outer query there, nothing that WITH names, and no parameter's type (DataFusion 55, `sql_array_literal`).

use datafusion::sql::sqlparser::ast::{Array, Expr, Statement};

use super::built::{argument, call};
use super::refusal::Checked;
use super::walk::{Pass, walk};

/// Rewrites lists in brackets to calls of `make_array`. Behind all other rewrites, which know lists by their brackets.
pub(super) fn as_arguments(statement: &mut Statement) -> Checked {
    walk(statement, &mut AsArguments)
}

struct AsArguments;

impl Pass for AsArguments {
    fn leave_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Array(Array { elem, .. }) = expr {
            let elements = std::mem::take(elem).into_iter().map(argument);
            *expr = call("make_array", elements.collect());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::prepared;

    #[test]
    fn lists_are_calls() {
        let text =
            prepared("SELECT [a, (SELECT 1)] AS x, ARRAY[[1], []] AS y FROM t WHERE c LIKE ANY (ARRAY['a', 'b'])");
        assert!(text.contains("make_array(a, (SELECT 1)) AS x"), "{text}");
        assert!(text.contains("make_array(make_array(1), make_array()) AS y"), "{text}");
        assert!(!text.contains("ARRAY"), "{text}");
    }
}
