//! Which calls of a statement are aggregates.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{Expr, Function, Query, Visit, Visitor};

use super::names::compared;
use crate::functions::aggregate_functions;

/// The names of aggregates, the engine's and those that are added to it.
static AGGREGATES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut names = HashSet::from(["listagg".to_owned()]);
    for function in SessionStateDefaults::default_aggregate_functions()
        .into_iter()
        .chain(aggregate_functions())
    {
        names.insert(function.name().to_owned());
        names.extend(function.aliases().iter().cloned());
    }
    names
});

/// Whether a call is that of an aggregate, over a window or not.
pub(super) fn is_aggregate(function: &Function) -> bool {
    let called = function.name.0.last().and_then(|part| part.as_ident()).map(compared);
    called.is_some_and(|called| AGGREGATES.contains(&called))
}

/// Calls that make one row of several, or are over a window.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) aggregates: bool,
    pub(super) windows: bool,
}

impl Calls {
    /// Returns those of a part of a statement, without those of its subqueries.
    pub(super) fn of(part: &impl Visit) -> Self {
        let mut find = Find {
            found: Self::default(),
            queries: 0,
        };
        let _ = part.visit(&mut find);
        find.found
    }
}

struct Find {
    found: Calls,
    queries: usize,
}

impl Visitor for Find {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && self.queries == 0
        {
            self.found.windows |= function.over.is_some();
            self.found.aggregates |= function.over.is_none() && is_aggregate(function);
        }
        ControlFlow::Continue(())
    }
}
