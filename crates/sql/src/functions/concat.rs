//! `concat(a, b, …)` and `concat_ws(separator, a, b, …)` as the engine computes them. What the engine makes of them beforehand
//! is left out: it drops arguments that have turned out to be NULL, and where all have, nothing is left of the function.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions::string::{concat, concat_ws};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};

/// The functions.
pub(super) fn concatenations() -> [ScalarUDF; 2] {
    [concat(), concat_ws()].map(|of| ScalarUDF::from(AsWritten { of }))
}

/// A function of the engine that stays as it is written until it is computed.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsWritten {
    of: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for AsWritten {
    types_of_the_engines!();

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.of.invoke_with_args(args)
    }
}
