//! Dates and timestamps. The two usual ways of writing a date have readers of their own; other patterns are read part by
//! part (`pattern.rs`). A text that looks like a date but is no day of the calendar is impossible, any other text is not a
//! date. A text is read whole, or not at all.

mod pattern;

use chrono::{DateTime, NaiveDateTime};

use self::pattern::PatternReader;
use super::super::error::Reason;
use crate::spec::{DateBounds, DateFormat, Zone};

/// Microseconds of a day.
pub(in super::super) const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Reads the dates of one column.
pub(in super::super) struct DateReader {
    way: Way,
    /// The zone whose clock the column shows, where texts have offsets.
    zone: Option<Zone>,
    /// Whether a day is taken of any time, not of its midnight alone.
    any_time: bool,
}

enum Way {
    Iso,
    Compact,
    Pattern(PatternReader),
}

impl DateReader {
    /// A reader of texts written this way; two-digit years are those within the bounds.
    pub(in super::super) fn new(format: &DateFormat, bounds: DateBounds, zone: Option<Zone>) -> Self {
        let way = match format {
            DateFormat::Iso => Way::Iso,
            DateFormat::Compact => Way::Compact,
            DateFormat::Pattern(pattern) => Way::Pattern(PatternReader::new(pattern, bounds)),
        };
        Self {
            way,
            zone,
            any_time: false,
        }
    }

    /// The same; `any_time` says whether days are taken of any time, not of midnight alone.
    pub(in super::super) fn taking(self, any_time: bool) -> Self {
        Self { any_time, ..self }
    }

    /// Whether its texts are the digits of year, month and day, which a whole number may be as well.
    pub(in super::super) fn reads_digits(&self) -> bool {
        matches!(self.way, Way::Compact)
    }

    /// Days since 1970-01-01.
    pub(super) fn date(&self, text: &[u8]) -> Result<i32, Reason> {
        let read = match &self.way {
            Way::Compact => return compact_date(text),
            Way::Iso if text.len() <= 10 => return iso_date(text),
            Way::Iso => iso_timestamp(text),
            Way::Pattern(reader) => reader.read(text),
        };
        let read = read.map_err(|reason| match reason {
            Reason::NotATimestamp => Reason::NotADate,
            reason => reason,
        });
        self.day(read?)
    }

    /// The day that the column's clock shows, which is all of a midnight and a part of any other time.
    fn day(&self, read: Moment) -> Result<i32, Reason> {
        let is_instant = read.offset.is_some();
        let shown = self.shown(read)?;
        match (shown.rem_euclid(MICROS_PER_DAY), is_instant) {
            (1.., true) if !self.any_time => Err(Reason::NotMidnight),
            (1.., false) if !self.any_time => Err(Reason::HasATime),
            _ => i32::try_from(shown.div_euclid(MICROS_PER_DAY)).map_err(|_| Reason::ImpossibleDate),
        }
    }

    /// Microseconds since 1970-01-01 on the clock of the column.
    pub(super) fn timestamp(&self, text: &[u8]) -> Result<i64, Reason> {
        match &self.way {
            Way::Iso => self.shown(iso_timestamp(text)?),
            Way::Compact => compact_date(text).map(midnight),
            Way::Pattern(reader) => self.shown(reader.read(text)?),
        }
    }

    /// What the column's clock shows.
    fn shown(&self, read: Moment) -> Result<i64, Reason> {
        let written = midnight(read.days) + read.micros;
        match (read.offset, self.zone) {
            (None, _) => Ok(written),
            (Some(_), None) => Err(Reason::OffsetWithoutZone),
            (Some(seconds), Some(zone)) => on_clock(written - i64::from(seconds) * 1_000_000, zone),
        }
    }
}

/// What the clock of a zone shows at an instant; both in microseconds since 1970-01-01.
pub(in super::super) fn on_clock(instant: i64, zone: Zone) -> Result<i64, Reason> {
    let utc: NaiveDateTime = DateTime::from_timestamp_micros(instant)
        .ok_or(Reason::ImpossibleDate)?
        .naive_utc();
    Ok(zone.clock(utc).and_utc().timestamp_micros())
}

/// A moment as a text has it.
struct Moment {
    /// Days since 1970-01-01.
    days: i32,
    /// Microseconds of the day.
    micros: i64,
    /// Seconds that the clock is ahead of UTC, where it is said.
    offset: Option<i32>,
}

/// `2008-11-29`
fn iso_date(text: &[u8]) -> Result<i32, Reason> {
    match text {
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] => calendar([*y1, *y2, *y3, *y4, *m1, *m2, *d1, *d2]),
        _ => Err(Reason::NotADate),
    }
}

/// `20081129`
fn compact_date(text: &[u8]) -> Result<i32, Reason> {
    text.try_into().map_err(|_| Reason::NotADate).and_then(calendar)
}

/// Eight digits: year, month, day.
fn calendar(digits: [u8; 8]) -> Result<i32, Reason> {
    let year = number(&digits[..4]).ok_or(Reason::NotADate)?;
    let month = number(&digits[4..6]).ok_or(Reason::NotADate)?;
    let day = number(&digits[6..]).ok_or(Reason::NotADate)?;
    day_of(year, month, day)
}

/// A day of the calendar.
fn day_of(year: u32, month: u32, day: u32) -> Result<i32, Reason> {
    if !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return Err(Reason::ImpossibleDate);
    }
    Ok(civil_days(year as i32, month as i32, day as i32))
}

fn number(digits: &[u8]) -> Option<u32> {
    let add = |value: u32, byte: &u8| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'));
    digits.iter().try_fold(0, add)
}

fn month_days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day of the Gregorian calendar, counted in years that begin in March, so that the leap day
/// comes last.
fn civil_days(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn midnight(days: i32) -> i64 {
    i64::from(days) * MICROS_PER_DAY
}

/// `2008-11-29`, or that and `T` or a blank and `10:20`, with `:30` where there are seconds, a point and digits of which the
/// seventh and further are zeros, and an offset.
fn iso_timestamp(text: &[u8]) -> Result<Moment, Reason> {
    let (date, time) = text.split_at(10.min(text.len()));
    let days = iso_date(date).map_err(|reason| match reason {
        Reason::NotADate => Reason::NotATimestamp,
        reason => reason,
    })?;
    let (micros, offset) = match time {
        [] => (0, None),
        [b'T' | b' ', clock @ ..] => {
            let (clock, zone) = clock.split_at(clock_length(clock));
            (time_of_day(clock)?, offset(zone)?)
        }
        _ => return Err(Reason::NotATimestamp),
    };
    Ok(Moment { days, micros, offset })
}

/// How many bytes of a time of day are before its offset.
fn clock_length(clock: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b'Z' | b'z' | b'+' | b'-');
    clock.iter().position(ends).unwrap_or(clock.len())
}

/// `10:20` or `10:20:30.123456` as microseconds.
fn time_of_day(clock: &[u8]) -> Result<i64, Reason> {
    let [h1, h2, b':', m1, m2, seconds @ ..] = clock else {
        return Err(Reason::NotATimestamp);
    };
    let (s1, s2, fraction) = match seconds {
        [] => (&b'0', &b'0', &[][..]),
        [b':', s1, s2, fraction @ ..] => (s1, s2, fraction),
        _ => return Err(Reason::NotATimestamp),
    };
    let part = |tens: &u8, ones: &u8| number(&[*tens, *ones]).ok_or(Reason::NotATimestamp);
    let (hour, minute, second) = (part(h1, h2)?, part(m1, m2)?, part(s1, s2)?);
    let fraction = match fraction {
        [] => 0,
        [b'.', digits @ ..] => micros(digits)?,
        _ => return Err(Reason::NotATimestamp),
    };
    Ok(seconds_of_day(hour, minute, second)? * 1_000_000 + fraction)
}

/// Seconds since midnight.
fn seconds_of_day(hour: u32, minute: u32, second: u32) -> Result<i64, Reason> {
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Reason::ImpossibleDate);
    }
    Ok(i64::from(hour * 3600 + minute * 60 + second))
}

/// The digits after the point of a second as microseconds.
fn micros(digits: &[u8]) -> Result<i64, Reason> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::NotATimestamp);
    }
    let (kept, cut) = digits.split_at(digits.len().min(6));
    if cut.iter().any(|byte| *byte != b'0') {
        return Err(Reason::LosesDigits);
    }
    let value = number(kept).ok_or(Reason::NotATimestamp)?;
    Ok(i64::from(value) * 10_i64.pow(6 - kept.len() as u32))
}

/// Seconds that a clock is ahead of UTC: nothing, `Z`, `+02`, `+0200` or `+02:00`.
fn offset(text: &[u8]) -> Result<Option<i32>, Reason> {
    let (sign, digits) = match text {
        [] => return Ok(None),
        [b'Z' | b'z'] => return Ok(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return Err(Reason::NotATimestamp),
    };
    let (hours, minutes) = match digits {
        [h1, h2] => ([*h1, *h2], [b'0'; 2]),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => ([*h1, *h2], [*m1, *m2]),
        _ => return Err(Reason::NotATimestamp),
    };
    let part = |digits: [u8; 2]| number(&digits).ok_or(Reason::NotATimestamp);
    let (hours, minutes) = (part(hours)?, part(minutes)?);
    if hours > 18 || minutes > 59 {
        return Err(Reason::ImpossibleDate);
    }
    Ok(Some(sign * (hours * 3600 + minutes * 60) as i32))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn every_day_of_six_centuries_agrees_with_chrono() {
        let mut day = NaiveDate::from_ymd_opt(1600, 1, 1).unwrap();
        while day < NaiveDate::from_ymd_opt(2201, 1, 1).unwrap() {
            let (iso, compact) = (day.format("%Y-%m-%d").to_string(), day.format("%Y%m%d").to_string());
            assert_eq!(iso_date(iso.as_bytes()), Ok(day.to_epoch_days()), "{iso}");
            assert_eq!(compact_date(compact.as_bytes()), Ok(day.to_epoch_days()), "{compact}");
            day = day.succ_opt().unwrap();
        }
    }

    #[test]
    fn days_that_are_not_are_impossible() {
        for text in [
            "2008-02-30",
            "2009-02-29",
            "1900-02-29",
            "2008-13-01",
            "2008-00-10",
            "2008-01-00",
            "2008-04-31",
        ] {
            assert_eq!(iso_date(text.as_bytes()), Err(Reason::ImpossibleDate), "{text}");
        }
        for text in [
            "",
            "2008",
            "29/11/2008",
            "2008-1-1",
            "2008-11-29 ",
            "20081129",
            "abcd-ef-gh",
            "2008/11/29",
        ] {
            assert_eq!(iso_date(text.as_bytes()), Err(Reason::NotADate), "{text}");
        }
    }

    #[test]
    fn patterns_tell_impossible_from_other() {
        let format = DateFormat::parse("%d/%m/%Y").unwrap();
        let french = DateReader::new(&format, DateBounds::default(), None);
        assert_eq!(french.date(b"29/11/2008"), iso_date(b"2008-11-29"));
        assert_eq!(french.date(b"31/02/2008"), Err(Reason::ImpossibleDate));
        assert_eq!(french.date(b"29/13/2008"), Err(Reason::ImpossibleDate));
        assert_eq!(french.date(b"2008-11-29"), Err(Reason::NotADate));
        assert_eq!(french.date(b"29/11/2008 x"), Err(Reason::NotADate));
    }

    #[test]
    fn timestamps_agree_with_chrono() {
        let reader = DateReader::new(&DateFormat::Iso, DateBounds::default(), None);
        let read = |text: &str| reader.timestamp(text.as_bytes());
        let texts = [
            "2008-11-29T10:20:30",
            "2008-11-29T00:00:00.5",
            "1969-12-31T23:59:59.999999",
            "2000-02-29T12:00:00.000001",
        ];
        for text in texts {
            let expected = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").unwrap();
            assert_eq!(read(text), Ok(expected.and_utc().timestamp_micros()), "{text}");
            assert_eq!(read(&text.replace('T', " ")), read(text));
        }
        assert_eq!(read("2008-11-29"), read("2008-11-29T00:00:00"));
        assert_eq!(read("2008-11-29 10:20"), read("2008-11-29T10:20:00"));
        assert_eq!(read("2008-11-29T00:00:00.1234560"), read("2008-11-29T00:00:00.123456"));
        assert_eq!(read("2008-11-29T00:00:00.1234567"), Err(Reason::LosesDigits));
        assert_eq!(read("2008-11-29T24:00:00"), Err(Reason::ImpossibleDate));
        assert_eq!(read("2008-11-31T10:00:00"), Err(Reason::ImpossibleDate));
        assert_eq!(read("2008-11-29T10:20:30Z"), Err(Reason::OffsetWithoutZone));
        for text in [
            "2008-11-29T10",
            "2008-11-29T10:2",
            "2008-11-29x10:20:30",
            "now",
            "2008-11-29T10:20:30.",
            "2008-11-29T10:20:30+2",
            "2008-11-29T10:20:30 Z",
        ] {
            assert_eq!(read(text), Err(Reason::NotATimestamp), "{text}");
        }
    }

    #[test]
    fn a_day_may_be_written_as_its_midnight() {
        let reader = DateReader::new(&DateFormat::Iso, DateBounds::default(), None);
        let read = |text: &str| reader.date(text.as_bytes());
        for text in ["2008-11-29 00:00:00", "2008-11-29T00:00", "2008-11-29 00:00:00.000"] {
            assert_eq!(read(text), read("2008-11-29"), "{text}");
        }
        assert_eq!(read("2008-11-29 10:20:30"), Err(Reason::HasATime));
        assert_eq!(read("2008-11-29 00:00:00Z"), Err(Reason::OffsetWithoutZone));
        assert_eq!(read("2008-11-29 "), Err(Reason::NotADate));
    }

    /// The midnights of Paris and New York as Python's zoneinfo writes them in UTC.
    #[test]
    fn an_instant_is_the_day_whose_midnight_it_is() {
        let format = DateFormat::parse("%Y-%m-%dT%H:%M:%S%z").unwrap();
        for format in [DateFormat::Iso, format] {
            let zone = |name: &str| Some(name.parse::<Zone>().unwrap());
            let paris = DateReader::new(&format, DateBounds::default(), zone("Europe/Paris"));
            let day = |text: &str| paris.date(text.as_bytes());
            // Summer begins on the 28th of March and ends on the 31st of October.
            for (instant, date) in [
                ("2021-03-27T23:00:00Z", "2021-03-28"),
                ("2021-03-28T22:00:00Z", "2021-03-29"),
                ("2021-10-30T22:00:00Z", "2021-10-31"),
                ("2021-10-31T23:00:00Z", "2021-11-01"),
                ("2021-03-28T00:00:00+01:00", "2021-03-28"),
                ("1959-12-31T23:00:00Z", "1960-01-01"),
            ] {
                assert_eq!(day(instant), iso_date(date.as_bytes()), "{instant}");
            }
            for instant in ["2021-03-28T00:00:00Z", "2021-03-28T23:00:00Z", "2021-03-27T23:00:01Z"] {
                assert_eq!(day(instant), Err(Reason::NotMidnight), "{instant}");
            }
            let new_york = DateReader::new(&format, DateBounds::default(), zone("America/New_York"));
            assert_eq!(new_york.date(b"2021-07-01T04:00:00Z"), iso_date(b"2021-07-01"));
            assert_eq!(new_york.date(b"2021-06-30T22:00:00Z"), Err(Reason::NotMidnight));
            let any = DateReader::new(&format, DateBounds::default(), zone("Europe/Paris")).taking(true);
            assert_eq!(any.date(b"2021-03-28T22:00:01Z"), iso_date(b"2021-03-29"));
            assert_eq!(any.date(b"2021-03-28T21:59:59Z"), iso_date(b"2021-03-28"));
        }
        let any = DateReader::new(&DateFormat::Iso, DateBounds::default(), None).taking(true);
        assert_eq!(any.date(b"2021-03-28 22:59:59.5"), iso_date(b"2021-03-28"));
        assert_eq!(any.date(b"1969-12-31 00:00:01"), iso_date(b"1969-12-31"));
        assert_eq!(any.date(b"2021-03-28 22:59:59Z"), Err(Reason::OffsetWithoutZone));
    }
}
