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
    /// The same program in clear; empty if it was not asked.
    pub plain: Vec<f64>,
    pub duckdb: Vec<f64>,
}

/// What takes turns.
pub struct Engines {
    pub parcours: Parcours,
    /// The build that writes in clear.
    pub plain: Option<Parcours>,
    pub duckdb: DuckDb,
}

impl Engines {
    /// Runs a query once on each engine to warm up and to compare, then `runs` times in turns.
    pub async fn measure(&mut self, question: Question, runs: u32) -> anyhow::Result<Measured> {
        self.turns(question, runs)
            .await
            .with_context(|| question.name.to_owned())
    }

    async fn turns(&mut self, question: Question, runs: u32) -> anyhow::Result<Measured> {
        let sql = question.sql;
        let ours = self.parcours.run(sql).await?;
        let theirs = self.duckdb.run(sql).await?;
        let mut difference = compare::first_difference(&ours.rows, &theirs.rows);
        if let Some(plain) = &self.plain {
            let plain = plain.run(sql).await?;
            difference = difference.or(compare::first_difference(&plain.rows, &theirs.rows));
        }
        let mut measured = Measured {
            question,
            rows: ours.rows.len(),
            difference,
            parcours: Vec::new(),
            plain: Vec::new(),
            duckdb: Vec::new(),
        };
        for _ in 0..runs {
            measured.parcours.push(self.parcours.run(sql).await?.seconds);
            if let Some(plain) = &self.plain {
                measured.plain.push(plain.run(sql).await?.seconds);
            }
            measured.duckdb.push(self.duckdb.run(sql).await?.seconds);
        }
        Ok(measured)
    }
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
