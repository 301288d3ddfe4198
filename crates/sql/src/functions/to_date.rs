//! `to_date(text, pattern)`, `to_timestamp(text, pattern)` and `strptime(text, pattern)`: texts as dates and
//! timestamps in microseconds. Of several patterns, the first that fits is taken. Without one, texts are read as the
//! engine casts them, and numbers are days to `to_date` and seconds to `to_timestamp`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::calendar::{Moment, SECOND};
use super::columnar::{MICROSECONDS, is_text, over_arrays, plain};
use super::patterns::Pattern;
use super::text::Texts;

/// The functions.
pub(super) fn from_texts() -> [ScalarUDF; 4] {
    [TO_DATE, TO_TIMESTAMP, "strptime", TRY_STRPTIME].map(|name| {
        ScalarUDF::from(FromText {
            name,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    })
}

const TO_DATE: &str = "to_date";
const TO_TIMESTAMP: &str = "to_timestamp";
const TRY_STRPTIME: &str = "try_strptime";

#[derive(Debug, PartialEq, Eq, Hash)]
struct FromText {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for FromText {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [of] if self.takes_several() => alone(of),
            [text, _, ..] if types.iter().all(is_text) && (self.takes_several() || types.len() == 2) => {
                let of = if text.is_null() {
                    DataType::Utf8
                } else {
                    plain(text).clone()
                };
                Ok(std::iter::once(of)
                    .chain(vec![DataType::Utf8; types.len() - 1])
                    .collect())
            }
            _ => plan_err!("{} takes a text and a pattern", self.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.name {
            TO_DATE => DataType::Date32,
            _ => MICROSECONDS,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays| match arrays {
            [values] if self.name == TO_DATE => self.dated(values),
            [values] => self.stamped(values),
            [texts, patterns @ ..] => self.read(texts, patterns),
            [] => exec_err!("{} takes a text and a pattern", self.name),
        })
    }
}

/// Returns the type in which a value is read without a pattern.
fn alone(of: &DataType) -> Result<Vec<DataType>> {
    Ok(vec![match plain(of) {
        of if of.is_null() || of.is_integer() => DataType::Int64,
        of if of.is_numeric() => DataType::Float64,
        of @ (DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)) => of.clone(),
        of if is_text(of) => DataType::Utf8,
        of => return plan_err!("to_date and to_timestamp take a text, a number or a date, not a value of type {of}"),
    }])
}

impl FromText {
    fn takes_several(&self) -> bool {
        matches!(self.name, TO_DATE | TO_TIMESTAMP)
    }

    fn unread(&self) -> DataFusionError {
        exec_datafusion_err!(
            "{} is given a text that its pattern does not fit, or that is no date",
            self.name
        )
    }

    fn out_of_range(&self) -> DataFusionError {
        exec_datafusion_err!("{} is out of range of its type", self.name)
    }

    fn read(&self, texts: &ArrayRef, patterns: &[ArrayRef]) -> Result<ArrayRef> {
        let texts = Texts::of(texts)?;
        let patterns = patterns.iter().map(Texts::of).collect::<Result<Vec<_>>>()?;
        let mut known: Vec<Option<(String, Pattern)>> = patterns.iter().map(|_| None).collect();
        let moments = (0..texts.len()).map(|row| {
            let Some(text) = texts.get(row) else { return Ok(None) };
            let mut missing = false;
            for (patterns, known) in patterns.iter().zip(&mut known) {
                match patterns.parsed(row, known, |pattern| self.pattern(pattern))? {
                    Some(pattern) => match pattern.read(self.name, text)? {
                        Some(moment) => return Ok(Some(moment)),
                        None => continue,
                    },
                    None => missing = true,
                }
            }
            match missing || self.name == TRY_STRPTIME {
                true => Ok(None),
                false => Err(self.unread()),
            }
        });
        self.array(moments)
    }

    fn pattern(&self, pattern: &str) -> Result<Pattern> {
        match self.takes_several() {
            true => Pattern::of(self.name, pattern),
            false => Pattern::of_strftime(self.name, pattern),
        }
    }

    fn array(&self, moments: impl Iterator<Item = Result<Option<Moment>>>) -> Result<ArrayRef> {
        if self.name == TO_DATE {
            let day = |moment: Moment| i32::try_from(moment.day).map_err(|_| self.out_of_range());
            let days = moments.map(|moment| moment?.map(day).transpose());
            return Ok(Arc::new(days.collect::<Result<Date32Array>>()?));
        }
        let stamp = |moment: Moment| moment.timestamp().ok_or_else(|| self.out_of_range());
        let stamps = moments.map(|moment| moment?.map(stamp).transpose());
        Ok(Arc::new(stamps.collect::<Result<TimestampMicrosecondArray>>()?))
    }

    /// Returns values as dates without a pattern: a number is a day after 1970-01-01.
    fn dated(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let values = match values.data_type() {
            DataType::Int64 => self.cast(values, &DataType::Int32)?,
            _ => Arc::clone(values),
        };
        self.cast(&values, &DataType::Date32)
    }

    /// Returns values as timestamps without a pattern: a number is one of seconds after the beginning of 1970.
    fn stamped(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if let Some(seconds) = values.as_primitive_opt::<Int64Type>() {
            let micros = |seconds: i64| seconds.checked_mul(SECOND).ok_or_else(|| self.out_of_range());
            let micros = seconds.iter().map(|seconds| seconds.map(micros).transpose());
            return Ok(Arc::new(micros.collect::<Result<TimestampMicrosecondArray>>()?));
        }
        if let Some(seconds) = values.as_primitive_opt::<Float64Type>() {
            let micros = |seconds: f64| {
                let micros = (seconds * SECOND as f64).round();
                let known = micros.abs() < i64::MAX as f64;
                known.then_some(micros as i64).ok_or_else(|| self.out_of_range())
            };
            let micros = seconds.iter().map(|seconds| seconds.map(micros).transpose());
            return Ok(Arc::new(micros.collect::<Result<TimestampMicrosecondArray>>()?));
        }
        self.cast(values, &MICROSECONDS)
    }

    /// Casts without saying in an error what the value was.
    fn cast(&self, values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        cast_with_options(values, to, &options).map_err(|_| self.unread())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{answer, answers, found, refused, session};

    #[tokio::test]
    async fn texts_are_read_by_patterns() {
        for (text, pattern, expected) in [
            (
                "2024-02-29 15:04:05.006",
                "YYYY-MM-DD HH24:MI:SS.MS",
                "2024-02-29T15:04:05.006",
            ),
            ("20240229", "YYYYMMDD", "2024-02-29T00:00:00"),
            ("29/Feb/24", "DD/Mon/YY", "2024-02-29T00:00:00"),
            (
                "12 FEBRUARY 1999 03:04 pm",
                "DD Month YYYY HH12:MI AM",
                "1999-02-12T15:04:00",
            ),
            ("1-2-69", "DD-MM-YY", "2069-02-01T00:00:00"),
            ("1-2-70", "DD-MM-YY", "1970-02-01T00:00:00"),
            ("2024 060", "YYYY DDD", "2024-02-29T00:00:00"),
            ("2020-53-7", "IYYY-IW-ID", "2021-01-03T00:00:00"),
            ("2024-02", "YYYY-MM-DD", "2024-02-01T00:00:00"),
            ("2024/02/29 and more", "YYYY-MM-DD", "2024-02-29T00:00:00"),
            ("9999-12-31", "YYYY-MM-DD", "9999-12-31T00:00:00"),
            ("0001-01-01", "YYYY-MM-DD", "0001-01-01T00:00:00"),
            (
                "2024-02-29T23:59:59.999999",
                "YYYY-MM-DDTHH24:MI:SS.US",
                "2024-02-29T23:59:59.999999",
            ),
            ("29.02.2024 07:08", "%d.%m.%Y %H:%M", "2024-02-29T07:08:00"),
        ] {
            answers(&format!("SELECT to_timestamp('{text}', '{pattern}')"), expected).await;
            answers(
                &format!("SELECT to_date('{text}', '{pattern}')"),
                expected.split_once('T').unwrap().0,
            )
            .await;
        }
        answers(
            "SELECT arrow_typeof(to_timestamp('2024', 'YYYY')), arrow_typeof(to_date('2024', 'YYYY'))",
            "Timestamp(µs),Date32",
        )
        .await;
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_without_the_text() {
        let unfit = "is given a text that its pattern does not fit, or that is no date";
        for (text, pattern) in [
            ("2023-02-29", "YYYY-MM-DD"),
            ("x", "YYYY"),
            ("2023-13-01", "YYYY-MM-DD"),
            ("13 pm 2020", "HH12 am YYYY"),
            ("10:30", "HH24:MI"),
            ("secret", "%Y-%m-%d"),
        ] {
            let answer = answer(&session(1), &format!("SELECT to_date('{text}', '{pattern}')"))
                .await
                .unwrap_err();
            assert!(answer.contains(unfit) && !answer.contains("secret"), "{answer}");
        }
        refused("SELECT to_date('2020', 'foo')", "does not know foo").await;
        refused("SELECT strptime('secret', '%Y')", unfit).await;
        refused("SELECT to_timestamp('secret')", unfit).await;
        answers(
            "SELECT try_strptime('x', '%Y'), to_date(NULL, 'YYYY'), to_date('2020', NULL)",
            "NULL,NULL,NULL",
        )
        .await;
    }

    #[tokio::test]
    async fn strptime_and_single_arguments_work() {
        answers("SELECT strptime('2 March 1992', '%-d %B %Y'), strptime('1992-03-02 10:11:12.345678', '%Y-%m-%d %H:%M:%S.%f')", "1992-03-02T00:00:00,1992-03-02T10:11:12.345678").await;
        answers(
            "SELECT strptime('10:11', '%H:%M'), strptime('2020', '%Y'), strptime('9999-12-31', '%Y-%m-%d')",
            "1900-01-01T10:11:00,2020-01-01T00:00:00,9999-12-31T00:00:00",
        )
        .await;
        answers("SELECT to_timestamp(5), to_timestamp(1.5), to_timestamp('9999-12-31 10:00:00'), to_timestamp(date '2020-01-01')", "1970-01-01T00:00:05,1970-01-01T00:00:01.500,9999-12-31T10:00:00,2020-01-01T00:00:00").await;
        answers(
            "SELECT to_date('2020-01-02'), to_date(5), to_date(timestamp '2020-01-02 10:00:00'), to_timestamp(NULL)",
            "2020-01-02,1970-01-06,2020-01-02,NULL",
        )
        .await;
        let sql = "SELECT to_date(t, p), to_date(t, '%Y', 'YYYY-MM-DD') FROM (VALUES ('2020-01-02', 'YYYY-MM-DD'), (NULL, 'YYYY'), ('2021', 'YYYY')) t(t, p)";
        assert_eq!(
            found(&session(1), sql).await,
            ["2020-01-02,2020-01-02", "NULL,NULL", "2021-01-01,2021-01-01"]
        );
    }
}
