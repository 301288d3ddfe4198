//! Goes through an expression from below with the range of each part, and chooses between operator and function.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::common::{DFSchema, ExprSchema, Result};
use datafusion::logical_expr::expr::{Alias, Case, Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, binary_expr, cast};

use super::checked;
use super::operation::{CALENDAR, Operation};
use super::range::Range;

/// More days than this, some thousand years, are checked.
const MOST_DAYS: i128 = 1_000_000;

/// Functions whose values are among those of their arguments.
const CHOICES: [&str; 3] = ["coalesce", "greatest", "least"];

/// Rewrites one expression.
pub(super) struct Rewriter<'a> {
    schema: &'a DFSchema,
    /// Whether operators are checked, or functions are unchecked.
    checking: bool,
    /// The ranges of the parts that have been visited and whose whole has not.
    ranges: Vec<Option<Range>>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn checking(schema: &'a DFSchema) -> Self {
        let (checking, ranges) = (true, Vec::new());
        Self {
            schema,
            checking,
            ranges,
        }
    }

    pub(super) fn unchecking(schema: &'a DFSchema) -> Self {
        Self {
            checking: false,
            ..Self::checking(schema)
        }
    }

    /// The range of a part, or all values of its type.
    fn range(&self, part: &Expr, known: Option<Range>) -> Result<Option<Range>> {
        match known {
            Some(known) => Ok(Some(known)),
            None => Ok(Range::of_type(&part.get_type(self.schema)?)),
        }
    }

    /// An operation in the form that its range allows, with that range.
    fn operation(&self, operation: Operation, expr: Expr, parts: Vec<Option<Range>>) -> Result<Rewritten> {
        let args = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => vec![left.as_ref(), right.as_ref()],
            Expr::Negative(one) => vec![one.as_ref()],
            Expr::ScalarFunction(function) => function.args.iter().collect(),
            _ => return Ok(Rewritten::no(expr, None)),
        };
        let mut ranges = Vec::with_capacity(2);
        for (arg, known) in args.into_iter().zip(parts) {
            match self.range(arg, known)? {
                Some(range) => ranges.push(range),
                None => return Ok(Rewritten::no(expr, None)),
            }
        }
        match ranges.as_slice() {
            [left, right] if left.of == DataType::Date32 => self.on_date(operation, expr, left, right),
            [days, date] if date.of == DataType::Date32 && operation == Operation::Add => {
                self.on_date(operation, expr, date, days)
            }
            [left, right] if left.of == right.of => self.on_numbers(operation, expr, left, right),
            [one] => self.on_numbers(operation, expr, one, one),
            _ => Ok(Rewritten::no(expr, None)),
        }
    }

    fn on_numbers(&self, operation: Operation, expr: Expr, left: &Range, right: &Range) -> Result<Rewritten> {
        let Some(all) = Range::of_type(&left.of) else {
            return Ok(Rewritten::no(expr, None));
        };
        let (low, high) = Range::exact(operation, left, right);
        let fits = all.holds((low, high));
        let range = Range {
            of: left.of.clone(),
            low,
            high,
        };
        let range = Some(range.within(&all));
        let plain = Operation::checked(&expr).is_none();
        Ok(match (plain, fits) {
            (true, false) if self.checking => Rewritten::yes(checked(operation, parts_of(expr)), range),
            (false, true) => Rewritten::yes(unchecked(operation, parts_of(expr)), range),
            _ => Rewritten::no(expr, range),
        })
    }

    /// The days between two dates, which are a BIGINT and cannot be too many, or a date some days away.
    fn on_date(&self, operation: Operation, expr: Expr, date: &Range, days: &Range) -> Result<Rewritten> {
        let (low, high) = Range::exact(operation, date, days);
        if days.of == DataType::Date32 {
            let of = DataType::Int64;
            return Ok(Rewritten::no(expr, Some(Range { of, low, high })));
        }
        let of = DataType::Date32;
        let (first, last) = (i128::from(*CALENDAR.start()), i128::from(*CALENDAR.end()));
        let calendar = Range {
            of: of.clone(),
            low: first,
            high: last,
        };
        let range = Some(Range { of, low, high }.within(&calendar));
        let few = -MOST_DAYS <= days.low && days.high <= MOST_DAYS;
        Ok(
            match Operation::checked(&expr).is_some() && few && calendar.holds((low, high)) {
                true => Rewritten::yes(moved_as_number(operation, parts_of(expr))?, range),
                false => Rewritten::no(expr, range),
            },
        )
    }

    fn division(&self, expr: Expr, parts: Vec<Option<Range>>) -> Result<Rewritten> {
        let Expr::BinaryExpr(BinaryExpr { left, op, .. }) = &expr else {
            return Ok(Rewritten::no(expr, None));
        };
        let mut parts = parts.into_iter();
        let range = match (op, parts.next().flatten(), parts.next().flatten()) {
            (Operator::Divide, Some(dividend), _) => dividend.quotient(),
            (Operator::Modulo, dividend, Some(divisor)) => {
                let dividend = self.range(left, dividend)?;
                dividend.map(|dividend| dividend.remainder(&divisor))
            }
            _ => None,
        };
        Ok(Rewritten::no(expr, range))
    }
}

/// An expression in its new form, with its range.
struct Rewritten(Transformed<Expr>, Option<Range>);

impl Rewritten {
    fn yes(expr: Expr, range: Option<Range>) -> Self {
        Self(Transformed::yes(expr), range)
    }

    fn no(expr: Expr, range: Option<Range>) -> Self {
        Self(Transformed::no(expr), range)
    }
}

impl TreeNodeRewriter for Rewriter<'_> {
    type Node = Expr;

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let mut count = 0;
        expr.apply_children(|_| {
            count += 1;
            Ok(TreeNodeRecursion::Continue)
        })?;
        let parts = self.ranges.split_off(self.ranges.len().saturating_sub(count));
        let Rewritten(expr, range) = match Operation::of(&expr) {
            Some(operation) => self.operation(operation, expr, parts)?,
            None if matches!(expr, Expr::BinaryExpr(_)) => self.division(expr, parts)?,
            None => {
                let range = range_of(&expr, parts, self.schema);
                Rewritten::no(expr, range)
            }
        };
        self.ranges.push(range);
        Ok(expr)
    }
}

/// The range of what is no arithmetic. None if it is for the type to say.
fn range_of(expr: &Expr, parts: Vec<Option<Range>>, schema: &DFSchema) -> Option<Range> {
    match expr {
        Expr::Literal(value, _) => Range::of_constant(value),
        Expr::Column(column) => Range::of_type(schema.field_from_column(column).ok()?.data_type()),
        Expr::Alias(Alias { .. }) => parts.into_iter().next()?,
        Expr::Cast(Cast { expr: inner, field }) | Expr::TryCast(TryCast { expr: inner, field }) => {
            let from = parts.into_iter().next()?;
            let from = from.or_else(|| Range::of_type(&inner.get_type(schema).ok()?));
            Range::cast(from.as_ref(), field.data_type())
        }
        Expr::Case(case) => any_of(parts.into_iter().enumerate().filter_map(|(at, part)| {
            let is_value = is_value_of_case(case, at);
            is_value.then_some(part)
        })),
        Expr::ScalarFunction(ScalarFunction { func, .. }) if CHOICES.contains(&func.name()) => {
            any_of(parts.into_iter())
        }
        _ => None,
    }
}

/// Whether the part at this place is what a CASE may have as its value.
fn is_value_of_case(case: &Case, at: usize) -> bool {
    let at = match (&case.expr, at) {
        (Some(_), 0) => return false,
        (Some(_), at) => at - 1,
        (None, at) => at,
    };
    at >= 2 * case.when_then_expr.len() || at % 2 == 1
}

fn any_of(mut parts: impl Iterator<Item = Option<Range>>) -> Option<Range> {
    let first = parts.next()??;
    parts.try_fold(first, |all, part| all.or(&part?))
}

fn parts_of(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => vec![*left, *right],
        Expr::Negative(one) => vec![*one],
        Expr::ScalarFunction(function) => function.args,
        expr => vec![expr],
    }
}

fn unchecked(operation: Operation, parts: Vec<Expr>) -> Expr {
    let mut parts = parts.into_iter();
    match (operation.operator(), parts.next(), parts.next()) {
        (Some(operator), Some(left), Some(right)) => binary_expr(left, operator, right),
        (None, Some(one), None) => Expr::Negative(Box::new(one)),
        (_, left, right) => checked(operation, left.into_iter().chain(right).collect()),
    }
}

/// `CAST(CAST(date AS INT) ± days AS DATE)`: one instruction for many dates.
fn moved_as_number(operation: Operation, parts: Vec<Expr>) -> Result<Expr> {
    let mut numbers = Vec::with_capacity(parts.len());
    for part in parts {
        numbers.push(match part {
            Expr::Literal(value, _) => Expr::Literal(value.cast_to(&DataType::Int32)?, None),
            // It has been widened for the function.
            Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Int64 => cast(*expr, DataType::Int32),
            part => cast(part, DataType::Int32),
        });
    }
    Ok(cast(unchecked(operation, numbers), DataType::Date32))
}
