//! `round`, `ceil` (or `ceiling`) and `floor`. Of decimals they have a type that depends on the argument's type
//! alone, not on how many places are asked for: with a number of places the scale stays, and without one there is
//! none. Halves go away from zero. Of other numbers `ceil` and `floor` are the engine's.

mod places;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::functions::math;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::columnar::{over_arrays, plain};
use places::rounded;

/// The functions.
pub(super) fn rounding() -> [ScalarUDF; 3] {
    let of = |how, aliases: &[&str]| {
        ScalarUDF::from(Rounding {
            how,
            aliases: aliases.iter().map(ToString::to_string).collect(),
            signature: Signature::user_defined(Volatility::Immutable),
        })
    };
    [of(How::HalfAway, &[]), of(How::Up, &["ceiling"]), of(How::Down, &[])]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum How {
    HalfAway,
    Up,
    Down,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    how: How,
    aliases: Vec<String>,
    signature: Signature,
}

impl How {
    fn called(self) -> &'static str {
        match self {
            Self::HalfAway => "round",
            Self::Up => "ceil",
            Self::Down => "floor",
        }
    }
}

impl Rounding {
    fn number(&self, of: &DataType) -> Result<DataType> {
        Ok(match plain(of) {
            DataType::Null => DataType::Float64,
            DataType::Float16 => DataType::Float32,
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                DataType::Decimal128(*precision, *scale)
            }
            // As the engine has it, there is no whole number to be found of a whole number.
            of if of.is_integer() && self.how != How::HalfAway => DataType::Float64,
            of if of.is_numeric() => of.clone(),
            of => return plan_err!("{} takes a number, not a value of type {of}", self.how.called()),
        })
    }
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        self.how.called()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [value] => Ok(vec![self.number(value)?]),
            [value, places] if self.how == How::HalfAway && (places.is_integer() || places.is_null()) => {
                Ok(vec![self.number(value)?, DataType::Int64])
            }
            [_, places] if self.how == How::HalfAway => {
                plan_err!("round takes a whole number of places, not a value of type {places}")
            }
            _ => plan_err!("{} does not take {} arguments", self.how.called(), types.len()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::Decimal128(precision, scale), places @ ..] => {
                let (precision, scale) = carried(*precision, *scale, places.is_empty(), Decimal128Type::MAX_PRECISION);
                Ok(DataType::Decimal128(precision, scale))
            }
            [DataType::Decimal256(precision, scale), places @ ..] => {
                let (precision, scale) = carried(*precision, *scale, places.is_empty(), Decimal256Type::MAX_PRECISION);
                Ok(DataType::Decimal256(precision, scale))
            }
            [of, ..] => Ok(of.clone()),
            [] => exec_err!("{} takes an argument", self.how.called()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let of = args.args.first().map_or(DataType::Null, ColumnarValue::data_type);
        match self.how {
            How::Up if !of.is_decimal() => return math::ceil().invoke_with_args(args),
            How::Down if !of.is_decimal() => return math::floor().invoke_with_args(args),
            _ => {}
        }
        let returned = args.return_type().clone();
        over_arrays(&args, |arrays| match arrays {
            [values] => rounded(self.how, values, None, &returned),
            [values, places] => rounded(self.how, values, places.as_primitive_opt(), &returned),
            _ => exec_err!("{} does not take {} arguments", self.how.called(), arrays.len()),
        })
    }
}

/// Returns the precision and the scale of rounded decimals: 99.5 becomes 100, which has a digit more.
fn carried(precision: u8, scale: i8, whole: bool, most: u8) -> (u8, i8) {
    let kept = if whole { scale.min(0) } else { scale };
    let digits = i16::from(precision) - i16::from(scale) + i16::from(kept) + 1;
    (digits.clamp(1, most.into()) as u8, kept)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    #[tokio::test]
    async fn decimals_round_away_from_zero_and_keep_their_type() {
        let x = "CAST('1.25' AS decimal(10,2))";
        answers(
            &format!("SELECT round({x}, 1), round(-{x}, 1), round({x}), round({x}, 5), round({x}, -1)"),
            "1.30,-1.30,1,1.25,0.00",
        )
        .await;
        answers(
            &format!("SELECT arrow_typeof(round({x}, 1)), arrow_typeof(round({x}))"),
            "Decimal128(11, 2),Decimal128(9, 0)",
        )
        .await;
        let columns = "SELECT round(x, n), round(x, 1), round(x, 1 + 0), round(x), round(1.005e0, n) FROM \
                       (SELECT CAST(x AS decimal(4, 2)) x, n FROM (VALUES ('99.95', 1), ('-99.95', 0), ('50', -2), (NULL, 1), ('1', NULL)) t(x, n))";
        let rows = [
            "100.00,100.00,100.00,100,1.0",
            "-100.00,-100.00,-100.00,-100,1.0",
            "100.00,50.00,50.00,50,0.0",
        ];
        let rows = rows
            .into_iter()
            .chain(["NULL,NULL,NULL,NULL,1.0", "NULL,1.00,1.00,1,NULL"]);
        assert_eq!(found(&session(1), columns).await, rows.collect::<Vec<_>>());
        let most = "CAST('99999999999999999999999999999999999.999' AS decimal(38, 3))";
        refused(
            &format!("SELECT round({most}, 2)"),
            "round is out of range of DECIMAL(38, 3)",
        )
        .await;
        answers(
            &format!("SELECT round({most}), ceil({most})"),
            "100000000000000000000000000000000000,100000000000000000000000000000000000",
        )
        .await;
        answers(
            &format!("SELECT round({most}, -36), round({most}, -9223372036854775808)"),
            "0.000,0.000",
        )
        .await;
    }

    #[tokio::test]
    async fn ceil_and_floor_of_decimals_are_whole() {
        let sql = "SELECT ceil(x), ceiling(x), floor(x), arrow_typeof(ceil(x)) FROM \
                   (SELECT CAST(x AS decimal(4, 2)) x FROM (VALUES ('99.01'), ('-99.01'), ('7'), (NULL)) t(x))";
        let rows = [
            "100,100,99,Decimal128(3, 0)",
            "-99,-99,-100,Decimal128(3, 0)",
            "7,7,7,Decimal128(3, 0)",
            "NULL,NULL,NULL,Decimal128(3, 0)",
        ];
        assert_eq!(found(&session(1), sql).await, rows);
        answers(
            "SELECT ceil(1.2e0), floor(-1.2e0), ceiling(3), ceil(NULL)",
            "2.0,-2.0,3.0,NULL",
        )
        .await;
        answers(
            "SELECT ceil(CAST('0.001' AS decimal(38, 38))), floor(CAST('-0.001' AS decimal(38, 38)))",
            "1,-1",
        )
        .await;
    }

    #[tokio::test]
    async fn other_numbers_round_as_in_duckdb() {
        answers(
            "SELECT round(2.5e0), round(-2.5e0), round(0.285e0, 2), round(15e0, -1), round(1e308, 2)",
            "3.0,-3.0,0.28,20.0,1e308",
        )
        .await;
        answers(
            "SELECT round(CAST('NaN' AS double), 1), round(CAST('-Infinity' AS double), -1), round(5e0, -400)",
            "NaN,-inf,0.0",
        )
        .await;
        answers(
            "SELECT round(15, -1), round(-15, -1), round(7, 3), round(7), round(5, -30), round(NULL, 1)",
            "20,-20,7,7,0,NULL",
        )
        .await;
        answers(
            "SELECT arrow_typeof(round(CAST(15 AS smallint), -1)), round(CAST(1.25 AS real), 1)",
            "Int16,1.3",
        )
        .await;
        refused("SELECT round(9223372036854775807, -1)", "round is out of range").await;
        refused("SELECT round(CAST(32767 AS smallint), -1)", "round is out of range").await;
        refused("SELECT round('a')", "round takes a number").await;
        refused("SELECT round(1.5, 1.5)", "whole number of places").await;
    }
}
