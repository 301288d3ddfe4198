//! Ranks as SQL has them: whole numbers with a sign. DataFusion 55 gives `row_number`, `rank`, `dense_rank` and `ntile` as
//! unsigned numbers, so that the difference of two ranks, by which spells of treatment are told apart, may come out as
//! 18 446 744 073 709 551 615 in place of -1, `lead(rank, 1, -1)` is no number at all, and many a client knows no such type.

use std::ops::Range;
use std::sync::Arc;

use ballista_core::extension::ballista_window_functions;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::{SortOptions, cast};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{Documentation, LimitEffect, PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl};
use datafusion::physical_plan::PhysicalExpr;

/// The functions that count rows of a window.
const NAMES: [&str; 4] = ["dense_rank", "ntile", "rank", "row_number"];

/// Says on the wire that a rank is a signed number.
const SIGNED: &[u8] = b"signed";

/// A function that counts, with a sign.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rank(Arc<WindowUDF>);

impl Rank {
    /// The function with a sign; none if it is not one that counts.
    pub(crate) fn of(function: &Arc<WindowUDF>) -> Option<Arc<WindowUDF>> {
        let signed = || Arc::new(WindowUDF::new_from_impl(Self(Arc::clone(function))));
        NAMES.contains(&function.name()).then(signed)
    }

    /// What its name does not say, for the wire; nothing of another function.
    pub(crate) fn encode(function: &WindowUDF, bytes: &mut Vec<u8>) {
        if function.inner().is::<Self>() {
            bytes.extend_from_slice(SIGNED);
        }
    }

    /// The function of this name, if `bytes` were written for one that counts.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Option<Arc<WindowUDF>> {
        let mut known = ballista_window_functions().into_iter();
        let known = known.find(|known| bytes == SIGNED && known.name() == name)?;
        Self::of(&known)
    }
}

impl WindowUDFImpl for Rank {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let counts = self.0.inner().partition_evaluator(args)?;
        Ok(Box::new(Signed(counts)))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let counted = self.0.inner().field(args)?;
        Ok(Arc::new(Field::new(
            counted.name(),
            DataType::Int64,
            counted.is_nullable(),
        )))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.inner().coerce_types(types)
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.0.inner().sort_options()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.inner().documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.0.inner().limit_effect(args)
    }
}

/// Gives what is counted a sign.
#[derive(Debug)]
struct Signed(Box<dyn PartitionEvaluator>);

impl PartitionEvaluator for Signed {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.0.memoize(state)
    }

    fn get_range(&self, row: usize, rows: usize) -> Result<Range<usize>> {
        self.0.get_range(row, rows)
    }

    fn is_causal(&self) -> bool {
        self.0.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        Ok(cast(&self.0.evaluate_all(values, rows)?, &DataType::Int64)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.0.evaluate(values, range)?.cast_to(&DataType::Int64)
    }

    fn evaluate_all_with_rank(&self, rows: usize, peers: &[Range<usize>]) -> Result<ArrayRef> {
        Ok(cast(&self.0.evaluate_all_with_rank(rows, peers)?, &DataType::Int64)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.0.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.0.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.0.include_rank()
    }
}
