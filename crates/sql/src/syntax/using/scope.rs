//! What a `FROM` shows so far: its tables in order, and the common columns of `USING`.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArguments, Ident, ObjectName, ObjectNamePart};

use crate::syntax::built::{argument, call};
use crate::syntax::names::{compared, quoted};

/// What a common column stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// This expression.
    Known(Box<Expr>),
    /// A column that the engine finds by its bare name.
    Bare,
    /// Columns of several joins that stand beside each other.
    Ambiguous,
}

/// What `*` shows.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// A common column, by name.
    Common(String),
    /// A table without the columns that are common.
    Table {
        /// Its alias or its name.
        qualifier: Vec<Ident>,
        /// The names of those that are shown elsewhere.
        without: Vec<String>,
    },
}

/// The tables and common columns of a `FROM`.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) shown: Vec<Shown>,
    pub(super) common: Vec<(String, Value)>,
    /// Whether it cannot be told which tables show a common column.
    pub(super) no_star: bool,
}

impl Scope {
    /// Returns the scope of one table.
    pub(super) fn table(qualifier: Vec<Ident>) -> Self {
        Self {
            shown: vec![Shown::Table {
                qualifier,
                without: Vec::new(),
            }],
            ..Self::default()
        }
    }

    /// Returns both scopes, one after the other. A common column of both is one of neither.
    pub(super) fn beside(mut self, other: Self) -> Self {
        self.shown.extend(other.shown);
        for (name, value) in other.common {
            match self.common.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = Value::Ambiguous,
                None => self.common.push((name, value)),
            }
        }
        self.no_star |= other.no_star;
        self
    }

    /// The value of a column's bare name, if it is common.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.common
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// Takes a column out of what is shown, to show it as a common one. Nothing comes back if the text does not say
    /// whose column it is; it is shown where it is, then.
    pub(super) fn take(&mut self, name: &str) -> Option<Expr> {
        if let Some(at) = self.common.iter().position(|(known, _)| known == name) {
            let Value::Known(value) = self.common.swap_remove(at).1 else {
                return None;
            };
            self.shown
                .retain(|shown| !matches!(shown, Shown::Common(common) if common == name));
            return Some(*value);
        }
        match self.shown.as_mut_slice() {
            [Shown::Table { qualifier, without }] => {
                without.push(name.to_owned());
                Some(column(qualifier, name))
            }
            _ => None,
        }
    }

    /// Whether a column is common already.
    pub(super) fn is_common(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

fn column(qualifier: &[Ident], name: &str) -> Expr {
    let mut names = qualifier.to_vec();
    names.push(quoted(name));
    Expr::CompoundIdentifier(names)
}

/// Returns the names of an object, if it has only names.
pub(super) fn names(object: &ObjectName) -> Option<Vec<Ident>> {
    object
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(name) => Some(name.clone()),
            ObjectNamePart::Function(_) => None,
        })
        .collect()
}

/// Returns the first of two values that is not NULL.
pub(super) fn coalesce(left: Expr, right: Expr) -> Expr {
    let mut args = match left {
        Expr::Function(Function {
            args: FunctionArguments::List(list),
            name,
            ..
        }) if is_coalesce(&name) => list.args,
        left => vec![argument(left)],
    };
    args.push(argument(right));
    call("coalesce", args)
}

fn is_coalesce(name: &ObjectName) -> bool {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => compared(name) == "coalesce",
        _ => false,
    }
}
