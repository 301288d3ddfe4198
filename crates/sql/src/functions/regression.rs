//! `regr_slope(y, x)` and its like, over the rows that have both: exact until the last division, so that neither the order of
//! rows nor how they are split over tasks shows in the last bits. `regr_count` is the engine's.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::{is_null, nullif};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::exact::{FloatSums, Groups, Single, Statistic, Statistics, StatisticsGroups, Sums, Wanted};

/// Names and what they compute.
const FUNCTIONS: [(&str, Computed); 8] = [
    ("regr_slope", Computed::Line(Statistic::Slope)),
    ("regr_intercept", Computed::Line(Statistic::Intercept)),
    ("regr_r2", Computed::Line(Statistic::Determination)),
    ("regr_sxy", Computed::Products),
    ("regr_sxx", Computed::Squares(Variable::X)),
    ("regr_syy", Computed::Squares(Variable::Y)),
    ("regr_avgx", Computed::Mean(Variable::X)),
    ("regr_avgy", Computed::Mean(Variable::Y)),
];

/// The functions.
pub(super) fn regressions() -> impl Iterator<Item = AggregateUDF> {
    FUNCTIONS.into_iter().map(|(name, computed)| {
        AggregateUDF::from(Regression {
            name,
            computed,
            signature: Signature::exact(vec![DataType::Float64; 2], Volatility::Immutable),
        })
    })
}

/// What is computed of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Computed {
    Line(Statistic),
    Products,
    Squares(Variable),
    Mean(Variable),
}

/// One of the arguments, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Variable {
    Y,
    X,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Regression {
    name: &'static str,
    computed: Computed,
    signature: Signature,
}

fn mean() -> (FloatSums, Wanted) {
    (FloatSums::default(), Wanted::Mean)
}

impl AggregateUDFImpl for Regression {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return not_impl_err!(
                "{} does not know DISTINCT, select distinct rows in a subquery",
                self.name
            );
        }
        Ok(match self.computed {
            Computed::Line(of) => Box::new(Statistics::<2, 3>::new(of)),
            Computed::Products => Box::new(Statistics::<2, 1>::new(Statistic::Products)),
            Computed::Squares(of) => Box::new(Paired::new(of, Statistics::<1, 1>::new(Statistic::Products))),
            Computed::Mean(of) => {
                let (sums, wanted) = mean();
                Box::new(Paired::new(of, Single::new(sums, wanted)))
            }
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |kind, of| Arc::new(Field::new(format_state_name(args.name, kind), of, true));
        Ok(match self.computed {
            Computed::Mean(_) => {
                let (sums, _) = mean();
                vec![field("count", DataType::UInt64), field("sum", sums.state_type())]
            }
            _ => vec![field("moments", DataType::Binary)],
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match self.computed {
            Computed::Line(of) => Box::new(StatisticsGroups::<2, 3>::new(of)),
            Computed::Products => Box::new(StatisticsGroups::<2, 1>::new(Statistic::Products)),
            Computed::Squares(of) => Box::new(Paired::new(of, StatisticsGroups::<1, 1>::new(Statistic::Products))),
            Computed::Mean(of) => {
                let (sums, wanted) = mean();
                Box::new(Paired::new(of, Groups::new(sums, wanted)))
            }
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// What is computed of one variable, in the rows that have both.
#[derive(Debug)]
struct Paired<A> {
    of: Variable,
    inner: A,
}

impl<A> Paired<A> {
    fn new(of: Variable, inner: A) -> Self {
        Self { of, inner }
    }

    fn values(&self, values: &[ArrayRef]) -> Result<[ArrayRef; 1]> {
        let [y, x] = values else {
            return exec_err!("a regression takes two variables");
        };
        let (value, other) = match self.of {
            Variable::Y => (y, x),
            Variable::X => (x, y),
        };
        Ok([nullif(value.as_ref(), &is_null(other.as_ref())?)?])
    }
}

impl<A: Accumulator> Accumulator for Paired<A> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&self.values(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.values(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

impl<A: GroupsAccumulator> GroupsAccumulator for Paired<A> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.inner.update_batch(&self.values(values)?, groups, filter, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.inner.evaluate(emit)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.inner.merge_batch(states, groups, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.values(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{answers, found, refused, session, spread};

    const ALL: &str = "regr_slope(y, x), regr_intercept(y, x), regr_r2(y, x), regr_sxx(y, x), regr_syy(y, x), \
                       regr_sxy(y, x), regr_avgx(y, x), regr_avgy(y, x), regr_count(y, x)";

    #[tokio::test]
    async fn small_tables_give_what_postgresql_gives() {
        let five = "(VALUES (1e0, 2e0), (3e0, 4e0), (2e0, 4e0), (5e0, 9e0), (7e0, NULL), (NULL, 1e0)) t(y, x)";
        answers(
            &format!("SELECT {ALL} FROM {five}"),
            "0.5514018691588785,0.1308411214953271,0.929506008010681,26.75,8.75,14.75,4.75,2.75,4",
        )
        .await;
        let level = "(VALUES (3e0, 1e0), (3e0, 2e0)) t(y, x)";
        answers(
            &format!("SELECT {ALL} FROM {level}"),
            "0.0,3.0,1.0,0.5,0.0,0.0,1.5,3.0,2",
        )
        .await;
        let steep = "(VALUES (1e0, 3e0), (2e0, 3e0)) t(y, x)";
        answers(
            &format!("SELECT {ALL} FROM {steep}"),
            "NULL,NULL,NULL,0.0,0.5,0.0,3.0,1.5,2",
        )
        .await;
        answers(
            &format!("SELECT {ALL} FROM {steep} WHERE x > 9"),
            "NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0",
        )
        .await;
        refused(&format!("SELECT regr_slope(DISTINCT y, x) FROM {level}"), "DISTINCT").await;
    }

    #[tokio::test]
    async fn far_from_zero_a_line_is_found() {
        let far = "(SELECT CAST(value AS double) * 3e8 + 1e17 AS x, CAST(value AS double) * 6e8 + 1 AS y \
                   FROM generate_series(0, 9))";
        answers(&format!("SELECT regr_slope(y, x), regr_r2(y, x) FROM {far}"), "2.0,1.0").await;
    }

    #[tokio::test]
    async fn infinities_of_one_variable_leave_the_other() {
        let t = "(VALUES (1e0, 2e0), (CAST('Infinity' AS double), 4e0)) t(y, x)";
        let sql = format!("SELECT regr_avgx(y, x), regr_avgy(y, x), regr_sxx(y, x), regr_slope(y, x) FROM {t}");
        answers(&sql, "3.0,inf,2.0,NaN").await;
    }

    #[tokio::test]
    async fn neither_partitions_nor_order_show() {
        let sql = "SELECT value % 3 AS g, CAST(value * 7919 % 1000 AS double) / 7 AS x, sqrt(value) AS y \
                   FROM generate_series(1, 500)";
        let mut answers = Vec::new();
        for order in ["value", "value DESC", "x"] {
            for partitions in [1, 4] {
                let session = session(partitions);
                let rows = session.sql(&format!("{sql} ORDER BY {order}")).await.unwrap();
                let rows = rows.collect().await.unwrap();
                let rows = datafusion::arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
                spread(&session, "t", &rows, partitions).unwrap();
                let mut answer = found(&session, &format!("SELECT {ALL} FROM t")).await;
                answer.extend(found(&session, &format!("SELECT g, {ALL} FROM t GROUP BY g ORDER BY g")).await);
                answers.push(answer);
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }

    #[tokio::test]
    async fn frames_take_rows_away_again() {
        let sql = "SELECT regr_slope(y, x) OVER w, regr_avgx(y, x) OVER w, regr_syy(y, x) OVER w FROM \
                   (VALUES (1, 1e0, 1e100), (2, 1e0, 1e0), (3, 3e0, 2e0)) t(n, y, x) \
                   WINDOW w AS (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY n";
        let rows = found(&session(2), sql).await;
        assert_eq!(rows.last().unwrap(), "2.0,1.5,2.0");
    }
}
