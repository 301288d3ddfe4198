//! LIMIT and windows in a correlated subquery: each binding has rows of its own, which are numbered and windowed apart.

use std::sync::Arc;

use datafusion::common::{Column, Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{Sort as SortExpr, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, FetchType, Filter, Limit, LogicalPlan, SkipType, Sort, Window, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowFunctionDefinition, lit,
};

use super::domain::Domain;
use super::outer::refers;
use super::pulled::{Allowed, Pulled};
use super::push::Pushed;
use super::site::only;
use super::statement::Statement;

/// A window function over the rows of each binding apart, under the same name.
pub(super) fn partitioned(expr: Expr, keys: &[Expr]) -> Result<Expr> {
    let (table, name) = expr.qualified_name();
    match expr.unalias() {
        Expr::WindowFunction(mut window) => {
            window.params.partition_by.extend(keys.iter().cloned());
            Ok(Expr::WindowFunction(window).alias_qualified(table, name))
        }
        _ => plan_err!("a subquery has a window that is none: compute it in FROM, and join it"),
    }
}

/// Which rows a LIMIT lets pass, and in what order they come to it.
struct Cut<'a> {
    input: &'a LogicalPlan,
    order: Vec<SortExpr>,
    skip: i64,
    fetch: Option<i64>,
}

impl<'a> Cut<'a> {
    fn of_limit(limit: &'a Limit) -> Result<Option<Self>> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Ok(None);
        };
        let (input, order) = match limit.input.as_ref() {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => (sort.input.as_ref(), sort.expr.clone()),
            input => (input, Vec::new()),
        };
        Ok(Some(Self {
            input,
            order,
            skip: rows(skip),
            fetch: fetch.map(rows),
        }))
    }

    fn of_sort(sort: &'a Sort) -> Self {
        Self {
            input: &sort.input,
            order: sort.expr.clone(),
            skip: 0,
            fetch: sort.fetch.map(rows),
        }
    }
}

/// No table has more rows than fit.
fn rows(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same LIMIT below the projections and aliases between it and its order, which is lost above them.
fn below_columns(limit: &Limit) -> Result<Option<LogicalPlan>> {
    let (LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_)) = limit.input.as_ref() else {
        return Ok(None);
    };
    let mut below = limit.input.as_ref();
    loop {
        below = match below {
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Sort(_) => break,
            _ => return Ok(None),
        };
    }
    let inputs = limit.input.inputs().into_iter().map(|input| {
        LogicalPlan::Limit(Limit {
            skip: limit.skip.clone(),
            fetch: limit.fetch.clone(),
            input: Arc::new(input.clone()),
        })
    });
    let inputs = inputs.collect();
    limit.input.with_new_exprs(limit.input.expressions(), inputs).map(Some)
}

impl Statement {
    pub(super) fn pull_limit(&mut self, limit: &Limit, level: &[Column]) -> Result<Option<Pulled>> {
        if let Some(plan) = below_columns(limit)? {
            return self.pull_out(&plan, level, Allowed::Keys);
        }
        let Some(cut) = Cut::of_limit(limit)? else {
            return Ok(None);
        };
        for order in &cut.order {
            if refers(&order.expr, level)? {
                return Ok(None);
            }
        }
        let Some(mut pulled) = self.pull_out(cut.input, level, Allowed::Keys)? else {
            return Ok(None);
        };
        let keys = pulled.keys.iter().map(|(inner, _)| inner.clone()).collect();
        pulled.plan = self.cut(std::mem::take(&mut pulled.plan), keys, &cut)?;
        Ok(Some(pulled))
    }

    pub(super) fn push_limit(&mut self, limit: &Limit, domain: &Domain) -> Result<Pushed> {
        if let Some(plan) = below_columns(limit)? {
            return self.push(plan, domain);
        }
        match Cut::of_limit(limit)? {
            Some(cut) => self.push_cut(cut, domain),
            None => plan_err!("the LIMIT of a correlated subquery must be a number"),
        }
    }

    pub(super) fn push_first(&mut self, sort: &Sort, domain: &Domain) -> Result<Pushed> {
        self.push_cut(Cut::of_sort(sort), domain)
    }

    fn push_cut(&mut self, mut cut: Cut<'_>, domain: &Domain) -> Result<Pushed> {
        let mut pushed = self.push(cut.input.clone(), domain)?;
        for order in &mut cut.order {
            order.expr = pushed.bind(std::mem::take(&mut order.expr), domain)?;
        }
        let keys = pushed.columns.iter().cloned().map(Expr::Column).collect();
        pushed.plan = self.cut(std::mem::take(&mut pushed.plan), keys, &cut)?;
        Ok(pushed)
    }

    /// The rows of each group of keys that a LIMIT lets pass.
    fn cut(&mut self, plan: LogicalPlan, keys: Vec<Expr>, cut: &Cut<'_>) -> Result<LogicalPlan> {
        let columns = plan.schema().columns();
        let name = format!("__sub_{}", self.number());
        let window = Window::try_new(vec![row_number(keys, cut.order.clone()).alias(&name)], Arc::new(plan))?;
        let number = Expr::Column(Column::from_name(name));
        let last = cut
            .fetch
            .map(|fetch| number.clone().lt_eq(lit(cut.skip.saturating_add(fetch))));
        let first = (cut.skip > 0).then(|| number.gt(lit(cut.skip)));
        let plan = LogicalPlan::Window(window);
        let plan = match conjunction(first.into_iter().chain(last)) {
            Some(passes) => LogicalPlan::Filter(Filter::try_new(passes, Arc::new(plan))?),
            None => plan,
        };
        only(plan, &columns)
    }
}

/// The number of a row in its partition. It is a count, because what `row_number` answers differs between sessions.
pub(crate) fn row_number(partition_by: Vec<Expr>, order_by: Vec<SortExpr>) -> Expr {
    Expr::WindowFunction(Box::new(WindowFunction {
        fun: WindowFunctionDefinition::AggregateUDF(count_udaf()),
        params: WindowFunctionParams {
            args: vec![lit(1_i64)],
            partition_by,
            order_by,
            window_frame: WindowFrame::new_bounds(
                WindowFrameUnits::Rows,
                WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
                WindowFrameBound::CurrentRow,
            ),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    }))
}
