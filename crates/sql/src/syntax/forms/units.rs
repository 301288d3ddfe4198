//! Units as words: in `dateadd(day, n, d)` and its like the first argument becomes a text, `'day'`, which no column can
//! be mistaken for.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, Value,
};

use crate::syntax::names::compared;

/// The functions whose first of three arguments is a unit.
const FUNCTIONS: [&str; 8] = [
    "dateadd",
    "date_add",
    "timestampadd",
    "datesub",
    "date_sub",
    "datediff",
    "date_diff",
    "timestampdiff",
];

/// Every unit by its full name and the words for it.
const UNITS: [(&str, &[&str]); 10] = [
    ("year", &["year", "years", "yy", "yyyy"]),
    ("quarter", &["quarter", "quarters", "qq"]),
    ("month", &["month", "months", "mm"]),
    ("week", &["week", "weeks", "wk", "ww"]),
    ("day", &["day", "days", "dd"]),
    ("hour", &["hour", "hours", "hh"]),
    ("minute", &["minute", "minutes", "mi"]),
    ("second", &["second", "seconds", "ss"]),
    ("millisecond", &["millisecond", "milliseconds", "ms"]),
    ("microsecond", &["microsecond", "microseconds"]),
];

/// Rewrites a unit's word to its text.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(Function {
        name,
        args: FunctionArguments::List(list),
        ..
    }) = expr
    else {
        return;
    };
    let known = match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => FUNCTIONS.contains(&compared(name).as_str()),
        _ => false,
    };
    if !known || list.args.len() != 3 {
        return;
    }
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first_mut()
        && let Some(unit) = unit(first)
    {
        *first = Expr::value(Value::SingleQuotedString(unit.to_owned()));
    }
}

fn unit(expr: &Expr) -> Option<&'static str> {
    let Expr::Identifier(word) = expr else {
        return None;
    };
    if word.quote_style.is_some() {
        return None;
    }
    let word = word.value.to_lowercase();
    let found = UNITS.iter().find(|(_, words)| words.contains(&word.as_str()));
    found.map(|(unit, _)| *unit)
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::prepared;

    #[test]
    fn a_unit_becomes_a_text_where_one_is_meant() {
        for (written, becomes) in [
            ("DATEADD(day, 3, d)", "DATEADD('day', 3, d)"),
            ("datediff(MONTHS, a, b)", "datediff('month', a, b)"),
            ("date_diff(yy, a, b)", "date_diff('year', a, b)"),
            ("timestampadd(hour, 1, ts)", "timestampadd('hour', 1, ts)"),
            ("date_add(d, 3)", "date_add(d, 3)"),
            ("dateadd(\"day\", 3, d)", "dateadd(\"day\", 3, d)"),
            ("datediff(a, b)", "datediff(a, b)"),
            ("greatest(day, 3, d)", "greatest(day, 3, d)"),
            ("dateadd(unit, 3, d)", "dateadd(unit, 3, d)"),
        ] {
            let sql = prepared(&format!("SELECT 1 AS x FROM t WHERE {written} = x"));
            assert_eq!(sql, format!("SELECT 1 AS x FROM t WHERE {becomes} = x"));
        }
    }
}
