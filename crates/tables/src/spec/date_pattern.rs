//! Patterns of dates and timestamps: the specifiers of `strftime` that say one thing each, read strictly. A pattern is
//! refused with the description unless what it reads is the whole value: nothing that a source writes is dropped, and
//! nothing is made up but the zeros of a clock that was not written.

use super::column_type::ColumnType;
use super::dates::DateBounds;

/// What a pattern may say, for people.
pub(super) const SPECIFIERS: &str = "%Y, %y, %m, %-m, %b, %B, %d, %-d, %e, %j, %H, %-H, %I, %-I, %p, %M, %S, %f, %.f, \
                                     %3f, %6f, %9f, %z, %F, %T, %R and %%";

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatePattern {
    written: String,
    parts: Vec<Part>,
}

/// What stands at one place of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// This text, to the letter.
    Text(String),
    /// A number.
    Number(Field, Digits),
    /// The English name of a month, in any case: its first three letters, or all of it.
    MonthName { whole: bool },
    /// `AM` or `PM`, in any case.
    HalfOfDay,
    /// Digits after the point of a second: so many, or one to nine.
    Fraction { digits: Option<usize> },
    /// A point and one to nine digits, or nothing.
    PointAndFraction,
    /// How far the clock is ahead of UTC: `Z`, `+02`, `+0200` or `+02:00`.
    Offset,
}

/// What a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Year,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfHalf,
    Minute,
    Second,
}

/// How many digits a number has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digits {
    Exactly(usize),
    /// One or two.
    OneOrTwo,
    /// Two, of which a blank may be the first.
    BlankOrTwo,
}

impl DatePattern {
    /// Takes a pattern apart. The error says what is wrong with it.
    pub(super) fn parse(written: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some(at) = rest.find('%') {
            text(&rest[..at], &mut parts);
            rest = specifier(&rest[at + 1..], &mut parts)?;
        }
        text(rest, &mut parts);
        let pattern = Self {
            written: written.to_owned(),
            parts,
        };
        pattern.check_parts()?;
        Ok(pattern)
    }

    /// As it was written.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// What stands in a text, from its beginning to its end.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether it reads an offset from UTC, so that the value is an instant.
    pub(super) fn reads_offset(&self) -> bool {
        self.parts.contains(&Part::Offset)
    }

    /// Nothing is said twice, and every number ends where the next begins.
    fn check_parts(&self) -> Result<(), String> {
        for (at, part) in self.parts.iter().enumerate() {
            if !matches!(part, Part::Text(_)) && self.parts[..at].iter().any(|before| before.says_the_same(part)) {
                return Err("it says something twice".to_owned());
            }
            let next = self.parts.get(at + 1);
            if part.is_open() && next.is_some_and(Part::may_begin_with_digit) {
                return Err("a number without a fixed width is followed by digits".to_owned());
            }
        }
        Ok(())
    }

    /// Whether it reads the whole of a value of this type whose days lie within these bounds. A date is that of an instant,
    /// which is held to be midnight, or of `any_time`. The error says what is missing, or what would be dropped.
    pub(super) fn check(&self, column_type: ColumnType, bounds: DateBounds, any_time: bool) -> Result<(), String> {
        self.check_day(bounds)?;
        match column_type {
            ColumnType::Date32 if self.reads_clock() && !self.reads_offset() && !any_time => Err(
                "a date32 would drop the time that it reads: say timestamp(us), or any_time = true, or write 00:00:00 as \
                     it stands in the source"
                    .to_owned(),
            ),
            _ => self.check_clock(),
        }
    }

    fn check_day(&self, bounds: DateBounds) -> Result<(), String> {
        let month = self.has(Field::Month) || self.parts.iter().any(|part| matches!(part, Part::MonthName { .. }));
        let day = match self.has(Field::DayOfYear) {
            true if month || self.has(Field::Day) => return Err("%j says month and day already".to_owned()),
            true => true,
            false => month && self.has(Field::Day),
        };
        if !day || !(self.has(Field::Year) || self.has(Field::YearOfCentury)) {
            return Err("it has to say year, month and day, or year and day of the year".to_owned());
        }
        if self.has(Field::Year) && self.has(Field::YearOfCentury) {
            return Err("it says the year twice".to_owned());
        }
        if self.has(Field::YearOfCentury) && !within_a_century(bounds) {
            return Err(
                "two digits say which year it is only within a hundred years: write %Y, or say date_min and \
                        date_max, such as 1926-01-01 and 2025-12-31"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn check_clock(&self) -> Result<(), String> {
        let half = self.parts.contains(&Part::HalfOfDay);
        let hour = self.has(Field::Hour) || self.has(Field::HourOfHalf);
        let fraction = |part: &Part| matches!(part, Part::Fraction { .. } | Part::PointAndFraction);
        let said = [
            (
                self.has(Field::Hour) && self.has(Field::HourOfHalf),
                "it says the hour twice",
            ),
            (
                self.has(Field::HourOfHalf) && !half,
                "%I needs %p: twelve hours come twice a day",
            ),
            (half && !self.has(Field::HourOfHalf), "%p needs %I"),
            (self.has(Field::Minute) && !hour, "it says minutes and no hours"),
            (
                self.has(Field::Second) && !self.has(Field::Minute),
                "it says seconds and no minutes",
            ),
            (
                self.parts.iter().any(fraction) && !self.has(Field::Second),
                "it says a fraction and no seconds",
            ),
            (self.reads_offset() && !hour, "it says an offset and no time"),
        ];
        match said.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, reason)) => Err(reason.to_owned()),
            None => Ok(()),
        }
    }

    fn reads_clock(&self) -> bool {
        let clock = |part: &Part| match part {
            Part::Number(field, _) => matches!(field, Field::Hour | Field::HourOfHalf | Field::Minute | Field::Second),
            Part::HalfOfDay | Part::Fraction { .. } | Part::PointAndFraction => true,
            Part::Text(_) | Part::MonthName { .. } | Part::Offset => false,
        };
        self.parts.iter().any(clock)
    }

    fn has(&self, wanted: Field) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Number(field, _) if *field == wanted))
    }
}

impl Part {
    fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one, _), Self::Number(other, _)) => one == other,
            (Self::MonthName { .. }, Self::Number(Field::Month, _)) => true,
            (Self::Number(Field::Month, _), Self::MonthName { .. }) => true,
            (Self::Fraction { .. } | Self::PointAndFraction, Self::Fraction { .. } | Self::PointAndFraction) => true,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// Whether it takes as many digits as there are.
    fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Number(_, Digits::OneOrTwo) | Self::Fraction { digits: None } | Self::PointAndFraction
        )
    }

    fn may_begin_with_digit(&self) -> bool {
        match self {
            Self::Text(text) => text.starts_with(|first: char| first.is_ascii_digit()),
            Self::Number(..) | Self::Fraction { .. } => true,
            Self::MonthName { .. } | Self::HalfOfDay | Self::PointAndFraction | Self::Offset => false,
        }
    }
}

/// Whether each two-digit year is one year of these bounds at most.
fn within_a_century(bounds: DateBounds) -> bool {
    use chrono::Datelike;
    bounds.max.year() - bounds.min.year() < 100
}

fn text(text: &str, parts: &mut Vec<Part>) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// Reads one specifier behind its `%`; returns what follows it.
fn specifier<'a>(rest: &'a str, parts: &mut Vec<Part>) -> Result<&'a str, String> {
    let two = |field| Part::Number(field, Digits::Exactly(2));
    let open = |field| Part::Number(field, Digits::OneOrTwo);
    let fixed = |digits| Part::Fraction { digits: Some(digits) };
    let colon = || Part::Text(":".to_owned());
    let dash = || Part::Text("-".to_owned());
    let year = || Part::Number(Field::Year, Digits::Exactly(4));
    let known: [(&str, Vec<Part>); 25] = [
        ("Y", vec![year()]),
        ("y", vec![two(Field::YearOfCentury)]),
        ("m", vec![two(Field::Month)]),
        ("-m", vec![open(Field::Month)]),
        ("b", vec![Part::MonthName { whole: false }]),
        ("B", vec![Part::MonthName { whole: true }]),
        ("d", vec![two(Field::Day)]),
        ("-d", vec![open(Field::Day)]),
        ("e", vec![Part::Number(Field::Day, Digits::BlankOrTwo)]),
        ("j", vec![Part::Number(Field::DayOfYear, Digits::Exactly(3))]),
        ("H", vec![two(Field::Hour)]),
        ("-H", vec![open(Field::Hour)]),
        ("I", vec![two(Field::HourOfHalf)]),
        ("-I", vec![open(Field::HourOfHalf)]),
        ("p", vec![Part::HalfOfDay]),
        ("M", vec![two(Field::Minute)]),
        ("S", vec![two(Field::Second)]),
        ("f", vec![Part::Fraction { digits: None }]),
        (".f", vec![Part::PointAndFraction]),
        ("3f", vec![fixed(3)]),
        ("6f", vec![fixed(6)]),
        ("9f", vec![fixed(9)]),
        ("z", vec![Part::Offset]),
        ("F", vec![year(), dash(), two(Field::Month), dash(), two(Field::Day)]),
        ("R", vec![two(Field::Hour), colon(), two(Field::Minute)]),
    ];
    if let Some(rest) = rest.strip_prefix('%') {
        text("%", parts);
        return Ok(rest);
    }
    if let Some(rest) = rest.strip_prefix('T') {
        parts.extend([
            two(Field::Hour),
            colon(),
            two(Field::Minute),
            colon(),
            two(Field::Second),
        ]);
        return Ok(rest);
    }
    let found = known.into_iter().find(|(letters, _)| rest.starts_with(letters));
    let (letters, found) = found.ok_or_else(|| format!("it may have {SPECIFIERS}"))?;
    for part in found {
        match part {
            Part::Text(of) => text(&of, parts),
            part => parts.push(part),
        }
    }
    Ok(&rest[letters.len()..])
}
