//! The fields that PostgreSQL's patterns name.

use super::{Field, Letters, strip};

/// Names, each before those that it begins with.
const KEYWORDS: [(&str, Field); 45] = [
    ("A.M.", Field::HalfWithDots),
    ("P.M.", Field::HalfWithDots),
    ("AM", Field::Half),
    ("PM", Field::Half),
    ("CC", Field::Century),
    ("DAY", Field::DayName),
    ("DDD", Field::DayOfYear),
    ("DD", Field::Day),
    ("DY", Field::DayShort),
    ("D", Field::DayOfWeek),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("HH24", Field::Hour),
    ("HH12", Field::HourOfHalf),
    ("HH", Field::HourOfHalf),
    ("IDDD", Field::IsoDayOfYear),
    ("ID", Field::IsoDayOfWeek),
    ("IW", Field::IsoWeek),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("I", Field::IsoYear(1)),
    ("J", Field::Julian),
    ("MI", Field::Minute),
    ("MM", Field::Month),
    ("MONTH", Field::MonthName),
    ("MON", Field::MonthShort),
    ("MS", Field::Fraction(3)),
    ("Q", Field::Quarter),
    ("RM", Field::MonthRoman),
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("US", Field::Fraction(6)),
    ("WW", Field::Week),
    ("W", Field::WeekOfMonth),
    ("Y,YYY", Field::YearWithComma),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
];

/// Returns the field that a pattern begins with, in what letters it is written, and what follows.
pub(super) fn keyword(pattern: &str) -> Option<(Field, Letters, &str)> {
    KEYWORDS.iter().find_map(|(name, field)| {
        let rest = strip(pattern, name)?;
        let mut letters = pattern.chars().filter(char::is_ascii_alphabetic);
        let upper = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_uppercase());
        let letters = match (upper(letters.next()), upper(letters.next())) {
            (false, _) => Letters::Lower,
            (true, true) => Letters::Upper,
            (true, false) => Letters::Capital,
        };
        Some((*field, letters, rest))
    })
}
