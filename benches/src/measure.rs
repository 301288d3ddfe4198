//! One query on all engines, turn by turn, so that whatever else the machine does meets all alike.

use anyhow::Context;

use crate::compare::{self, Difference};
use crate::engine::Engine;
use crate::options::Options;
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
    /// Seconds of every timed run.
    pub parcours: Vec<f64>,
    /// The other engines, in the order in which they take their turns.
    pub beside: Vec<Beside>,
}

/// All runs of one query on another engine.
pub struct Beside {
    pub name: String,
    /// Seconds of every timed run, NaN of one that failed.
    pub seconds: Vec<f64>,
    /// The first difference between Parcours' answer and this engine's.
    pub difference: Option<Difference>,
}

/// What takes turns.
pub struct Engines {
    pub parcours: Parcours,
    pub beside: Vec<Engine>,
}

impl Engines {
    /// Runs a query on each engine to warm up and to compare, then as often as `options` say, in turns.
    pub async fn measure(&mut self, question: Question, options: &Options) -> anyhow::Result<Measured> {
        self.turns(question, options)
            .await
            .with_context(|| question.name.to_owned())
    }

    async fn turns(&mut self, question: Question, options: &Options) -> anyhow::Result<Measured> {
        let mut measured = self.compared(question).await?;
        for _ in 1..options.warm_up {
            self.round(question.sql).await?;
        }
        for _ in 0..options.runs {
            let (ours, theirs) = self.round(question.sql).await?;
            measured.parcours.push(ours.seconds);
            for (beside, answer) in measured.beside.iter_mut().zip(theirs) {
                beside.seconds.push(answer.map_or(f64::NAN, |answer| answer.seconds));
            }
        }
        Ok(measured)
    }

    /// The first round, of which only the answers count.
    async fn compared(&mut self, question: Question) -> anyhow::Result<Measured> {
        let (ours, theirs) = self.round(question.sql).await?;
        let beside = self.beside.iter().zip(theirs).map(|(engine, answer)| Beside {
            name: engine.name(),
            seconds: Vec::new(),
            difference: match answer {
                Some(answer) => compare::first_difference(&ours.rows, &answer.rows),
                None => Some(Difference::NoAnswer),
            },
        });
        Ok(Measured {
            question,
            rows: ours.rows.len(),
            parcours: Vec::new(),
            beside: beside.collect(),
        })
    }

    /// Asks every engine once, one after the other. Another engine may have no answer; the run goes on without it, so that
    /// what the others have taken is not lost.
    async fn round(&mut self, sql: &str) -> anyhow::Result<(Answer, Vec<Option<Answer>>)> {
        let ours = self.parcours.run(sql).await?;
        let mut theirs = Vec::new();
        for engine in &mut self.beside {
            let answer = engine.run(sql).await;
            if let Err(error) = &answer {
                eprintln!("no answer from {}: {error:#}", engine.name());
            }
            theirs.push(answer.ok());
        }
        Ok((ours, theirs))
    }
}

/// Median seconds of one query, or their sums over several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Medians {
    pub parcours: f64,
    /// The other engines, in their order.
    pub beside: Vec<f64>,
}

impl Medians {
    /// Those of a query.
    pub fn of(measured: &Measured) -> Self {
        Self {
            parcours: median(&measured.parcours),
            beside: measured.beside.iter().map(|beside| median(&beside.seconds)).collect(),
        }
    }

    /// The sum over queries, which all have the same engines.
    pub fn total(measured: &[Measured]) -> Self {
        measured.iter().map(Self::of).reduce(Self::add).unwrap_or_default()
    }

    fn add(self, other: Self) -> Self {
        Self {
            parcours: self.parcours + other.parcours,
            beside: self
                .beside
                .iter()
                .zip(&other.beside)
                .map(|(one, two)| one + two)
                .collect(),
        }
    }

    /// The ratio of ours to each engine's.
    pub fn ratios(&self) -> impl Iterator<Item = f64> {
        let ratio = |theirs: &f64| {
            if *theirs > 0.0 {
                self.parcours / theirs
            } else {
                f64::NAN
            }
        };
        self.beside.iter().map(ratio)
    }
}

/// The median of some seconds; 0 of none, NaN if one of them is.
fn median(seconds: &[f64]) -> f64 {
    if seconds.iter().any(|seconds| seconds.is_nan()) {
        return f64::NAN;
    }
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
    use super::{Medians, median};

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[4.0, f64::NAN, 2.0]).is_nan());
    }

    #[test]
    fn sums_and_ratios() {
        let one = Medians {
            parcours: 0.5,
            beside: vec![0.25, 1.0],
        };
        let sum = one.clone().add(one);
        assert_eq!(sum.beside, [0.5, 2.0]);
        assert_eq!(sum.ratios().collect::<Vec<_>>(), [2.0, 0.5]);
    }
}
