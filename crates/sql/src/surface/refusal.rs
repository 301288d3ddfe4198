//! What is not listed is refused by name, with what was perhaps meant. A statement's text is looked at as it was written,
//! before anything is rewritten: names that only the planner and our rules write are refused there. The plan is looked at
//! once more, as planned: whatever way a function came into it, it runs only if it is listed.

use std::fmt;
use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::sql::sqlparser::ast::{Expr as AstExpr, Ident, ObjectName, Statement, TableFactor, Visit, Visitor};

use super::series::{self, LONGEST};
use super::{Entry, Kind, entries, instead, listed};

/// How alike two names must be (Jaro-Winkler, 0 to 1) for one to be offered in place of the other.
const ALIKE: f64 = 0.75;

/// How names begin that our own rules alone give to functions.
const INTERNAL: &str = "__";

/// The engine's mark of a call in FROM, in the name of what is scanned.
const CALLED: &str = "()";

/// What a statement must not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    /// A function or an operator that is not listed.
    Unknown {
        /// What it is.
        kind: Kind,
        /// How it was called.
        name: String,
        /// What to write instead, where that is known.
        instead: Option<String>,
        /// The name that comes nearest, where one does.
        near: Option<String>,
    },
    /// A series as one value that may be long.
    Series {
        /// The function's name.
        name: String,
    },
}

impl Unlisted {
    fn new(kind: Kind, name: &str) -> Self {
        let instead = instead(kind, name).map(str::to_owned);
        let near = match instead {
            None if kind.is_function() => nearest(name),
            _ => None,
        };
        Self::Unknown {
            kind,
            name: name.to_owned(),
            instead,
            near,
        }
    }
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name, instead, near) = match self {
            Self::Unknown {
                kind,
                name,
                instead,
                near,
            } => (kind, name, instead, near),
            Self::Series { name } => {
                return write!(
                    f,
                    "outside FROM, {name} takes constants for at most {LONGEST} values, use {name} in FROM and join it"
                );
            }
        };
        let what = match kind {
            Kind::Operator => "operator",
            _ => "function",
        };
        write!(f, "{what} {name} is not available")?;
        match (instead, near) {
            (Some(instead), _) => write!(f, ", use {instead}"),
            (None, Some(near)) => write!(f, ", did you mean {near}?"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for Unlisted {}

/// The listed function whose name is most like this one.
fn nearest(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    Kind::ALL
        .into_iter()
        .filter(|kind| kind.is_function())
        .flat_map(entries)
        .filter(|entry| !entry.internal)
        .flat_map(Entry::names)
        .map(|known| (strsim::jaro_winkler(&lower, known), known))
        .filter(|(alike, known)| *alike >= ALIKE && *known != name)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, known)| known.to_owned())
}

/// Refuses a statement that calls, by the name as it is written, what is not listed or what is internal.
pub fn refuse_unlisted_calls(statement: &Statement) -> Result<(), Unlisted> {
    match statement.visit(&mut Calls) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(unlisted) => Err(unlisted),
    }
}

struct Calls;

impl Calls {
    fn check(kinds: &[Kind], name: &ObjectName) -> ControlFlow<Unlisted> {
        let name = written(name);
        let open = |kind: &Kind| listed(*kind, &name).is_some_and(|entry| !entry.internal);
        match kinds {
            kinds if kinds.iter().any(open) => ControlFlow::Continue(()),
            [first, ..] => ControlFlow::Break(Unlisted::new(*first, &name)),
            [] => ControlFlow::Continue(()),
        }
    }
}

impl Visitor for Calls {
    type Break = Unlisted;

    fn pre_visit_expr(&mut self, expr: &AstExpr) -> ControlFlow<Unlisted> {
        match expr {
            AstExpr::Function(call) if is_unnest(&call.name) => ControlFlow::Continue(()),
            AstExpr::Function(call) => Self::check(&[Kind::Scalar, Kind::Aggregate, Kind::Window], &call.name),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Unlisted> {
        match factor {
            TableFactor::Table {
                name, args: Some(_), ..
            }
            | TableFactor::Function { name, .. } => Self::check(&[Kind::Table], name),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The name as the engine looks it up: in small letters unless quoted. No function has a schema.
fn written(name: &ObjectName) -> String {
    match name.0.as_slice() {
        [part] => part.as_ident().map_or_else(|| part.to_string(), folded),
        _ => name.to_string(),
    }
}

fn folded(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

/// `unnest` in the list of SELECT, which the planner makes a step of its own.
fn is_unnest(name: &ObjectName) -> bool {
    written(name) == "unnest"
}

/// Refuses a plan, as planned from a statement or as analysed, that uses a function or an operator which is not listed.
/// Subqueries are looked at, too.
pub fn refuse_unlisted(plan: &LogicalPlan) -> Result<(), Unlisted> {
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        found = in_node(node)?;
        Ok(go_on(found.is_none()))
    });
    match (found, walked) {
        (Some(unlisted), _) => Err(unlisted),
        (None, Ok(_)) => Ok(()),
        // A plan that cannot be walked is not known to be listed.
        (None, Err(_)) => Err(Unlisted::new(Kind::Scalar, "of this plan")),
    }
}

fn in_node(node: &LogicalPlan) -> Result<Option<Unlisted>> {
    if let LogicalPlan::TableScan(scan) = node
        && let Some(name) = scan.table_name.table().strip_suffix(CALLED)
        && !is_listed(Kind::Table, name)
    {
        return Ok(Some(Unlisted::new(Kind::Table, name)));
    }
    let mut found = None;
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            found = refused(expr);
            Ok(go_on(found.is_none()))
        })
    })?;
    Ok(found)
}

fn go_on(clean: bool) -> TreeNodeRecursion {
    match clean {
        true => TreeNodeRecursion::Continue,
        false => TreeNodeRecursion::Stop,
    }
}

fn refused(expr: &Expr) -> Option<Unlisted> {
    match (used(expr)?, expr) {
        ((kind, name), _) if !is_listed(kind, &name) => Some(Unlisted::new(kind, &name)),
        ((_, name), Expr::ScalarFunction(call)) if series::is_too_long(&name, &call.args) => {
            Some(Unlisted::Series { name })
        }
        _ => None,
    }
}

/// What of the list an expression uses.
fn used(expr: &Expr) -> Option<(Kind, String)> {
    match expr {
        Expr::ScalarFunction(call) => Some((Kind::Scalar, call.name().to_owned())),
        Expr::HigherOrderFunction(call) => Some((Kind::Scalar, call.name().to_owned())),
        Expr::AggregateFunction(call) => Some((Kind::Aggregate, call.func.name().to_owned())),
        Expr::WindowFunction(call) => Some((Kind::Window, call.fun.name().to_owned())),
        Expr::BinaryExpr(binary) => Some((Kind::Operator, symbol(binary.op))),
        _ => None,
    }
}

fn symbol(operator: Operator) -> String {
    match operator {
        Operator::BitwiseXor => "^".to_owned(),
        operator => operator.to_string(),
    }
}

/// Every aggregate may stand before OVER.
fn is_listed(kind: Kind, name: &str) -> bool {
    let ours = kind.is_function() && name.starts_with(INTERNAL);
    ours || listed(kind, name).is_some() || (kind == Kind::Window && listed(Kind::Aggregate, name).is_some())
}
