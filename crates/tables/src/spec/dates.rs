//! How a source writes dates, and which dates can be true. A date outside its column's bounds makes its row bad.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use super::column_type::ColumnType;
use super::date_pattern::DatePattern;
use super::error::SpecFault;

/// How a source writes a date or a timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateFormat {
    /// `2008-11-29`; for timestamps that or `2008-11-29 10:20`, with seconds, up to six digits of a fraction and an offset
    /// where they are written, and a `T` for the blank; for dates midnight may follow, on the clock of their zone. The
    /// default.
    Iso,
    /// `20081129`; of a timestamp, its midnight.
    Compact,
    /// Any other pattern of `strftime`, such as `%d/%m/%Y`.
    Pattern(DatePattern),
}

impl DateFormat {
    /// Reads a pattern of `strftime`; the two usual ones are recognised, because they have faster readers.
    pub fn parse(pattern: &str) -> Result<Self, SpecFault> {
        match pattern {
            "%Y-%m-%d" | "%F" => Ok(Self::Iso),
            "%Y%m%d" => Ok(Self::Compact),
            _ => DatePattern::parse(pattern)
                .map(Self::Pattern)
                .map_err(|reason| fault(pattern, reason)),
        }
    }

    /// The pattern of `strftime` that this format stands for.
    pub fn pattern(&self) -> &str {
        match self {
            Self::Iso => "%Y-%m-%d",
            Self::Compact => "%Y%m%d",
            Self::Pattern(pattern) => pattern.written(),
        }
    }

    /// Whether it reads the whole of a value of this type; an instant needs the zone whose clock the table shows, and a date
    /// may be that of `any_time`.
    pub(super) fn check(
        &self,
        column_type: ColumnType,
        bounds: DateBounds,
        zone: Option<Zone>,
        any_time: bool,
    ) -> Result<(), SpecFault> {
        let Self::Pattern(pattern) = self else { return Ok(()) };
        pattern
            .check(column_type, bounds, any_time)
            .map_err(|reason| fault(pattern.written(), reason))?;
        match zone {
            None if pattern.reads_offset() => Err(fault(
                pattern.written(),
                "it reads instants: say the zone whose clock the table shows, such as zone = \"Europe/Paris\""
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

fn fault(pattern: &str, reason: String) -> SpecFault {
    SpecFault::DateFormat {
        written: pattern.to_owned(),
        reason,
    }
}

/// The zone whose clock a column of timestamps or days shows, where its source has instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// What its clock shows at an instant, given as UTC.
    pub(crate) fn clock(self, utc: NaiveDateTime) -> NaiveDateTime {
        let known = alike_in_table(utc);
        let shown = known.and_utc().with_timezone(&self.0).naive_local();
        utc + (shown - known)
    }
}

/// The years at the end of the table of zones, of which there are all kinds, each with the rules that hold from then on.
const LAST_YEARS: Range<i32> = 2072..2100;

/// The same moment of a year that begins on the same day of the week and is as long, where the table ends before: it has no
/// daylight saving time from then on.
fn alike_in_table(moment: NaiveDateTime) -> NaiveDateTime {
    let year = moment.year();
    if year < LAST_YEARS.end {
        return moment;
    }
    let kind = |year| NaiveDate::from_ymd_opt(year, 1, 1).map(|first| (first.weekday(), first.leap_year()));
    let alike = LAST_YEARS.into_iter().find(|other| kind(*other) == kind(year));
    alike.and_then(|year| moment.with_year(year)).unwrap_or(moment)
}

impl FromStr for Zone {
    type Err = SpecFault;

    fn from_str(name: &str) -> Result<Self, SpecFault> {
        name.parse().map(Self).map_err(|_| SpecFault::Zone {
            written: name.to_owned(),
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn summer_comes_in_every_year() {
        let paris: Zone = "Europe/Paris".parse().unwrap();
        for year in [2024, 2037, 2038, 2099, 2100, 2124, 2200, 9998] {
            for (month, hours) in [(1, 1), (7, 2), (12, 1)] {
                let utc = NaiveDate::from_ymd_opt(year, month, 15)
                    .unwrap()
                    .and_hms_opt(23, 30, 0)
                    .unwrap();
                assert_eq!((paris.clock(utc) - utc).num_hours(), hours, "{utc}");
            }
        }
        // The last Sunday of October 2200 is the 26th.
        let change = NaiveDate::from_ymd_opt(2200, 10, 26)
            .unwrap()
            .and_hms_opt(0, 59, 0)
            .unwrap();
        let later = change + chrono::TimeDelta::minutes(2);
        assert_eq!(
            paris.clock(later) - paris.clock(change),
            chrono::TimeDelta::minutes(-58)
        );
    }
}
