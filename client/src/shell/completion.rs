//! What Tab offers, from the text so far and the catalog of the session: keywords, tables, and columns of the tables
//! the statement names, by alias as well. It also tells the line editor when a statement is complete.

use std::sync::Arc;

use parcours::{Catalog, Table};
use rustyline::completion::Completer;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Highlighter, Hinter};

use crate::statements;

const KEYWORDS: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "asc",
    "avg",
    "between",
    "by",
    "case",
    "cast",
    "coalesce",
    "count",
    "cross",
    "date",
    "date_part",
    "date_trunc",
    "desc",
    "describe",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "extract",
    "false",
    "filter",
    "first_value",
    "following",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "interval",
    "is",
    "join",
    "lag",
    "last_value",
    "lateral",
    "lead",
    "left",
    "like",
    "limit",
    "max",
    "median",
    "min",
    "not",
    "null",
    "nulls",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "preceding",
    "qualify",
    "range",
    "rank",
    "right",
    "row_number",
    "rows",
    "select",
    "show",
    "substr",
    "sum",
    "tables",
    "then",
    "timestamp",
    "true",
    "unbounded",
    "union",
    "using",
    "values",
    "when",
    "where",
    "with",
];

/// What the line editor asks while a person types.
#[derive(Default, Helper, Highlighter, Hinter)]
pub struct SqlHelper {
    catalog: Arc<Catalog>,
}

impl SqlHelper {
    /// The catalog completion draws on.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// Draws on this catalog from now on.
    pub fn replace(&mut self, catalog: Catalog) {
        self.catalog = Arc::new(catalog);
    }
}

impl Completer for SqlHelper {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(&self.catalog, line, at))
    }
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// A backslash command, nothing at all, or statements of which the last has its semicolon.
fn is_complete(input: &str) -> bool {
    let input = input.trim();
    let script = statements::split(input);
    input.starts_with('\\') || (script.open.is_none() && script.rest.is_empty())
}

/// Where the word before the cursor starts, and what it may become.
fn candidates(catalog: &Catalog, text: &str, at: usize) -> (usize, Vec<String>) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind(|c| !is_name(c)).map_or(0, |blank| {
        blank + before[blank..].chars().next().map_or(1, char::len_utf8)
    });
    let word = &before[start..];
    let mut found = match word.rsplit_once('.') {
        Some((owner, part)) => members(catalog, text, owner, part),
        None if before.trim_start().starts_with('\\') => tables(catalog, word),
        None => [
            keywords(word),
            tables(catalog, word),
            columns(&named(catalog, text), word),
        ]
        .concat(),
    };
    found.sort();
    found.dedup();
    (start, found)
}

/// What may follow `owner.`: columns when it is a table or an alias, tables when it is a schema.
fn members(catalog: &Catalog, text: &str, owner: &str, part: &str) -> Vec<String> {
    let meant = mentions(catalog, text)
        .into_iter()
        .filter(|(alias, _)| alias.eq_ignore_ascii_case(owner));
    let mut meant: Vec<_> = meant.map(|(_, table)| table).collect();
    meant.extend(catalog.find(owner));
    let mut found = columns(&meant, part);
    found.extend(catalog.tables.iter().filter_map(|table| {
        let schema = table.schema.as_deref()?;
        (schema.eq_ignore_ascii_case(owner) && begins(&table.name, part)).then(|| table.name.clone())
    }));
    found.into_iter().map(|name| format!("{owner}.{name}")).collect()
}

fn keywords(word: &str) -> Vec<String> {
    // Whoever types capitals wants capitals.
    let capitals = word.chars().any(|c| c.is_ascii_uppercase()) && !word.chars().any(|c| c.is_ascii_lowercase());
    let fitting = KEYWORDS
        .iter()
        .filter(|keyword| !word.is_empty() && begins(keyword, word));
    fitting
        .map(|keyword| {
            if capitals {
                keyword.to_uppercase()
            } else {
                (*keyword).to_owned()
            }
        })
        .collect()
}

fn tables(catalog: &Catalog, word: &str) -> Vec<String> {
    let fitting = catalog
        .tables
        .iter()
        .filter(|table| begins(&table.name, word) || begins(&table.qualified(), word));
    fitting
        .map(|table| {
            if begins(&table.name, word) {
                table.name.clone()
            } else {
                table.qualified()
            }
        })
        .collect()
}

fn columns(tables: &[&Table], word: &str) -> Vec<String> {
    let all = tables.iter().flat_map(|table| table.columns.fields());
    all.map(|field| field.name())
        .filter(|name| begins(name, word))
        .cloned()
        .collect()
}

/// The tables the text names, or all of them when it names none yet.
fn named<'a>(catalog: &'a Catalog, text: &str) -> Vec<&'a Table> {
    let mentioned: Vec<_> = mentions(catalog, text).into_iter().map(|(_, table)| table).collect();
    if mentioned.is_empty() {
        catalog.tables.iter().collect()
    } else {
        mentioned
    }
}

/// Each table the text names, with the word that follows it: its alias, if it has one.
fn mentions<'a, 't>(catalog: &'a Catalog, text: &'t str) -> Vec<(&'t str, &'a Table)> {
    let words: Vec<_> = text.split(|c| !is_name(c)).filter(|word| !word.is_empty()).collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words[at + 1..]
            .iter()
            .find(|next| !next.eq_ignore_ascii_case("as"))
            .unwrap_or(word);
        found.extend(catalog.find(word).map(|table| (*next, table)));
    }
    found
}

fn begins(name: &str, word: &str) -> bool {
    name.get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};

    fn table(name: &str, columns: &[&str]) -> Table {
        let fields: Vec<_> = columns
            .iter()
            .map(|column| Field::new(*column, DataType::Utf8, true))
            .collect();
        Table {
            catalog: Some("parcours".to_owned()),
            schema: Some("snds".to_owned()),
            name: name.to_owned(),
            kind: "TABLE".to_owned(),
            columns: Schema::new(fields),
        }
    }

    fn catalog() -> Catalog {
        Catalog {
            tables: vec![
                table("pharmacie", &["ben_idt_ano", "atc"]),
                table("deces", &["ben_dcd_dte"]),
            ],
        }
    }

    fn offered(text: &str) -> Vec<String> {
        let at = text.find('|').unwrap_or(text.len());
        candidates(&catalog(), &text.replace('|', ""), at).1
    }

    #[test]
    fn keywords_follow_the_case_typed() {
        assert_eq!(offered("sel"), ["select"]);
        assert_eq!(offered("SEL"), ["SELECT"]);
    }

    #[test]
    fn tables_are_offered_bare_and_qualified() {
        assert_eq!(offered("select * from pha"), ["pharmacie"]);
        assert_eq!(offered("select * from snds.de"), ["snds.deces"]);
        assert_eq!(offered("\\d d"), ["deces"]);
    }

    #[test]
    fn columns_are_those_of_the_tables_named() {
        assert_eq!(offered("select ben_| from deces"), ["ben_dcd_dte"]);
        assert_eq!(offered("select ben_"), ["ben_dcd_dte", "ben_idt_ano"]);
        assert_eq!(offered("select p.a| from snds.pharmacie as p"), ["p.atc"]);
        assert_eq!(offered("select deces.|"), ["deces.ben_dcd_dte"]);
    }

    #[test]
    fn the_word_replaced_starts_after_what_is_no_name() {
        assert_eq!(candidates(&catalog(), "select 'é',at", 14).0, 12);
        assert_eq!(candidates(&catalog(), "sel", 3).0, 0);
    }

    #[test]
    fn input_is_complete_with_its_semicolon_or_as_a_command() {
        for input in ["select 1;", "select ';' ; -- done", "\\d", "", "select 1; select 2;"] {
            assert!(is_complete(input), "{input}");
        }
        for input in ["select 1", "select ';", "select 1; select 2", "select 1 /* ; "] {
            assert!(!is_complete(input), "{input}");
        }
    }
}
