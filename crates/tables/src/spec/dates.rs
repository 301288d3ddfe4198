//! How a source writes dates, and which dates can be true. A date outside its column's bounds makes its row bad.

use chrono::NaiveDate;
use chrono::format::{Item, StrftimeItems};

use super::error::SpecFault;

/// How a source writes a date or a timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateFormat {
    /// `2008-11-29`, and for timestamps `2008-11-29 10:20:30.123456` with a space or a `T`; the default.
    Iso,
    /// `20081129`, for dates only.
    Compact,
    /// Any other pattern of `strftime`, such as `%d/%m/%Y`.
    Pattern(String),
}

impl DateFormat {
    /// Reads a pattern of `strftime`; the two usual ones are recognised, because they have faster readers.
    pub fn parse(pattern: &str) -> Result<Self, SpecFault> {
        match pattern {
            "%Y-%m-%d" | "%F" => Ok(Self::Iso),
            "%Y%m%d" => Ok(Self::Compact),
            _ if is_pattern(pattern) => Ok(Self::Pattern(pattern.to_owned())),
            _ => Err(SpecFault::DateFormat {
                written: pattern.to_owned(),
            }),
        }
    }

    /// The pattern of `strftime` that this format stands for.
    pub fn pattern(&self) -> &str {
        match self {
            Self::Iso => "%Y-%m-%d",
            Self::Compact => "%Y%m%d",
            Self::Pattern(pattern) => pattern,
        }
    }
}

/// Whether a pattern is understood and reads at least one field.
fn is_pattern(pattern: &str) -> bool {
    let items: Vec<_> = StrftimeItems::new(pattern).collect();
    let reads = items
        .iter()
        .any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_)));
    reads && !items.contains(&Item::Error)
}

/// The first and the last day that a column's values may have, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateBounds {
    /// The first possible day.
    pub min: NaiveDate,
    /// The last possible day.
    pub max: NaiveDate,
}

impl Default for DateBounds {
    /// 1800-01-01 to 2200-12-31: wide enough for every record of a living or dead patient and for "until further
    /// notice" dates of nomenclatures, narrow enough to catch a slipped digit.
    fn default() -> Self {
        Self {
            min: day(1800, 1, 1),
            max: day(2200, 12, 31),
        }
    }
}

/// A day that is known to exist.
fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}
