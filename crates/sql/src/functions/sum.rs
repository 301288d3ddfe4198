//! `sum`: exact for every kind of number. A sum of BIGINTs or of decimals that its type does not hold is an error,
//! and one of doubles does not depend on the order of rows. Durations and intervals are the engine's.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result, not_impl_err, plan_err};
use datafusion::functions_aggregate::sum::Sum as EngineSum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    Volatility,
};

use super::exact::{DecimalSums, Distinct, FloatSums, Groups, Single, Sums, Wanted, WholeSums};

/// The function.
pub(super) fn sum() -> AggregateUDF {
    AggregateUDF::from(Sum {
        signature: Signature::user_defined(Volatility::Immutable),
        engines: EngineSum::new(),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    signature: Signature,
    engines: EngineSum,
}

/// Evaluates an expression with sums of an argument's type; another where the engine computes them.
macro_rules! with_sums {
    ($of:expr, $returned:expr, |$sums:ident| $ours:expr, $engines:expr) => {
        match ($of, $returned) {
            (DataType::Int64, _) => {
                let $sums = WholeSums::<Int64Type>::default();
                $ours
            }
            (DataType::UInt64, _) => {
                let $sums = WholeSums::<UInt64Type>::default();
                $ours
            }
            (DataType::Float64, _) => {
                let $sums = FloatSums::default();
                $ours
            }
            (DataType::Decimal128(..), DataType::Decimal128(precision, scale)) => {
                let $sums = DecimalSums::new(*precision, *scale);
                $ours
            }
            _ => $engines,
        }
    };
}

/// Returns the type of a function's only argument.
pub(super) fn argument_type<'a>(args: &'a AccumulatorArgs) -> &'a DataType {
    args.expr_fields
        .first()
        .map_or(&DataType::Null, |field| field.data_type())
}

/// Returns the type to which a number is widened before it is added; none if it is no number.
pub(super) fn widened(of: &DataType) -> Option<DataType> {
    Some(match of {
        DataType::Null | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::UInt64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) => of.clone(),
        DataType::Dictionary(_, of) => return widened(of),
        _ => return None,
    })
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [of] = types else {
            return plan_err!("sum takes one argument, not {}", types.len());
        };
        match (widened(of), of) {
            (Some(of), _) => Ok(vec![of]),
            (None, DataType::Duration(_) | DataType::Interval(_)) => Ok(vec![of.clone()]),
            _ => plan_err!("sum takes a number, not a value of type {of}: cast the argument"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engines.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let distinct = args.is_distinct;
        with_sums!(
            argument_type(&args),
            args.return_type(),
            |sums| match distinct {
                true => Ok(Box::new(Distinct::new(sums, Wanted::Sum))),
                false => Ok(Box::new(Single::new(sums, Wanted::Sum))),
            },
            self.engines.accumulator(args)
        )
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let ours = with_sums!(argument_type(&args), args.return_type(), |_sums| true, false);
        match ours {
            true => self.accumulator(args),
            false => self.engines.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let of = args
            .input_fields
            .first()
            .map_or(&DataType::Null, |field| field.data_type());
        let returned = args.return_type();
        let (kind, state) = with_sums!(
            of,
            returned,
            |sums| match args.is_distinct {
                true => ("sum distinct", list_of(returned)),
                false => ("sum", sums.state_type()),
            },
            return self.engines.state_fields(args)
        );
        Ok(vec![Arc::new(Field::new(
            format_state_name(args.name, kind),
            state,
            true,
        ))])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if args.is_distinct {
            return not_impl_err!("sum of distinct values has no accumulator of groups");
        }
        with_sums!(
            argument_type(&args),
            args.return_type(),
            |sums| Ok(Box::new(Groups::new(sums, Wanted::Sum))),
            self.engines.create_groups_accumulator(args)
        )
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, of: &DataType) -> SetMonotonicity {
        self.engines.set_monotonicity(of)
    }
}

/// Returns the type in which distinct values travel.
pub(super) fn list_of(of: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of.clone(), true)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{answer, answers, found, refused, session};

    #[tokio::test]
    async fn a_sum_of_bigints_is_right_or_an_error() {
        let most = "SELECT sum(x) FROM (VALUES (9223372036854775807), (1), (-1), (NULL)) t(x)";
        answers(most, "9223372036854775807").await;
        let over = "SELECT sum(x) FROM (VALUES (9223372036854775807), (1)) t(x)";
        refused(over, "sum is out of range of BIGINT, cast the argument to DECIMAL").await;
        answers(
            "SELECT sum(CAST(x AS decimal(38, 0))) FROM (VALUES (9223372036854775807), (1)) t(x)",
            "9223372036854775808",
        )
        .await;
        answers(
            "SELECT sum(CAST(x AS smallint)), arrow_typeof(sum(CAST(x AS smallint))) FROM (VALUES (32767), (32767)) t(x)",
            "65534,Int64",
        )
        .await;
        answers("SELECT sum(x) FROM (VALUES (1)) t(x) WHERE x > 1", "NULL").await;
        answers("SELECT sum(NULL)", "NULL").await;
        answers(
            "SELECT sum(arrow_cast(x, 'UInt64')) FROM (VALUES (9223372036854775807), (9223372036854775807)) t(x)",
            "18446744073709551614",
        )
        .await;
        answers(
            "SELECT sum(arrow_cast(x, 'Dictionary(Int32, Int16)')) FROM (VALUES (3), (4)) t(x)",
            "7",
        )
        .await;
        refused("SELECT sum('a')", "sum takes a number").await;
        refused("SELECT sum(true)", "sum takes a number").await;
    }

    #[tokio::test]
    async fn frames_that_slide_keep_nothing_of_what_left() {
        let of = |values: &str, what: &str| {
            format!(
                "SELECT {what} OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES {values}) t(n, x) \
                 ORDER BY n"
            )
        };
        let floats = "(1, 1e300), (2, 1e-300), (3, 1.5), (4, 'Infinity'), (5, 2.0), (6, 0.25), (7, NULL), (8, NULL)";
        let session = session(2);
        let ask = |sql: String| {
            let session = session.clone();
            async move { found(&session, &sql).await }
        };
        let sums = ask(of(floats, "sum(CAST(x AS double))")).await;
        assert_eq!(sums, ["1e300", "1e300", "1.5", "inf", "inf", "2.25", "0.25", "NULL"]);
        let means = ask(of(floats, "avg(CAST(x AS double))")).await;
        assert_eq!(means, ["1e300", "5e299", "0.75", "inf", "inf", "1.125", "0.25", "NULL"]);
        let whole = "(1, 9223372036854775807), (2, -5), (3, -9223372036854775803), (4, 7), (5, NULL)";
        let sums = ask(of(whole, "sum(x)")).await;
        assert_eq!(
            sums,
            [
                "9223372036854775807",
                "9223372036854775802",
                "-9223372036854775808",
                "-9223372036854775796",
                "7"
            ]
        );
        let distinct = ask(of("(1, 2), (2, 2), (3, 5), (4, 5)", "sum(DISTINCT x)")).await;
        assert_eq!(distinct, ["2", "2", "7", "5"]);
        let over = answer(&session, &of("(1, 9223372036854775807), (2, 1)", "sum(x)")).await;
        assert!(over.unwrap_err().contains("out of range of BIGINT"));
    }

    #[tokio::test]
    async fn sums_of_distinct_values_and_of_decimals_are_right() {
        answers(
            "SELECT sum(DISTINCT x) FROM (VALUES (9223372036854775807), (9223372036854775807), (-1)) t(x)",
            "9223372036854775806",
        )
        .await;
        refused(
            "SELECT sum(DISTINCT x) FROM (VALUES (9223372036854775807), (2)) t(x)",
            "out of range",
        )
        .await;
        answers(
            "SELECT sum(DISTINCT x) FROM (VALUES (0.5e0), (-0e0), (0e0), (0.5e0)) t(x)",
            "0.5",
        )
        .await;
        answers(
            "SELECT sum(DISTINCT x), avg(DISTINCT x), count(DISTINCT x) FROM (VALUES (1), (1), (4)) t(x)",
            "5,2.5,2",
        )
        .await;
        let decimals =
            "SELECT sum(x), arrow_typeof(sum(x)) FROM (SELECT CAST(x AS decimal(38, 2)) x FROM (VALUES {}) t(x))";
        answers(
            &decimals.replace("{}", "('1.25'), ('-0.5'), (NULL)"),
            "0.75,Decimal128(38, 2)",
        )
        .await;
        let most = "('999999999999999999999999999999999999.99'), ";
        answers(
            &decimals.replace(
                "{}",
                &format!("{most}{most}('-999999999999999999999999999999999999.99')"),
            ),
            &format!("{},Decimal128(38, 2)", &most[2..41]),
        )
        .await;
        refused(
            &decimals.replace("{}", &format!("{most}('0.01')")),
            "sum is out of range of DECIMAL(38, 2)",
        )
        .await;
    }
}
