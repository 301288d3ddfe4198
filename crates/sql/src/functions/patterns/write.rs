//! Moments as patterns say.

use datafusion::common::{Result, exec_err};

use super::super::calendar::{Date, HOUR, Moment, SECOND, iso_week, weekday};
use super::{DAYS, Field, Letters, MONTHS, Part, Style};

/// The day that Julian days are counted from, as days before 1970.
pub(super) const JULIAN: i64 = 2_440_588;

const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Writes a moment part by part.
pub(super) fn write(function: &str, parts: &[Part], of: Moment, time_only: bool, into: &mut String) -> Result<()> {
    for part in parts {
        match part {
            Part::Text(text) => into.push_str(text),
            Part::Field(field, _) if time_only && !field.is_of_time() => {
                return exec_err!("{function} of a time of a day has no date to write");
            }
            Part::Field(field, style) => write_field(*field, *style, of, into),
        }
    }
    Ok(())
}

/// A field's value.
enum Written {
    /// A number, and how many digits it has at least.
    Number(i64, usize),
    /// A word, and the width that it is filled to.
    Word(&'static str, usize),
}

fn write_field(field: Field, style: Style, of: Moment, into: &mut String) {
    match value(field, of) {
        Written::Number(number, digits) => {
            let from = into.len();
            let digits = if style.bare { 0 } else { digits };
            into.push_str(&format!("{number:0digits$}"));
            if field == Field::YearWithComma {
                let end = into.len();
                into.insert(end.saturating_sub(3).max(from), ',');
            }
            if let Some(letters) = style.ordinal {
                into.push_str(&cased(ordinal(number), letters));
            }
        }
        Written::Word(word, width) => {
            let word = cased(word, style.letters);
            let width = if style.bare { 0 } else { width };
            into.push_str(&format!("{word:width$}"));
        }
    }
}

fn cased(word: &str, letters: Letters) -> String {
    match letters {
        Letters::Upper => word.to_uppercase(),
        Letters::Lower => word.to_lowercase(),
        Letters::Capital => word.to_owned(),
    }
}

fn ordinal(number: i64) -> &'static str {
    match (number % 10, number % 100 / 10) {
        (_, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

fn value(field: Field, of: Moment) -> Written {
    use Written::{Number, Word};
    let date = Date::of(of.day);
    let hour = of.micros / HOUR;
    let first = Date {
        month: 1,
        day: 1,
        ..date
    }
    .number();
    match field {
        Field::Hour => Number(hour, 2),
        Field::HourOfHalf => Number((hour + 11) % 12 + 1, 2),
        Field::Minute => Number(of.micros / (60 * SECOND) % 60, 2),
        Field::Second => Number(of.micros / SECOND % 60, 2),
        Field::SecondOfDay => Number(of.micros / SECOND, 1),
        Field::Fraction(digits) => Number(of.micros % SECOND / 10_i64.pow(6 - digits.min(6)), digits as usize),
        Field::Half => Word(if hour < 12 { "AM" } else { "PM" }, 0),
        Field::HalfWithDots => Word(if hour < 12 { "A.M." } else { "P.M." }, 0),
        Field::Year(digits) => last_digits(counted(date.year), digits),
        Field::YearWithComma => Number(counted(date.year), 4),
        Field::IsoYear(digits) => last_digits(counted(iso_week(of.day).0), digits),
        Field::Century => Number((date.year - 1).div_euclid(100) + 1, 2),
        Field::Quarter => Number((date.month - 1) / 3 + 1, 1),
        Field::Month => Number(date.month, 2),
        Field::MonthName => Word(name(&MONTHS, date.month - 1), 9),
        Field::MonthShort => Word(short(name(&MONTHS, date.month - 1)), 0),
        Field::MonthRoman => Word(name(&ROMAN, date.month - 1), 4),
        Field::WeekOfMonth => Number((date.day - 1) / 7 + 1, 1),
        Field::Week => Number((of.day - first) / 7 + 1, 2),
        Field::IsoWeek => Number(iso_week(of.day).1, 2),
        Field::DayName => Word(name(&DAYS, weekday(of.day)), 9),
        Field::DayShort => Word(short(name(&DAYS, weekday(of.day))), 0),
        Field::DayOfYear => Number(of.day - first + 1, 3),
        Field::IsoDayOfYear => Number((iso_week(of.day).1 - 1) * 7 + weekday(of.day) + 1, 3),
        Field::Day => Number(date.day, 2),
        Field::DayOfWeek => Number((weekday(of.day) + 1) % 7 + 1, 1),
        Field::IsoDayOfWeek => Number(weekday(of.day) + 1, 1),
        Field::Julian => Number(of.day + JULIAN, 1),
    }
}

/// Years before the first are counted backwards.
fn counted(year: i64) -> i64 {
    if year > 0 { year } else { 1 - year }
}

fn last_digits(year: i64, digits: u32) -> Written {
    match digits {
        4.. => Written::Number(year, 4),
        digits => Written::Number(year % 10_i64.pow(digits), digits as usize),
    }
}

fn name(names: &[&'static str], at: i64) -> &'static str {
    let name = usize::try_from(at).ok().and_then(|at| names.get(at));
    name.copied().unwrap_or_default()
}

fn short(name: &'static str) -> &'static str {
    name.get(..3).unwrap_or(name)
}
