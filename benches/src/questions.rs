//! What is asked: the twelve questions of pathway research, as plain SQL.

use anyhow::Context;
use parcours_synthetic::queries::{self, Query};

/// A question.
pub type Question = &'static Query;

/// The questions of these names in their own order; all when there are no names.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<Question>> {
    let all: Vec<Question> = queries::all().iter().collect();
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let found = all.iter().find(|question| question.name == name).copied();
        let known = || all.iter().map(|question| question.name).collect::<Vec<_>>().join(", ");
        found.with_context(|| format!("no query {name}, there are {}", known()))
    };
    names.iter().map(find).collect()
}
