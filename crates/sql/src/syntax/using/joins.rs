//! The joins of a `FROM`, from left to right: `USING` becomes `ON` where the text says whose columns are meant.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor,
    TableWithJoins,
};

use super::replace::Replace;
use super::scope::{Scope, Shown, Value, coalesce, names};
use crate::syntax::chains::joined_by;
use crate::syntax::names::{compared, quoted};
use crate::syntax::refusal::{Refusal, refuse};

/// Which rows and columns a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Right,
    Full,
    /// Only the left side is left, as of a semi join.
    OnlyLeft,
    OnlyRight,
}

/// One `FROM`, as it is walked.
pub(super) struct From {
    /// Whether its `SELECT` stands in a subquery of an expression.
    pub(super) inside: bool,
    /// How many tables have been given a name.
    pub(super) named: usize,
}

/// Rewrites one element of a `FROM` and returns what it shows.
pub(super) fn table_with_joins(from: &mut TableWithJoins, walk: &mut From) -> Result<Scope, Refusal> {
    let mut left = factor(&mut from.relation, walk)?;
    for Join {
        relation,
        join_operator,
        ..
    } in &mut from.joins
    {
        let right = factor(relation, walk)?;
        let kind = kind(join_operator);
        left = match constraint_mut(join_operator) {
            Some(on @ JoinConstraint::Using(_)) => using(on, kind, left, right)?,
            Some(JoinConstraint::On(condition)) => {
                let both = left.clone().beside(right.clone());
                Replace::new(&both, walk.inside).within(condition)?;
                kept(kind, left, right)
            }
            _ => kept(kind, left, right),
        };
    }
    Ok(left)
}

/// What a join shows whose sides have no common columns.
fn kept(kind: Kind, left: Scope, right: Scope) -> Scope {
    match kind {
        Kind::OnlyLeft => left,
        Kind::OnlyRight => right,
        Kind::Inner | Kind::Left | Kind::Right | Kind::Full => left.beside(right),
    }
}

fn kind(operator: &JoinOperator) -> Kind {
    match operator {
        JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => Kind::Left,
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Kind::Right,
        JoinOperator::FullOuter(_) => Kind::Full,
        JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) | JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) => {
            Kind::OnlyLeft
        }
        JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => Kind::OnlyRight,
        JoinOperator::Join(_)
        | JoinOperator::Inner(_)
        | JoinOperator::CrossJoin(_)
        | JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::AsOf { .. }
        | JoinOperator::StraightJoin(_)
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => Kind::Inner,
    }
}

/// The constraint of a join.
pub(crate) fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on)
        | JoinOperator::CrossJoin(on)
        | JoinOperator::Semi(on)
        | JoinOperator::LeftSemi(on)
        | JoinOperator::RightSemi(on)
        | JoinOperator::Anti(on)
        | JoinOperator::LeftAnti(on)
        | JoinOperator::RightAnti(on)
        | JoinOperator::StraightJoin(on)
        | JoinOperator::AsOf { constraint: on, .. } => Some(on),
        JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => None,
    }
}

/// The constraint of a join that may have a condition.
pub(crate) fn constraint_mut(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on)
        | JoinOperator::Semi(on)
        | JoinOperator::LeftSemi(on)
        | JoinOperator::RightSemi(on)
        | JoinOperator::Anti(on)
        | JoinOperator::LeftAnti(on)
        | JoinOperator::RightAnti(on) => Some(on),
        _ => None,
    }
}

/// Writes `USING` as `ON` if it is known whose columns are compared.
fn using(on: &mut JoinConstraint, kind: Kind, mut left: Scope, mut right: Scope) -> Result<Scope, Refusal> {
    let JoinConstraint::Using(columns) = on else {
        return Ok(kept(kind, left, right));
    };
    let columns: Vec<String> = columns
        .iter()
        .filter_map(names)
        .flatten()
        .map(|name| compared(&name))
        .collect();
    let known = |scope: &Scope, name: &str| matches!(scope.value(name), Some(Value::Known(_) | Value::Ambiguous));
    let was_common = columns.iter().any(|name| known(&left, name) || known(&right, name));
    let sides: Vec<(Option<Expr>, Option<Expr>)> =
        columns.iter().map(|name| (left.take(name), right.take(name))).collect();
    let pairs: Option<Vec<(Expr, Expr)>> = sides.iter().cloned().map(|(left, right)| left.zip(right)).collect();
    match pairs {
        Some(pairs) => {
            *on = JoinConstraint::On(equal(&pairs)?);
            let values = pairs
                .into_iter()
                .map(|(left, right)| Value::Known(Box::new(value(kind, left, right))));
            Ok(with_common(
                kind,
                left,
                right,
                columns.into_iter().zip(values).collect(),
            ))
        }
        None if was_common => refuse(format!(
            "USING ({}) after several joins is not supported, say ON and which table's columns",
            columns.join(", ")
        )),
        None => left_to_the_engine(kind, left, right, columns, sides),
    }
}

fn equal(pairs: &[(Expr, Expr)]) -> Result<Expr, Refusal> {
    let each = pairs.iter().map(|(left, right)| Expr::BinaryOp {
        left: Box::new(left.clone()),
        op: BinaryOperator::Eq,
        right: Box::new(right.clone()),
    });
    joined_by(&BinaryOperator::And, each.collect()).map_or_else(|| refuse("USING needs a column"), Ok)
}

fn value(kind: Kind, left: Expr, right: Expr) -> Expr {
    match kind {
        Kind::Inner | Kind::Left | Kind::OnlyLeft => left,
        Kind::Right | Kind::OnlyRight => right,
        Kind::Full => coalesce(left, right),
    }
}

/// What a join shows: its common columns first.
fn with_common(kind: Kind, left: Scope, right: Scope, common: Vec<(String, Value)>) -> Scope {
    let both = kept(kind, left, right);
    let mut shown: Vec<Shown> = common.iter().map(|(name, _)| Shown::Common(name.clone())).collect();
    shown.extend(both.shown);
    let mut all = common;
    all.extend(both.common);
    Scope {
        shown,
        common: all,
        no_star: both.no_star,
    }
}

/// A `USING` whose columns are of one among several tables stays: the engine finds it. What it cannot tell is what the
/// column is after an outer join that keeps rows of the right.
fn left_to_the_engine(
    kind: Kind,
    left: Scope,
    right: Scope,
    columns: Vec<String>,
    sides: Vec<(Option<Expr>, Option<Expr>)>,
) -> Result<Scope, Refusal> {
    let mut common = Vec::with_capacity(columns.len());
    let mut no_star = false;
    for (name, (of_left, of_right)) in columns.into_iter().zip(sides) {
        no_star |= of_right.is_none() || matches!(kind, Kind::Right);
        let value = match (kind, of_left, of_right) {
            (Kind::Inner, Some(known), None)
            | (Kind::Inner | Kind::Right, None, Some(known))
            | (Kind::Inner, Some(_), Some(known)) => Value::Known(Box::new(known)),
            (Kind::Right, Some(_), Some(known)) | (Kind::Left, Some(known), _) => Value::Known(Box::new(known)),
            (Kind::Left, None, _) | (Kind::Inner, None, None) => Value::Bare,
            (Kind::Right | Kind::Full | Kind::OnlyLeft | Kind::OnlyRight, _, _) => {
                return refuse(format!(
                    "USING ({name}) of an outer or semi join after several tables is not supported, say ON and which \
                     table's column"
                ));
            }
        };
        common.push((name, value));
    }
    let mut both = left.beside(right);
    both.common.extend(common);
    both.no_star |= no_star;
    Ok(both)
}

/// What one table shows. A table without an alias that has no name to be called by gets one.
fn factor(factor: &mut TableFactor, walk: &mut From) -> Result<Scope, Refusal> {
    match factor {
        TableFactor::NestedJoin {
            table_with_joins: inner,
            alias,
        } => match alias {
            None => table_with_joins(inner, walk),
            Some(alias) if !super::uses(inner) => Ok(Scope::table(vec![alias.name.clone()])),
            Some(_) => refuse("an alias of a join with USING is not supported, write (SELECT … FROM …) AS alias"),
        },
        TableFactor::Table { name, alias, args, .. } => match (&alias, args) {
            (Some(alias), _) => Ok(Scope::table(vec![alias.name.clone()])),
            (None, None) => names(name)
                .map(Scope::table)
                .map_or_else(|| refuse("this table's name is not supported"), Ok),
            (None, Some(_)) => Ok(Scope::table(vec![called(alias, name)])),
        },
        TableFactor::Function { name, alias, .. } => Ok(Scope::table(vec![match &alias {
            Some(alias) => alias.name.clone(),
            None => called(alias, name),
        }])),
        TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } | TableFactor::Pivot { alias, .. } => {
            Ok(Scope::table(vec![match alias {
                Some(alias) => alias.name.clone(),
                None => given(alias, walk),
            }]))
        }
        _ => refuse("this table is not supported beside JOIN … USING"),
    }
}

/// Gives a function's call in FROM its own name as an alias.
fn called(alias: &mut Option<TableAlias>, name: &ObjectName) -> Ident {
    let own = names(name)
        .and_then(|mut names| names.pop())
        .map(|name| compared(&name));
    let own = quoted(own.unwrap_or_else(|| "__parcours_function".to_owned()));
    *alias = Some(aliased(own.clone()));
    own
}

/// Gives a query in FROM a name that no other has.
fn given(alias: &mut Option<TableAlias>, walk: &mut From) -> Ident {
    walk.named += 1;
    let own = quoted(format!("__parcours_from_{}", walk.named));
    *alias = Some(aliased(own.clone()));
    own
}

fn aliased(name: Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
        at: None,
    }
}
