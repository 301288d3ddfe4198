//! What is asked: the six questions of the demo and six more of pathway research, as plain SQL.

use anyhow::Context;
use parcours_synthetic::queries;

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Its short name.
    pub name: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Its statement.
    pub sql: &'static str,
}

const MORE: [Question; 6] = [
    Question {
        name: "adherence",
        title: "Adherence (PDC) by age",
        sql: include_str!("queries/adherence.sql"),
    },
    Question {
        name: "sequences",
        title: "Treatment sequences",
        sql: include_str!("queries/sequences.sql"),
    },
    Question {
        name: "comorbidity",
        title: "Comorbidity score",
        sql: include_str!("queries/comorbidity.sql"),
    },
    Question {
        name: "distinct_counts",
        title: "Distinct patients by class and month",
        sql: include_str!("queries/distinct_counts.sql"),
    },
    Question {
        name: "attrition",
        title: "Attrition of a cohort",
        sql: include_str!("queries/attrition.sql"),
    },
    Question {
        name: "features",
        title: "Wide features per patient",
        sql: include_str!("queries/features.sql"),
    },
];

/// Every question, the demo's first.
pub fn all() -> Vec<Question> {
    let demo = queries::all().iter().map(|query| Question {
        name: query.name,
        title: query.title,
        sql: query.sql,
    });
    demo.chain(MORE).collect()
}

/// The questions of these names in their own order; all when there are no names.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<Question>> {
    let all = all();
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
