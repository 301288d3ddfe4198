//! `'n' || k + 1`. The parser has `||` bind as `*` does, before `+`; in SQL it binds after all arithmetic (PostgreSQL, DuckDB).

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use super::taken;

/// Has `||` take sums and products for its operands, where one stands beside it without brackets.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::BinaryOp { left, op, right } = &*expr else {
        return;
    };
    if is_arithmetic(op) && (is_concatenation(left) || is_concatenation(right)) {
        let mut chain = Chain::default();
        chain.take(taken(expr));
        *expr = chain.joined();
    }
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    is_product(op) || matches!(op, BinaryOperator::Plus | BinaryOperator::Minus)
}

fn is_product(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo
    )
}

fn is_concatenation(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op, .. } if *op == BinaryOperator::StringConcat)
}

/// Operands and the operators between them, as they are written.
#[derive(Default)]
struct Chain {
    operands: Vec<Expr>,
    operators: Vec<BinaryOperator>,
}

impl Chain {
    fn take(&mut self, expr: Expr) {
        match expr {
            Expr::BinaryOp { left, op, right } if is_arithmetic(&op) || op == BinaryOperator::StringConcat => {
                self.take(*left);
                self.operators.push(op);
                self.take(*right);
            }
            operand => self.operands.push(operand),
        }
    }

    fn joined(self) -> Expr {
        let products = self.folded(is_product);
        let sums = products.folded(is_arithmetic);
        let whole = sums.folded(|_| true);
        whole.operands.into_iter().next().unwrap_or(Expr::Tuple(Vec::new()))
    }

    /// The chain with those operators and their operands as one operand, from the left.
    fn folded(self, binds: impl Fn(&BinaryOperator) -> bool) -> Self {
        let mut folded = Self::default();
        let mut operands = self.operands.into_iter();
        folded.operands.extend(operands.next());
        for (op, right) in self.operators.into_iter().zip(operands) {
            match folded.operands.pop() {
                Some(left) if binds(&op) => folded.operands.push(Expr::BinaryOp {
                    left: Box::new(left),
                    op,
                    right: Box::new(right),
                }),
                left => {
                    folded.operands.extend(left);
                    folded.operands.push(right);
                    folded.operators.push(op);
                }
            }
        }
        folded
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    /// The expression with brackets around each operator.
    fn bracketed(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", bracketed(left), bracketed(right)),
            other => other.to_string(),
        }
    }

    /// As the pass does: from the inside.
    fn rewritten(expr: &mut Expr) {
        if let Expr::BinaryOp { left, right, .. } = expr {
            rewritten(left);
            rewritten(right);
        }
        rewrite(expr);
    }

    #[test]
    fn concatenation_comes_after_arithmetic() {
        for (written, read) in [
            ("'a' || b % c", "('a' || (b % c))"),
            ("a || b + c", "(a || (b + c))"),
            ("a + b || c", "((a + b) || c)"),
            ("a || b || c * d - e || f", "(((a || b) || ((c * d) - e)) || f)"),
            ("(a || b) + c", "((a || b) + c)"),
            ("a * b + c", "((a * b) + c)"),
            ("a || b || c", "((a || b) || c)"),
            ("a - b - c || d", "(((a - b) - c) || d)"),
        ] {
            let parser = Parser::new(&GenericDialect {}).try_with_sql(written);
            let mut expr = parser.and_then(|mut parser| parser.parse_expr()).unwrap();
            rewritten(&mut expr);
            assert_eq!(bracketed(&expr), read, "{written}");
        }
    }
}
