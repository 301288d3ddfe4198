//! The functions `checked_add`, `checked_sub`, `checked_mul` and `checked_neg` over whole numbers, and over a date and days.
//! They carry no state: a physical plan travels with their names. Columns that they make are named as the operators' are.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray, Datum, PrimitiveArray};
use datafusion::arrow::compute::kernels::numeric::{add, mul, neg, sub};
use datafusion::arrow::compute::try_binary;
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, FieldRef, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::utils::take_function_args;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, internal_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

/// The days from 1970-01-01 that the engine can print, in the years -262143 to 262142.
pub(super) const CALENDAR: std::ops::RangeInclusive<i64> = -96_465_292..=95_026_236;

/// An operation that may leave the range of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

use Operation::{Add, Multiply, Negate, Subtract};

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 4]> =
    LazyLock::new(|| [Add, Subtract, Multiply, Negate].map(|one| Arc::new(ScalarUDF::from(Checked::new(one)))));

/// The functions by which these operations are checked.
pub(in super::super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().cloned()
}

impl Operation {
    /// The one that an operator or a function is.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Negative(_) => Some(Negate),
            Expr::BinaryExpr(BinaryExpr { op, .. }) => match op {
                Operator::Plus => Some(Add),
                Operator::Minus => Some(Subtract),
                Operator::Multiply => Some(Multiply),
                _ => None,
            },
            _ => Self::checked(expr),
        }
    }

    /// The one that a checking function is.
    pub(in super::super) fn checked(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::ScalarFunction(ScalarFunction { func, .. }) => Self::of_function(func),
            _ => None,
        }
    }

    fn of_function(function: &ScalarUDF) -> Option<Self> {
        function
            .inner()
            .downcast_ref::<Checked>()
            .map(|checked| checked.operation)
    }

    pub(super) fn function(self) -> &'static Arc<ScalarUDF> {
        &FUNCTIONS[self as usize]
    }

    pub(super) fn operator(self) -> Option<Operator> {
        match self {
            Add => Some(Operator::Plus),
            Subtract => Some(Operator::Minus),
            Multiply => Some(Operator::Multiply),
            Negate => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Add => "checked_add",
            Subtract => "checked_sub",
            Multiply => "checked_mul",
            Negate => "checked_neg",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Add => "an addition",
            Subtract => "a subtraction",
            Multiply => "a multiplication",
            Negate => "a negation",
        }
    }

    fn compute(self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self {
            Add => add(left, right),
            Subtract => sub(left, right),
            Multiply => mul(left, right),
            Negate => neg(left.get().0),
        }
    }

    /// Names no values: they are patients'.
    fn failed(self, error: DataFusionError) -> DataFusionError {
        match &error {
            DataFusionError::ArrowError(cause, _) if matches!(**cause, ArrowError::ArithmeticOverflow(_)) => {
                exec_datafusion_err!(
                    "integer out of range in {}, cast an operand to DECIMAL or DOUBLE",
                    self.in_words()
                )
            }
            _ => error,
        }
    }

    /// Dates that lie some days later or earlier.
    fn moved(self, dates: &ColumnarValue, days: &ColumnarValue, rows: usize) -> Result<ColumnarValue> {
        let scalar = matches!((dates, days), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { rows };
        let (dates, days) = (dates.to_array(rows)?, days.to_array(rows)?);
        let moved: PrimitiveArray<Date32Type> = try_binary(
            dates.as_primitive::<Date32Type>(),
            days.as_primitive::<Int64Type>(),
            |date, days| self.moved_by(date, days),
        )
        .map_err(|_| exec_datafusion_err!("date out of range in {}", self.in_words()))?;
        match scalar {
            true => ScalarValue::try_from_array(&moved, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(Arc::new(moved))),
        }
    }

    fn moved_by(self, date: i32, days: i64) -> Result<i32, ArrowError> {
        let moved = match self {
            Add => i64::from(date).checked_add(days),
            _ => i64::from(date).checked_sub(days),
        };
        let within = moved.filter(|days| CALENDAR.contains(days));
        let within = within.and_then(|days| i32::try_from(days).ok());
        within.ok_or_else(|| ArrowError::ArithmeticOverflow(String::new()))
    }
}

/// The function of an operation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl Checked {
    fn new(operation: Operation) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { operation, signature }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.operation.name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let mut name = String::new();
        write_operation(&mut name, self.operation, args)?;
        Ok(name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let fits = match (self.operation, types) {
            (Negate, [one]) => one.is_signed_integer(),
            (Add | Subtract | Multiply, [one, other]) if one == other => one.is_integer(),
            (Add | Subtract, [DataType::Date32, DataType::Int64]) => true,
            (Add, [DataType::Int64, DataType::Date32]) => true,
            _ => false,
        };
        match fits {
            true => Ok(types.to_vec()),
            false => plan_err!("{} is over whole numbers of one type", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, DataType::Date32] => Ok(DataType::Date32),
            [first, ..] => Ok(first.clone()),
            [] => internal_err!("{} has no arguments", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let field = Field::new(self.name(), self.return_type(&types)?, nullable);
        Ok(Arc::new(field))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let operation = self.operation;
        if operation == Negate {
            let [one] = take_function_args(self.name(), args.args)?;
            // The kernel takes two, and negates the first.
            return apply(&one, &one, |one, other| operation.compute(one, other)).map_err(|e| operation.failed(e));
        }
        let [left, right] = take_function_args(self.name(), args.args)?;
        match (left.data_type(), right.data_type()) {
            (DataType::Date32, _) => operation.moved(&left, &right, args.number_rows),
            (_, DataType::Date32) => operation.moved(&right, &left, args.number_rows),
            _ => apply(&left, &right, |left, right| operation.compute(left, right)).map_err(|e| operation.failed(e)),
        }
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let types: Vec<_> = inputs.iter().map(|input| input.data_type()).collect();
        Interval::make_unbounded(&self.return_type(&types)?)
    }

    /// Nothing wraps, so that sums are in the order of their parts.
    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        let orders: Vec<_> = inputs.iter().map(|input| input.sort_properties).collect();
        Ok(match (self.operation, orders.as_slice()) {
            (_, orders) if orders.iter().all(|order| *order == SortProperties::Singleton) => SortProperties::Singleton,
            (Add, [left, right]) => left.add(right),
            (Subtract, [left, right]) => left.sub(right),
            (Negate, [one]) => -*one,
            _ => SortProperties::Unordered,
        })
    }
}

/// Writes the name that the operator would have. The parts of a long sum write into one text, not each its own.
fn write_name(name: &mut String, expr: &Expr) -> Result<()> {
    match (expr, Operation::checked(expr)) {
        (Expr::ScalarFunction(function), Some(operation)) => write_operation(name, operation, &function.args),
        (expr, _) => write_part(name, format_args!("{}", expr.schema_name())),
    }
}

fn write_operation(name: &mut String, operation: Operation, args: &[Expr]) -> Result<()> {
    match (operation.operator(), args) {
        (Some(operator), [left, right]) => {
            write_name(name, left)?;
            write_part(name, format_args!(" {operator} "))?;
            write_name(name, right)
        }
        (None, [one]) => {
            write_part(name, format_args!("(- "))?;
            write_name(name, one)?;
            write_part(name, format_args!(")"))
        }
        _ => internal_err!("{} has too few arguments", operation.name()),
    }
}

fn write_part(name: &mut String, part: std::fmt::Arguments) -> Result<()> {
    name.write_fmt(part)
        .or_else(|_| internal_err!("a name cannot be written"))
}
