//! `SELECT`: its list, `GROUP BY`, and the clauses of other dialects that the parser takes.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, GroupByWithModifier, NamedWindowDefinition, NamedWindowExpr, ReplaceSelectElement,
    ReplaceSelectItem, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, TableWithJoins,
    WildcardAdditionalOptions,
};

use super::expr::{expr, exprs};
use super::function::window_spec;
use super::relation;
use crate::syntax::refusal::{Checked, refuse};

pub(super) fn select(select: &Select) -> Checked {
    let Select {
        select_token: _,
        // Hints stand in comments, and no result depends on one.
        optimizer_hints: _,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    for (written, remedy) in [
        (
            select_modifiers.is_some(),
            "HIGH_PRIORITY, SQL_NO_CACHE and the like are not supported, leave them out",
        ),
        (top.is_some(), "TOP is not supported, use LIMIT"),
        (
            exclude.is_some(),
            "EXCLUDE after the list of SELECT is not supported, write * EXCLUDE (…)",
        ),
        (into.is_some(), "INTO is not supported, tables here are only read"),
        (
            !lateral_views.is_empty(),
            "LATERAL VIEW is not supported, use CROSS JOIN LATERAL or unnest",
        ),
        (prewhere.is_some(), "PREWHERE is not supported, use WHERE"),
        (
            !connect_by.is_empty(),
            "CONNECT BY and START WITH are not supported, use WITH RECURSIVE",
        ),
        (!cluster_by.is_empty(), "CLUSTER BY is not supported, use ORDER BY"),
        (
            !distribute_by.is_empty(),
            "DISTRIBUTE BY is not supported, leave it out",
        ),
        (!sort_by.is_empty(), "SORT BY is not supported, use ORDER BY"),
        (
            value_table_mode.is_some(),
            "SELECT AS STRUCT and AS VALUE are not supported, use named_struct(…)",
        ),
    ] {
        if written {
            return refuse(remedy);
        }
    }
    flavoured(*flavor, projection)?;
    if let Some(Distinct::On(on)) = distinct {
        exprs(on)?;
    }
    projection.iter().try_for_each(item)?;
    from.iter().try_for_each(table_with_joins)?;
    selection.iter().try_for_each(expr)?;
    grouped(group_by)?;
    having.iter().try_for_each(expr)?;
    named_window.iter().try_for_each(window)?;
    qualify.iter().try_for_each(expr)
}

fn flavoured(flavor: SelectFlavor, projection: &[SelectItem]) -> Checked {
    match flavor {
        SelectFlavor::Standard | SelectFlavor::FromFirst if projection.is_empty() => {
            refuse("SELECT without a column is not supported, write SELECT 1 or SELECT *")
        }
        SelectFlavor::Standard | SelectFlavor::FromFirst => Ok(()),
        SelectFlavor::FromFirstNoSelect => refuse("FROM without SELECT is not supported, write SELECT * FROM"),
    }
}

fn table_with_joins(from: &TableWithJoins) -> Checked {
    relation::table_with_joins(from)
}

fn item(item: &SelectItem) -> Checked {
    match item {
        SelectItem::UnnamedExpr(inner) | SelectItem::ExprWithAlias { expr: inner, alias: _ } => expr(inner),
        SelectItem::ExprWithAliases { expr: _, aliases: _ } => {
            refuse("several aliases of one expression are not supported, write one alias for each column")
        }
        SelectItem::Wildcard(options) => wildcard(options),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options) => wildcard(options),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
            refuse("the fields of an expression cannot be selected by *, name them")
        }
    }
}

pub(super) fn wildcard(options: &WildcardAdditionalOptions) -> Checked {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude: _,
        opt_except: _,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    if opt_ilike.is_some() {
        return refuse("* ILIKE is not supported, name the columns");
    }
    if opt_rename.is_some() {
        return refuse("* RENAME is not supported, write * EXCLUDE (a), a AS b");
    }
    if opt_alias.is_some() {
        return refuse("an alias of * is not supported, name the columns");
    }
    opt_replace.iter().try_for_each(|replace| {
        let ReplaceSelectItem { items } = replace;
        items.iter().try_for_each(|item| {
            let ReplaceSelectElement {
                expr: inner,
                column_name: _,
                as_keyword: _,
            } = item.as_ref();
            expr(inner)
        })
    })
}

fn grouped(group_by: &GroupByExpr) -> Checked {
    match group_by {
        GroupByExpr::All(modifiers) if modifiers.is_empty() => Ok(()),
        GroupByExpr::All(_) => refuse("GROUP BY ALL WITH ROLLUP or CUBE is not supported, name the columns"),
        GroupByExpr::Expressions(keys, modifiers) => {
            modified(keys, modifiers)?;
            keys.iter().try_for_each(grouping_key)
        }
    }
}

fn modified(keys: &[Expr], modifiers: &[GroupByWithModifier]) -> Checked {
    match modifiers {
        [] => Ok(()),
        [GroupByWithModifier::Rollup | GroupByWithModifier::Cube] => keys.iter().try_for_each(plain_key),
        [GroupByWithModifier::Totals] => refuse("GROUP BY … WITH TOTALS is not supported, use GROUPING SETS"),
        [GroupByWithModifier::GroupingSets(_)] => {
            refuse("GROUPING SETS after the columns is not supported, write GROUP BY GROUPING SETS (…)")
        }
        _ => refuse("GROUP BY with several modifiers is not supported, use GROUPING SETS"),
    }
}

/// A key of `WITH ROLLUP`; a number would be a constant there, not a column's place.
fn plain_key(key: &Expr) -> Checked {
    match key {
        Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => {
            refuse("ROLLUP, CUBE and GROUPING SETS cannot be modified by WITH, write one of them")
        }
        key => no_place(key),
    }
}

fn no_place(key: &Expr) -> Checked {
    match key {
        Expr::Value(_) => refuse("a column's number within ROLLUP, CUBE or GROUPING SETS is not supported, name it"),
        _ => Ok(()),
    }
}

fn grouping_key(key: &Expr) -> Checked {
    match key {
        Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => sets.iter().flatten().try_for_each(|key| {
            no_place(key)?;
            expr(key)
        }),
        key => expr(key),
    }
}

fn window(definition: &NamedWindowDefinition) -> Checked {
    let NamedWindowDefinition(_, window) = definition;
    match window {
        NamedWindowExpr::NamedWindow(_) => Ok(()),
        NamedWindowExpr::WindowSpec(spec) => window_spec(spec),
    }
}
