//! A parameter beside `||` is a text. The engine takes it for one of the type of what stands on the other side.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, Value, ValueWithSpan};

use crate::syntax::built::cast;

/// Rewrites `$1 || x` to `CAST($1 AS VARCHAR) || x`.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::StringConcat,
        right,
    } = expr
    else {
        return;
    };
    for side in [left, right] {
        if is_parameter(side) {
            let parameter = super::taken(side);
            **side = cast(parameter, DataType::Varchar(None));
        }
    }
}

fn is_parameter(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Value(ValueWithSpan {
            value: Value::Placeholder(_),
            ..
        })
    )
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::prepared;

    #[test]
    fn a_parameter_beside_a_bar_is_a_text() {
        let text = prepared("SELECT $1 || a FROM t");
        assert!(text.contains("CAST($1 AS VARCHAR) || a"), "{text}");
    }
}
