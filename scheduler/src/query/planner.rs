//! From a statement's text to an admitted plan: parsed, found to be one read-only query, its tables resolved among those
//! that the person sees, planned, and checked class by class. Nothing runs here.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::source_as_provider;
use datafusion::execution::context::{SQLOptions, SessionState};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Volatility};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{ObjectName, Statement as Ast};
use parcours_cluster::failure::{Cause, Failure};
use parcours_cluster::grant::Grant;
use parcours_cluster::session::CATALOG;
use parcours_sql::semantics::{grown, refusals};
use parcours_sql::surface::Unlisted;
use parcours_sql::syntax::Refusal;
use parcours_sql::{surface, syntax};
use parcours_tables::SnapshotTable;

use super::admission::{self, Touched};
use super::errors::{nearest, of_planning, of_planning_for};
use super::session::{Sessions, View};
use super::statement::{Statement, Where};
use super::{subqueries, ties, windows};
use crate::port::QueryError;

/// The schema in which tables describe the catalog itself.
const INFORMATION_SCHEMA: &str = "information_schema";

/// What a person is told to whom nothing is granted.
const NOTHING_GRANTED: &str = "nothing is granted to you, ask the operator of the cluster for access";

/// A plan that was found to be within a grant, and what it reads.
#[derive(Clone)]
pub struct Admitted {
    /// The plan, as analysed.
    pub plan: LogicalPlan,
    /// The plan that was looked at, and runs.
    pub optimized: LogicalPlan,
    /// What it reads.
    pub touched: Touched,
}

/// Refuses a person to whom nothing is granted. Nothing that they send is read before: a statement can cost much by its mere
/// form, and there is nothing that they could ask.
pub fn check_granted(grant: &Grant) -> Result<(), QueryError> {
    match grant.datasets().next() {
        Some(_) => Ok(()),
        None => Err(QueryError::Denied {
            message: NOTHING_GRANTED.to_owned(),
        }),
    }
}

/// Plans statements.
#[derive(Debug)]
pub struct Planner {
    sessions: Arc<Sessions>,
}

impl Planner {
    /// A planner over these sessions.
    pub fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }

    /// Plans one statement for what a person sees. A statement with parameters is admitted when they are bound; before, nothing
    /// is told of it but to whom all of it is granted.
    pub async fn prepare(&self, view: &View, sql: &str) -> Result<Statement, QueryError> {
        check_granted(&view.grant)?;
        let told = |error: DataFusionError| of_planning_for(&error, &|column: &str| view.may_name(column));
        let context = self
            .sessions
            .context(view, "planning", 1, None)
            .map_err(|error| of_planning(&error))?;
        let state = context.state();
        let mut parsed = parse(&state, sql)?;
        read_only(&parsed)?;
        let mut named = BTreeSet::new();
        if let Some(statement) = inner(&mut parsed) {
            surface::refuse_unlisted_calls(statement).map_err(unlisted)?;
            syntax::prepare(statement, &Seen { view, state: &state })?;
            windows::write_out(statement)?;
            named = syntax::parameters(statement);
        }
        resolve(view, &state, &parsed)?;
        let plan = state.statement_to_plan(parsed).await.map_err(told)?;
        // Before anything that would put its parts into each other.
        grown::check(&plan)?;
        verify(&plan)?;
        surface::refuse_unlisted(&plan).map_err(unlisted)?;
        refusals::check(&plan).map_err(told)?;
        let run = place(&plan)?;
        let plan = with_types(&state, plan).map_err(told)?;
        let parameters = parameters(&plan, named)?;
        let admitted = match parameters.is_empty() {
            true => Some(finish(&state, plan.clone(), &view.grant)?),
            false => {
                unbound(&state, &plan)?.admit(&view.grant)?;
                None
            }
        };
        let admitted = admitted.filter(|_| !tells_the_time(&plan));
        let schema = Arc::new(plan.schema().as_arrow().clone());
        Ok(Statement {
            owner: view.who.clone(),
            sql: sql.to_owned(),
            plan,
            schema,
            parameters,
            run,
            admitted,
        })
    }

    /// Admits a statement, with its parameters bound, under the grant as it is now.
    pub fn admit(&self, view: &View, statement: &Statement, plan: LogicalPlan) -> Result<Admitted, QueryError> {
        if statement.owner != view.who {
            return Err(QueryError::Denied {
                message: "the statement was prepared by somebody else".to_owned(),
            });
        }
        if let Some(admitted) = &statement.admitted {
            admitted.touched.admit(&view.grant)?;
            return Ok(admitted.clone());
        }
        let context = self
            .sessions
            .context(view, "planning", 1, None)
            .map_err(|error| of_planning(&error))?;
        let state = context.state();
        grown::check(&plan)?;
        // Parameters that are bound may have made other types of it.
        let plan = with_types(&state, plan).map_err(|error| of_planning(&error))?;
        finish(&state, plan, &view.grant)
    }
}

/// Admits an analysed plan without parameters, and gives it a total order wherever an order decides.
fn finish(state: &SessionState, open: LogicalPlan, grant: &Grant) -> Result<Admitted, QueryError> {
    let (mut optimized, mut touched) = looked_at(state, &open)?;
    touched.admit(grant)?;
    let plan = ties::broken(open.clone(), &mut touched, grant)?;
    if plan != open {
        // What breaks ties may be computed in a part of the statement that nothing else needs.
        (optimized, touched) = looked_at(state, &plan)?;
        touched.admit(grant)?;
    }
    Ok(Admitted {
        plan,
        optimized,
        touched,
    })
}

/// What a plan reads at most whose parameters are not bound: whatever is read for some of their values.
fn unbound(state: &SessionState, plan: &LogicalPlan) -> Result<Touched, QueryError> {
    let plan = explained(plan);
    let touched = optimized(state, plan).and_then(|optimized| admission::touched(&optimized));
    // Parameters of types that are not known yet are not looked through by every rule.
    touched
        .or_else(|_| admission::named_in(plan))
        .map_err(|error| of_planning(&error))
}

/// The plan itself, or the one that it explains.
fn explained(mut plan: &LogicalPlan) -> &LogicalPlan {
    while let LogicalPlan::Explain(explain) = plan {
        plan = &explain.plan;
    }
    plan
}

/// Whether the plan is another one each time that it is optimized: the time of its statement is put into it then.
fn tells_the_time(plan: &LogicalPlan) -> bool {
    let of_statement = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Stable);
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|part| Ok(of_statement(part)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

/// The plan as it will run, and what it reads. It is analysed already, and a rule that says what a statement means is
/// applied once.
fn looked_at(state: &SessionState, plan: &LogicalPlan) -> Result<(LogicalPlan, Touched), QueryError> {
    let optimized = optimized(state, explained(plan)).map_err(|error| of_planning(&error))?;
    subqueries::refuse_dangling(&optimized)?;
    let touched = admission::touched(&optimized).map_err(|error| of_planning(&error))?;
    Ok((optimized, touched))
}

/// The plan as the engine optimizes it, within the limits of its size before and after.
fn optimized(state: &SessionState, plan: &LogicalPlan) -> datafusion::common::Result<LogicalPlan> {
    let too_large = |refusal: Refusal| {
        let failure = Failure::new(Cause::Invalid, refusal.message());
        DataFusionError::Execution(failure.to_string())
    };
    grown::check(plan).map_err(too_large)?;
    let optimized = state.optimizer().optimize(plan.clone(), state, |_, _| {})?;
    grown::check_optimized(&optimized).map_err(too_large)?;
    Ok(optimized)
}

fn parse(state: &SessionState, sql: &str) -> Result<Parsed, QueryError> {
    if sql.trim().is_empty() {
        return Err(QueryError::Syntax {
            message: "the statement is empty".to_owned(),
        });
    }
    syntax::check_text(sql)?;
    let sql = &syntax::without_hints(sql);
    let dialect = state.config().options().sql_parser.dialect;
    state
        .sql_to_statement(sql, &dialect)
        .map_err(|error| match of_planning(&error) {
            QueryError::Unsupported { .. } => QueryError::Unsupported {
                message: "send one statement at a time".to_owned(),
            },
            error => error,
        })
}

/// Refuses every statement that is not a query, by the words it begins with.
fn read_only(parsed: &Parsed) -> Result<(), QueryError> {
    match parsed {
        Parsed::Statement(ast) => read_only_ast(ast),
        Parsed::Explain(explain) if explain.options.analyze => Err(explain_analyze()),
        Parsed::Explain(explain) => read_only(&explain.statement),
        other => Err(QueryError::ReadOnly {
            statement: first_words(&other.to_string()),
        }),
    }
}

fn read_only_ast(ast: &Ast) -> Result<(), QueryError> {
    match ast {
        Ast::Query(_) | Ast::ShowTables { .. } | Ast::ShowColumns { .. } | Ast::ExplainTable { .. } => Ok(()),
        Ast::Explain { analyze: true, .. } => Err(explain_analyze()),
        Ast::Explain { statement, .. } => read_only_ast(statement),
        other => Err(QueryError::ReadOnly {
            statement: first_words(&other.to_string()),
        }),
    }
}

/// The statement itself, below any `EXPLAIN`.
fn inner(parsed: &mut Parsed) -> Option<&mut Ast> {
    match parsed {
        Parsed::Statement(ast) => Some(ast),
        Parsed::Explain(explain) => inner(&mut explain.statement),
        _ => None,
    }
}

fn unlisted(unlisted: Unlisted) -> QueryError {
    QueryError::Unsupported {
        message: unlisted.to_string(),
    }
}

fn explain_analyze() -> QueryError {
    QueryError::Unsupported {
        message: "EXPLAIN ANALYZE is not available, use EXPLAIN".to_owned(),
    }
}

/// The keyword(s) that a refused statement begins with; what follows may be a literal and stays out.
fn first_words(statement: &str) -> String {
    let words: Vec<&str> = statement.split_whitespace().take(2).collect();
    match words.as_slice() {
        [first @ ("CREATE" | "DROP" | "ALTER"), second] => format!("{first} {second}"),
        [first, ..] => (*first).to_owned(),
        [] => "the statement".to_owned(),
    }
}

/// The tables that a person sees, by the names that a session gives them.
struct Seen<'a> {
    view: &'a View,
    state: &'a SessionState,
}

impl syntax::Tables for Seen<'_> {
    fn columns(&self, name: &ObjectName) -> Option<Vec<String>> {
        let reference = object_name_to_table_reference(name.clone(), true).ok()?;
        let defaults = &self.state.config().options().catalog;
        let full = reference.resolve(&defaults.default_catalog, &defaults.default_schema);
        let dataset = self
            .view
            .datasets
            .get(&*full.schema)
            .filter(|_| &*full.catalog == CATALOG)?;
        let table = dataset.tables.get(&*full.table)?;
        Some(
            table
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
        )
    }
}

/// Says which table does not exist, and which was perhaps meant, before the engine says it less kindly.
fn resolve(view: &View, state: &SessionState, parsed: &Parsed) -> Result<(), QueryError> {
    let references = state
        .resolve_table_references(parsed)
        .map_err(|error| of_planning(&error))?;
    for reference in references {
        let defaults = &state.config().options().catalog;
        let full = reference
            .clone()
            .resolve(&defaults.default_catalog, &defaults.default_schema);
        if &*full.schema == INFORMATION_SCHEMA || is_function(state, &reference) {
            continue;
        }
        let known = &*full.catalog == CATALOG
            && view
                .datasets
                .get(&*full.schema)
                .is_some_and(|dataset| dataset.tables.contains_key(&*full.table));
        if !known {
            return Err(not_found(view, &reference));
        }
    }
    Ok(())
}

/// Whether the reference is that of a function that gives a table.
fn is_function(state: &SessionState, reference: &TableReference) -> bool {
    matches!(reference, TableReference::Bare { table } if state.table_functions().contains_key(table.as_ref()))
}

fn not_found(view: &View, reference: &TableReference) -> QueryError {
    let names: Vec<String> = view.table_names().collect();
    let written = reference.to_string();
    let mut near = nearest(&written, names.iter().map(String::as_str));
    if near.is_empty() {
        let same_table = |name: &&String| {
            name.rsplit('.')
                .next()
                .is_some_and(|table| !nearest(reference.table(), std::iter::once(table)).is_empty())
        };
        near = names.iter().filter(same_table).take(3).cloned().collect();
    }
    QueryError::NotFound {
        kind: "table",
        name: written,
        near,
    }
}

/// The engine's own check, behind ours: no definition, no change, no command.
fn verify(plan: &LogicalPlan) -> Result<(), QueryError> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|_| QueryError::ReadOnly {
            statement: "a statement that is not a query".to_owned(),
        })
}

/// Explanations, descriptions of the catalog and single rows of constants, by which clients find out whether a connection
/// lives, are answered here; everything else runs on executors. A query that mixes the catalog's description with patients'
/// tables has no place to run.
fn place(plan: &LogicalPlan) -> Result<Where, QueryError> {
    if explains(plan) || is_one_row(plan) {
        return Ok(Where::Here);
    }
    let (mut data, mut described, mut recursive) = (false, false, false);
    plan.apply_with_subqueries(|node| {
        recursive |= matches!(node, LogicalPlan::RecursiveQuery(_));
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            data |= provider.downcast_ref::<SnapshotTable>().is_some();
            described |= scan.table_name.schema() == Some(INFORMATION_SCHEMA);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|error| of_planning(&error))?;
    if recursive {
        return Err(QueryError::Unsupported {
            message: "recursive queries are not available, join the table to itself once for each level".to_owned(),
        });
    }
    match (data, described) {
        (true, true) => Err(QueryError::Unsupported {
            message: "information_schema cannot be joined with the tables it describes, query it on its own".to_owned(),
        }),
        (_, true) => Ok(Where::Here),
        _ => Ok(Where::Cluster),
    }
}

fn explains(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::DescribeTable(_))
}

/// Whether the plan is a row of expressions over nothing, as `SELECT 1` is.
fn is_one_row(plan: &LogicalPlan) -> bool {
    let nested = |expr: &Expr| expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(true);
    match plan {
        LogicalPlan::Projection(projection) => !projection.expr.iter().any(nested) && is_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_one_row(&alias.input),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
    )
}

/// The plan with the types that its result will have; of an explanation, the plan that it explains.
fn with_types(state: &SessionState, plan: LogicalPlan) -> datafusion::common::Result<LogicalPlan> {
    match plan {
        LogicalPlan::Explain(mut explain) => {
            let explained = Arc::unwrap_or_clone(explain.plan);
            explain.plan = Arc::new(with_types(state, explained)?);
            Ok(LogicalPlan::Explain(explain))
        }
        plan if explains(&plan) => Ok(plan),
        plan => analysed(state, plan).and_then(plain_types),
    }
}

/// The plan with the types that it will have when it runs: until then, a union has those of its first part. With parameters
/// that are not bound, some are not known; the plan is then left as it is.
fn analysed(state: &SessionState, plan: LogicalPlan) -> datafusion::common::Result<LogicalPlan> {
    let unbound = !plan.get_parameter_names()?.is_empty();
    match state
        .analyzer()
        .execute_and_check(plan.clone(), state.config_options(), |_, _| {})
    {
        Err(_) if unbound => Ok(plan),
        analysed => analysed,
    }
}

/// Results leave in types that every client reads: no views, no dictionaries.
fn plain_types(plan: LogicalPlan) -> datafusion::common::Result<LogicalPlan> {
    let schema = plan.schema().clone();
    if schema.fields().iter().all(|field| plain(field.data_type()).is_none()) {
        return Ok(plan);
    }
    let columns: Vec<Expr> = schema
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::Column((qualifier, field).into());
            match plain(field.data_type()) {
                Some(target) => Ok(column
                    .cast_to(&target, &schema)?
                    .alias_qualified(qualifier.cloned(), field.name())),
                None => Ok(column),
            }
        })
        .collect::<datafusion::common::Result<_>>()?;
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

fn plain(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Utf8View => Some(DataType::Utf8),
        DataType::BinaryView => Some(DataType::Binary),
        DataType::Dictionary(_, values) => Some(plain(values).unwrap_or_else(|| values.as_ref().clone())),
        _ => None,
    }
}

/// The parameters `$1`, `$2`, … in order, those that the statement names and the plan does not read included. A gap is an
/// error: no client could bind it.
fn parameters(plan: &LogicalPlan, mut named: BTreeSet<usize>) -> Result<Vec<Field>, QueryError> {
    let types = plan.get_parameter_types().map_err(|error| of_planning(&error))?;
    named.extend(
        types
            .keys()
            .filter_map(|name| name.strip_prefix('$')?.parse::<usize>().ok()),
    );
    let mut fields = Vec::with_capacity(named.len());
    for n in 1..=named.len() {
        let name = format!("${n}");
        if !named.contains(&n) {
            return Err(QueryError::Invalid {
                message: format!("parameters are numbered $1, $2, … and {name} is missing"),
            });
        }
        let data_type = types
            .get(&name)
            .cloned()
            .flatten()
            .map(|found| plain(&found).unwrap_or(found))
            .unwrap_or(DataType::Null);
        fields.push(Field::new(name, data_type, true));
    }
    Ok(fields)
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod tests;
