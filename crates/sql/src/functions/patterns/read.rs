//! Moments that texts say in patterns, read as PostgreSQL reads them: what separates fields in the pattern may be
//! anything that separates them in the text, fields that the text does not come to keep their first value, and what
//! follows the last field does not matter.

use datafusion::common::{Result, exec_err};

use super::super::calendar::{DAY, Date, HOUR, Moment, SECOND, weekday};
use super::write::JULIAN;
use super::{DAYS, Field, MONTHS, Part};

/// Fields as they were read.
#[derive(Debug, Default)]
struct Read {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    julian: Option<i64>,
    hour: Option<i64>,
    hour_of_half: Option<i64>,
    afternoon: Option<bool>,
    minute: Option<i64>,
    second: Option<i64>,
    second_of_day: Option<i64>,
    micros: Option<i64>,
}

/// Reads a moment; none if the text says none.
pub(super) fn read(function: &str, parts: &[Part], text: &str) -> Result<Option<Moment>> {
    let unread = parts.iter().any(|part| match part {
        Part::Field(field, _) => matches!(
            field,
            Field::Century | Field::WeekOfMonth | Field::IsoDayOfYear | Field::MonthRoman
        ),
        Part::Text(_) => false,
    });
    if unread {
        return exec_err!("{function} does not read centuries, weeks of months, days of ISO years and roman months");
    }
    let mut read = Read::default();
    let mut rest = text.trim_start();
    for (at, part) in parts.iter().enumerate() {
        if rest.is_empty() {
            break;
        }
        rest = match part {
            Part::Text(text) if text.chars().any(char::is_alphanumeric) => {
                let count = text.chars().count();
                rest.char_indices()
                    .nth(count)
                    .and_then(|(at, _)| rest.get(at..))
                    .unwrap_or_default()
            }
            Part::Text(_) => separated(rest),
            Part::Field(field, _) => {
                // Two numbers without anything between them have as many digits as their names say.
                let next = parts.get(at + 1);
                let adjacent = matches!(next, Some(Part::Field(next, _)) if next.is_number());
                match read.field(*field, adjacent, separated(rest)) {
                    Some(rest) => rest,
                    None => return Ok(None),
                }
            }
        };
    }
    Ok(read.moment())
}

/// Returns what follows anything that separates.
fn separated(text: &str) -> &str {
    text.trim_start_matches(|character: char| !character.is_alphanumeric())
}

/// Takes up to so many digits, and returns how many there were, what they say, and what follows.
fn digits(text: &str, most: usize) -> Option<(usize, i64, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(count)?;
    Some((count, digits.parse().ok()?, rest))
}

/// Takes the longest of some words or their first three letters, and returns which it was and what follows.
fn word<'a>(text: &'a str, words: &[&str]) -> Option<(i64, &'a str)> {
    let whole = words.iter().enumerate().map(|(at, word)| (at, *word));
    let short = words
        .iter()
        .enumerate()
        .filter_map(|(at, word)| Some((at, word.get(..3)?)));
    let (at, rest) = whole
        .chain(short)
        .find_map(|(at, word)| Some((at, super::strip(text, word)?)))?;
    Some((at as i64, rest))
}

impl Read {
    fn field<'a>(&mut self, field: Field, adjacent: bool, text: &'a str) -> Option<&'a str> {
        let (to, most) = match field {
            Field::Year(_) | Field::YearWithComma | Field::IsoYear(_) => return self.year_of(field, adjacent, text),
            Field::Fraction(most) => return self.fraction(most as usize, text),
            Field::Half | Field::HalfWithDots => return self.half(text),
            Field::MonthName | Field::MonthShort => {
                let (at, rest) = word(text, &MONTHS)?;
                self.month = Some(at + 1);
                return Some(rest);
            }
            Field::DayName | Field::DayShort => return word(text, &DAYS).map(|(_, rest)| rest),
            Field::Quarter | Field::DayOfWeek => return digits(text, 1).map(|(_, _, rest)| rest),
            Field::Hour => (&mut self.hour, 2),
            Field::HourOfHalf => (&mut self.hour_of_half, 2),
            Field::Minute => (&mut self.minute, 2),
            Field::Second => (&mut self.second, 2),
            Field::SecondOfDay => (&mut self.second_of_day, 5),
            Field::Month => (&mut self.month, 2),
            Field::Week => (&mut self.week, 2),
            Field::IsoWeek => (&mut self.iso_week, 2),
            Field::DayOfYear => (&mut self.day_of_year, 3),
            Field::Day => (&mut self.day, 2),
            Field::IsoDayOfWeek => (&mut self.iso_day, 1),
            Field::Julian => (&mut self.julian, 9),
            // These are refused before.
            Field::Century | Field::WeekOfMonth | Field::IsoDayOfYear | Field::MonthRoman => return None,
        };
        let (_, value, rest) = digits(text, most)?;
        *to = Some(value);
        Some(rest)
    }

    /// Years of fewer than four digits are the nearest to 2020.
    fn year_of<'a>(&mut self, field: Field, adjacent: bool, text: &'a str) -> Option<&'a str> {
        let named = match field {
            Field::Year(digits) | Field::IsoYear(digits) => digits as usize,
            _ => 1,
        };
        let most = if adjacent || named < 4 {
            named.max(if adjacent { 1 } else { 4 })
        } else {
            7
        };
        let (count, mut year, mut rest) = digits(text, most)?;
        if field == Field::YearWithComma {
            let (_, thousands, after) = digits(text, 4)?;
            let (_, last, after) = digits(after.strip_prefix(',')?, 3)?;
            (year, rest) = (thousands * 1_000 + last, after);
        } else if named < 4 && count < 4 {
            year += match year {
                ..70 => 2_000,
                70..100 => 1_900,
                100..520 => 2_000,
                _ => 1_000,
            };
        }
        match field {
            Field::IsoYear(_) => self.iso_year = Some(year),
            _ => self.year = Some(year),
        }
        Some(rest)
    }

    fn fraction<'a>(&mut self, most: usize, text: &'a str) -> Option<&'a str> {
        let (count, value, rest) = digits(text, most.min(6))?;
        self.micros = Some(value * 10_i64.pow(6 - count as u32));
        Some(rest)
    }

    fn half<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let halves = [("A.M.", false), ("P.M.", true), ("AM", false), ("PM", true)];
        let (afternoon, rest) = halves
            .iter()
            .find_map(|(name, half)| Some((*half, super::strip(text, name)?)))?;
        self.afternoon = Some(afternoon);
        Some(rest)
    }

    fn moment(&self) -> Option<Moment> {
        Some(Moment {
            day: self.date()?,
            micros: self.time()?,
        })
    }

    fn date(&self) -> Option<i64> {
        let known = |value: Option<i64>, of: std::ops::RangeInclusive<i64>| {
            let value = value.unwrap_or(1);
            of.contains(&value).then_some(value)
        };
        if let Some(julian) = self.julian {
            return julian.checked_sub(JULIAN);
        }
        if let Some(year) = self.iso_year {
            let fourth = Date { year, month: 1, day: 4 }.number();
            let monday = fourth - weekday(fourth);
            let (week, day) = (known(self.iso_week, 1..=53)?, known(self.iso_day, 1..=7)?);
            return Some(monday + (week - 1) * 7 + day - 1);
        }
        let year = self.year.filter(|year| *year > 0)?;
        let first = Date { year, month: 1, day: 1 };
        if let Some(day) = self.day_of_year {
            let days = 337 + Date { month: 2, ..first }.month_length();
            return (1..=days).contains(&day).then(|| first.number() + day - 1);
        }
        if let (Some(week), None) = (self.week, self.month) {
            return (1..=53).contains(&week).then(|| first.number() + (week - 1) * 7);
        }
        let month = Date {
            month: known(self.month, 1..=12)?,
            ..first
        };
        let day = known(self.day, 1..=month.month_length())?;
        Some(Date { day, ..month }.number())
    }

    fn time(&self) -> Option<i64> {
        let known = |value: Option<i64>, below: i64| Some(value.unwrap_or(0)).filter(|value| *value < below);
        if let Some(second) = self.second_of_day {
            return Some(second * SECOND).filter(|micros| *micros < DAY);
        }
        let hour = match (self.hour_of_half, self.afternoon) {
            (Some(hour), Some(afternoon)) => match hour {
                1..=12 => hour % 12 + if afternoon { 12 } else { 0 },
                _ => return None,
            },
            (Some(hour), None) => Some(hour).filter(|hour| (1..=12).contains(hour))? % 12,
            (None, _) => known(self.hour, 24)?,
        };
        let (minute, second) = (known(self.minute, 60)?, known(self.second, 60)?);
        Some(hour * HOUR + (minute * 60 + second) * SECOND + self.micros.unwrap_or(0))
    }
}
