//! Operators: those that the engine has, by name.

use datafusion::sql::sqlparser::ast::{BinaryOperator, UnaryOperator};

use crate::syntax::refusal::{Checked, refuse};

/// The operators before an operand.
pub(super) fn unary(op: UnaryOperator) -> Checked {
    match op {
        UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not => Ok(()),
        UnaryOperator::BangNot => refuse("! is not supported, write NOT"),
        UnaryOperator::BitwiseNot => refuse("~ before a number is not supported, write -1 - x"),
        op => refuse(format!("{op} before an operand is not supported, use a function")),
    }
}

/// What the engine has an operator for; an operator that is not listed is refused.
pub(super) fn binary(op: &BinaryOperator) -> Checked {
    match op {
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo
        | BinaryOperator::StringConcat
        | BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::Spaceship
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::Xor
        | BinaryOperator::BitwiseOr
        | BinaryOperator::BitwiseAnd
        | BinaryOperator::BitwiseXor
        | BinaryOperator::DuckIntegerDivide
        | BinaryOperator::MyIntegerDivide
        | BinaryOperator::PGBitwiseXor
        | BinaryOperator::PGBitwiseShiftLeft
        | BinaryOperator::PGBitwiseShiftRight
        | BinaryOperator::PGExp
        | BinaryOperator::PGRegexMatch
        | BinaryOperator::PGRegexIMatch
        | BinaryOperator::PGRegexNotMatch
        | BinaryOperator::PGRegexNotIMatch
        | BinaryOperator::PGLikeMatch
        | BinaryOperator::PGILikeMatch
        | BinaryOperator::PGNotLikeMatch
        | BinaryOperator::PGNotILikeMatch
        | BinaryOperator::AtArrow
        | BinaryOperator::ArrowAt => Ok(()),
        BinaryOperator::PGOverlap => refuse("&& is not supported, use array_has_any(a, b)"),
        BinaryOperator::PGStartsWith => refuse("^@ is not supported, use starts_with(text, beginning)"),
        BinaryOperator::Overlaps => refuse("OVERLAPS is not supported, write start1 < end2 AND start2 < end1"),
        BinaryOperator::Match | BinaryOperator::Regexp => {
            refuse("MATCH and REGEXP are not supported, use ~ with a regular expression")
        }
        BinaryOperator::PGCustomBinaryOperator(_) => refuse("OPERATOR(…) is not supported, write the operator itself"),
        op => refuse(format!("the operator {op} is not supported, use a function")),
    }
}
