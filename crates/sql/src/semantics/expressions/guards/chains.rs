//! A condition under its guards: one CASE in the other, each of which leads on to the next where its guard holds.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, Cast};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, cast, lit, when};

use super::tinyint;

/// Returns the condition under these guards, of which each is looked at where those before it hold.
pub(super) fn guarded(condition: Expr, guards: Vec<Expr>) -> Result<Expr> {
    if guards.is_empty() {
        return Ok(condition);
    }
    let chain = guards
        .into_iter()
        .rev()
        .try_fold(tinyint(condition), |then, guard| when(guard, then).otherwise(lit(0i8)))?;
    Ok(cast(chain, DataType::Boolean))
}

/// Returns the conditions without their guards where these stand beside them, each behind its guards.
pub(super) fn taken_off(parts: Vec<Expr>) -> Vec<Expr> {
    let places: HashMap<&Expr, usize> = parts
        .iter()
        .enumerate()
        .rev()
        .map(|(at, part)| (bare(part).0, at))
        .collect();
    let mut found = Vec::with_capacity(parts.len());
    for part in &parts {
        let (condition, guards) = bare(part);
        let beside: Option<Vec<usize>> = guards.into_iter().map(|guard| places.get(guard).copied()).collect();
        found.push(match beside {
            Some(beside) => (condition.clone(), beside),
            None => (part.clone(), Vec::new()),
        });
    }
    in_order(found)
}

/// A condition without its guards, and these.
fn bare(part: &Expr) -> (&Expr, Vec<&Expr>) {
    let mut guards = Vec::new();
    let Expr::Cast(Cast { expr, field }) = part else {
        return (part, guards);
    };
    let mut chain = expr.as_ref();
    while let Some((guard, then)) = link(chain) {
        guards.extend(split_conjunction(guard));
        chain = then;
    }
    match chain {
        Expr::Cast(Cast {
            expr: condition,
            field: small,
        }) if !guards.is_empty() && *small.data_type() == DataType::Int8 && *field.data_type() == DataType::Boolean => {
            (condition, guards)
        }
        _ => (part, Vec::new()),
    }
}

/// The guard of a CASE of a chain, and what it leads on to.
fn link(expr: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::Case(Case {
        expr: None,
        when_then_expr,
        else_expr: Some(otherwise),
    }) = expr
    else {
        return None;
    };
    match (when_then_expr.as_slice(), otherwise.as_ref()) {
        ([(guard, then)], Expr::Literal(ScalarValue::Int8(Some(0)), _)) => Some((guard, then)),
        _ => None,
    }
}

/// The conditions, each behind those at the places that it names, and otherwise in the order in which they are.
fn in_order(mut left: Vec<(Expr, Vec<usize>)>) -> Vec<Expr> {
    let mut placed = vec![false; left.len()];
    let mut ordered = Vec::with_capacity(left.len());
    let mut waiting: Vec<usize> = (0..left.len()).collect();
    while !waiting.is_empty() {
        let ready = |at: &usize, placed: &[bool]| left[*at].1.iter().all(|guard| guard == at || placed[*guard]);
        // None is ready where conditions guard each other, which this rule does not make.
        let next = waiting.iter().position(|at| ready(at, &placed)).unwrap_or(0);
        let at = waiting.remove(next);
        placed[at] = true;
        ordered.push(std::mem::replace(&mut left[at].0, lit(true)));
    }
    ordered
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::logical_expr::col;

    use super::*;

    fn under(condition: &str, guards: &[&str]) -> Expr {
        guarded(col(condition), guards.iter().map(|guard| col(*guard)).collect()).unwrap()
    }

    #[test]
    fn what_stands_beside_is_taken_off() {
        let parts = vec![under("c", &["a", "b"]), under("b", &["a"]), col("a")];
        assert_eq!(taken_off(parts), [col("a"), col("b"), col("c")]);
    }

    #[test]
    fn a_guard_that_is_elsewhere_stays() {
        let parts = vec![under("c", &["a", "b"]), col("b")];
        assert_eq!(taken_off(parts.clone()), parts);
    }

    #[test]
    fn a_condition_under_itself_is_taken_off_once() {
        let parts = vec![col("a"), under("a", &["a"])];
        assert_eq!(taken_off(parts), [col("a"), col("a")]);
    }

    #[test]
    fn another_case_is_no_chain() {
        let other = cast(
            when(col("a"), tinyint(col("b"))).otherwise(lit(1i8)).unwrap(),
            DataType::Boolean,
        );
        assert_eq!(taken_off(vec![other.clone(), col("a")]), [other, col("a")]);
    }
}
