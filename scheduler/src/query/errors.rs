//! From the engine's errors to sentences that help the person who asked. What they wrote may be quoted back to them; what
//! the data holds may not.

use datafusion::common::{DataFusionError, SchemaError};
use parcours_cluster::failure::{Cause, Failure};
use parcours_sql::syntax::Refusal;

use crate::port::{QueryError, QueryId};

/// How many near names are offered.
const OFFERED: usize = 3;

/// How alike two names must be (Jaro-Winkler, 0 to 1) for one to be offered in place of the other.
const ALIKE: f64 = 0.75;

/// Names that a misspelt one may have meant, nearest first.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored
        .into_iter()
        .take(OFFERED)
        .map(|(_, known)| known.to_owned())
        .collect()
}

/// An error of parsing or planning a statement, where no other name is offered for a misspelt one.
pub fn of_planning(error: &DataFusionError) -> QueryError {
    of_planning_for(error, &|_| false)
}

/// An error of planning a statement, where those columns are offered for a misspelt one that may be named to its person.
pub fn of_planning_for(error: &DataFusionError, may_be_named: &dyn Fn(&str) -> bool) -> QueryError {
    match error.find_root() {
        DataFusionError::Execution(message) if Failure::find(message).is_some() => {
            Failure::find(message).map_or(QueryError::Internal { query: None }, of_failure)
        }
        DataFusionError::SQL(error, _) => QueryError::Syntax {
            message: error.to_string(),
        },
        DataFusionError::SchemaError(error, _) => QueryError::Invalid {
            message: of_schema(error, may_be_named),
        },
        DataFusionError::NotImplemented(message) => QueryError::Unsupported {
            message: first_line(message),
        },
        DataFusionError::ResourcesExhausted(message) => QueryError::ResourcesExhausted {
            message: message.clone(),
        },
        DataFusionError::Internal(message) if no_such_form(message).is_some() => QueryError::Invalid {
            message: no_such_form(message).unwrap_or_default(),
        },
        DataFusionError::Internal(_) | DataFusionError::External(_) | DataFusionError::IoError(_) => {
            tracing::error!("a statement could not be planned because of a fault of ours");
            QueryError::Internal { query: None }
        }
        root => {
            let message = root.strip_backtrace();
            QueryError::Invalid {
                message: no_such_form(&message).unwrap_or_else(|| first_line(&message)),
            }
        }
    }
}

impl From<Refusal> for QueryError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message().to_owned();
        match refusal {
            Refusal::Unsupported { .. } => QueryError::Unsupported { message },
            // Asked again, a statement that is too large is as large: no RESOURCE_EXHAUSTED, which drivers call internal.
            Refusal::TooLarge { .. } | Refusal::Invalid { .. } => QueryError::Invalid { message },
        }
    }
}

/// Returns a sentence for a function that is given arguments of other types than it takes.
fn no_such_form(message: &str) -> Option<String> {
    if message.contains("is not Struct, Map, or Null") {
        let sentence =
            "a column cannot be asked for a field: where it has the name of a table, give the table another alias";
        return Some(sentence.to_owned());
    }
    if message.contains("Substring without for/from") {
        return Some("substr takes a text and where in it to begin".to_owned());
    }
    if message.contains("Aggregate function calls cannot be nested") {
        return Some("an aggregate cannot stand in the argument of another: compute it in a subquery".to_owned());
    }
    let (before, _) = message.split_once("failed to match any signature")?;
    let name = before.split('\'').nth(1)?;
    Some(format!(
        "function {name} does not take arguments of these types, cast them first"
    ))
}

fn of_schema(error: &SchemaError, may_be_named: &dyn Fn(&str) -> bool) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let known = valid_fields.iter().map(|column| column.name());
            let near = nearest(field.name(), known.filter(|&column| may_be_named(column)));
            match near.as_slice() {
                [] => format!("column {} not found", field.quoted_flat_name()),
                near => format!(
                    "column {} not found, did you mean {}?",
                    field.quoted_flat_name(),
                    near.join(", ")
                ),
            }
        }
        SchemaError::AmbiguousReference { field } => {
            format!(
                "column {} is in more than one table, write table.{} to say which",
                field.name(),
                field.name()
            )
        }
        error => error.to_string(),
    }
}

/// What stands before the sentences of the engine's errors.
const KINDS: [&str; 8] = [
    "Error during planning: ",
    "Internal error: ",
    "Execution error: ",
    "Arrow error: ",
    "Cast error: ",
    "Compute error: ",
    "Parser error: ",
    "External error: ",
];

/// The sentence before a part of the statement as the parser sees it.
fn without_tree(line: &str) -> &str {
    if !line.contains("Span(Location") {
        return line;
    }
    let end = line.find(['{', '(']).unwrap_or(line.len());
    let before = line[..end].trim_end();
    before.rsplit_once(' ').map_or(before, |(sentence, _)| sentence)
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    // The engine wraps errors in errors, each with its kind before it.
    let mut line = without_tree(line);
    while let Some(rest) = KINDS.iter().find_map(|kind| line.strip_prefix(kind)) {
        line = rest;
    }
    line.to_owned()
}

/// Whether a job failed because of its plan or of the engine, and not because of what it was asked or where it ran.
pub fn is_fault_of_ours(text: &str) -> bool {
    Failure::find(text).is_none() && !lost_executors(text)
}

fn lost_executors(text: &str) -> bool {
    ["No executors", "no executors", "ExecutorLost"]
        .iter()
        .any(|words| text.contains(words))
}

/// The failure of a job, from the text in which Ballista carries it.
pub fn of_job(query: QueryId, text: &str) -> QueryError {
    match Failure::find(text) {
        Some(failure) => of_failure(failure),
        None if lost_executors(text) => QueryError::Unavailable {
            message: "the executors that ran the query were lost, try again".to_owned(),
        },
        None => {
            let cause = parcours_cluster::failure::without_values(text);
            tracing::error!(%query, cause, "a query failed because of a fault of ours");
            QueryError::Internal { query: Some(query) }
        }
    }
}

fn of_failure(Failure { cause, message }: Failure) -> QueryError {
    match cause {
        Cause::Denied => QueryError::Denied { message },
        Cause::Resources => QueryError::ResourcesExhausted { message },
        Cause::Invalid => QueryError::Invalid { message },
        Cause::Unsupported => QueryError::Unsupported { message },
        Cause::Unavailable => QueryError::Unavailable { message },
        Cause::Damaged => QueryError::Unavailable {
            message: format!("{message}, tell the operator of the cluster"),
        },
    }
}

/// An error of something computed in the scheduler itself.
pub fn of_local(query: QueryId, error: &DataFusionError) -> QueryError {
    match Failure::of(error) {
        Some(failure) => of_failure(failure),
        None => of_job(query, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_find_their_neighbours() {
        let known = ["ben_idt_ano", "ben_sex_cod", "exe_soi_dtd", "pha_prs_c13"];
        assert_eq!(
            nearest("ben_sex_code", known.into_iter()).first().map(String::as_str),
            Some("ben_sex_cod")
        );
        assert!(nearest("zzz", known.into_iter()).is_empty());
    }

    #[test]
    fn a_job_without_a_marked_failure_tells_nothing_but_its_id() {
        let error = of_job(QueryId::new(), "panicked at 'DUPONT'");
        assert!(matches!(error, QueryError::Internal { query: Some(_) }));
        assert!(!error.to_string().contains("DUPONT"));
    }
}
