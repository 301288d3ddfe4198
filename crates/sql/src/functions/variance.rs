//! Variances, standard deviations, covariances and the correlation: exact until the last division, so that neither
//! the order of rows nor how they are split over tasks shows in the last bits.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::exact::{DistinctStatistics, Statistic, Statistics, StatisticsGroups};
use super::sum::list_of;

/// Names, the first of which travels, and what they compute.
const FUNCTIONS: [(Statistic, &[&str]); 7] = [
    (
        Statistic::VarianceSample,
        &["var", "var_samp", "var_sample", "variance"],
    ),
    (Statistic::VariancePopulation, &["var_pop", "var_population"]),
    (Statistic::DeviationSample, &["stddev", "stddev_samp"]),
    (Statistic::DeviationPopulation, &["stddev_pop"]),
    (Statistic::CovarianceSample, &["covar_samp", "covar"]),
    (Statistic::CovariancePopulation, &["covar_pop"]),
    (Statistic::Correlation, &["corr"]),
];

/// The functions.
pub(super) fn statistics() -> impl Iterator<Item = AggregateUDF> {
    FUNCTIONS.into_iter().filter_map(|(of, names)| {
        let (name, aliases) = names.split_first()?;
        let variables = match of {
            Statistic::CovarianceSample | Statistic::CovariancePopulation | Statistic::Correlation => 2,
            _ => 1,
        };
        Some(AggregateUDF::from(Function {
            of,
            name,
            aliases: aliases.iter().map(ToString::to_string).collect(),
            variables,
            signature: Signature::exact(vec![DataType::Float64; variables], Volatility::Immutable),
        }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    of: Statistic,
    name: &'static str,
    aliases: Vec<String>,
    variables: usize,
    signature: Signature,
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match (self.variables, args.is_distinct) {
            (1, true) => Ok(Box::new(DistinctStatistics::new(self.of))),
            (1, false) => Ok(Box::new(Statistics::<1, 1>::new(self.of))),
            (_, true) => not_impl_err!(
                "{} does not know DISTINCT, select distinct rows in a subquery",
                self.name
            ),
            _ if self.of == Statistic::Correlation => Ok(Box::new(Statistics::<2, 3>::new(self.of))),
            _ => Ok(Box::new(Statistics::<2, 1>::new(self.of))),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let (kind, of) = match args.is_distinct {
            true => ("distinct", list_of(&DataType::Float64)),
            false => ("moments", DataType::Binary),
        };
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, kind), of, true))])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match self.variables {
            _ if args.is_distinct => not_impl_err!("{} of distinct values has no accumulator of groups", self.name),
            1 => Ok(Box::new(StatisticsGroups::<1, 1>::new(self.of))),
            _ if self.of == Statistic::Correlation => Ok(Box::new(StatisticsGroups::<2, 3>::new(self.of))),
            _ => Ok(Box::new(StatisticsGroups::<2, 1>::new(self.of))),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{answer, answers, refused, session};

    const FIVE: &str = "(VALUES (2e0, 1e0), (4e0, 3e0), (4e0, 2e0), (9e0, 5e0), (NULL, 7e0)) t(x, y)";

    #[tokio::test]
    async fn small_tables_give_what_postgresql_gives() {
        let sql = format!("SELECT var_samp(x), variance(x), var_pop(x) FROM {FIVE}");
        answers(&sql, "8.916666666666666,8.916666666666666,6.6875").await;
        let sql = format!("SELECT stddev(x), stddev_samp(x), stddev_pop(x) FROM {FIVE}");
        answers(&sql, "2.9860788111948193,2.9860788111948193,2.5860201081971503").await;
        let sql = format!("SELECT covar_samp(x, y), covar_pop(x, y), corr(x, x), corr(x, -x) FROM {FIVE}");
        answers(&sql, "4.916666666666667,3.6875,1.0,-1.0").await;
        answers(&format!("SELECT round(corr(x, y), 12) FROM {FIVE}"), "0.964108919164").await;
    }

    #[tokio::test]
    async fn too_few_rows_and_no_numbers_have_their_answers() {
        let one = "(VALUES (3e0, 1e0)) t(x, y)";
        let sql =
            format!("SELECT var(x), var_pop(x), stddev(x), covar_samp(x, y), covar_pop(x, y), corr(x, y) FROM {one}");
        answers(&sql, "NULL,0.0,NULL,NULL,0.0,NULL").await;
        let sql = format!("SELECT var(x), var_pop(x), stddev(x), covar_pop(x, y), corr(x, y) FROM {one} WHERE x > 9");
        answers(&sql, "NULL,NULL,NULL,NULL,NULL").await;
        answers(
            "SELECT var(CAST(x AS double)) FROM (VALUES ('Infinity'), ('1')) t(x)",
            "NaN",
        )
        .await;
        answers(
            "SELECT var(DISTINCT x), stddev(DISTINCT x) FROM (VALUES (1), (1), (3)) t(x)",
            "2.0,1.4142135623730951",
        )
        .await;
        refused("SELECT corr(DISTINCT x, x) FROM (VALUES (1e0)) t(x)", "DISTINCT").await;
    }

    #[tokio::test]
    async fn small_differences_of_large_values_are_not_lost() {
        answers(
            "SELECT var_pop(x) FROM (VALUES (1e15), (1e15 + 1), (1e15 + 2)) t(x)",
            "0.6666666666666666",
        )
        .await;
        answers(
            "SELECT var_pop(x) FROM (VALUES (1e200), (-1e200), (1e-200)) t(x)",
            "inf",
        )
        .await;
        let frames = "SELECT var_pop(x) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM \
                      (VALUES (1, 1e100), (2, 3e0), (3, 1e0), (4, NULL)) t(n, x) ORDER BY n";
        let answer = answer(&session(2), frames).await;
        assert_eq!(answer.unwrap(), ["0.0", "2.5e199", "1.0", "0.0"]);
    }
}
