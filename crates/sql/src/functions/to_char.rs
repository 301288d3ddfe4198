//! `to_char(x, pattern)`, `strftime(x, pattern)` and `date_format(x, pattern)`: dates, timestamps and times of a day
//! as texts.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::calendar::Moments;
use super::columnar::{is_text, moment, over_arrays, plain};
use super::patterns::Pattern;
use super::text::Texts;

/// The functions.
pub(super) fn to_char() -> [ScalarUDF; 3] {
    ["to_char", STRFTIME, DATE_FORMAT].map(|name| {
        ScalarUDF::from(ToChar {
            name,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    })
}

const STRFTIME: &str = "strftime";
const DATE_FORMAT: &str = "date_format";

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToChar {
    name: &'static str,
    signature: Signature,
}

impl ToChar {
    fn pattern(&self, pattern: &str) -> Result<Pattern> {
        match self.name {
            STRFTIME => Pattern::of_strftime(self.name, pattern),
            DATE_FORMAT => Pattern::of_java(self.name, pattern),
            name => Pattern::of(name, pattern),
        }
    }

    fn written(&self, values: &ArrayRef, patterns: &ArrayRef) -> Result<ArrayRef> {
        let time_only = matches!(values.data_type(), DataType::Time64(_));
        let (moments, patterns) = (Moments::of(values)?, Texts::of(patterns)?);
        let mut texts = StringBuilder::with_capacity(moments.len(), 16 * moments.len());
        let (mut known, mut text) = (None, String::new());
        for row in 0..moments.len() {
            let pattern = patterns.parsed(row, &mut known, |pattern| self.pattern(pattern))?;
            let (Some(pattern), Some(moment)) = (pattern, moments.get(row)?) else {
                texts.append_null();
                continue;
            };
            text.clear();
            pattern.write(self.name, moment, time_only, &mut text)?;
            texts.append_value(&text);
        }
        Ok(Arc::new(texts.finish()))
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            // DuckDB takes the pattern first, too.
            [pattern, of] if self.name == STRFTIME && is_text(pattern) && !is_text(of) => {
                let [of, pattern] = self.coerced(of, pattern)?;
                Ok(vec![pattern, of])
            }
            [of, pattern] => Ok(self.coerced(of, pattern)?.to_vec()),
            _ => plan_err!("{} takes a date or a timestamp, and a pattern", self.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(DataType::Duration(_)) = args.args.first().map(ColumnarValue::data_type) {
            return datetime::to_char().invoke_with_args(args);
        }
        over_arrays(&args, |arrays| match arrays {
            [pattern, of] if is_text(pattern.data_type()) => self.written(of, pattern),
            [of, pattern] => self.written(of, pattern),
            _ => exec_err!("{} takes a date or a timestamp, and a pattern", self.name),
        })
    }
}

impl ToChar {
    fn coerced(&self, of: &DataType, pattern: &DataType) -> Result<[DataType; 2]> {
        if !is_text(pattern) {
            return plan_err!("the pattern of {} is a text, not a value of type {pattern}", self.name);
        }
        let of = match (plain(of), moment(of)) {
            (duration @ DataType::Duration(_), _) => duration.clone(),
            (_, Some(moment)) => moment,
            (number, _) if number.is_numeric() => {
                return plan_err!("{} does not write numbers, use CAST(x AS VARCHAR)", self.name);
            }
            (other, _) => return plan_err!("{} does not write values of type {other}", self.name),
        };
        Ok([of, DataType::Utf8])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    async fn written(pattern: &str, expected: &str) {
        let at = "arrow_cast('2024-02-04T15:04:05.006007', 'Timestamp(Microsecond, None)')";
        answers(&format!("SELECT to_char({at}, '{pattern}')"), expected).await;
    }

    #[tokio::test]
    async fn patterns_are_postgresqls() {
        for (pattern, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2024-02-04 15:04:05.006007"),
            ("YYY YY Y Y,YYY IYYY IYY IY I", "024 24 4 2;024 2024 024 24 4"),
            ("HH12 HH MS AM PM am p.m.", "03 03 006 PM PM pm p.m."),
            ("DDD D ID Q WW IW W CC J", "035 1 7 1 05 05 1 21 2460345"),
            ("[Month][MONTH][month]", "[February ][FEBRUARY ][february ]"),
            ("FMMonth Mon MON mon", "February Feb FEB feb"),
            (
                "[Day][DAY][FMday] Dy DY dy",
                "[Sunday   ][SUNDAY   ][sunday] Sun SUN sun",
            ),
            ("FMDD FMMM FMHH24 FMDDth DDTH", "4 2 15 4th 04TH"),
            ("YYYY\"T\"HH24 \"week\" FMIW", "2024T15 week 5"),
            ("YYYY-MM-DDTHH24:MI", "2024-02-04T15:04"),
            ("yyyy/mm/dd", "2024/02/04"),
            ("SSSS RM [rm]", "54245 II   [ii  ]"),
            ("", ""),
            ("%Y-%j %H:%M:%S%.6f", "2024-035 15:04:05.006007"),
        ] {
            written(pattern, &expected.replace(';', ",")).await;
        }
        answers(
            "SELECT to_char(date '2021-01-03', 'IYYY-IW-ID DDD WW IDDD'), to_char(date '2021-01-21', 'FMDDth')",
            "2020-53-7 003 01 371,21st",
        )
        .await;
        answers(
            "SELECT to_char(date '0001-01-01', 'YYYY-MM-DD Dy'), to_char(date '9999-12-31', 'FMDay, DD. Month YYYY')",
            "0001-01-01 Mon,Friday, 31. December  9999",
        )
        .await;
    }

    #[tokio::test]
    async fn what_is_no_pattern_is_named() {
        let at = "to_char(date '2024-02-04', {})";
        for (pattern, words) in [
            ("'YYYY foo'", "to_char does not know foo in a pattern"),
            ("'TZ'", "to_char does not know TZ in a pattern"),
            ("'%Q'", "follows a %"),
            ("5", "is a text"),
        ] {
            refused(&format!("SELECT {}", at.replace("{}", pattern)), words).await;
        }
        refused("SELECT to_char(5, '999')", "use CAST(x AS VARCHAR)").await;
        refused(
            "SELECT to_char(INTERVAL '1 day', 'DD')",
            "does not write values of type",
        )
        .await;
        refused("SELECT to_char(time '10:11:12', 'YYYY')", "no date to write").await;
        refused("SELECT to_char(time '10:11:12', '%Y')", "does not have").await;
        answers(
            "SELECT to_char(time '10:11:12', 'HH24.MI'), to_char(time '10:11:12', '%H-%M')",
            "10.11,10-11",
        )
        .await;
    }

    #[tokio::test]
    async fn columns_of_dates_and_of_patterns_work() {
        let sql = "SELECT to_char(d, p), to_char(d, 'MM/DD'), strftime(d, '%d.%m.%Y'), strftime('%y', d), date_format(d, 'dd MMM yyyy') FROM \
                   (VALUES (date '2024-02-04', 'YYYY'), (NULL, 'YYYY'), (date '2023-12-31', 'DD'), (date '2023-12-31', NULL)) t(d, p)";
        let rows = [
            "2024,02/04,04.02.2024,24,04 Feb 2024",
            "NULL,NULL,NULL,NULL,NULL",
            "31,12/31,31.12.2023,23,31 Dec 2023",
            "NULL,12/31,31.12.2023,23,31 Dec 2023",
        ];
        assert_eq!(found(&session(1), sql).await, rows);
        answers("SELECT date_format(timestamp '2024-02-04 15:04:05.5', 'yyyy-MM-dd''T''HH:mm:ss.SSS h a EEEE'), date_format(date '2024-02-04', '%d')", "2024-02-04T15:04:05.500 3 PM Sunday,04").await;
        answers(
            "SELECT strftime(timestamp '2024-02-04 15:04:05.25', '%f %g %c')",
            "250000 250 2024-02-04 15:04:05",
        )
        .await;
        answers(
            "SELECT strftime(date '9999-12-31', '%Y'), strftime(date '0001-01-01', '%Y-%m-%d')",
            "9999,0001-01-01",
        )
        .await;
    }
}
