//! Reads dates and timestamps by a pattern, part by part. Every part of the text is looked at, and nothing may follow.

use chrono::Month;

use super::{Moment, day_of, micros, number, offset, seconds_of_day};
use crate::source::Reason;
use crate::spec::{DateBounds, DatePattern, Digits, Field, Part};

/// Reads texts of one pattern.
pub(super) struct PatternReader {
    parts: Vec<Part>,
    /// The first and the last year that a value may have: two-digit years lie within.
    years: (u32, u32),
}

/// What a text said so far.
#[derive(Default)]
struct Said {
    year: u32,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    hour: u32,
    hour_of_half: Option<u32>,
    afternoon: bool,
    minute: u32,
    second: u32,
    micros: i64,
    offset: Option<i32>,
}

impl PatternReader {
    pub(super) fn new(pattern: &DatePattern, bounds: DateBounds) -> Self {
        use chrono::Datelike;
        let year = |day: chrono::NaiveDate| day.year().max(0).unsigned_abs();
        Self {
            parts: pattern.parts().to_vec(),
            years: (year(bounds.min), year(bounds.max)),
        }
    }

    /// The moment that a text says; without a clock in the pattern, the midnight of its day.
    pub(super) fn read(&self, text: &[u8]) -> Result<Moment, Reason> {
        let mut said = Said::default();
        let mut rest = text;
        for part in &self.parts {
            rest = self.part(part, rest, &mut said)?;
        }
        match rest {
            [] => said.moment(),
            _ => Err(Reason::NotATimestamp),
        }
    }

    /// Reads one part; returns what follows it.
    fn part<'a>(&self, part: &Part, text: &'a [u8], said: &mut Said) -> Result<&'a [u8], Reason> {
        match part {
            Part::Text(wanted) => text.strip_prefix(wanted.as_bytes()).ok_or(Reason::NotATimestamp),
            Part::Number(field, width) => {
                let (value, rest) = digits(text, *width)?;
                self.number(*field, value, said)?;
                Ok(rest)
            }
            Part::MonthName { whole } => month_name(text, *whole, said),
            Part::HalfOfDay => {
                let (half, rest) = text.split_at_checked(2).ok_or(Reason::NotATimestamp)?;
                said.afternoon = half.eq_ignore_ascii_case(b"pm");
                match said.afternoon || half.eq_ignore_ascii_case(b"am") {
                    true => Ok(rest),
                    false => Err(Reason::NotATimestamp),
                }
            }
            Part::Fraction { digits } => fraction(text, *digits, said),
            Part::PointAndFraction => match text {
                [b'.', digits @ ..] => fraction(digits, None, said),
                _ => Ok(text),
            },
            Part::Offset => {
                let length = offset_length(text);
                let (zone, rest) = text.split_at(length);
                said.offset = Some(offset(zone)?.ok_or(Reason::NotATimestamp)?);
                Ok(rest)
            }
        }
    }

    fn number(&self, field: Field, value: u32, said: &mut Said) -> Result<(), Reason> {
        match field {
            Field::Year => said.year = value,
            Field::YearOfCentury => {
                let (first, last) = self.years;
                let year = first + (value + 100 - first % 100) % 100;
                if year > last {
                    return Err(Reason::ImpossibleDate);
                }
                said.year = year;
            }
            Field::Month => said.month = value,
            Field::Day => said.day = value,
            Field::DayOfYear => said.day_of_year = Some(value),
            Field::Hour => said.hour = value,
            Field::HourOfHalf => said.hour_of_half = Some(value),
            Field::Minute => said.minute = value,
            Field::Second => said.second = value,
        }
        Ok(())
    }
}

impl Said {
    fn moment(&self) -> Result<Moment, Reason> {
        let days = match self.day_of_year {
            None => day_of(self.year, self.month, self.day)?,
            Some(day) => {
                let first = day_of(self.year, 1, 1)?;
                let last = day_of(self.year, 12, 31)?;
                let found = first + day as i32 - 1;
                if day == 0 || found > last {
                    return Err(Reason::ImpossibleDate);
                }
                found
            }
        };
        let hour = match self.hour_of_half {
            None => self.hour,
            Some(hour @ 1..=12) => hour % 12 + if self.afternoon { 12 } else { 0 },
            Some(_) => return Err(Reason::ImpossibleDate),
        };
        let seconds = seconds_of_day(hour, self.minute, self.second)?;
        Ok(Moment {
            days,
            micros: seconds * 1_000_000 + self.micros,
            offset: self.offset,
        })
    }
}

/// Reads a number of so many digits; returns it, and what follows it.
fn digits(text: &[u8], width: Digits) -> Result<(u32, &[u8]), Reason> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (blanks, length) = match width {
        Digits::Exactly(wanted) => (0, wanted),
        Digits::OneOrTwo => (0, count.clamp(1, 2)),
        Digits::BlankOrTwo if text.first() == Some(&b' ') => (1, 1),
        Digits::BlankOrTwo => (0, 2),
    };
    let text = &text[blanks..];
    let (number_text, rest) = text.split_at_checked(length).ok_or(Reason::NotATimestamp)?;
    Ok((number(number_text).ok_or(Reason::NotATimestamp)?, rest))
}

fn month_name<'a>(text: &'a [u8], whole: bool, said: &mut Said) -> Result<&'a [u8], Reason> {
    for (month, number) in (1..=12).filter_map(|number| Some((Month::try_from(number).ok()?, number))) {
        let name = if whole { month.name() } else { &month.name()[..3] };
        let begins = text
            .get(..name.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes()));
        if begins {
            said.month = u32::from(number);
            return Ok(&text[name.len()..]);
        }
    }
    Err(Reason::NotATimestamp)
}

fn fraction<'a>(text: &'a [u8], wanted: Option<usize>, said: &mut Said) -> Result<&'a [u8], Reason> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = wanted.unwrap_or(count);
    if count < length || !(1..=9).contains(&length) {
        return Err(Reason::NotATimestamp);
    }
    let (digits, rest) = text.split_at(length);
    said.micros = micros(digits)?;
    Ok(rest)
}

/// How many bytes at the beginning of a text may be an offset.
fn offset_length(text: &[u8]) -> usize {
    let belongs = |byte: &u8| byte.is_ascii_digit() || *byte == b':';
    match text.first() {
        Some(b'Z' | b'z') => 1,
        Some(b'+' | b'-') => 1 + text[1..].iter().take_while(|byte| belongs(byte)).count(),
        _ => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use chrono::NaiveDateTime;
    use rand::prelude::*;

    use super::*;
    use crate::source::parse::DateReader;
    use crate::spec::DateFormat;

    fn reader(pattern: &str) -> DateReader {
        DateReader::new(&DateFormat::parse(pattern).unwrap(), DateBounds::default(), None)
    }

    /// What chrono writes, by the same pattern, is read as what it was.
    #[test]
    fn what_chrono_writes_is_read() {
        let patterns = [
            "%d/%m/%Y %H:%M:%S",
            "%Y%j %H%M%S",
            "%-d.%-m.%Y %-I:%M:%S %p",
            "%d %B %Y, %I:%M:%S%p",
            "%d%b%Y:%H:%M:%S",
            "%e %b %Y %T",
            "100%% %FT%R:%S%.f",
        ];
        let mut random = StdRng::seed_from_u64(16);
        for pattern in patterns {
            let reader = reader(pattern);
            for _ in 0..2000 {
                let seconds = random.random_range(-5_364_662_400_i64..7_289_654_399);
                let moment = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
                let text = moment.format(pattern).to_string();
                let expected = moment.and_utc().timestamp_micros();
                assert_eq!(reader.timestamp(text.as_bytes()), Ok(expected), "{pattern}: {text}");
            }
        }
    }

    #[test]
    fn fractions_are_read_by_their_digits() {
        let at = |text: &str| {
            let moment = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").unwrap();
            Ok(moment.and_utc().timestamp_micros())
        };
        let read = |pattern: &str, text: &str| reader(pattern).timestamp(text.as_bytes());
        let half = at("2020-01-02 03:04:05.5");
        assert_eq!(read("%F %T.%f", "2020-01-02 03:04:05.5"), half);
        assert_eq!(read("%F %T.%f", "2020-01-02 03:04:05.500000"), half);
        assert_eq!(read("%F %T%.f", "2020-01-02 03:04:05.500000000"), half);
        assert_eq!(read("%F %T%.f", "2020-01-02 03:04:05"), at("2020-01-02 03:04:05"));
        assert_eq!(read("%F %T,%3f", "2020-01-02 03:04:05,500"), half);
        assert_eq!(read("%F %T,%3f", "2020-01-02 03:04:05,5"), Err(Reason::NotATimestamp));
        assert_eq!(
            read("%F %T.%f", "2020-01-02 03:04:05.1234567"),
            Err(Reason::LosesDigits)
        );
    }

    #[test]
    fn what_is_not_written_so_is_refused() {
        let refused = [
            ("%d/%m/%Y", "1/02/2008", Reason::NotADate),
            ("%d/%m/%Y", " 1/02/2008", Reason::NotADate),
            ("%d/%m/%Y", "01/02/+2008", Reason::NotADate),
            ("%d/%m/%Y", "01/02/08", Reason::NotADate),
            ("%d/%m/%Y", "01/02/2008 ", Reason::NotADate),
            ("%d/%m/%Y", "31/02/2008", Reason::ImpossibleDate),
            ("%-d/%-m/%Y", "001/2/2008", Reason::NotADate),
            ("%Y-%j", "2009-366", Reason::ImpossibleDate),
            ("%d%b%Y", "01XXX2008", Reason::NotADate),
        ];
        for (pattern, text, reason) in refused {
            assert_eq!(reader(pattern).date(text.as_bytes()), Err(reason), "{pattern}: {text}");
        }
        let refused = [
            ("%F %T", "2008-11-29 10:20:60", Reason::ImpossibleDate),
            ("%F %T", "2008-11-29 24:00:00", Reason::ImpossibleDate),
            ("%F %I:%M %p", "2008-11-29 13:00 PM", Reason::ImpossibleDate),
            ("%F %I:%M %p", "2008-11-29 00:00 AM", Reason::ImpossibleDate),
            ("%F %I:%M %p", "2008-11-29 10:00 XM", Reason::NotATimestamp),
        ];
        for (pattern, text, reason) in refused {
            assert_eq!(
                reader(pattern).timestamp(text.as_bytes()),
                Err(reason),
                "{pattern}: {text}"
            );
        }
    }

    #[test]
    fn two_digits_are_a_year_within_the_bounds() {
        let day = |year| chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
        let bounds = DateBounds {
            min: day(1926),
            max: day(2025),
        };
        let reader = DateReader::new(&DateFormat::parse("%d%m%y").unwrap(), bounds, None);
        let read = |text: &str| reader.date(text.as_bytes());
        assert_eq!(read("010126"), Ok(day(1926).to_epoch_days()));
        assert_eq!(read("010125"), Ok(day(2025).to_epoch_days()));
        assert_eq!(read("010100"), Ok(day(2000).to_epoch_days()));
        assert_eq!(read("010199"), Ok(day(1999).to_epoch_days()));
    }

    #[test]
    fn offsets_are_put_on_the_clock_of_the_zone() {
        let zone = Some("Europe/Paris".parse().unwrap());
        let format = DateFormat::parse("%FT%T%z").unwrap();
        let reader = DateReader::new(&format, DateBounds::default(), zone);
        let iso = DateReader::new(&DateFormat::Iso, DateBounds::default(), zone);
        let summer = iso.timestamp(b"2021-07-01 14:00:00");
        for text in [
            "2021-07-01T12:00:00Z",
            "2021-07-01T14:00:00+0200",
            "2021-07-01T14:00:00+02:00",
            "2021-07-01T07:00:00-05",
        ] {
            assert_eq!(reader.timestamp(text.as_bytes()), summer, "{text}");
            assert_eq!(iso.timestamp(text.as_bytes()), summer, "{text}");
        }
        let unsaid = DateReader::new(&DateFormat::Iso, DateBounds::default(), None);
        assert_eq!(
            unsaid.timestamp(b"2021-07-01T12:00:00Z"),
            Err(Reason::OffsetWithoutZone)
        );
    }
}
