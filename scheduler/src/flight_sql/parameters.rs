//! Bound parameters: one row received over `DoPut`, kept as an IPC stream inside the statement's handle, and turned into
//! values of the types that the statement expects. A conversion that would change a value is refused, and no message
//! repeats a value.

use std::io::Cursor;

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::{CastOptions, cast_with_options, kernels::cmp::not_distinct},
    datatypes::{DataType, Field},
    error::ArrowError,
    ipc::{self, reader::StreamReader, writer::StreamWriter},
};
use arrow_flight::{FlightData, decode::FlightRecordBatchStream, error::FlightError};
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::{Stream, TryStreamExt, stream};
use tonic::Status;

/// Most bytes of one row of parameters.
pub(super) const LARGEST: usize = 1 << 20;

/// Why parameters cannot be bound.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ParameterError {
    /// Not an Arrow stream of record batches.
    #[error("parameters are not a valid arrow stream")]
    Undecodable,
    /// Compressed bodies can grow without bound when decoded.
    #[error("parameters are compressed, send them uncompressed")]
    Compressed,
    /// More bytes than we carry in a handle.
    #[error("parameters exceed the limit of {LARGEST} bytes")]
    TooLarge,
    /// No row to bind.
    #[error("no row of parameters, bind exactly one")]
    NoRow,
    /// A query runs once, with one row.
    #[error("several rows of parameters, a query takes one: run it once for each")]
    ManyRows,
    /// The row has another number of values than the statement has parameters.
    #[error("the statement has {expected} parameters and {bound} were bound")]
    Count {
        /// What the statement has.
        expected: usize,
        /// What the row has.
        bound: usize,
    },
    /// A list in the place of a value: the engine would compare the column with the list as a whole.
    #[error("parameter ${number} is a list, write IN (?, ?, …) and bind each of its values")]
    List {
        /// The parameter, from 1.
        number: usize,
    },
    /// A value cannot become what the statement expects without being changed.
    #[error("parameter ${number} expects {expected} and its value of type {bound} cannot be converted without loss")]
    Conversion {
        /// The parameter, from 1.
        number: usize,
        /// The type expected.
        expected: DataType,
        /// The type received.
        bound: DataType,
    },
}

/// Reads one row from the messages of a `DoPut` and keeps it as an IPC stream.
pub(super) async fn receive<S>(messages: S) -> Result<Bytes, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin,
{
    let messages = bounded(messages).await?;
    let batches = FlightRecordBatchStream::new_from_flight_data(stream::iter(messages.into_iter().map(Ok)))
        .try_collect::<Vec<_>>()
        .await
        .map_err(|_: FlightError| ParameterError::Undecodable)?;
    let row = one_row(&batches)?;
    Ok(encode(row).map_err(|_| ParameterError::Undecodable)?)
}

async fn bounded<S>(mut messages: S) -> Result<Vec<FlightData>, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin,
{
    let (mut kept, mut bytes) = (Vec::new(), 0);
    while let Some(message) = messages.try_next().await? {
        bytes += message.data_header.len() + message.data_body.len();
        if bytes > LARGEST {
            return Err(ParameterError::TooLarge.into());
        }
        if compressed(&message)? {
            return Err(ParameterError::Compressed.into());
        }
        kept.push(message);
    }
    Ok(kept)
}

fn compressed(message: &FlightData) -> Result<bool, ParameterError> {
    if message.data_header.is_empty() {
        return Ok(false);
    }
    let header = ipc::root_as_message(&message.data_header).map_err(|_| ParameterError::Undecodable)?;
    let dictionary = header
        .header_as_dictionary_batch()
        .and_then(|dictionary| dictionary.data());
    Ok(header
        .header_as_record_batch()
        .or(dictionary)
        .is_some_and(|batch| batch.compression().is_some()))
}

fn one_row(batches: &[RecordBatch]) -> Result<&RecordBatch, ParameterError> {
    match batches.iter().map(RecordBatch::num_rows).sum() {
        0 => Err(ParameterError::NoRow),
        1 => batches
            .iter()
            .find(|batch| batch.num_rows() == 1)
            .ok_or(ParameterError::NoRow),
        _ => Err(ParameterError::ManyRows),
    }
}

fn encode(row: &RecordBatch) -> Result<Bytes, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), row.schema_ref())?;
    writer.write(row)?;
    Ok(writer.into_inner()?.into())
}

fn decode(row: &Bytes) -> Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(Cursor::new(row), None)?;
    reader
        .next()
        .unwrap_or_else(|| Err(ArrowError::IpcError("no batch".into())))
}

/// The values of a bound row in the types that the statement expects; no row is right for a statement without parameters.
pub(super) fn coerce(row: Option<&Bytes>, expected: &[Field]) -> Result<Vec<ScalarValue>, ParameterError> {
    let columns = match row {
        Some(row) => decode(row).map_err(|_| ParameterError::Undecodable)?.columns().to_vec(),
        None => Vec::new(),
    };
    if columns.len() != expected.len() {
        return Err(ParameterError::Count {
            expected: expected.len(),
            bound: columns.len(),
        });
    }
    let pairs = columns.iter().zip(expected).zip(1..);
    pairs
        .map(|((value, field), number)| convert(value, field.data_type(), number))
        .collect()
}

fn convert(value: &ArrayRef, expected: &DataType, number: usize) -> Result<ScalarValue, ParameterError> {
    let refuse = || ParameterError::Conversion {
        number,
        expected: expected.clone(),
        bound: value.data_type().clone(),
    };
    if value.data_type().is_nested() {
        return Err(ParameterError::List { number });
    }
    let value = match expected {
        DataType::Null => value.clone(),
        expected => lossless(value, expected).ok_or_else(refuse)?,
    };
    ScalarValue::try_from_array(&value, 0).map_err(|_| refuse())
}

/// Casts to text only what is text: of a number, a code such as `01` would be another. Casts, and between numbers or between dates and times casts back to see that nothing was lost. Between floating-point
/// types rounding is what everyone expects.
fn lossless(value: &ArrayRef, expected: &DataType) -> Option<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..Default::default()
    };
    let from = value.data_type();
    if is_text(expected) && !is_text(from) && !from.is_null() {
        return None;
    }
    let converted = cast_with_options(value, expected, &options).ok()?;
    let alike = (from.is_numeric() && expected.is_numeric() && !(from.is_floating() && expected.is_floating()))
        || (from.is_temporal() && expected.is_temporal());
    if !alike || from == expected {
        return Some(converted);
    }
    let back = cast_with_options(&converted, from, &options).ok()?;
    not_distinct(&back, value).ok()?.value(0).then_some(converted)
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        data_type => data_type.is_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::{
        array::{
            Decimal128Array, Float64Array, Int64Array, ListArray, NullArray, StringArray, TimestampMicrosecondArray,
        },
        datatypes::{Int64Type, TimeUnit},
        ipc::{CompressionType, writer::IpcWriteOptions},
    };
    use arrow_flight::encode::FlightDataEncoderBuilder;
    use tonic::Code;

    use super::*;

    fn row(columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_from_iter(
            columns
                .into_iter()
                .enumerate()
                .map(|(i, column)| (i.to_string(), column)),
        )
        .unwrap()
    }

    fn bind(column: impl Array + 'static, expected: DataType) -> Result<ScalarValue, ParameterError> {
        let row = encode(&row(vec![Arc::new(column)])).unwrap();
        coerce(Some(&row), &[Field::new("$1", expected, true)]).map(|mut values| values.remove(0))
    }

    async fn send(batches: Vec<RecordBatch>, options: IpcWriteOptions) -> Result<Bytes, Status> {
        let schema = batches[0].schema();
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_options(options)
            .build(stream::iter(batches.into_iter().map(Ok)));
        receive(messages.map_err(Status::from)).await
    }

    #[test]
    fn values_become_what_the_statement_expects() {
        let date = ScalarValue::Date32(Some(19_792));
        assert_eq!(
            bind(StringArray::from(vec!["2024-03-10"]), DataType::Date32).unwrap(),
            date
        );
        let midnight = TimestampMicrosecondArray::from(vec![19_792 * 86_400_000_000]);
        assert_eq!(bind(midnight, DataType::Date32).unwrap(), date);
        assert_eq!(
            bind(Int64Array::from(vec![7]), DataType::Int32).unwrap(),
            ScalarValue::Int32(Some(7))
        );
        assert_eq!(
            bind(Float64Array::from(vec![2.0]), DataType::Int16).unwrap(),
            ScalarValue::Int16(Some(2))
        );
        assert_eq!(
            bind(Float64Array::from(vec![0.1]), DataType::Float32).unwrap(),
            ScalarValue::Float32(Some(0.1))
        );
        assert_eq!(
            bind(NullArray::new(1), DataType::Utf8).unwrap(),
            ScalarValue::Utf8(None)
        );
        assert_eq!(
            bind(Int64Array::from(vec![7]), DataType::Null).unwrap(),
            ScalarValue::Int64(Some(7))
        );
    }

    #[test]
    fn a_conversion_that_would_change_a_value_is_refused_without_repeating_it() {
        let late = TimestampMicrosecondArray::from(vec![19_792 * 86_400_000_000 + 1]);
        let refused = [
            bind(Float64Array::from(vec![1.5]), DataType::Int64),
            bind(Int64Array::from(vec![987_654_321]), DataType::Int16),
            bind(Int64Array::from(vec![(1 << 53) + 1]), DataType::Float64),
            bind(StringArray::from(vec!["987-654"]), DataType::Int32),
            bind(Int64Array::from(vec![987]), DataType::Utf8),
            bind(StringArray::from(vec!["soon"]), DataType::Date32),
            bind(late.clone(), DataType::Date32),
            bind(late, DataType::Timestamp(TimeUnit::Second, None)),
            bind(
                Decimal128Array::from(vec![125]).with_precision_and_scale(5, 2).unwrap(),
                DataType::Decimal128(5, 1),
            ),
        ];
        for error in refused.map(Result::unwrap_err) {
            assert!(matches!(error, ParameterError::Conversion { number: 1, .. }), "{error}");
            assert!(!error.to_string().contains("987") && !error.to_string().contains("soon"));
        }
    }

    #[test]
    fn a_list_is_no_value() {
        let values = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), Some(2)])]);
        for expected in [DataType::Null, DataType::Int64, DataType::Utf8] {
            let error = bind(values.clone(), expected).unwrap_err();
            assert_eq!(error, ParameterError::List { number: 1 });
        }
    }

    #[test]
    fn the_count_must_agree() {
        assert_eq!(coerce(None, &[]).unwrap(), []);
        let field = Field::new("$1", DataType::Int64, true);
        assert_eq!(
            coerce(None, &[field]),
            Err(ParameterError::Count { expected: 1, bound: 0 })
        );
        let row = encode(&row(vec![Arc::new(Int64Array::from(vec![1]))])).unwrap();
        assert_eq!(
            coerce(Some(&row), &[]),
            Err(ParameterError::Count { expected: 0, bound: 1 })
        );
    }

    #[tokio::test]
    async fn exactly_one_row_is_received() {
        let ints = |values: Vec<i64>| row(vec![Arc::new(Int64Array::from(values))]);
        let kept = send(vec![ints(vec![]), ints(vec![5])], Default::default())
            .await
            .unwrap();
        assert_eq!(decode(&kept).unwrap(), ints(vec![5]));
        let none = send(vec![ints(vec![])], Default::default()).await.unwrap_err();
        assert_eq!(none.code(), Code::InvalidArgument);
        let many = send(vec![ints(vec![1]), ints(vec![2])], Default::default())
            .await
            .unwrap_err();
        assert_eq!(
            (many.code(), many.message().contains("one")),
            (Code::Unimplemented, true)
        );
    }

    #[tokio::test]
    async fn size_and_compression_are_bounded() {
        let text = |bytes: usize| row(vec![Arc::new(StringArray::from(vec!["x".repeat(bytes)]))]);
        assert!(send(vec![text(LARGEST / 2)], Default::default()).await.is_ok());
        let large = send(vec![text(LARGEST)], Default::default()).await.unwrap_err();
        assert_eq!(large.code(), Code::ResourceExhausted);
        let zipped = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .unwrap();
        let zipped = send(vec![text(LARGEST / 2)], zipped).await.unwrap_err();
        assert_eq!(zipped.message(), ParameterError::Compressed.to_string());
    }
}
