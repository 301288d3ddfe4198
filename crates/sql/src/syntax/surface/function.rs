//! Calls of functions, and windows. What the engine drops without a word is a clause that belongs to an aggregate
//! beside a scalar function, and a query in place of arguments.

use std::collections::HashSet;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};

use super::expr::{expr, exprs};
use super::query::order_exprs;
use super::select::wildcard;
use crate::syntax::names::compared;
use crate::syntax::refusal::{Checked, refuse};

/// The names of the engine's functions of one row's values, where no aggregate or window function has the same.
static SCALAR: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut names: HashSet<String> = SessionStateDefaults::default_scalar_functions()
        .iter()
        .flat_map(|function| std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)))
        .map(str::to_owned)
        .collect();
    for function in SessionStateDefaults::default_aggregate_functions() {
        not_scalar(&mut names, function.name(), function.aliases());
    }
    for function in SessionStateDefaults::default_window_functions() {
        not_scalar(&mut names, function.name(), function.aliases());
    }
    names
});

/// The names of the engine's functions over a window's rows only. It drops a filter on them, and `DISTINCT`.
static OF_WINDOWS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    SessionStateDefaults::default_window_functions()
        .iter()
        .flat_map(|function| std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)))
        .map(str::to_owned)
        .collect()
});

fn not_scalar(names: &mut HashSet<String>, name: &str, aliases: &[String]) {
    names.remove(name);
    for alias in aliases {
        names.remove(alias);
    }
}

pub(super) fn function(function: &Function) -> Checked {
    let Function {
        name,
        // `{fn f(x)}` is `f(x)`.
        uses_odbc_syntax: _,
        parameters,
        args,
        filter,
        null_treatment,
        over,
        within_group,
    } = function;
    match parameters {
        FunctionArguments::None => {}
        FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
            return refuse("parameters before a function's arguments, as in f(p)(x), are not supported");
        }
    }
    let of_aggregate = filter.is_some() || null_treatment.is_some() || over.is_some() || !within_group.is_empty();
    let called = name.0.last().and_then(|part| part.as_ident()).map(compared);
    match called {
        Some(called) if (of_aggregate || clauses(args)) && SCALAR.contains(&called) => {
            return refuse(format!(
                "{called} is no aggregate: DISTINCT, ORDER BY, FILTER, WITHIN GROUP, NULLS and OVER do not apply to it"
            ));
        }
        Some(called) if over.is_some() && (filter.is_some() || distinct(args)) && OF_WINDOWS.contains(&called) => {
            return refuse(format!(
                "FILTER and DISTINCT do not apply to {called} over a window, use CASE in its argument or a subquery"
            ));
        }
        _ => {}
    }
    arguments(args)?;
    filter.iter().try_for_each(|filter| expr(filter))?;
    order_exprs(within_group)?;
    match over {
        Some(WindowType::WindowSpec(spec)) => window_spec(spec),
        Some(WindowType::NamedWindow(_)) | None => Ok(()),
    }
}

/// Whether the arguments have a clause of an aggregate.
fn clauses(args: &FunctionArguments) -> bool {
    match args {
        FunctionArguments::List(list) => list.duplicate_treatment.is_some() || !list.clauses.is_empty(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => false,
    }
}

fn distinct(args: &FunctionArguments) -> bool {
    match args {
        FunctionArguments::List(list) => matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct)),
        FunctionArguments::None | FunctionArguments::Subquery(_) => false,
    }
}

fn arguments(args: &FunctionArguments) -> Checked {
    match args {
        FunctionArguments::None => Ok(()),
        FunctionArguments::Subquery(_) => refuse(
            "a query in place of a function's arguments is not supported, put it in brackets of its own \
             or use array_agg for ARRAY(SELECT …)",
        ),
        FunctionArguments::List(list) => {
            let FunctionArgumentList {
                duplicate_treatment: _,
                args,
                clauses,
            } = list;
            args.iter().try_for_each(argument)?;
            clauses.iter().try_for_each(clause)
        }
    }
}

fn clause(clause: &FunctionArgumentClause) -> Checked {
    match clause {
        FunctionArgumentClause::IgnoreOrRespectNulls(_) => Ok(()),
        FunctionArgumentClause::OrderBy(orders) => order_exprs(orders),
        FunctionArgumentClause::Limit(_) => {
            refuse("LIMIT in a function's arguments is not supported, limit the rows in a subquery")
        }
        FunctionArgumentClause::OnOverflow(_) => refuse("ON OVERFLOW is not supported, texts have no limit here"),
        FunctionArgumentClause::Having(_) => {
            refuse("HAVING MIN and MAX in a function's arguments are not supported, use first_value(x ORDER BY y)")
        }
        FunctionArgumentClause::Separator(_) => refuse("SEPARATOR is not supported, use string_agg(x, separator)"),
        FunctionArgumentClause::JsonNullClause(_) | FunctionArgumentClause::JsonReturningClause(_) => {
            refuse("clauses of JSON functions are not supported")
        }
    }
}

pub(super) fn argument(argument: &FunctionArg) -> Checked {
    match argument {
        FunctionArg::Named {
            name: _,
            arg,
            operator: _,
        } => value(arg),
        FunctionArg::ExprNamed {
            name: _,
            arg: _,
            operator: _,
        } => refuse("an argument's name has to be a name, not an expression"),
        FunctionArg::Unnamed(arg) => value(arg),
    }
}

fn value(arg: &FunctionArgExpr) -> Checked {
    match arg {
        FunctionArgExpr::Expr(inner) => expr(inner),
        FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::Wildcard => Ok(()),
        FunctionArgExpr::WildcardWithOptions(options) => {
            wildcard(options)?;
            refuse("* with EXCLUDE or REPLACE in a function's arguments is not supported, name the columns")
        }
    }
}

pub(super) fn window_spec(spec: &WindowSpec) -> Checked {
    let WindowSpec {
        window_name: _,
        partition_by,
        order_by,
        window_frame,
    } = spec;
    exprs(partition_by)?;
    order_exprs(order_by)?;
    window_frame.iter().try_for_each(frame)
}

fn frame(frame: &WindowFrame) -> Checked {
    let WindowFrame {
        units: _,
        start_bound,
        end_bound,
    } = frame;
    bound(start_bound)?;
    end_bound.iter().try_for_each(bound)
}

fn bound(bound: &WindowFrameBound) -> Checked {
    match bound {
        WindowFrameBound::CurrentRow => Ok(()),
        WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows) => {
            rows.iter().try_for_each(|rows| expr(rows))
        }
    }
}
