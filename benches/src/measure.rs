//! One query on both engines, turn by turn, so that whatever else the machine does meets both alike.

use anyhow::Context;

use crate::compare::{self, Difference};
use crate::duckdb::DuckDb;
use crate::parcours_side::Parcours;
use crate::questions::Question;

/// A row of an answer, every cell as text or NULL.
pub type Row = Vec<Option<String>>;

/// The rows of an answer.
pub type Rows = Vec<Row>;

/// What an engine answered, and how long it took from asking to the last row.
pub struct Answer {
    pub seconds: f64,
    pub rows: Rows,
}

/// All runs of one query.
pub struct Measured {
    pub question: Question,
    pub rows: usize,
    /// The first difference between the answers.
    pub difference: Option<Difference>,
    /// Seconds of every timed run.
    pub parcours: Vec<f64>,
    pub duckdb: Vec<f64>,
}

/// Runs a query once on each engine to warm up and to compare, then `runs` times in turns.
pub async fn measure(
    question: Question,
    parcours: &mut Parcours,
    duckdb: &mut DuckDb,
    runs: u32,
) -> anyhow::Result<Measured> {
    let failed = || question.name.to_owned();
    let ours = parcours.run(question.sql).await.with_context(failed)?;
    let theirs = duckdb.run(question.sql).await.with_context(failed)?;
    let difference = compare::first_difference(&ours.rows, &theirs.rows);
    let mut measured = Measured {
        question,
        rows: ours.rows.len(),
        difference,
        parcours: Vec::new(),
        duckdb: Vec::new(),
    };
    for _ in 0..runs {
        measured
            .parcours
            .push(parcours.run(question.sql).await.with_context(failed)?.seconds);
        measured
            .duckdb
            .push(duckdb.run(question.sql).await.with_context(failed)?.seconds);
    }
    Ok(measured)
}

/// The median of some seconds; 0 of none.
pub fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (1, Some(value)) => *value,
        (0, Some(value)) => (sorted[middle - 1] + value) / 2.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
