//! Aggregates whose order is written another way: `string_agg(x, ',') WITHIN GROUP (ORDER BY y)` is
//! `string_agg(x, ',' ORDER BY y)`, and so is `listagg`; `any_value(x ORDER BY y)` is the first value in that order which is
//! not NULL.

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Function, FunctionArgumentClause, FunctionArguments, NullTreatment, ObjectNamePart,
};

use super::taken;
use crate::syntax::built::{cast, rename};
use crate::syntax::names::compared;
use crate::syntax::refusal::{Checked, refuse};

/// Rewrites the call of such an aggregate.
pub(super) fn rewrite(expr: &mut Expr) -> Checked {
    let Expr::Function(function) = expr else {
        return Ok(());
    };
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return Ok(());
    };
    match compared(name).as_str() {
        "string_agg" => within_group(function)?,
        "listagg" => {
            with_separator(function)?;
            rename(function, "string_agg");
            within_group(function)?;
        }
        "any_value" => return first_value(function),
        _ => return Ok(()),
    }
    // Some functions take it for no text otherwise: it may be longer than others.
    *expr = cast(taken(expr), DataType::Varchar(None));
    Ok(())
}

/// The order of `WITHIN GROUP` as one of the arguments.
fn within_group(function: &mut Function) -> Checked {
    if function.within_group.is_empty() {
        return Ok(());
    }
    let FunctionArguments::List(list) = &mut function.args else {
        return Ok(());
    };
    if list.clauses.iter().any(is_order) {
        return refuse("ORDER BY in an aggregate and WITHIN GROUP cannot be used together, use one of them");
    }
    let order = std::mem::take(&mut function.within_group);
    list.clauses.push(FunctionArgumentClause::OrderBy(order));
    Ok(())
}

fn is_order(clause: &FunctionArgumentClause) -> bool {
    matches!(clause, FunctionArgumentClause::OrderBy(_))
}

/// Without a separator, texts follow each other at once in Oracle, and with commas in DuckDB.
fn with_separator(function: &Function) -> Checked {
    match &function.args {
        FunctionArguments::List(list) if list.args.len() == 2 => Ok(()),
        _ => refuse("listagg takes a text and a separator, as in listagg(s, ',')"),
    }
}

fn first_value(function: &mut Function) -> Checked {
    let ordered = match &function.args {
        FunctionArguments::List(list) => list.clauses.iter().any(is_order),
        FunctionArguments::None | FunctionArguments::Subquery(_) => false,
    };
    if ordered && function.over.is_none() {
        rename(function, "first_value");
        function.null_treatment = Some(NullTreatment::IgnoreNulls);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    #[tokio::test]
    async fn an_order_is_one_wherever_it_is_written() {
        let context = session(
            "CREATE TABLE t (g INT, n INT, s VARCHAR) AS VALUES (1, 2, 'b'), (1, 1, 'a'), (2, 3, NULL), (2, 4, 'c'), (2, 5, 'd')",
        )
        .await;
        for (sql, expected) in [
            (
                "SELECT string_agg(s, ',') WITHIN GROUP (ORDER BY n DESC) AS v FROM t",
                "v|d,c,b,a",
            ),
            (
                "SELECT g, listagg(s, '') WITHIN GROUP (ORDER BY n) AS v FROM t GROUP BY g",
                "g,v|1,ab|2,cd",
            ),
            (
                "SELECT listagg(DISTINCT s, '-') WITHIN GROUP (ORDER BY s DESC) FROM t WHERE g = 1",
                "listagg(DISTINCT s, '-') WITHIN GROUP (ORDER BY s DESC)|b-a",
            ),
            ("SELECT LISTAGG(s, ',' ORDER BY n) AS v FROM t WHERE g = 1", "v|a,b"),
            (
                "SELECT g, any_value(s ORDER BY n) AS v FROM t GROUP BY g",
                "g,v|1,a|2,c",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[test]
    fn what_is_read_in_two_ways_is_refused() {
        for (call, says) in [
            ("listagg(s) WITHIN GROUP (ORDER BY n)", "a separator"),
            ("string_agg(s, ',' ORDER BY n) WITHIN GROUP (ORDER BY n)", "one of them"),
        ] {
            let said = prepared(&format!("SELECT {call} AS v FROM t"));
            assert!(said.starts_with("refused") && said.contains(says), "{call}: {said}");
        }
    }
}
