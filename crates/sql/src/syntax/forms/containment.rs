//! `a @> b` and `a <@ b` between lists, which the engine plans as a function that no session has put in the place of its own.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use super::taken;
use crate::syntax::built::{argument, call};

/// Rewrites `a @> b` to `array_has_all(a, b)`.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::BinaryOp { left, op, right } = expr else {
        return;
    };
    let (whole, part) = match op {
        BinaryOperator::AtArrow => (left, right),
        BinaryOperator::ArrowAt => (right, left),
        _ => return,
    };
    let arguments = [whole, part].map(|side| argument(taken(side)));
    *expr = call("array_has_all", arguments.into());
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::prepared;

    #[test]
    fn containment_is_a_function() {
        let text = prepared("SELECT a @> b AS x, a <@ b AS y FROM t");
        assert!(
            text.contains("array_has_all(a, b) AS x, array_has_all(b, a) AS y"),
            "{text}"
        );
    }
}
