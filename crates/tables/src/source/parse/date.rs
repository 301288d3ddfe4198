//! Dates and timestamps. The two usual ways of writing a date have readers of their own; other patterns go through
//! chrono. A text that looks like a date but is no day of the calendar is impossible, any other text is not a date.

use chrono::ParseError;
use chrono::format::{Item, ParseErrorKind, Parsed, StrftimeItems};

use super::super::error::Reason;
use crate::spec::DateFormat;

/// Microseconds of a day.
pub(in super::super) const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Reads the dates of one column.
pub(in super::super) enum DateReader {
    Iso,
    Compact,
    Pattern(Vec<Item<'static>>),
}

impl DateReader {
    pub(in super::super) fn new(format: &DateFormat) -> Self {
        match format {
            DateFormat::Iso => Self::Iso,
            DateFormat::Compact => Self::Compact,
            DateFormat::Pattern(pattern) => Self::Pattern(StrftimeItems::new(pattern).map(Item::to_owned).collect()),
        }
    }

    /// Days since 1970-01-01.
    pub(super) fn date(&self, text: &[u8]) -> Result<i32, Reason> {
        match self {
            Self::Iso => iso_date(text),
            Self::Compact => compact_date(text),
            Self::Pattern(items) => {
                let date = parsed(text, items, Reason::NotADate)?.to_naive_date();
                date.map(|date| date.to_epoch_days())
                    .map_err(|error| reason(error, Reason::NotADate))
            }
        }
    }

    /// Microseconds since 1970-01-01.
    pub(super) fn timestamp(&self, text: &[u8]) -> Result<i64, Reason> {
        match self {
            Self::Iso => iso_timestamp(text),
            Self::Compact => compact_date(text).map(midnight),
            Self::Pattern(items) => {
                let parsed = parsed(text, items, Reason::NotATimestamp)?;
                let found = parsed
                    .to_naive_datetime_with_offset(0)
                    .or_else(|_| parsed.to_naive_date().map(|date| date.and_time(chrono::NaiveTime::MIN)));
                let time = found.map_err(|error| reason(error, Reason::NotATimestamp))?.and_utc();
                let exact = time.timestamp_subsec_nanos() % 1000 == 0;
                if exact {
                    Ok(time.timestamp_micros())
                } else {
                    Err(Reason::LosesDigits)
                }
            }
        }
    }
}

fn parsed(text: &[u8], items: &[Item<'static>], otherwise: Reason) -> Result<Parsed, Reason> {
    let text = std::str::from_utf8(text).map_err(|_| otherwise)?;
    let mut parsed = Parsed::new();
    match chrono::format::parse(&mut parsed, text, items.iter()) {
        Ok(()) => Ok(parsed),
        Err(error) => Err(reason(error, otherwise)),
    }
}

fn reason(error: ParseError, otherwise: Reason) -> Reason {
    match error.kind() {
        ParseErrorKind::OutOfRange | ParseErrorKind::Impossible => Reason::ImpossibleDate,
        _ => otherwise,
    }
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

/// `2008-11-29`, or that and `T` or a space and `10:20:30`, with at most six digits after a point that are not zero.
fn iso_timestamp(text: &[u8]) -> Result<i64, Reason> {
    let date_length = 10.min(text.len());
    let (date, time) = text.split_at(date_length);
    let days = iso_date(date).map_err(|reason| {
        if reason == Reason::NotADate {
            Reason::NotATimestamp
        } else {
            reason
        }
    })?;
    match time {
        [] => Ok(midnight(days)),
        [b'T' | b' ', clock @ ..] => Ok(midnight(days) + time_of_day(clock)?),
        _ => Err(Reason::NotATimestamp),
    }
}

/// `10:20:30.123456` as microseconds.
fn time_of_day(clock: &[u8]) -> Result<i64, Reason> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = clock else {
        return Err(Reason::NotATimestamp);
    };
    let part = |tens: &u8, ones: &u8| number(&[*tens, *ones]).ok_or(Reason::NotATimestamp);
    let (hour, minute, second) = (part(h1, h2)?, part(m1, m2)?, part(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Reason::ImpossibleDate);
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Ok(seconds * 1_000_000 + micros(fraction)?)
}

/// `.123456` as microseconds; nothing is zero.
fn micros(fraction: &[u8]) -> Result<i64, Reason> {
    let [b'.', digits @ ..] = fraction else {
        return if fraction.is_empty() {
            Ok(0)
        } else {
            Err(Reason::NotATimestamp)
        };
    };
    let (kept, cut) = digits.split_at(digits.len().min(6));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::NotATimestamp);
    }
    if cut.iter().any(|byte| *byte != b'0') {
        return Err(Reason::LosesDigits);
    }
    let value = number(kept).ok_or(Reason::NotATimestamp)?;
    Ok(i64::from(value) * 10_i64.pow(6 - kept.len() as u32))
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
        let french = DateReader::new(&DateFormat::parse("%d/%m/%Y").unwrap());
        assert_eq!(french.date(b"29/11/2008"), iso_date(b"2008-11-29"));
        assert_eq!(french.date(b"31/02/2008"), Err(Reason::ImpossibleDate));
        assert_eq!(french.date(b"29/13/2008"), Err(Reason::ImpossibleDate));
        assert_eq!(french.date(b"2008-11-29"), Err(Reason::NotADate));
        assert_eq!(french.date(b"29/11/2008 x"), Err(Reason::NotADate));
    }

    #[test]
    fn timestamps_agree_with_chrono() {
        let texts = [
            "2008-11-29T10:20:30",
            "2008-11-29T00:00:00.5",
            "1969-12-31T23:59:59.999999",
            "2000-02-29T12:00:00.000001",
        ];
        for text in texts {
            let expected = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").unwrap();
            assert_eq!(
                iso_timestamp(text.as_bytes()),
                Ok(expected.and_utc().timestamp_micros()),
                "{text}"
            );
            let spaced = text.replace('T', " ");
            assert_eq!(iso_timestamp(spaced.as_bytes()), iso_timestamp(text.as_bytes()));
        }
        assert_eq!(iso_timestamp(b"2008-11-29"), iso_timestamp(b"2008-11-29T00:00:00"));
        assert_eq!(
            iso_timestamp(b"2008-11-29T00:00:00.1234560"),
            iso_timestamp(b"2008-11-29T00:00:00.123456")
        );
        assert_eq!(iso_timestamp(b"2008-11-29T00:00:00.1234567"), Err(Reason::LosesDigits));
        assert_eq!(iso_timestamp(b"2008-11-29T24:00:00"), Err(Reason::ImpossibleDate));
        assert_eq!(iso_timestamp(b"2008-11-31T10:00:00"), Err(Reason::ImpossibleDate));
        for text in [
            "2008-11-29T10:20:30Z",
            "2008-11-29T10:20",
            "2008-11-29x10:20:30",
            "now",
            "2008-11-29T10:20:30.",
        ] {
            assert_eq!(iso_timestamp(text.as_bytes()), Err(Reason::NotATimestamp), "{text}");
        }
    }
}
