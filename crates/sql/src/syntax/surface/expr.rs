//! Expressions. What the engine would answer with a tree of the parser, or with a literal in its message, is refused
//! here.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, CaseWhen, CeilFloorKind, DateTimeField, DictionaryField, Expr, Interval, LambdaFunction, Map,
    MapEntry, Subscript, TypedString, Value, ValueWithSpan,
};

use super::foreign::foreign;
use super::function::function;
use super::operators::{binary, unary};
use super::query::query;
use crate::syntax::refusal::{Checked, refuse};

pub(super) fn exprs(exprs: &[Expr]) -> Checked {
    exprs.iter().try_for_each(expr)
}

fn both(left: &Expr, right: &Expr) -> Checked {
    expr(left)?;
    expr(right)
}

fn maybe(inner: Option<&Expr>) -> Checked {
    inner.map_or(Ok(()), expr)
}

pub(super) fn expr(this: &Expr) -> Checked {
    match this {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Ok(()),
        Expr::Value(inner) => value(inner),
        Expr::TypedString(TypedString {
            data_type: _,
            value: inner,
            // `{d '…'}` is `DATE '…'`.
            uses_odbc_syntax: _,
        }) => value(inner),
        Expr::Nested(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner) => expr(inner),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => both(left, right),
        Expr::BinaryOp { left, op, right } => {
            binary(op)?;
            both(left, right)
        }
        Expr::UnaryOp { op, expr: inner } => {
            unary(*op)?;
            expr(inner)
        }
        Expr::Function(call) => function(call),
        Expr::Subquery(inner) => query(inner),
        Expr::Exists { subquery, negated: _ } => query(subquery),
        Expr::Case {
            case_token: _,
            end_token: _,
            operand,
            conditions,
            else_result,
        } => {
            maybe(operand.as_deref())?;
            conditions
                .iter()
                .try_for_each(|CaseWhen { condition, result }| both(condition, result))?;
            maybe(else_result.as_deref())
        }
        other => predicate(other),
    }
}

/// Predicates: `IN`, `BETWEEN`, `LIKE`, `ANY` and `ALL`.
fn predicate(this: &Expr) -> Checked {
    match this {
        Expr::InList {
            expr: inner,
            list,
            negated: _,
        } => {
            expr(inner)?;
            exprs(list)
        }
        Expr::InSubquery {
            expr: inner,
            subquery,
            negated: _,
        } => {
            expr(inner)?;
            query(subquery)
        }
        Expr::InUnnest {
            expr: _,
            array_expr: _,
            negated: _,
        } => refuse("IN UNNEST is not supported, use array_has(array, x)"),
        Expr::Between {
            expr: inner,
            negated: _,
            low,
            high,
        } => {
            expr(inner)?;
            both(low, high)
        }
        Expr::Like {
            negated: _,
            any: _,
            expr: inner,
            pattern,
            escape_char,
        }
        | Expr::ILike {
            negated: _,
            any: _,
            expr: inner,
            pattern,
            escape_char,
        } => {
            escape_char.iter().try_for_each(value)?;
            both(inner, pattern)
        }
        Expr::SimilarTo {
            negated: _,
            expr: _,
            pattern: _,
            escape_char: _,
        } => refuse("SIMILAR TO is not supported, write x ~ '^(…)$' with .* for % and . for _, or LIKE"),
        Expr::RLike {
            negated: _,
            expr: _,
            pattern: _,
            regexp: _,
        } => refuse("RLIKE and REGEXP are not supported, use ~ with a regular expression"),
        Expr::AnyOp {
            left,
            compare_op,
            right,
            is_some: _,
        }
        | Expr::AllOp {
            left,
            compare_op,
            right,
        } => {
            binary(compare_op)?;
            both(left, right)
        }
        other => typed(other),
    }
}

/// Conversions and the functions that have a syntax of their own.
fn typed(this: &Expr) -> Checked {
    match this {
        Expr::Cast {
            kind: _,
            expr: inner,
            data_type: _,
            array,
            format,
        } => {
            if *array {
                return refuse("CAST(… AS … ARRAY) is not supported, write the type as INT[]");
            }
            if format.is_some() {
                return refuse("CAST with FORMAT is not supported, use to_date, to_timestamp or to_char");
            }
            expr(inner)
        }
        Expr::Convert {
            is_try: _,
            expr: _,
            data_type: _,
            charset: _,
            target_before_value: _,
            styles: _,
        } => refuse("CONVERT is not supported, use CAST"),
        Expr::AtTimeZone { timestamp, time_zone } => {
            expr(timestamp)?;
            match time_zone.as_ref() {
                Expr::Value(ValueWithSpan {
                    value: Value::SingleQuotedString(_),
                    span: _,
                }) => Ok(()),
                _ => refuse("AT TIME ZONE needs the zone as a literal, as in AT TIME ZONE 'Europe/Paris'"),
            }
        }
        Expr::Extract {
            field: _,
            syntax: _,
            expr: inner,
        } => expr(inner),
        Expr::Ceil { expr: inner, field } | Expr::Floor { expr: inner, field } => match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => expr(inner),
            CeilFloorKind::DateTimeField(_) => refuse("CEIL and FLOOR to a unit are not supported, use date_trunc"),
            CeilFloorKind::Scale(_) => refuse("CEIL and FLOOR with a scale are not supported, use round or trunc"),
        },
        Expr::Position { expr: inner, r#in } => both(inner, r#in),
        Expr::Substring {
            expr: inner,
            substring_from,
            substring_for,
            special: _,
            shorthand: _,
        } => {
            expr(inner)?;
            maybe(substring_from.as_deref())?;
            maybe(substring_for.as_deref())
        }
        Expr::Trim {
            trim_where: _,
            trim_what,
            expr: inner,
            trim_characters,
        } => {
            if trim_characters.as_ref().is_some_and(|characters| characters.len() > 1) {
                return refuse("TRIM takes one set of characters, as in TRIM(BOTH 'xy' FROM t)");
            }
            expr(inner)?;
            maybe(trim_what.as_deref())?;
            trim_characters.iter().try_for_each(|characters| exprs(characters))
        }
        Expr::Overlay {
            expr: inner,
            overlay_what,
            overlay_from,
            overlay_for,
        } => {
            both(inner, overlay_what)?;
            expr(overlay_from)?;
            maybe(overlay_for.as_deref())
        }
        Expr::Interval(inner) => interval(inner),
        other => nested(other),
    }
}

/// Lists, structs and maps.
fn nested(this: &Expr) -> Checked {
    match this {
        Expr::CompoundFieldAccess { root, access_chain } => {
            expr(root)?;
            access_chain.iter().try_for_each(access)
        }
        Expr::Tuple(values) => exprs(values),
        Expr::Struct { values, fields } => match fields.is_empty() {
            true => exprs(values),
            false => refuse("types in STRUCT<…> are not supported, use named_struct(…)"),
        },
        Expr::Named { expr: inner, name: _ } => expr(inner),
        Expr::Dictionary(fields) => fields
            .iter()
            .try_for_each(|DictionaryField { key: _, value }| expr(value)),
        Expr::Map(Map { entries }) => entries.iter().try_for_each(|MapEntry { key, value }| both(key, value)),
        Expr::Array(Array { elem, named: _ }) => exprs(elem),
        Expr::Lambda(LambdaFunction {
            params: _,
            body,
            syntax: _,
        }) => expr(body),
        other => foreign(other),
    }
}

fn access(access: &AccessExpr) -> Checked {
    match access {
        AccessExpr::Dot(Expr::Identifier(_) | Expr::Value(_)) => Ok(()),
        AccessExpr::Dot(_) => refuse("a field is accessed by its name, as in s['a']"),
        AccessExpr::Subscript(Subscript::Index { index }) => expr(index),
        AccessExpr::Subscript(Subscript::Slice {
            lower_bound: Some(lower),
            upper_bound: Some(upper),
            stride,
        }) => {
            both(lower, upper)?;
            maybe(stride.as_ref())
        }
        AccessExpr::Subscript(Subscript::Slice {
            lower_bound: _,
            upper_bound: _,
            stride: _,
        }) => refuse("a slice needs both bounds, as in l[1:3]"),
    }
}

fn interval(interval: &Interval) -> Checked {
    let Interval {
        value: inner,
        leading_field: _,
        leading_precision,
        last_field,
        fractional_seconds_precision,
    } = interval;
    if leading_precision.is_some() || last_field.is_some() || fractional_seconds_precision.is_some() {
        return refuse("INTERVAL with a precision or with TO is not supported, write INTERVAL '1 day 2 hours'");
    }
    expr(inner)
}

fn value(value: &ValueWithSpan) -> Checked {
    match &value.value {
        Value::Number(..)
        | Value::SingleQuotedString(_)
        | Value::DoubleQuotedString(_)
        | Value::DollarQuotedString(_)
        | Value::EscapedStringLiteral(_)
        | Value::HexStringLiteral(_)
        | Value::Boolean(_)
        | Value::Null
        | Value::Placeholder(_) => Ok(()),
        _ => refuse("this kind of literal is not supported, write texts in single quotes and bytes as X'…'"),
    }
}
