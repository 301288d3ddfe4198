//! Spark's patterns, where letters mean other fields by their number, and case matters: `yyyy-MM-dd HH:mm:ss`.

use datafusion::common::{Result, exec_err};

use super::{Field, Letters, Part, Style, literal, quoted};

/// Reads a pattern.
pub(super) fn parts(function: &str, pattern: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if !first.is_ascii_alphabetic() {
            rest = match (first, rest.strip_prefix("''")) {
                (_, Some(_)) => literal(&rest[1..], first, &mut parts),
                ('\'', None) => quoted(rest, '\'', &mut parts),
                _ => literal(rest, first, &mut parts),
            };
            continue;
        }
        let count = rest.chars().take_while(|letter| *letter == first).count();
        let Some((field, bare)) = field(first, count) else {
            let unknown = &rest[..count.min(20)];
            return exec_err!("{function} does not know {unknown} in a pattern: put letters in single quotes");
        };
        let letters = if field == Field::Half {
            Letters::Upper
        } else {
            Letters::Capital
        };
        parts.push(Part::Field(
            field,
            Style {
                bare,
                letters,
                ordinal: None,
            },
        ));
        rest = &rest[count..];
    }
    Ok(parts)
}

/// Returns what so many of a letter mean, and whether it is written without zeros and blanks.
fn field(letter: char, count: usize) -> Option<(Field, bool)> {
    Some(match (letter, count) {
        ('y' | 'u', 2) => (Field::Year(2), false),
        ('y' | 'u', 1 | 4) => (Field::Year(4), count == 1),
        ('M' | 'L', 1 | 2) => (Field::Month, count == 1),
        ('M' | 'L', 3) => (Field::MonthShort, true),
        ('M' | 'L', 4) => (Field::MonthName, true),
        ('d', 1 | 2) => (Field::Day, count == 1),
        ('D', 1 | 3) => (Field::DayOfYear, count == 1),
        ('E', 1..=3) => (Field::DayShort, true),
        ('E', 4) => (Field::DayName, true),
        ('H', 1 | 2) => (Field::Hour, count == 1),
        ('h', 1 | 2) => (Field::HourOfHalf, count == 1),
        ('m', 1 | 2) => (Field::Minute, count == 1),
        ('s', 1 | 2) => (Field::Second, count == 1),
        ('S', 1..=6) => (Field::Fraction(count as u32), false),
        ('a', 1) => (Field::Half, true),
        ('q' | 'Q', 1) => (Field::Quarter, true),
        _ => return None,
    })
}
