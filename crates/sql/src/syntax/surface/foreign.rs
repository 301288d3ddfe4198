//! Expressions of other dialects.

use datafusion::sql::sqlparser::ast::Expr;

use crate::syntax::refusal::{Checked, refuse};

/// What has no place in an expression here; named one by one, so that a new kind breaks the build.
pub(super) fn foreign(this: &Expr) -> Checked {
    match this {
        Expr::JsonAccess { value: _, path: _ } => refuse("paths into JSON (x:a) are not supported, load it as columns"),
        Expr::IsNormalized {
            expr: _,
            form: _,
            negated: _,
        } => refuse("IS NORMALIZED is not supported"),
        Expr::Collate { expr: _, collation: _ } => {
            refuse("COLLATE is not supported, texts compare by code points: compare lower(…) or a sort key")
        }
        Expr::Prefixed { prefix: _, value: _ } => refuse("a character set before a literal is not supported"),
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => {
            refuse("ROLLUP, CUBE and GROUPING SETS belong in GROUP BY")
        }
        Expr::MatchAgainst {
            columns: _,
            match_value: _,
            opt_search_modifier: _,
        } => refuse("MATCH … AGAINST is not supported, use LIKE or ~"),
        Expr::Wildcard(_) | Expr::QualifiedWildcard(_, _) => refuse("* belongs in a list of SELECT or in count(*)"),
        Expr::OuterJoin(_) => refuse("(+) is not supported, use LEFT JOIN"),
        Expr::Prior(_) => refuse("PRIOR is not supported, use WITH RECURSIVE"),
        Expr::MemberOf(_) => refuse("MEMBER OF is not supported, use array_has(array, x)"),
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess { .. }
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(_, _)
        | Expr::IsNotDistinctFrom(_, _)
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::InUnnest { .. }
        | Expr::Between { .. }
        | Expr::BinaryOp { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::SimilarTo { .. }
        | Expr::RLike { .. }
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::Convert { .. }
        | Expr::Cast { .. }
        | Expr::AtTimeZone { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Overlay { .. }
        | Expr::Nested(_)
        | Expr::Value(_)
        | Expr::TypedString(_)
        | Expr::Function(_)
        | Expr::Case { .. }
        | Expr::Exists { .. }
        | Expr::Subquery(_)
        | Expr::Tuple(_)
        | Expr::Struct { .. }
        | Expr::Named { .. }
        | Expr::Dictionary(_)
        | Expr::Map(_)
        | Expr::Array(_)
        | Expr::Interval(_)
        | Expr::Lambda(_) => Ok(()),
    }
}
