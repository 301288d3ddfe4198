//! What patterns of dates and times say: PostgreSQL's (`YYYY-MM-DD HH24:MI`), those of `strftime` (`%Y-%m-%d`), which
//! every pattern with a `%` is, and Spark's, for `date_format`. [`write`] gives a moment out by one, [`read`] finds a
//! moment in a text.

mod java;
mod keywords;
mod read;
mod strftime;
mod write;

use std::iter::Peekable;

use datafusion::common::{Result, exec_err};

use super::calendar::Moment;
use keywords::keyword;

/// The days of the week, from Monday on.
pub(super) const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// The months of the year.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A pattern, read.
#[derive(Debug)]
pub(super) struct Pattern(Form);

#[derive(Debug)]
enum Form {
    Parts(Vec<Part>),
    Strftime(strftime::Strftime),
}

/// A part of a pattern: a field of a moment, or what stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Field(Field, Style),
    Text(String),
}

/// How a field is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    /// Without zeros before and blanks behind.
    bare: bool,
    letters: Letters,
    /// With `th`, or whatever follows an ordinal.
    ordinal: Option<Letters>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Letters {
    Upper,
    #[default]
    Capital,
    Lower,
}

/// What is written of a moment, or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Hour,
    HourOfHalf,
    Minute,
    Second,
    SecondOfDay,
    /// So many digits of what is past the second.
    Fraction(u32),
    Half,
    HalfWithDots,
    /// The last so many digits.
    Year(u32),
    YearWithComma,
    IsoYear(u32),
    Century,
    Quarter,
    Month,
    MonthName,
    MonthShort,
    MonthRoman,
    WeekOfMonth,
    Week,
    IsoWeek,
    DayName,
    DayShort,
    DayOfYear,
    IsoDayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    Julian,
}

impl Field {
    /// Whether it is written in digits alone.
    fn is_number(self) -> bool {
        !matches!(
            self,
            Self::Half
                | Self::HalfWithDots
                | Self::MonthName
                | Self::MonthShort
                | Self::MonthRoman
                | Self::DayName
                | Self::DayShort
        )
    }

    /// Whether it is a field of a time of a day.
    fn is_of_time(self) -> bool {
        matches!(
            self,
            Self::Hour
                | Self::HourOfHalf
                | Self::Minute
                | Self::Second
                | Self::SecondOfDay
                | Self::Fraction(_)
                | Self::Half
                | Self::HalfWithDots
        )
    }
}

impl Pattern {
    /// Reads a pattern of PostgreSQL's, or of `strftime`.
    pub fn of(function: &str, pattern: &str) -> Result<Self> {
        match pattern.contains('%') {
            true => Ok(Self(Form::Strftime(strftime::Strftime::of(function, pattern, false)?))),
            false => Ok(Self(Form::Parts(parts(function, pattern)?))),
        }
    }

    /// Reads a pattern of `strftime` as DuckDB has it, where `%f` are microseconds.
    pub fn of_strftime(function: &str, pattern: &str) -> Result<Self> {
        Ok(Self(Form::Strftime(strftime::Strftime::of(function, pattern, true)?)))
    }

    /// Reads a pattern of Spark's, or of `strftime`.
    pub fn of_java(function: &str, pattern: &str) -> Result<Self> {
        match pattern.contains('%') {
            true => Self::of(function, pattern),
            false => Ok(Self(Form::Parts(java::parts(function, pattern)?))),
        }
    }

    /// Writes a moment; of a time of a day, only patterns without fields of a date.
    pub fn write(&self, function: &str, of: Moment, time_only: bool, into: &mut String) -> Result<()> {
        match &self.0 {
            Form::Strftime(strftime) => strftime.write(function, of, time_only, into),
            Form::Parts(parts) => write::write(function, parts, of, time_only, into),
        }
    }

    /// Reads a moment; none if a text is not of this pattern or says no moment.
    pub fn read(&self, function: &str, text: &str) -> Result<Option<Moment>> {
        match &self.0 {
            Form::Strftime(strftime) => Ok(strftime.read(text)),
            Form::Parts(parts) => read::read(function, parts, text),
        }
    }
}

/// Reads PostgreSQL's patterns. What is no field stands for itself, but letters have to be quoted.
fn parts(function: &str, pattern: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let bare = ["FM", "TM"].iter().find_map(|prefix| strip(rest, prefix));
        let (bare, from) = (bare.is_some(), bare.unwrap_or(rest));
        if let Some((field, letters, after)) = keyword(from) {
            let (ordinal, after) = ordinal(field, after);
            parts.push(Part::Field(field, Style { bare, letters, ordinal }));
            rest = after;
            continue;
        }
        rest = match first {
            '"' => quoted(rest, '"', &mut parts),
            'T' if strip(rest, "THH").is_some() => literal(rest, first, &mut parts),
            first if first.is_ascii_alphabetic() => {
                let unknown: String = rest.chars().take_while(char::is_ascii_alphabetic).take(20).collect();
                return exec_err!("{function} does not know {unknown} in a pattern: put letters in double quotes");
            }
            '\\' => match rest.chars().nth(1) {
                Some(second) => literal(&rest[1..], second, &mut parts),
                None => literal(rest, first, &mut parts),
            },
            first => literal(rest, first, &mut parts),
        };
    }
    Ok(parts)
}

/// Returns what follows a prefix, in whatever letters.
fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Returns the ordinal that a number asks for, and what follows. `DDTHH24` has the T of ISO 8601.
fn ordinal(field: Field, rest: &str) -> (Option<Letters>, &str) {
    match strip(rest, "TH") {
        Some(after) if field.is_number() && !after.starts_with(['H', 'h']) => {
            let letters = if rest.starts_with('T') {
                Letters::Upper
            } else {
                Letters::Lower
            };
            (Some(letters), after)
        }
        _ => (None, rest),
    }
}

fn literal<'a>(rest: &'a str, character: char, parts: &mut Vec<Part>) -> &'a str {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push(character),
        _ => parts.push(Part::Text(character.into())),
    }
    rest.get(character.len_utf8()..).unwrap_or_default()
}

/// Takes what is in quotes, and returns what follows it.
fn quoted<'a>(rest: &'a str, quote: char, parts: &mut Vec<Part>) -> &'a str {
    let mut text = String::new();
    let mut characters: Peekable<_> = rest.char_indices().skip(1).peekable();
    let mut end = rest.len();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            end = at + quote.len_utf8();
            break;
        }
        let escaped = (character == '\\').then(|| characters.next()).flatten();
        text.push(escaped.map_or(character, |(_, character)| character));
    }
    parts.push(Part::Text(text));
    rest.get(end..).unwrap_or_default()
}
