//! `sum`: exact for every kind of number. A sum of BIGINTs or of decimals that its type does not hold is an error, and one of
//! doubles does not depend on the order of rows. Durations and intervals are the engine's.

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
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};

    use super::super::testing::{answer, answers, refused, session, spread};

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
            async move { answer(&session, &sql).await.unwrap() }
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

    /// Values of very different sizes, whose sum in doubles depends on their order.
    fn mixed(count: i64) -> Vec<f64> {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let values = (0..count).map(|n| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
            unit * 10_f64.powi((n % 40) as i32 - 20)
        });
        values.collect()
    }

    fn rows(values: &[f64]) -> RecordBatch {
        let groups: ArrayRef = Arc::new(Int64Array::from_iter_values(
            values.iter().map(|value| (value.to_bits() % 5) as i64),
        ));
        let values: ArrayRef = Arc::new(Float64Array::from_iter_values(values.iter().copied()));
        RecordBatch::try_from_iter([("g", groups), ("x", values)]).unwrap()
    }

    #[tokio::test]
    async fn the_order_of_rows_does_not_show() {
        let mut values = mixed(400);
        let sql =
            "SELECT sum(x), avg(x), var(x), stddev_pop(x), sum(DISTINCT x), corr(x, x * x), covar_pop(x, g) FROM t";
        let grouped = format!(
            "SELECT * FROM ({} GROUP BY g) ORDER BY g",
            sql.replace("SELECT", "SELECT g,")
        );
        let mut known: Option<[Vec<String>; 2]> = None;
        for partitions in [1, 2, 3, 5] {
            values.rotate_left(137);
            values.swap(3, 250);
            let session = session(partitions);
            spread(&session, "t", &rows(&values), partitions).unwrap();
            let answers = [
                answer(&session, sql).await.unwrap(),
                answer(&session, &grouped).await.unwrap(),
            ];
            assert_eq!(answers[1].len(), 5);
            let known = known.get_or_insert_with(|| answers.clone());
            assert_eq!(*known, answers);
        }
    }

    #[tokio::test]
    async fn doubles_add_up_as_python_fsum_adds_them() {
        // From Python's own tests of math.fsum.
        answers(
            "SELECT sum(x) FROM (VALUES (1e100), (1e0), (-1e100), (1e-100), (1e50), (-1e0), (-1e50)) t(x)",
            "1e-100",
        )
        .await;
        answers(
            "SELECT sum(x) FROM (VALUES (9007199254740992e0), (-0.5e0), (-5.551115123125783e-17)) t(x)",
            "9007199254740991.0",
        )
        .await;
        answers(
            "SELECT sum(x) FROM (VALUES (9007199254740992e0), (1e0), (1.1102230246251565e-16)) t(x)",
            "9007199254740994.0",
        )
        .await;
        answers("SELECT sum(x) FROM (VALUES (1e308), (1e308), (-1e308)) t(x)", "1e308").await;
        answers("SELECT sum(x), avg(x) FROM (VALUES (1e308), (1e308)) t(x)", "inf,1e308").await;
        answers(
            "SELECT sum(x), avg(x) FROM (VALUES (1e308), (1e308), ('-Infinity')) t(x)",
            "-inf,-inf",
        )
        .await;
        answers(
            "SELECT sum(CAST(x AS double)) FROM (VALUES ('Infinity'), ('-Infinity')) t(x)",
            "NaN",
        )
        .await;
        answers(
            "SELECT sum(CAST(x AS real)), arrow_typeof(sum(CAST(x AS real))) FROM (VALUES (0.5), (0.25)) t(x)",
            "0.75,Float64",
        )
        .await;
        answers("SELECT sum(x) FROM (VALUES (-0e0), (-0e0)) t(x)", "0.0").await;
        answers(
            "SELECT sum(x) FILTER (WHERE x > 1) FROM (VALUES (1e0), (2e0), (3e0)) t(x)",
            "5.0",
        )
        .await;
    }

    #[tokio::test]
    async fn averages_of_whole_numbers_are_divided_once() {
        answers(
            "SELECT avg(x), mean(x) FROM (VALUES (9223372036854775807), (9223372036854775807)) t(x)",
            "9.223372036854775807e18,9.223372036854775807e18"
                .replace("9.223372036854775807e18", "9.223372036854776e18")
                .as_str(),
        )
        .await;
        answers(
            "SELECT avg(x) FROM (VALUES (9007199254740993), (9007199254740993), (-9007199254740993), (NULL)) t(x)",
            "3002399751580331.0",
        )
        .await;
        answers("SELECT avg(x) FROM (VALUES (1)) t(x) WHERE x > 1", "NULL").await;
        answers(
            "SELECT avg(CAST(x AS decimal(10, 2))) FROM (VALUES (1), (2)) t(x)",
            "1.500000",
        )
        .await;
        answers("SELECT avg(NULL)", "NULL").await;
        refused("SELECT avg(date '2020-01-01')", "avg takes a number").await;
    }
}
