//! Whether two engines gave the same rows in the same order. Numbers may differ by a relative 1e-9, because sums of
//! floating-point numbers depend on their order; everything else is the same text.

use std::fmt;

use anyhow::bail;

use crate::measure::{Measured, Row};

/// Where two answers differ first.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    /// They have this many rows.
    Count(usize, usize),
    /// This row, counted from 1, is another.
    Row(usize),
    /// One of them is missing.
    NoAnswer,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Count(ours, theirs) => write!(f, "{ours} rows against {theirs}"),
            Difference::Row(row) => write!(f, "row {row} differs"),
            Difference::NoAnswer => f.write_str("no answer"),
        }
    }
}

/// The first difference between two answers, or `None`.
pub fn first_difference(ours: &[Row], theirs: &[Row]) -> Option<Difference> {
    if ours.len() != theirs.len() {
        return Some(Difference::Count(ours.len(), theirs.len()));
    }
    let differs = ours
        .iter()
        .zip(theirs)
        .position(|(ours, theirs)| !same_row(ours, theirs));
    differs.map(|index| Difference::Row(index + 1))
}

fn same_row(ours: &[Option<String>], theirs: &[Option<String>]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| agree(a.as_deref(), b.as_deref()))
}

fn agree(left: Option<&str>, right: Option<&str>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) if left != right => match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => (left - right).abs() <= 1e-9 * left.abs().max(right.abs()),
            _ => false,
        },
        _ => left == right,
    }
}

/// An error that names every query and engine whose answer differs from Parcours'.
pub fn verdict(measured: &[Measured]) -> anyhow::Result<()> {
    let differing: Vec<_> = measured.iter().flat_map(differences).collect();
    if differing.is_empty() {
        return Ok(());
    }
    bail!("answers differ: {}", differing.join(", "))
}

fn differences(measured: &Measured) -> impl Iterator<Item = String> {
    measured.beside.iter().filter_map(|beside| {
        let difference = beside.difference.as_ref()?;
        Some(format!("{} ({}: {difference})", measured.question.name, beside.name))
    })
}

#[cfg(test)]
mod tests {
    use super::{Difference, first_difference};
    use crate::measure::Row;

    fn row(cells: &[&str]) -> Vec<Row> {
        vec![
            cells
                .iter()
                .map(|cell| (*cell != "NULL").then(|| (*cell).to_owned()))
                .collect(),
        ]
    }

    #[test]
    fn equal_answers() {
        assert_eq!(
            first_difference(&row(&["a", "1", "NULL"]), &row(&["a", "1.0", "NULL"])),
            None
        );
        assert_eq!(first_difference(&row(&["0.1"]), &row(&["0.10000000000000002"])), None);
    }

    #[test]
    fn different_answers() {
        assert_eq!(first_difference(&row(&["1"]), &row(&["2"])), Some(Difference::Row(1)));
        assert_eq!(
            first_difference(&row(&["1"]), &row(&["NULL"])),
            Some(Difference::Row(1))
        );
        assert_eq!(first_difference(&row(&["a"]), &row(&["b"])), Some(Difference::Row(1)));
        assert_eq!(
            first_difference(&row(&["1.0"]), &row(&["1.00001"])),
            Some(Difference::Row(1))
        );
        assert_eq!(first_difference(&row(&["1"]), &[]), Some(Difference::Count(1, 0)));
    }
}
