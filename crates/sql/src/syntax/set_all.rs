//! `EXCEPT ALL` and `INTERSECT ALL`, whose engine forgets how often a row occurs. Both operands get reserved aliases
//! here, by which [`crate::semantics::set_all`] knows the operation again in the plan and numbers equal rows.

use datafusion::sql::sqlparser::ast::{
    Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Statement, TableAlias, TableFactor, TableWithJoins,
};

use super::built::{empty_select, plain_star, query_of};
use super::names::quoted;
use super::refusal::{Checked, Refusal};
use super::walk::{Pass, walk};
use super::{ALL_LEFT, ALL_RIGHT};

/// The most operations that are operands of each other: each makes the plan several levels deeper.
const MAX_WITHIN: usize = 16;

/// Marks every `EXCEPT ALL` and `INTERSECT ALL` of a statement.
pub(super) fn mark(statement: &mut Statement) -> Checked {
    walk(statement, &mut Mark)
}

struct Mark;

impl Pass for Mark {
    fn leave_query(&mut self, query: &mut Query) -> Checked {
        mark_body(&mut query.body).map(drop)
    }
}

/// Marks the operations of a body and returns how many are within each other.
fn mark_body(body: &mut SetExpr) -> Result<usize, Refusal> {
    let SetExpr::SetOperation {
        left,
        op,
        set_quantifier,
        right,
    } = body
    else {
        return Ok(0);
    };
    let within = mark_body(left)?.max(mark_body(right)?);
    let counts = matches!(op, SetOperator::Except | SetOperator::Minus | SetOperator::Intersect);
    if !counts || !matches!(set_quantifier, SetQuantifier::All) {
        return Ok(within);
    }
    if within == MAX_WITHIN {
        return Err(Refusal::too_large(format!(
            "more than {MAX_WITHIN} EXCEPT ALL and INTERSECT ALL follow each other, unite operands by UNION ALL"
        )));
    }
    aliased(left, ALL_LEFT);
    aliased(right, ALL_RIGHT);
    Ok(within + 1)
}

/// `operand` becomes `SELECT * FROM (operand) AS alias`.
fn aliased(operand: &mut SetExpr, alias: &str) {
    let inner = std::mem::replace(operand, SetExpr::Select(Box::new(empty_select())));
    let subquery = match inner {
        SetExpr::Query(query) => query,
        other => Box::new(query_of(other)),
    };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(TableAlias {
            explicit: true,
            name: quoted(alias),
            columns: Vec::new(),
            at: None,
        }),
        sample: None,
    };
    *operand = SetExpr::Select(Box::new(Select {
        projection: vec![SelectItem::Wildcard(plain_star())],
        from: vec![TableWithJoins {
            relation,
            joins: Vec::new(),
        }],
        ..empty_select()
    }));
}
