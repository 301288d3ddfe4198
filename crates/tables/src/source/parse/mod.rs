//! Texts to typed columns: CSV fields, Parquet strings whose table says another type, and the specification's missing
//! values. A text is a value of the type in full or its row is marked; nothing is rounded, cut or guessed.

mod date;
mod decimal;
mod grouped;
mod number;

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanBuilder, PrimitiveArray, PrimitiveBuilder, StringArray, StringBuilder,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::error::Reason;
use super::marks::Marks;
use crate::spec::{Booleans, ColumnType};

pub(super) use date::{DateReader, MICROS_PER_DAY, on_clock};

/// How a source writes values.
pub(super) struct Notation {
    pub dates: DateReader,
    /// The decimal mark.
    pub decimal: u8,
    /// The character between groups of three digits, where there is one.
    pub thousands: Option<char>,
    /// Texts of truths, where they are others than usual.
    pub booleans: Option<Booleans>,
}

impl Notation {
    /// A number without the characters between its groups of digits.
    fn plain<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, [u8]>, Reason> {
        match self.thousands {
            None => Ok(Cow::Borrowed(text)),
            Some(thousands) => grouped::plain(text, thousands, self.decimal),
        }
    }

    fn boolean(&self, text: &[u8]) -> Result<bool, Reason> {
        let Some(Booleans { yes, no }) = &self.booleans else {
            return boolean(text);
        };
        let is = |texts: &[String]| texts.iter().any(|one| one.as_bytes() == text);
        match (is(yes), is(no)) {
            (true, _) => Ok(true),
            (_, true) => Ok(false),
            _ => Err(Reason::NotABoolean),
        }
    }
}

/// One column of texts; `None` is NULL.
pub(super) trait Cells {
    fn len(&self) -> usize;
    fn get(&self, row: usize) -> Option<&[u8]>;
}

impl Cells for &[&[u8]] {
    fn len(&self) -> usize {
        <[&[u8]]>::len(self)
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        <[&[u8]]>::get(self, row).copied()
    }
}

impl Cells for &StringArray {
    fn len(&self) -> usize {
        Array::len(*self)
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        (!self.is_null(row)).then(|| self.value(row).as_bytes())
    }
}

/// The texts as an array of `column_type`. A text that is no such value becomes NULL, and its row is marked at `index`.
pub(super) fn column<C: Cells>(
    cells: C,
    column_type: ColumnType,
    notation: &Notation,
    index: usize,
    marks: &mut Marks,
) -> ArrayRef {
    let column = Texts { cells, index };
    match column_type {
        ColumnType::Bool => column.booleans(marks, notation),
        ColumnType::Int8 => {
            column.values::<Int8Type>(marks, |text| number::integer(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::Int16 => {
            column.values::<Int16Type>(marks, |text| number::integer(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::Int32 => {
            column.values::<Int32Type>(marks, |text| number::integer(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::Int64 => {
            column.values::<Int64Type>(marks, |text| number::integer(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::UInt8 => {
            column.values::<UInt8Type>(marks, |text| number::integer(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::UInt16 => {
            column.values::<UInt16Type>(marks, |text| number::integer(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::UInt32 => {
            column.values::<UInt32Type>(marks, |text| number::integer(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::UInt64 => column.values::<UInt64Type>(marks, |text| {
            number::unsigned_long(&notation.plain(text)?, notation.decimal)
        }),
        ColumnType::Float32 => {
            column.values::<Float32Type>(marks, |text| number::float32(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::Float64 => {
            column.values::<Float64Type>(marks, |text| number::float64(&notation.plain(text)?, notation.decimal))
        }
        ColumnType::Utf8 => column.texts(marks),
        ColumnType::Date32 => column.values::<Date32Type>(marks, |text| notation.dates.date(text)),
        ColumnType::Timestamp => {
            column.values::<TimestampMicrosecondType>(marks, |text| notation.dates.timestamp(text))
        }
        ColumnType::Decimal { precision, scale } => column.decimals(marks, precision, scale, notation),
    }
}

/// A column of texts at its position in the table.
struct Texts<C> {
    cells: C,
    index: usize,
}

impl<C: Cells> Texts<C> {
    fn values<T: ArrowPrimitiveType>(
        self,
        marks: &mut Marks,
        parse: impl Fn(&[u8]) -> Result<T::Native, Reason>,
    ) -> ArrayRef {
        Arc::new(self.primitive::<T>(marks, parse))
    }

    fn primitive<T: ArrowPrimitiveType>(
        self,
        marks: &mut Marks,
        parse: impl Fn(&[u8]) -> Result<T::Native, Reason>,
    ) -> PrimitiveArray<T> {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(self.cells.len());
        for row in 0..self.cells.len() {
            builder.append_option(
                self.cells
                    .get(row)
                    .and_then(|text| self.checked(row, parse(text), marks)),
            );
        }
        builder.finish()
    }

    fn decimals(self, marks: &mut Marks, precision: u8, scale: i8, notation: &Notation) -> ArrayRef {
        let parse = |text: &[u8]| {
            decimal::decimal(
                &notation.plain(text)?,
                notation.decimal,
                precision,
                scale.unsigned_abs(),
            )
        };
        let array = self.primitive::<Decimal128Type>(marks, parse);
        Arc::new(array.with_data_type(arrow::datatypes::DataType::Decimal128(precision, scale)))
    }

    fn booleans(self, marks: &mut Marks, notation: &Notation) -> ArrayRef {
        let mut builder = BooleanBuilder::with_capacity(self.cells.len());
        for row in 0..self.cells.len() {
            builder.append_option(
                self.cells
                    .get(row)
                    .and_then(|text| self.checked(row, notation.boolean(text), marks)),
            );
        }
        Arc::new(builder.finish())
    }

    fn texts(self, marks: &mut Marks) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.cells.len(), self.cells.len() * 8);
        for row in 0..self.cells.len() {
            let utf8 = |text| std::str::from_utf8(text).map_err(|_| Reason::NotUtf8);
            builder.append_option(
                self.cells
                    .get(row)
                    .and_then(|text| self.checked(row, utf8(text), marks)),
            );
        }
        Arc::new(builder.finish())
    }

    fn checked<V>(&self, row: usize, parsed: Result<V, Reason>, marks: &mut Marks) -> Option<V> {
        parsed.map_err(|reason| marks.mark(row, self.index, reason)).ok()
    }
}

/// `true`, `t`, `yes`, `y`, `1` and their opposites, in any case.
fn boolean(text: &[u8]) -> Result<bool, Reason> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(&["true", "t", "yes", "y", "1"]) {
        Ok(true)
    } else if is(&["false", "f", "no", "n", "0"]) {
        Ok(false)
    } else {
        Err(Reason::NotABoolean)
    }
}
