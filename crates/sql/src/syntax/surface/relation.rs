//! `FROM`: tables, derived tables, functions and joins. The engine honours a table's name, alias and arguments and
//! drops everything else that can be written beside them.

use datafusion::sql::sqlparser::ast::{
    Expr, ExprWithAlias, FunctionArg, Join, JoinConstraint, JoinOperator, PivotValueSource, TableAlias, TableFactor,
    TableFunctionArgs, TableWithJoins,
};

use super::expr::{expr, exprs};
use super::function::argument;
use super::query::{query, table_alias};
use crate::syntax::refusal::{Checked, refuse};

const SAMPLE: &str = "TABLESAMPLE is not supported, filter by a hash of the patient";
const ORDINALITY: &str = "WITH ORDINALITY and WITH OFFSET are not supported, use row_number() or generate_series";

pub(super) fn table_with_joins(from: &TableWithJoins) -> Checked {
    let TableWithJoins { relation, joins } = from;
    factor(relation)?;
    joins.iter().try_for_each(join)
}

fn join(join: &Join) -> Checked {
    let Join {
        relation,
        global,
        join_operator,
    } = join;
    if *global {
        return refuse("GLOBAL JOIN is not supported, leave GLOBAL out");
    }
    factor(relation)?;
    operator(join_operator)
}

fn operator(operator: &JoinOperator) -> Checked {
    match operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on)
        | JoinOperator::Semi(on)
        | JoinOperator::LeftSemi(on)
        | JoinOperator::RightSemi(on)
        | JoinOperator::Anti(on)
        | JoinOperator::LeftAnti(on)
        | JoinOperator::RightAnti(on) => constraint(on),
        JoinOperator::CrossJoin(JoinConstraint::None) => Ok(()),
        JoinOperator::CrossJoin(_) => refuse("CROSS JOIN with a condition is not supported, write JOIN … ON"),
        JoinOperator::CrossApply => refuse("CROSS APPLY is not supported, use CROSS JOIN LATERAL (…)"),
        JoinOperator::OuterApply => refuse("OUTER APPLY is not supported, use LEFT JOIN LATERAL (…) ON true"),
        JoinOperator::AsOf {
            match_condition: _,
            constraint: _,
        } => refuse(
            "ASOF JOIN is not supported, since systems differ on rows without a partner: write JOIN, or LEFT JOIN, \
             LATERAL (SELECT * FROM b WHERE b.p = a.p AND b.d <= a.d ORDER BY b.d DESC LIMIT 1) AS b ON true",
        ),
        JoinOperator::StraightJoin(_) => refuse("STRAIGHT_JOIN is not supported, write JOIN"),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            refuse("ARRAY JOIN is not supported, use CROSS JOIN UNNEST(…)")
        }
    }
}

fn constraint(on: &JoinConstraint) -> Checked {
    match on {
        JoinConstraint::On(condition) => expr(condition),
        JoinConstraint::Using(columns) => match columns.iter().all(|column| column.0.len() == 1) {
            true => Ok(()),
            false => refuse("USING takes the bare names of columns, write ON for others"),
        },
        JoinConstraint::Natural | JoinConstraint::None => Ok(()),
    }
}

fn factor(factor: &TableFactor) -> Checked {
    match factor {
        TableFactor::Table {
            name: _,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            for (written, remedy) in [
                (
                    !with_hints.is_empty(),
                    "hints after a table (WITH (…)) are not supported, leave them out",
                ),
                (
                    version.is_some(),
                    "reading a table AS OF a version is not supported, name the snapshot's table",
                ),
                (*with_ordinality, ORDINALITY),
                (
                    !partitions.is_empty(),
                    "PARTITION after a table is not supported, use WHERE",
                ),
                (
                    json_path.is_some(),
                    "a path after a table is not supported, use functions on its columns",
                ),
                (sample.is_some(), SAMPLE),
                (!index_hints.is_empty(), "index hints are not supported, leave them out"),
            ] {
                if written {
                    return refuse(remedy);
                }
            }
            args.iter().try_for_each(table_arguments)?;
            named(alias.as_ref())
        }
        TableFactor::Derived {
            lateral: _,
            subquery,
            alias,
            sample,
        } => {
            if sample.is_some() {
                return refuse(SAMPLE);
            }
            query(subquery)?;
            named(alias.as_ref())
        }
        TableFactor::Function {
            lateral: _,
            name: _,
            args,
            with_ordinality,
            alias,
        } => {
            if *with_ordinality {
                return refuse(ORDINALITY);
            }
            arguments(args)?;
            named(alias.as_ref())
        }
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset,
            with_offset_alias,
            with_ordinality,
        } => {
            if *with_offset || with_offset_alias.is_some() || *with_ordinality {
                return refuse(ORDINALITY);
            }
            exprs(array_exprs)?;
            named(alias.as_ref())
        }
        TableFactor::NestedJoin {
            table_with_joins: inner,
            alias,
        } => {
            table_with_joins(inner)?;
            named(alias.as_ref())
        }
        TableFactor::Pivot {
            table,
            aggregate_functions,
            value_column,
            value_source,
            default_on_null,
            alias,
        } => {
            if default_on_null.is_some() {
                return refuse("DEFAULT ON NULL is not supported, use coalesce over the columns of PIVOT");
            }
            self::factor(table)?;
            pivoted(aggregate_functions, value_column, value_source)?;
            named(alias.as_ref())
        }
        other => foreign(other),
    }
}

/// PIVOT, as far as its columns are known from the text.
fn pivoted(aggregates: &[ExprWithAlias], columns: &[Expr], values: &PivotValueSource) -> Checked {
    if columns.len() != 1 {
        return refuse("PIVOT over several columns is not supported, put them into one column before");
    }
    let PivotValueSource::List(values) = values else {
        return refuse("PIVOT needs the values that become columns, as in PIVOT (sum(x) FOR z IN ('a', 'b'))");
    };
    exprs(columns)?;
    let parts = aggregates.iter().chain(values);
    parts.into_iter().try_for_each(|part| {
        let ExprWithAlias { expr: inner, alias: _ } = part;
        expr(inner)
    })
}

/// What other systems have in FROM; named one by one, so that a new kind breaks the build.
fn foreign(factor: &TableFactor) -> Checked {
    match factor {
        TableFactor::Table { .. }
        | TableFactor::Derived { .. }
        | TableFactor::Function { .. }
        | TableFactor::UNNEST { .. }
        | TableFactor::NestedJoin { .. }
        | TableFactor::Pivot { .. } => Ok(()),
        TableFactor::TableFunction { .. } => refuse("TABLE(…) is not supported, call the function in FROM by its name"),
        TableFactor::JsonTable { .. } => refuse("JSON_TABLE is not supported, load the JSON as columns"),
        TableFactor::OpenJsonTable { .. } => refuse("OPENJSON is not supported, load the JSON as columns"),
        TableFactor::Unpivot { .. } => refuse("UNPIVOT is not supported, use UNION ALL of one SELECT for each column"),
        TableFactor::MatchRecognize { .. } => refuse("MATCH_RECOGNIZE is not supported, use window functions"),
        TableFactor::XmlTable { .. } => refuse("XMLTABLE is not supported, load the XML as columns"),
        TableFactor::SemanticView { .. } => refuse("SEMANTIC_VIEW is not supported, query the tables"),
    }
}

fn named(alias: Option<&TableAlias>) -> Checked {
    alias.map_or(Ok(()), table_alias)
}

fn table_arguments(args: &TableFunctionArgs) -> Checked {
    let TableFunctionArgs { args, settings } = args;
    if settings.is_some() {
        return refuse("SETTINGS is not supported");
    }
    arguments(args)
}

fn arguments(args: &[FunctionArg]) -> Checked {
    args.iter().try_for_each(argument)
}
