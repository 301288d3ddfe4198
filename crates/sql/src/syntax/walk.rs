//! One walk over a statement for every pass. The parser's visitors are compiled anew, over its whole tree, for each
//! type that visits; here that happens once, and the passes are called through a table.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Select, TableFactor, VisitMut, VisitorMut};

use super::refusal::{Checked, Refusal};

/// What a pass does where; each may change what it is given.
pub(crate) trait Pass {
    /// Before the parts of a query.
    fn enter_query(&mut self, _: &mut Query) -> Checked {
        Ok(())
    }

    /// After the parts of a query.
    fn leave_query(&mut self, _: &mut Query) -> Checked {
        Ok(())
    }

    /// Before the parts of a `SELECT`.
    fn enter_select(&mut self, _: &mut Select) -> Checked {
        Ok(())
    }

    /// At the name of a table.
    fn relation(&mut self, _: &mut ObjectName) -> Checked {
        Ok(())
    }

    /// Before the parts of an element of `FROM`.
    fn enter_factor(&mut self, _: &mut TableFactor) -> Checked {
        Ok(())
    }

    /// After the parts of an element of `FROM`.
    fn leave_factor(&mut self, _: &mut TableFactor) -> Checked {
        Ok(())
    }

    /// Before the operands of an expression.
    fn enter_expr(&mut self, _: &mut Expr) -> Checked {
        Ok(())
    }

    /// After the operands of an expression.
    fn leave_expr(&mut self, _: &mut Expr) -> Checked {
        Ok(())
    }
}

/// Walks over a part of a statement.
pub(crate) fn walk(part: &mut impl VisitMut, pass: &mut dyn Pass) -> Checked {
    match part.visit(&mut Walk(pass)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(refusal),
    }
}

struct Walk<'a>(&'a mut dyn Pass);

fn flow(checked: Checked) -> ControlFlow<Refusal> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(refusal),
    }
}

impl VisitorMut for Walk<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refusal> {
        flow(self.0.enter_query(query))
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refusal> {
        flow(self.0.leave_query(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Refusal> {
        flow(self.0.enter_select(select))
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Refusal> {
        flow(self.0.relation(relation))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Refusal> {
        flow(self.0.enter_factor(factor))
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Refusal> {
        flow(self.0.leave_factor(factor))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        flow(self.0.enter_expr(expr))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        flow(self.0.leave_expr(expr))
    }
}
