//! A parameter beside `||` is a text. The engine takes it for one of the type of what stands on the other side.

use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, DataType, Expr, Value, ValueWithSpan};

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
            **side = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(parameter),
                data_type: DataType::Varchar(None),
                array: false,
                format: None,
            };
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
