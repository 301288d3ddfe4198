//! Plain Parquet files as batches: only the table's columns are read, and each is brought to the table's type, exactly
//! or with its rows marked. An encrypted source is an error: keys of others are not this crate's business.

mod bytes_reader;
mod convert;

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::arrow::async_reader::ParquetRecordBatchStream;
use ::parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use ::parquet::basic::Type as PhysicalType;
use ::parquet::errors::ParquetError;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::stream::{self, BoxStream, StreamExt};

use self::bytes_reader::BytesReader;
use self::convert::Conversion;
use super::ReadOptions;
use super::assemble::Assembly;
use super::check;
use super::error::{Position, SourceError};
use super::file::SourceBytes;
use super::marks::Marks;
use super::reject::OnBad;
use super::rule::Rules;
use crate::spec::Table;

/// The rows of a Parquet file.
pub(super) fn stream(
    table: &Table,
    rules: Rules,
    bytes: SourceBytes,
    options: ReadOptions,
) -> BoxStream<'static, Result<RecordBatch, SourceError>> {
    let table = table.clone();
    let opened = async move { ParquetReader::open(table, rules, bytes, options).await };
    let batches = |mut reader: ParquetReader| async move {
        Ok::<_, SourceError>(reader.next_batch().await?.map(|batch| (batch, reader)))
    };
    stream::once(opened)
        .flat_map(move |opened| match opened {
            Ok(reader) => stream::try_unfold(reader, batches).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        })
        .boxed()
}

/// The schema a file says it has, without its rows.
pub(super) async fn file_schema(bytes: SourceBytes) -> Result<SchemaRef, SourceError> {
    let file = bytes.name.clone();
    let mut reader = BytesReader::new(bytes);
    Ok(load(&mut reader, &file).await?.schema().clone())
}

/// One file under way.
struct ParquetReader {
    file: String,
    stream: ParquetRecordBatchStream<BytesReader>,
    /// For every column of the table, its place in a batch and how it becomes the table's type.
    columns: Vec<(usize, Conversion)>,
    rules: Rules,
    on_bad: OnBad,
    /// Rows read before the present batch.
    rows_before: u64,
}

impl ParquetReader {
    async fn open(table: Table, rules: Rules, bytes: SourceBytes, options: ReadOptions) -> Result<Self, SourceError> {
        let file = bytes.name.clone();
        let mut reader = BytesReader::new(bytes);
        let metadata = load(&mut reader, &file).await?;
        let schema = metadata.schema().clone();
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let positions = super::mapping::positions(&table, &file, &names)?;
        let columns = conversions(&table, &rules, &file, &schema, &positions)?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let mask = ProjectionMask::roots(builder.parquet_schema(), positions);
        let built = builder
            .with_projection(mask)
            .with_batch_size(options.batch_rows.max(1))
            .build();
        let stream = built.map_err(|source| parquet_error(&file, source))?;
        Ok(Self {
            file,
            stream,
            columns,
            rules,
            on_bad: options.on_bad,
            rows_before: 0,
        })
    }

    /// The next batch that holds a good row, or `None` at the end.
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        while let Some(batch) = self
            .stream
            .next()
            .await
            .transpose()
            .map_err(|source| parquet_error(&self.file, source))?
        {
            let batch = self.convert(&batch)?;
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn convert(&mut self, batch: &RecordBatch) -> Result<RecordBatch, SourceError> {
        let mut marks = Marks::default();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (rule, (at, conversion)) in self.rules.columns.iter().zip(&self.columns) {
            let converted = conversion.apply(batch.column(*at), rule, &mut marks);
            let checked = converted.and_then(|array| check::column(array, rule, &mut marks));
            arrays.push(checked.map_err(|source| SourceError::Build {
                file: self.file.clone(),
                source,
            })?);
        }
        let first = self.rows_before + 1;
        self.rows_before += batch.num_rows() as u64;
        let assembly = Assembly {
            file: &self.file,
            rules: &self.rules,
            on_bad: &self.on_bad,
        };
        assembly.batch(arrays, batch.num_rows(), &marks, &[], |row| {
            Position::Row(first + row as u64)
        })
    }
}

/// How each column of the table is made from the file's, or why it cannot be.
fn conversions(
    table: &Table,
    rules: &Rules,
    file: &str,
    schema: &Schema,
    positions: &[usize],
) -> Result<Vec<(usize, Conversion)>, SourceError> {
    let mut read = positions.to_vec();
    read.sort_unstable();
    let pairs = rules.columns.iter().zip(positions);
    let convert = pairs.map(|(rule, position)| {
        let found = schema.field(*position).data_type();
        let conversion = Conversion::plan(found, rule.column_type).ok_or_else(|| SourceError::Conversion {
            file: file.to_owned(),
            table: table.name.clone(),
            column: rule.name.clone(),
            found: found.to_string(),
            expected: rule.column_type.to_string(),
        })?;
        // A projected batch keeps the file's order of columns.
        Ok((read.partition_point(|other| other < position), conversion))
    });
    convert.collect()
}

/// Reads the footer. The old INT96 timestamps are asked for in microseconds, since their usual nanoseconds cannot hold
/// the years before 1677, which `1600-01-01` for a missing date lies in.
async fn load(reader: &mut BytesReader, file: &str) -> Result<ArrowReaderMetadata, SourceError> {
    let error = |source| parquet_error(file, source);
    let metadata = ArrowReaderMetadata::load_async(reader, ArrowReaderOptions::new())
        .await
        .map_err(error)?;
    let wide = microseconds(&metadata);
    if &wide == metadata.schema() {
        return Ok(metadata);
    }
    let options = ArrowReaderOptions::new().with_schema(wide);
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(error)
}

/// The file's schema with microseconds for INT96 columns.
fn microseconds(metadata: &ArrowReaderMetadata) -> SchemaRef {
    let schema = metadata.schema();
    let roots = metadata
        .metadata()
        .file_metadata()
        .schema_descr()
        .root_schema()
        .get_fields()
        .iter();
    let fields = schema.fields().iter().zip(roots).map(|(field, root)| {
        match root.is_primitive() && root.get_physical_type() == PhysicalType::INT96 {
            true => Arc::new(Field::clone(field).with_data_type(DataType::Timestamp(TimeUnit::Microsecond, None))),
            false => field.clone(),
        }
    });
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

fn parquet_error(file: &str, source: ParquetError) -> SourceError {
    match source {
        ParquetError::External(inner) => match inner.downcast::<SourceError>() {
            Ok(own) => *own,
            Err(inner) => SourceError::Parquet {
                file: file.to_owned(),
                source: ParquetError::External(inner),
            },
        },
        source => SourceError::Parquet {
            file: file.to_owned(),
            source,
        },
    }
}
