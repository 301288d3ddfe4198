//! SQL functions beside the engine's, and those that take the place of the engine's where its own give wrong answers.
//! A plan names a function and no more, so none of them knows anything but its name and its arguments.

/// The methods of an aggregate that puts its values in order by itself. No order is asked of its input, and none is turned
/// around; it is one to which an order is of use, since of any other no order travels to executors.
macro_rules! own_order {
    () => {
        fn order_sensitivity(&self) -> datafusion::logical_expr::utils::AggregateOrderSensitivity {
            datafusion::logical_expr::utils::AggregateOrderSensitivity::Beneficial
        }

        fn with_beneficial_ordering(
            self: Arc<Self>,
            _: bool,
        ) -> datafusion::common::Result<Option<Arc<dyn datafusion::logical_expr::AggregateUDFImpl>>> {
            Ok(Some(self))
        }

        fn reverse_expr(&self) -> datafusion::logical_expr::ReversedUDAF {
            datafusion::logical_expr::ReversedUDAF::NotSupported
        }
    };
}

/// The methods of a scalar function that has the name and the types of an engine's, `self.of`.
macro_rules! types_of_the_engines {
    () => {
        fn name(&self) -> &str {
            self.of.name()
        }

        fn aliases(&self) -> &[String] {
            self.of.aliases()
        }

        fn signature(&self) -> &datafusion::logical_expr::Signature {
            self.of.signature()
        }

        fn coerce_types(&self, types: &[DataType]) -> datafusion::common::Result<Vec<DataType>> {
            self.of.coerce_types(types)
        }

        fn return_type(&self, types: &[DataType]) -> datafusion::common::Result<DataType> {
            self.of.return_type(types)
        }
    };
}

mod avg;
mod calendar;
mod columnar;
mod conditional;
mod contains;
mod counts;
mod date_add;
mod date_diff;
mod date_parts;
mod encoded;
mod exact;
mod extremes;
mod framed;
pub(crate) mod growing;
mod intervals;
mod max_by;
mod mode;
mod numbers;
mod ordered;
mod patterns;
mod percentile_cont;
mod percentile_disc;
mod regression;
mod rounding;
mod signed;
mod single_row;
mod strip_accents;
mod sum;
#[cfg(test)]
mod testing;
mod text;
mod to_char;
mod to_date;
mod variance;

use std::sync::Arc;

pub use growing::within_budget;

use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Returns the scalar functions beside the engine's, or in the place of the engine's of the same name.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let functions = [conditional::conditional(), date_diff::date_diff()].into_iter();
    let functions = functions
        .chain(date_add::additions())
        .chain(date_parts::parts())
        .chain(intervals::made());
    let functions = functions
        .chain(growing::growing())
        .chain(contains::contains())
        .chain([strip_accents::strip_accents()])
        .chain(to_char::to_char())
        .chain(to_date::from_texts());
    let functions = functions
        .chain(counts::counts())
        .chain(numbers::numbers())
        .chain(rounding::rounding());
    functions.map(Arc::new).collect()
}

/// Aggregates of the engine that cannot take a row out of a frame.
const NOT_SLIDING: [&str; 8] = [
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
];

/// Returns the aggregates beside the engine's, or in the place of the engine's of the same name.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let plain = [
        avg::avg(),
        mode::mode(),
        percentile_cont::percentile_cont(),
        percentile_disc::percentile_disc(),
        single_row::single_row(),
        sum::sum(),
    ];
    let functions = plain.into_iter().chain(ordered::ordered());
    let functions = functions.chain(max_by::max_by_and_min_by());
    let functions = functions.chain(extremes::extremes());
    let functions = functions.chain(variance::statistics()).chain(regression::regressions());
    let functions = functions.chain(signed::signed()).map(framed::framed);
    let engines = all_default_aggregate_functions().into_iter();
    let engines = engines.filter(|function| NOT_SLIDING.contains(&function.name()));
    functions.chain(engines.map(framed::framed)).map(Arc::new).collect()
}

/// Returns the aggregate that gives its only row, and fails where there are several.
pub fn single_row() -> Arc<AggregateUDF> {
    Arc::new(single_row::single_row())
}

/// Returns the sum, for rules that add one to a plan.
pub fn sum() -> Arc<AggregateUDF> {
    Arc::new(sum::sum())
}
