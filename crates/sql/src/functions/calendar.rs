//! The calendar: days since 1970-01-01 and the dates that they are, for all years there can be, and the units that
//! SQL names.

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::{Result, exec_datafusion_err, exec_err};

/// Microseconds of a second, an hour and a day.
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const HOUR: i64 = 3_600 * SECOND;
pub(super) const DAY: i64 = 24 * HOUR;

/// A day, as so many after 1970-01-01, and the microseconds since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub day: i64,
    pub micros: i64,
}

/// A year, a month and a day of it, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

impl Date {
    /// Returns the date of a day. Years are counted from March on, so that the day of a leap year is their last.
    pub fn of(day: i64) -> Self {
        let day = day + 719_468;
        let era = day.div_euclid(146_097);
        let of_era = day.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let next = month >= 10;
        Self {
            year: year + era * 400 + i64::from(next),
            month: if next { month - 9 } else { month + 3 },
            day: of_year - (153 * month + 2) / 5 + 1,
        }
    }

    /// Returns the day of a date, whose month is one of twelve.
    pub fn number(self) -> i64 {
        let before = self.month <= 2;
        let year = self.year - i64::from(before);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month = if before { self.month + 9 } else { self.month - 3 };
        let of_year = (153 * month + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// Returns how many days its month has.
    pub fn month_length(self) -> i64 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0) => 29,
            2 => 28,
            _ => 31,
        }
    }

    /// Returns the date so many months later: its day, or the last of the month if that is shorter.
    pub fn plus_months(self, months: i64) -> Option<Self> {
        let all = self
            .year
            .checked_mul(12)?
            .checked_add(self.month - 1)?
            .checked_add(months)?;
        let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
        // Beyond, no type has a date.
        let known = year.unsigned_abs() < 6_000_000;
        let first = Self { year, month, day: 1 };
        known.then(|| Self {
            day: self.day.min(first.month_length()),
            ..first
        })
    }
}

/// Returns the day of the week, from Monday, 0, on.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// Returns the year that ISO 8601 counts a day to, and the week of it.
pub(super) fn iso_week(day: i64) -> (i64, i64) {
    let thursday = day - weekday(day) + 3;
    let year = Date::of(thursday).year;
    let first = Date { year, month: 1, day: 1 }.number();
    (year, (thursday - first) / 7 + 1)
}

impl Moment {
    /// Returns the moment so many microseconds after the beginning of 1970.
    pub fn of(micros: i64) -> Self {
        Self {
            day: micros.div_euclid(DAY),
            micros: micros.rem_euclid(DAY),
        }
    }

    /// Returns the microseconds since the beginning of 1970, if a timestamp holds them.
    pub fn timestamp(self) -> Option<i64> {
        self.day.checked_mul(DAY)?.checked_add(self.micros)
    }
}

/// Dates, timestamps or times of a day, row by row. A timestamp with a zone is what clocks there say.
pub(super) struct Moments<'a> {
    values: &'a ArrayRef,
    zone: Option<Tz>,
}

impl<'a> Moments<'a> {
    pub fn of(values: &'a ArrayRef) -> Result<Self> {
        let zone = match values.data_type() {
            DataType::Date32 | DataType::Time64(TimeUnit::Microsecond) => None,
            DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.as_ref().map(|zone| zone.parse()).transpose()?,
            of => return exec_err!("a date or a timestamp is wanted, not a value of type {of}"),
        };
        Ok(Self { values, zone })
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the moment of a row, if it has one.
    pub fn get(&self, row: usize) -> Result<Option<Moment>> {
        if self.values.is_null(row) {
            return Ok(None);
        }
        if let Some(days) = self.values.as_primitive_opt::<Date32Type>() {
            return Ok(Some(Moment {
                day: days.value(row).into(),
                micros: 0,
            }));
        }
        if let Some(times) = self.values.as_primitive_opt::<Time64MicrosecondType>() {
            return Ok(Some(Moment::of(times.value(row))));
        }
        let micros = self.values.as_primitive::<TimestampMicrosecondType>().value(row);
        match self.zone {
            None => Ok(Some(Moment::of(micros))),
            Some(zone) => local(micros, zone).map(Moment::of).map(Some),
        }
    }

    /// Returns the moment of each row, if it has one.
    pub fn iter(&self) -> impl Iterator<Item = Result<Option<Moment>>> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }
}

fn local(micros: i64, zone: Tz) -> Result<i64> {
    use chrono::{Offset, TimeZone};
    let out = || exec_datafusion_err!("a timestamp with a time zone is out of range");
    let utc = timestamp_us_to_datetime(micros).ok_or_else(out)?;
    let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
    micros.checked_add(i64::from(offset) * SECOND).ok_or_else(out)
}

/// Returns the whole numbers of a row's argument, if there is one.
pub(super) fn whole(values: &ArrayRef, row: usize) -> Result<Option<i64>> {
    match values.as_primitive_opt::<Int64Type>() {
        Some(values) => Ok(values.is_valid(row).then(|| values.value(row))),
        None => exec_err!("a whole number is wanted, not a value of type {}", values.data_type()),
    }
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
}

impl Unit {
    /// Returns the unit of a name, as DuckDB, PostgreSQL or SQL Server call it.
    pub fn named(function: &str, name: &str) -> Result<Self> {
        Ok(match name.trim().to_ascii_lowercase().as_str() {
            "millennium" | "millennia" | "millenniums" | "mil" | "mils" => Self::Millennium,
            "century" | "centuries" | "cent" | "c" => Self::Century,
            "decade" | "decades" | "dec" | "decs" => Self::Decade,
            "year" | "years" | "yr" | "yrs" | "y" | "yy" | "yyyy" => Self::Year,
            "isoyear" => Self::IsoYear,
            "quarter" | "quarters" | "qq" | "q" => Self::Quarter,
            "month" | "months" | "mon" | "mons" | "mm" => Self::Month,
            "week" | "weeks" | "w" | "wk" | "ww" => Self::Week,
            "day" | "days" | "d" | "dd" | "dayofmonth" => Self::Day,
            "hour" | "hours" | "hr" | "hrs" | "h" | "hh" => Self::Hour,
            "minute" | "minutes" | "min" | "mins" | "m" | "mi" => Self::Minute,
            "second" | "seconds" | "sec" | "secs" | "s" | "ss" => Self::Second,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Self::Millisecond,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => Self::Microsecond,
            _ => {
                return exec_err!(
                    "{function} does not know such a unit, use year, quarter, month, week, day, hour, minute, second, \
                     millisecond or microsecond"
                );
            }
        })
    }

    /// Returns how many microseconds it lasts, if always the same and less than a day.
    pub fn micros(self) -> Option<i64> {
        Some(match self {
            Self::Hour => HOUR,
            Self::Minute => 60 * SECOND,
            Self::Second => SECOND,
            Self::Millisecond => 1_000,
            Self::Microsecond => 1,
            _ => return None,
        })
    }

    /// Returns how many months it lasts, if it lasts months.
    pub fn months(self) -> Option<i64> {
        Some(match self {
            Self::Millennium => 12_000,
            Self::Century => 1_200,
            Self::Decade => 120,
            Self::Year | Self::IsoYear => 12,
            Self::Quarter => 3,
            Self::Month => 1,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Date, iso_week, weekday};
    use chrono::{Datelike, NaiveDate};

    #[test]
    fn every_day_is_the_date_that_chrono_has() {
        let first = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in (-800_000..3_000_000).step_by(17) {
            let known = first + chrono::Duration::days(day);
            let date = Date::of(day);
            assert_eq!(
                (date.year, date.month, date.day),
                (known.year().into(), known.month().into(), known.day().into())
            );
            assert_eq!(date.number(), day);
            assert_eq!(weekday(day), i64::from(known.weekday().num_days_from_monday()));
            assert_eq!(
                iso_week(day),
                (known.iso_week().year().into(), known.iso_week().week().into())
            );
            assert_eq!(date.month_length(), i64::from(known.num_days_in_month()));
        }
        for day in [i32::MIN, i32::MAX] {
            assert_eq!(Date::of(day.into()).number(), i64::from(day));
        }
    }
}
