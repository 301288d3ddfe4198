//! Functions whose value may be much longer than their arguments: `repeat`, `lpad`, `concat` and their like. The engine makes
//! whatever they ask for, up to two gigabytes a value, in the scheduler for constants and in the executors for rows. Here the
//! length is worked out first, and what passes a limit is refused by the name of the function and the limit. Nothing is
//! otherwise about their values; what the engine makes of a call beforehand is left out: it drops arguments of `concat` that
//! have turned out to be NULL, and where all have, nothing is left of the function.

mod budget;
mod lengths;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::concat as put_together;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, resources_err};
use datafusion::functions::{core, regex, string, unicode};
use datafusion::functions_nested::string::array_to_string_udf;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};

pub use budget::within_budget;
use lengths::Lengths;

/// The longest value that a function makes, in bytes.
pub const LONGEST_VALUE: u64 = 1 << 20;

/// The most bytes that a function makes for the rows that it is given at once.
pub const MOST_AT_ONCE: u64 = 64 << 20;

/// The functions.
pub(super) fn growing() -> Vec<ScalarUDF> {
    let functions = [
        (string::repeat(), Growth::Times),
        (unicode::lpad(), Growth::Padded),
        (unicode::rpad(), Growth::Padded),
        (string::replace(), Growth::Replaced),
        (regex::regexp_replace(), Growth::Matched),
        (core::overlay(), Growth::Overlaid),
        (string::concat(), Growth::Joined),
        (string::concat_ws(), Growth::Separated),
        (array_to_string_udf(), Growth::Listed),
    ];
    let bounded = |(of, growth)| ScalarUDF::from(Growing { of, growth });
    functions.into_iter().map(bounded).collect()
}

/// How long a function's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// A text, so many times.
    Times,
    /// As many characters as are asked for.
    Padded,
    /// With each of some parts another text.
    Replaced,
    /// As before, where only the function knows the parts.
    Matched,
    /// With one part another text.
    Overlaid,
    /// All arguments behind each other.
    Joined,
    /// As before, with a text between them.
    Separated,
    /// The elements of a list with a text between them.
    Listed,
}

/// A function of the engine, with limits.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Growing {
    of: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Growing {
    types_of_the_engines!();

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows_of(&args.args, args.number_rows);
        let bounds = self.growth.bounds(&args.args, rows)?;
        if self.growth == Growth::Matched && sum(&bounds) > LONGEST_VALUE {
            return self.in_pieces(&args, &bounds);
        }
        check(self.name(), &args.args, &bounds)?;
        self.of.invoke_with_args(args)
    }
}

impl Growing {
    /// Computes as many rows at once as cannot take too much, and looks at what they took.
    fn in_pieces(&self, args: &ScalarFunctionArgs, bounds: &[u64]) -> Result<ColumnarValue> {
        let (mut pieces, mut taken, mut from) = (Vec::<ArrayRef>::new(), 0_u64, 0);
        while from < bounds.len() {
            let to = from + fitting(&bounds[from..]);
            if bounds[from..to].iter().any(|bound| *bound > MOST_AT_ONCE) {
                return too_long(self.name());
            }
            let piece = self.of.invoke_with_args(sliced(args, from, to - from))?;
            let lengths = Lengths::of_texts(&piece)?;
            check_longest(self.name(), lengths.largest())?;
            taken = (from..to).fold(taken, |taken, row| taken.saturating_add(lengths.at(row - from)));
            check_sum(self.name(), taken)?;
            pieces.push(piece.into_array(to - from)?);
            from = to;
        }
        let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
        let whole = put_together(&pieces)?;
        if !is_constant(&args.args) {
            return Ok(ColumnarValue::Array(whole));
        }
        budget::take(taken)?;
        Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&whole, 0)?))
    }
}

impl Growth {
    /// Returns how many bytes the value of each row has at most.
    fn bounds(self, args: &[ColumnarValue], rows: usize) -> Result<Vec<u64>> {
        let texts = |at: usize| args.get(at).map_or(Ok(Lengths::Constant(0)), Lengths::of_texts);
        let each = |length: &dyn Fn(usize) -> u64| -> Vec<u64> { (0..rows).map(length).collect() };
        Ok(match self {
            Self::Times => {
                let (text, times) = (texts(0)?, numbers(args.get(1))?);
                each(&|row| text.at(row).saturating_mul(times.at(row)))
            }
            Self::Padded => {
                let (text, characters, width) = (texts(0)?, numbers(args.get(1))?, width(args.get(2)));
                each(&|row| text.at(row).saturating_add(characters.at(row).saturating_mul(width)))
            }
            Self::Replaced => replaced(args, rows)?,
            Self::Matched => {
                let (text, with) = (texts(0)?, texts(2)?);
                // Each group is a part of the text, which no two matches share.
                each(&|row| {
                    let (text, with) = (text.at(row), with.at(row));
                    let matches = text.saturating_add(1);
                    matches
                        .saturating_mul(with)
                        .saturating_add(text.saturating_mul(1 + with / 2))
                })
            }
            Self::Overlaid => {
                let (text, with) = (texts(0)?, texts(1)?);
                each(&|row| text.at(row).saturating_add(with.at(row)))
            }
            Self::Joined | Self::Separated => {
                let parts = args.iter().map(Lengths::of_texts).collect::<Result<Vec<_>>>()?;
                let again = if self == Self::Separated { args.len() as u64 } else { 0 };
                each(&|row| {
                    let between = parts.first().map_or(0, |first| first.at(row)).saturating_mul(again);
                    parts.iter().fold(between, |sum, part| sum.saturating_add(part.at(row)))
                })
            }
            Self::Listed => {
                let between = texts(1)?.largest().saturating_add(texts(2)?.largest());
                let list = args
                    .first()
                    .map_or(Ok(Lengths::Constant(0)), |list| Lengths::of_lists(list, between))?;
                each(&|row| list.at(row))
            }
        })
    }
}

fn numbers(arg: Option<&ColumnarValue>) -> Result<Lengths> {
    arg.map_or(Ok(Lengths::Constant(0)), Lengths::of_numbers)
}

/// How many bytes a character has at most that fills a text up.
fn width(fill: Option<&ColumnarValue>) -> u64 {
    match fill {
        None => 1,
        Some(ColumnarValue::Scalar(fill)) if fill.try_as_str().flatten().is_none_or(str::is_ascii) => 1,
        Some(_) => 4,
    }
}

/// Returns the bytes of texts in which each of some parts is replaced. Where as many parts as there may be would take too
/// much, they are counted.
fn replaced(args: &[ColumnarValue], rows: usize) -> Result<Vec<u64>> {
    let [text, from, to] = args else {
        return Ok(vec![0; rows]);
    };
    let (texts, parts, others) = (
        Lengths::of_texts(text)?,
        Lengths::of_texts(from)?,
        Lengths::of_texts(to)?,
    );
    let with = |row: usize, found: u64| texts.at(row).saturating_add(found.saturating_mul(others.at(row)));
    let at_most = |row: usize| with(row, texts.at(row) / parts.at(row).max(1) + 1);
    let bounds: Vec<u64> = (0..rows).map(at_most).collect();
    if sum(&bounds) <= LONGEST_VALUE {
        return Ok(bounds);
    }
    let counted = |row: usize| {
        let found = match (text_at(text, row)?, text_at(from, row)?) {
            (Some(text), Some(from)) if from.is_empty() => text.chars().count() + 1,
            (Some(text), Some(from)) => text.matches(from.as_str()).count(),
            _ => 0,
        };
        Ok(with(row, found as u64))
    };
    (0..rows).map(counted).collect()
}

fn text_at(value: &ColumnarValue, row: usize) -> Result<Option<String>> {
    Ok(match value {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten().map(str::to_owned),
        ColumnarValue::Array(array) => super::text::Texts::of(&array.slice(row, 1))?.get(0).map(str::to_owned),
    })
}

fn is_constant(args: &[ColumnarValue]) -> bool {
    args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
}

/// Of constants there is one value, however many rows it is for.
fn rows_of(args: &[ColumnarValue], rows: usize) -> usize {
    if is_constant(args) { 1 } else { rows }
}

/// How many of the next rows take no more than may be made at once; at least one.
fn fitting(bounds: &[u64]) -> usize {
    let mut taken = 0_u64;
    let fits = |bound: &&u64| {
        taken = taken.saturating_add(**bound);
        taken <= MOST_AT_ONCE
    };
    bounds.iter().take_while(fits).count().max(1)
}

fn sliced(args: &ScalarFunctionArgs, from: usize, rows: usize) -> ScalarFunctionArgs {
    let slice = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
        constant => constant.clone(),
    };
    ScalarFunctionArgs {
        args: args.args.iter().map(slice).collect(),
        number_rows: rows,
        ..args.clone()
    }
}

fn sum(bounds: &[u64]) -> u64 {
    bounds.iter().fold(0, |sum, bound| sum.saturating_add(*bound))
}

/// Refuses a call of a function whose values are at most so long, before it makes any.
///
/// # Errors
/// An error that names the function and the limit.
pub(crate) fn check(function: &str, args: &[ColumnarValue], bounds: &[u64]) -> Result<()> {
    check_longest(function, bounds.iter().copied().max().unwrap_or(0))?;
    let all = sum(bounds);
    check_sum(function, all)?;
    if is_constant(args) { budget::take(all) } else { Ok(()) }
}

/// Returns the bytes of texts that are put behind each other, row by row.
///
/// # Errors
/// If an argument is of a type that no text is.
pub(crate) fn joined(args: &[ColumnarValue], rows: usize) -> Result<Vec<u64>> {
    Growth::Joined.bounds(args, rows_of(args, rows))
}

fn check_longest(function: &str, longest: u64) -> Result<()> {
    if longest > LONGEST_VALUE {
        too_long(function)
    } else {
        Ok(())
    }
}

fn too_long<T>(function: &str) -> Result<T> {
    resources_err!(
        "{function} would make a text of more than {} MiB, which is the limit of one value",
        LONGEST_VALUE >> 20
    )
}

/// Refuses what a function makes for the rows that it is given at once, if it has so many bytes.
///
/// # Errors
/// An error that names the function and the limit.
pub(super) fn check_sum(function: &str, bytes: u64) -> Result<()> {
    if bytes <= MOST_AT_ONCE {
        return Ok(());
    }
    resources_err!(
        "{function} would make texts of more than {} MiB for rows that are computed together, make them shorter",
        MOST_AT_ONCE >> 20
    )
}

#[cfg(test)]
mod tests;
