//! What scalar functions share: their arguments as arrays of one length, and their argument types.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// Computes a function of arrays; of one row, if all arguments are constants.
pub(super) fn over_arrays(
    args: &ScalarFunctionArgs,
    compute: impl FnOnce(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let arrays = args
        .args
        .iter()
        .map(|arg| arg.to_array(rows))
        .collect::<Result<Vec<_>>>()?;
    let computed = compute(&arrays)?;
    match constant && computed.len() == 1 {
        true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?)),
        false => Ok(ColumnarValue::Array(computed)),
    }
}

/// Returns this many arguments.
pub(super) fn arguments<'a, const N: usize, T>(function: &str, args: &'a [T]) -> Result<&'a [T; N]> {
    match args.try_into() {
        Ok(args) => Ok(args),
        Err(_) => exec_err!("{function} takes {N} arguments, not {}", args.len()),
    }
}

/// Returns the type of a dictionary's values; of any other, itself.
pub(super) fn plain(of: &DataType) -> &DataType {
    match of {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        of => of,
    }
}

/// Whether values of a type are texts, or NULL alone.
pub(super) fn is_text(of: &DataType) -> bool {
    matches!(
        plain(of),
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// The type in which timestamps are computed: it reaches from before year 1 to beyond year 9999.
pub(super) const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Returns the type that a moment is computed in: dates are dates, all else are timestamps, or times of a day.
/// Texts are read as timestamps. None if it is no moment.
pub(super) fn moment(of: &DataType) -> Option<DataType> {
    Some(match plain(of) {
        DataType::Date32 => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date64 => MICROSECONDS,
        of if is_text(of) => MICROSECONDS,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        _ => return None,
    })
}

/// Returns a shared array.
pub(super) fn shared(array: impl datafusion::arrow::array::Array + 'static) -> Result<ArrayRef> {
    Ok(Arc::new(array))
}
