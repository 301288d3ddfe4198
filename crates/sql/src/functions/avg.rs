//! `avg` and `mean`: of whole numbers and doubles, an exact sum that is divided once. Of decimals and durations they
//! are the engine's.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result, not_impl_err, plan_err};
use datafusion::functions_aggregate::average::Avg as EngineAvg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::exact::{Distinct, FloatSums, Groups, Single, Sums, Wanted, WholeSums};
use super::sum::{argument_type, list_of, widened};

/// The function.
pub(super) fn avg() -> AggregateUDF {
    AggregateUDF::from(Avg {
        signature: Signature::user_defined(Volatility::Immutable),
        engines: EngineAvg::new(),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Avg {
    signature: Signature,
    engines: EngineAvg,
}

/// Evaluates an expression with sums of an argument's type; another where the engine computes the average.
macro_rules! with_sums {
    ($of:expr, |$sums:ident| $ours:expr, $engines:expr) => {
        match $of {
            DataType::Int64 => {
                let $sums = WholeSums::<Int64Type>::default();
                $ours
            }
            DataType::UInt64 => {
                let $sums = WholeSums::<UInt64Type>::default();
                $ours
            }
            DataType::Float64 => {
                let $sums = FloatSums::default();
                $ours
            }
            _ => $engines,
        }
    };
}

fn is_ours(of: &DataType) -> bool {
    matches!(of, DataType::Int64 | DataType::UInt64 | DataType::Float64)
}

impl AggregateUDFImpl for Avg {
    fn name(&self) -> &str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        self.engines.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [of] = types else {
            return plan_err!("avg takes one argument, not {}", types.len());
        };
        match (widened(of), of) {
            (Some(of), _) => Ok(vec![of]),
            (None, DataType::Duration(_)) => Ok(vec![of.clone()]),
            _ => plan_err!("avg takes a number, not a value of type {of}: cast the argument"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engines.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let distinct = args.is_distinct;
        with_sums!(
            argument_type(&args),
            |sums| match distinct {
                true => Ok(Box::new(Distinct::new(sums, Wanted::Mean))),
                false => Ok(Box::new(Single::new(sums, Wanted::Mean))),
            },
            self.engines.accumulator(args)
        )
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match is_ours(argument_type(&args)) {
            true => self.accumulator(args),
            false => self.engines.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let of = args
            .input_fields
            .first()
            .map_or(&DataType::Null, |field| field.data_type());
        let sum = with_sums!(of, |sums| sums.state_type(), return self.engines.state_fields(args));
        let field = |kind, of| Arc::new(Field::new(format_state_name(args.name, kind), of, true));
        Ok(match args.is_distinct {
            true => vec![field("avg distinct", list_of(of))],
            false => vec![field("count", DataType::UInt64), field("sum", sum)],
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        match is_ours(argument_type(&args)) {
            true => !args.is_distinct,
            false => self.engines.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if args.is_distinct {
            return not_impl_err!("avg of distinct values has no accumulator of groups");
        }
        with_sums!(
            argument_type(&args),
            |sums| Ok(Box::new(Groups::new(sums, Wanted::Mean))),
            self.engines.create_groups_accumulator(args)
        )
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}
