//! References to common columns by their bare names, replaced by what they stand for. Subqueries are not entered, and
//! what a lambda names is its own.

use datafusion::sql::sqlparser::ast::{Expr, LambdaFunction, OneOrManyWithParens, Query, VisitMut};

use super::scope::{Scope, Value};
use crate::syntax::names::compared;
use crate::syntax::refusal::{Checked, Refusal};
use crate::syntax::walk::{Pass, walk};

pub(super) struct Replace<'a> {
    scope: &'a Scope,
    /// Whether the `SELECT` stands in a subquery of an expression: what its own subqueries do not know may be further
    /// out.
    inside: bool,
    /// How many subqueries are around.
    queries: usize,
    /// The parameters of the lambdas around.
    parameters: Vec<String>,
}

impl<'a> Replace<'a> {
    /// Returns what replaces the common columns of a scope.
    pub(super) fn new(scope: &'a Scope, inside: bool) -> Self {
        Self {
            scope,
            inside,
            queries: 0,
            parameters: Vec::new(),
        }
    }

    /// Replaces references within a part of a statement.
    pub(super) fn within(&mut self, part: &mut impl VisitMut) -> Checked {
        walk(part, self)
    }

    fn name(&self, expr: &mut Expr) -> Checked {
        let Expr::Identifier(name) = expr else {
            return Ok(());
        };
        let name = compared(name);
        if self.parameters.contains(&name) {
            return Ok(());
        }
        match self.scope.value(&name) {
            Some(Value::Known(value)) if self.queries == 0 => *expr = value.as_ref().clone(),
            Some(Value::Ambiguous) if self.queries == 0 => {
                return Err(Refusal::invalid(format!(
                    "{name} is a common column of several joins, say which table's"
                )));
            }
            // The engine would look for it further out, past the joins, where both sides have it.
            Some(_) if self.queries > 0 && self.inside => {
                return Err(Refusal::unsupported(format!(
                    "{name} in a subquery beside JOIN … USING may be a column of several queries, say which table's"
                )));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Pass for Replace<'_> {
    fn enter_query(&mut self, _: &mut Query) -> Checked {
        self.queries += 1;
        Ok(())
    }

    fn leave_query(&mut self, _: &mut Query) -> Checked {
        self.queries -= 1;
        Ok(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Lambda(lambda) = expr {
            self.parameters.extend(parameters(lambda));
        }
        Ok(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Lambda(lambda) = expr {
            let left = self.parameters.len().saturating_sub(parameters(lambda).len());
            self.parameters.truncate(left);
        }
        self.name(expr)
    }
}

fn parameters(lambda: &LambdaFunction) -> Vec<String> {
    match &lambda.params {
        OneOrManyWithParens::One(one) => vec![compared(&one.name)],
        OneOrManyWithParens::Many(many) => many.iter().map(|one| compared(&one.name)).collect(),
    }
}
