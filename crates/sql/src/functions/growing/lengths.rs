//! How many bytes values have, without any of them being copied: a constant stays one value, however many rows it is for.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ColumnarValue;

/// The most bytes that a value that is no text has as a text: of numbers and of moments.
const WRITTEN: u64 = 64;

/// Numbers of bytes, or of repetitions, one a row. A NULL has none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lengths {
    /// The same in each row.
    Constant(u64),
    /// Those of an array.
    Rows(Vec<u64>),
}

impl Lengths {
    /// Returns the bytes of texts; of other values as many as they have at most once they are written.
    pub fn of_texts(value: &ColumnarValue) -> Result<Self> {
        Self::of(value, &|array| of_texts(array, 0))
    }

    /// Returns the bytes of lists whose elements are written with so many bytes between them.
    pub fn of_lists(value: &ColumnarValue, between: u64) -> Result<Self> {
        Self::of(value, &|array| of_texts(array, between))
    }

    /// Returns whole numbers, each at least 0.
    pub fn of_numbers(value: &ColumnarValue) -> Result<Self> {
        let value = value.cast_to(&DataType::Int64, None)?;
        Self::of(&value, &|array| match array.as_primitive_opt::<Int64Type>() {
            Some(numbers) => Ok(numbers
                .iter()
                .map(|number| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
                .collect()),
            None => exec_err!("a whole number is wanted, not a value of type {}", array.data_type()),
        })
    }

    fn of(value: &ColumnarValue, lengths: &dyn Fn(&ArrayRef) -> Result<Vec<u64>>) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Scalar(value) => Self::Constant(lengths(&value.to_array()?)?.first().copied().unwrap_or(0)),
            ColumnarValue::Array(array) => Self::Rows(lengths(array)?),
        })
    }

    /// Returns the one of a row.
    pub fn at(&self, row: usize) -> u64 {
        match self {
            Self::Constant(length) => *length,
            Self::Rows(lengths) => lengths.get(row).copied().unwrap_or(0),
        }
    }

    /// Returns the largest.
    pub fn largest(&self) -> u64 {
        match self {
            Self::Constant(length) => *length,
            Self::Rows(lengths) => lengths.iter().copied().max().unwrap_or(0),
        }
    }
}

fn of_texts(array: &ArrayRef, between: u64) -> Result<Vec<u64>> {
    Ok(match array.data_type() {
        DataType::Utf8 => differences(array.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => differences(array.as_string::<i64>().offsets()),
        DataType::Binary => differences(array.as_binary::<i32>().offsets()),
        DataType::LargeBinary => differences(array.as_binary::<i64>().offsets()),
        DataType::Utf8View => {
            let texts = array.as_string_view().iter();
            texts.map(|text| text.map_or(0, |text| text.len() as u64)).collect()
        }
        DataType::BinaryView => {
            let bytes = array.as_binary_view().iter();
            bytes.map(|bytes| bytes.map_or(0, |bytes| bytes.len() as u64)).collect()
        }
        DataType::Dictionary(_, values) => of_texts(&datafusion::arrow::compute::cast(array, values)?, between)?,
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            summed(lists.offsets(), &of_texts(lists.values(), between)?, between)
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            summed(lists.offsets(), &of_texts(lists.values(), between)?, between)
        }
        _ => vec![WRITTEN; array.len()],
    })
}

fn differences<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Vec<u64> {
    offsets.lengths().map(|length| length as u64).collect()
}

fn summed<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, elements: &[u64], between: u64) -> Vec<u64> {
    let bounds = offsets.windows(2).map(|pair| (pair[0].as_usize(), pair[1].as_usize()));
    let sum = |(from, to): (usize, usize)| {
        let elements = elements.get(from..to).unwrap_or_default().iter();
        elements.fold(0_u64, |sum, element| {
            sum.saturating_add(element.saturating_add(between))
        })
    };
    bounds.map(sum).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, ListArray, StringArray, StringViewArray};
    use datafusion::common::ScalarValue;

    use super::*;

    fn array(array: impl Array + 'static) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(array))
    }

    #[test]
    fn texts_of_every_form_have_their_bytes() {
        let texts = [Some("abc"), None, Some(""), Some("é")];
        let expected = Lengths::Rows(vec![3, 0, 0, 2]);
        let plain = StringArray::from_iter(texts);
        assert_eq!(Lengths::of_texts(&array(plain.clone())).unwrap(), expected);
        assert_eq!(
            Lengths::of_texts(&array(StringViewArray::from_iter(texts))).unwrap(),
            expected
        );
        let sliced = Lengths::of_texts(&array(plain.slice(2, 2))).unwrap();
        assert_eq!((sliced.at(1), sliced.largest(), sliced.at(2)), (2, 2, 0));
        let one = ColumnarValue::Scalar(ScalarValue::from("abcd"));
        assert_eq!(Lengths::of_texts(&one).unwrap(), Lengths::Constant(4));
        let none = ColumnarValue::Scalar(ScalarValue::Utf8(None));
        assert_eq!(Lengths::of_texts(&none).unwrap(), Lengths::Constant(0));
    }

    #[test]
    fn numbers_are_not_below_nothing() {
        let numbers = array(Int64Array::from(vec![Some(5), Some(-5), None]));
        assert_eq!(Lengths::of_numbers(&numbers).unwrap(), Lengths::Rows(vec![5, 0, 0]));
    }

    #[test]
    fn lists_have_the_bytes_of_their_elements_and_what_is_between() {
        let mut builder = datafusion::arrow::array::ListBuilder::new(datafusion::arrow::array::StringBuilder::new());
        builder.append_value([Some("ab"), None, Some("c")]);
        builder.append_null();
        let lists: ListArray = builder.finish();
        assert_eq!(
            Lengths::of_lists(&array(lists), 10).unwrap(),
            Lengths::Rows(vec![33, 0])
        );
        let numbers = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), Some(2)])]);
        assert_eq!(
            Lengths::of_lists(&array(numbers), 1).unwrap(),
            Lengths::Rows(vec![2 * (WRITTEN + 1)])
        );
    }
}
