//! `*` over joins with `USING`: the common columns first, then every table without them, as the SQL standard orders
//! them.

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, ObjectName, ObjectNamePart, SelectItem, SelectItemQualifiedWildcardKind,
    WildcardAdditionalOptions,
};

use super::scope::{Scope, Shown, Value};
use crate::syntax::built::plain_star;
use crate::syntax::names::{compared, quoted};
use crate::syntax::refusal::{Refusal, refuse};

/// Returns what `*` stands for.
pub(super) fn written_out(options: &WildcardAdditionalOptions, scope: &Scope) -> Result<Vec<SelectItem>, Refusal> {
    if scope.no_star {
        return refuse("* over this JOIN … USING is not supported, name the columns");
    }
    let excluded = excluded(options, scope)?;
    let mut items = Vec::with_capacity(scope.shown.len());
    for shown in &scope.shown {
        match shown {
            Shown::Common(name) if excluded.contains(name) => {}
            Shown::Common(name) => match scope.value(name) {
                Some(Value::Known(value)) => items.push(SelectItem::ExprWithAlias {
                    expr: value.as_ref().clone(),
                    alias: quoted(name),
                }),
                _ => {
                    return Err(Refusal::invalid(format!(
                        "{name} is a common column of several joins, name the columns instead of *"
                    )));
                }
            },
            Shown::Table { qualifier, without } => items.push(SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(qualifier.clone())),
                options_without(without),
            )),
        }
    }
    Ok(items)
}

/// The common columns that `* EXCLUDE` leaves out; of another column the text does not say whose it is.
fn excluded(options: &WildcardAdditionalOptions, scope: &Scope) -> Result<Vec<String>, Refusal> {
    let single = |name: &ObjectName| match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(compared(name)),
        _ => None,
    };
    let mut names: Vec<Option<String>> = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => vec![single(name)],
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().map(single).collect(),
        None => Vec::new(),
    };
    if let Some(except) = &options.opt_except {
        names.push(Some(compared(&except.first_element)));
        names.extend(except.additional_elements.iter().map(|name| Some(compared(name))));
    }
    let names: Option<Vec<String>> = names.into_iter().collect();
    match names {
        Some(names) if options.opt_replace.is_none() && names.iter().all(|name| scope.is_common(name)) => Ok(names),
        _ => refuse("* EXCLUDE and * REPLACE beside JOIN … USING are not supported, name the columns"),
    }
}

fn options_without(without: &[String]) -> WildcardAdditionalOptions {
    let names = without.iter().map(|name| ObjectName::from(vec![quoted(name)]));
    WildcardAdditionalOptions {
        opt_exclude: (!without.is_empty()).then(|| ExcludeSelectItem::Multiple(names.collect())),
        ..plain_star()
    }
}
