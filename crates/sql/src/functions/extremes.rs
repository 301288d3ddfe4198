//! `max` and `min` of doubles and reals: NaN is the greatest number, as it is where numbers are compared and ordered. The
//! engine's depend on where among the rows a NaN stands. Of any other type they are the engine's. `any_value` is the least
//! value: the engine's is the one that is read first, which differs from one run to the next.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

/// The functions.
pub(super) fn extremes() -> [AggregateUDF; 3] {
    [
        ("max", max_udaf(), true),
        ("min", min_udaf(), false),
        ("any_value", min_udaf(), false),
    ]
    .map(|(name, engines, greatest)| {
        AggregateUDF::from(Extreme {
            name,
            engines,
            greatest,
        })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    name: &'static str,
    engines: Arc<AggregateUDF>,
    greatest: bool,
}

/// A floating-point type.
trait Float: ArrowPrimitiveType + std::fmt::Debug {
    /// Whether `a` comes behind `b`, with NaN behind all.
    fn is_behind(a: Self::Native, b: Self::Native) -> bool;
}

impl Float for Float64Type {
    fn is_behind(a: f64, b: f64) -> bool {
        !b.is_nan() && (a.is_nan() || a > b)
    }
}

impl Float for Float32Type {
    fn is_behind(a: f32, b: f32) -> bool {
        !b.is_nan() && (a.is_nan() || a > b)
    }
}

fn beats<F: Float>(greatest: bool, a: F::Native, b: F::Native) -> bool {
    if greatest {
        F::is_behind(a, b)
    } else {
        F::is_behind(b, a)
    }
}

fn argument(args: &AccumulatorArgs) -> DataType {
    args.expr_fields
        .first()
        .map_or(DataType::Null, |field| field.data_type().clone())
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        self.engines.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if let [DataType::Map(..)] = types {
            return plan_err!("{} knows no order of maps, use first_value(x ORDER BY y)", self.name);
        }
        self.engines.inner().coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engines.inner().return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.engines.inner().return_field(fields)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.engines.inner().state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match argument(&args) {
            DataType::Float64 => Ok(Box::new(Best::<Float64Type>::new(self.greatest))),
            DataType::Float32 => Ok(Box::new(Best::<Float32Type>::new(self.greatest))),
            _ => self.engines.inner().accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match argument(&args) {
            DataType::Float64 => Ok(Box::new(Sliding::<Float64Type>::new(self.greatest))),
            DataType::Float32 => Ok(Box::new(Sliding::<Float32Type>::new(self.greatest))),
            _ => self.engines.inner().create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.engines.inner().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match argument(&args) {
            DataType::Float64 => Ok(Box::new(Groups::<Float64Type>::new(self.greatest))),
            DataType::Float32 => Ok(Box::new(Groups::<Float32Type>::new(self.greatest))),
            _ => self.engines.inner().create_groups_accumulator(args),
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.engines.inner().is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.engines.inner().order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn set_monotonicity(&self, of: &DataType) -> SetMonotonicity {
        self.engines.inner().set_monotonicity(of)
    }
}

/// The best value of all.
#[derive(Debug)]
struct Best<F: Float> {
    greatest: bool,
    value: Option<F::Native>,
}

impl<F: Float> Best<F> {
    fn new(greatest: bool) -> Self {
        Self { greatest, value: None }
    }

    fn add(&mut self, value: F::Native) {
        if self.value.is_none_or(|best| beats::<F>(self.greatest, value, best)) {
            self.value = Some(value);
        }
    }
}

fn scalar<F: Float>(value: Option<F::Native>) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&PrimitiveArray::<F>::from_iter([value]), 0)
}

fn each<F: Float>(values: &[ArrayRef]) -> impl Iterator<Item = F::Native> + '_ {
    let columns = values.iter().take(1);
    columns.flat_map(|column| column.as_primitive::<F>().iter().flatten())
}

impl<F: Float> Accumulator for Best<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each::<F>(values).for_each(|value| self.add(value));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        scalar::<F>(self.value)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![scalar::<F>(self.value)?])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The best value of a frame that slides: values that no later one beats, in their order, each with its number.
#[derive(Debug)]
struct Sliding<F: Float> {
    greatest: bool,
    values: VecDeque<(u64, F::Native)>,
    added: u64,
    removed: u64,
}

impl<F: Float> Sliding<F> {
    fn new(greatest: bool) -> Self {
        Self {
            greatest,
            values: VecDeque::new(),
            added: 0,
            removed: 0,
        }
    }
}

impl<F: Float> Accumulator for Sliding<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in each::<F>(values) {
            while self
                .values
                .back()
                .is_some_and(|(_, last)| !beats::<F>(self.greatest, *last, value))
            {
                self.values.pop_back();
            }
            self.values.push_back((self.added, value));
            self.added += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.removed += each::<F>(values).count() as u64;
        while self.values.front().is_some_and(|(number, _)| *number < self.removed) {
            self.values.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        scalar::<F>(self.values.front().map(|(_, value)| *value))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<(u64, F::Native)>()
    }
}

/// The best value of each group.
#[derive(Debug)]
struct Groups<F: Float> {
    greatest: bool,
    values: Vec<Option<F::Native>>,
}

impl<F: Float> Groups<F> {
    fn new(greatest: bool) -> Self {
        Self {
            greatest,
            values: Vec::new(),
        }
    }
}

impl<F: Float> GroupsAccumulator for Groups<F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.values.resize(count, None);
        for (row, value) in values[0].as_primitive::<F>().iter().enumerate() {
            let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            let (Some(value), true) = (value, counts) else { continue };
            let best = &mut self.values[groups[row]];
            if best.is_none_or(|best| beats::<F>(self.greatest, value, best)) {
                *best = Some(value);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.update_batch(states, groups, None, count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let values = emit_to.take_needed(&mut self.values);
        Ok(Arc::new(PrimitiveArray::<F>::from_iter(values)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<F>();
        let kept = values.iter().enumerate().map(|(row, value)| {
            value.filter(|_| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)))
        });
        Ok(vec![Arc::new(PrimitiveArray::<F>::from_iter(kept))])
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<Option<F::Native>>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::extremes;
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::{SessionConfig, SessionContext};

    async fn answer(sql: &str) -> String {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
        for function in extremes() {
            context.register_udaf(function);
        }
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let table = pretty_format_batches(&batches).unwrap().to_string();
        let rows = table.lines().skip(3).filter(|line| line.starts_with('|'));
        rows.map(|line| line.replace(['|', ' '], "").to_owned() + ";").collect()
    }

    const ROWS: &str = "(VALUES (1, 1.0, 1), (1, 'NaN'::double, 2), (1, 'Infinity'::double, 3), (2, -1.0, 4), (2, NULL, 5), \
                        (3, NULL, 6)) AS t (g, x, n)";

    #[tokio::test]
    async fn nan_is_the_greatest_wherever_it_stands() {
        for order in ["n", "n DESC"] {
            let rows = format!("(SELECT * FROM {ROWS} ORDER BY {order}) AS t");
            let all = format!("SELECT max(x), min(x) FROM {rows}");
            assert_eq!(answer(&all).await, "NaN-1.0;");
            let groups = format!(
                "SELECT concat(g, ':', a, ':', b) FROM (SELECT g, max(x) AS a, min(x) AS b FROM {rows} GROUP BY g) ORDER BY g"
            );
            assert_eq!(answer(&groups).await, "1:NaN:1.0;2:-1.0:-1.0;3::;");
        }
    }

    #[tokio::test]
    async fn any_value_is_the_same_in_every_run() {
        for order in ["n", "n DESC"] {
            let rows = format!("(SELECT * FROM {ROWS} ORDER BY {order}) AS t");
            let sql = format!(
                "SELECT concat(g, ':', any_value(x), ':', any_value(n > 1), ':', any_value([n])[1], ':', \
                 any_value(n) OVER (PARTITION BY g)) FROM {rows} GROUP BY g, n ORDER BY g, n LIMIT 1"
            );
            assert_eq!(answer(&sql).await, "1:1.0:false:1:1;");
        }
        let groups = format!(
            "SELECT concat(g, ':', any_value(x), ':', any_value(DISTINCT n)) FROM {ROWS} GROUP BY g ORDER BY g"
        );
        assert_eq!(answer(&groups).await, "1:1.0:1;2:-1.0:4;3::6;");
    }

    #[tokio::test]
    async fn what_leaves_a_frame_is_forgotten() {
        let frame = "OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
        let sql = format!("SELECT concat(max(x) {frame}, ':', min(x) {frame}) FROM {ROWS} ORDER BY n");
        assert_eq!(answer(&sql).await, "1.0:1.0;NaN:1.0;NaN:inf;inf:-1.0;-1.0:-1.0;:;");
    }

    #[tokio::test]
    async fn other_types_are_the_engines() {
        let sql = format!("SELECT concat(max(n), ':', min(CAST(n AS VARCHAR))) FROM {ROWS}");
        assert_eq!(answer(&sql).await, "6:1;");
    }
}
