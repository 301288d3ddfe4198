//! Patterns with `%`, which are chrono's.

use std::fmt::Write;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::super::calendar::Moment;

/// A pattern, read.
#[derive(Debug)]
pub(super) struct Strftime {
    items: Vec<Item<'static>>,
    /// Whether dates begin in 1900, as in DuckDB, where a text does not say a year.
    duckdb: bool,
}

impl Strftime {
    /// Reads a pattern; with DuckDB's meaning of the letters that chrono understands otherwise.
    pub fn of(function: &str, pattern: &str, duckdb: bool) -> Result<Self> {
        let pattern = if duckdb { as_chrono(pattern) } else { pattern.to_owned() };
        let items: Vec<Item<'static>> = StrftimeItems::new(&pattern).map(Item::to_owned).collect();
        match items.contains(&Item::Error) {
            true => exec_err!("{function} does not know what follows a % in its pattern"),
            false => Ok(Self { items, duckdb }),
        }
    }

    /// Writes a moment.
    pub fn write(&self, function: &str, of: Moment, time_only: bool, into: &mut String) -> Result<()> {
        let datetime = of.timestamp().and_then(timestamp_us_to_datetime);
        let datetime = datetime.ok_or_else(|| exec_datafusion_err!("{function} does not know years so far away"))?;
        let written = match time_only {
            true => write!(into, "{}", datetime.time().format_with_items(self.items.iter())),
            false => write!(into, "{}", datetime.format_with_items(self.items.iter())),
        };
        written.map_err(|_| exec_datafusion_err!("{function} has a pattern for what its argument does not have"))
    }

    /// Reads a moment; none if the text says none.
    pub fn read(&self, text: &str) -> Option<Moment> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        if let Some(offset) = parsed.offset() {
            let at = parsed.to_naive_datetime_with_offset(offset).ok()?;
            return moment(at.checked_sub_signed(chrono::Duration::seconds(offset.into()))?);
        }
        if let Ok(at) = parsed.to_naive_datetime_with_offset(0) {
            return moment(at);
        }
        let date = self.date(&mut parsed)?;
        moment(date.and_time(time(&mut parsed)?))
    }

    fn date(&self, parsed: &mut Parsed) -> Option<NaiveDate> {
        if let Ok(date) = parsed.to_naive_date() {
            return Some(date);
        }
        let unset = parsed.year().is_none() && parsed.year_mod_100().is_none() && parsed.isoyear().is_none();
        if unset && self.duckdb {
            parsed.set_year(1900).ok()?;
        }
        if parsed.ordinal().is_none() && parsed.isoweek().is_none() {
            if parsed.month().is_none() {
                parsed.set_month(1).ok()?;
            }
            if parsed.day().is_none() {
                parsed.set_day(1).ok()?;
            }
        }
        parsed.to_naive_date().ok()
    }
}

fn time(parsed: &mut Parsed) -> Option<NaiveTime> {
    if parsed.hour_div_12().is_none() && parsed.hour_mod_12().is_none() {
        return NaiveTime::from_hms_opt(0, 0, 0);
    }
    if parsed.hour_div_12().is_none() {
        parsed.set_ampm(false).ok()?;
    }
    if parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    parsed.to_naive_time().ok()
}

fn moment(at: NaiveDateTime) -> Option<Moment> {
    Some(Moment::of(at.and_utc().timestamp_micros()))
}

/// Returns a pattern of DuckDB's in chrono's letters.
fn as_chrono(pattern: &str) -> String {
    let mut chrono = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        chrono.push(character);
        if character != '%' {
            continue;
        }
        let Some(letter) = characters.next() else { break };
        let other = match letter {
            'f' => "6f",
            'g' => "3f",
            'n' => "9f",
            'c' => "Y-%m-%d %H:%M:%S",
            'x' => "Y-%m-%d",
            'X' => "H:%M:%S",
            letter => {
                chrono.push(letter);
                continue;
            }
        };
        chrono.push_str(other);
    }
    chrono
}
