//! `EXCEPT ALL` and `INTERSECT ALL`, whose engine forgets how often a row occurs. Both operands get reserved aliases here,
//! by which [`crate::semantics::set_all`] knows the operation again in the plan and numbers equal rows.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Statement, TableAlias, TableFactor, TableWithJoins,
    WildcardAdditionalOptions,
};

use super::forms::{empty_select, query_of};
use super::names::quoted;
use super::refusal::Checked;
use super::walk::{Pass, walk};
use super::{ALL_LEFT, ALL_RIGHT};

/// Marks every `EXCEPT ALL` and `INTERSECT ALL` of a statement.
pub(super) fn mark(statement: &mut Statement) -> Checked {
    walk(statement, &mut Mark)
}

struct Mark;

impl Pass for Mark {
    fn leave_query(&mut self, query: &mut Query) -> Checked {
        mark_body(&mut query.body);
        Ok(())
    }
}

fn mark_body(body: &mut SetExpr) {
    let SetExpr::SetOperation {
        left,
        op,
        set_quantifier,
        right,
    } = body
    else {
        return;
    };
    mark_body(left);
    mark_body(right);
    let counts = matches!(op, SetOperator::Except | SetOperator::Minus | SetOperator::Intersect);
    if counts && matches!(set_quantifier, SetQuantifier::All) {
        aliased(left, ALL_LEFT);
        aliased(right, ALL_RIGHT);
    }
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
        projection: vec![SelectItem::Wildcard(WildcardAdditionalOptions {
            wildcard_token: AttachedToken::empty(),
            opt_ilike: None,
            opt_exclude: None,
            opt_except: None,
            opt_replace: None,
            opt_rename: None,
            opt_alias: None,
        })],
        from: vec![TableWithJoins {
            relation,
            joins: Vec::new(),
        }],
        ..empty_select()
    }));
}
