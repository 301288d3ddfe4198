//! Plain Parquet files as batches: only the table's columns are read, and each is brought to the table's type, exactly
//! or with its rows marked. An encrypted source is an error: keys of others are not this crate's business.

mod bytes_reader;
mod convert;
mod nanos;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use ::parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask, parquet_to_arrow_schema_by_columns};
use ::parquet::basic::{LogicalType, Type as PhysicalType};
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{SchemaDescriptor, TypePtr};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::Value;

use self::bytes_reader::BytesReader;
use self::convert::{Conversion, FileColumn, NoConversion};
use self::nanos::Nanos;
use super::ReadOptions;
use super::assemble::{Assembly, SourceRows};
use super::check;
use super::error::{Position, SourceError};
use super::file::SourceBytes;
use super::folders::FolderValues;
use super::marks::Marks;
use super::reject::OnBad;
use super::rejected;
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
    /// For every column of the table, its place in a batch and how it becomes the table's type, if the file has it.
    columns: Vec<Option<(usize, Conversion)>>,
    /// The values of the columns that the file does not have.
    folders: FolderValues,
    rules: Rules,
    on_bad: OnBad,
    /// The digits that reading INT96 in microseconds leaves out.
    nanos: Option<Nanos>,
    /// Rows read before the present batch.
    rows_before: u64,
}

impl ParquetReader {
    async fn open(table: Table, rules: Rules, bytes: SourceBytes, options: ReadOptions) -> Result<Self, SourceError> {
        let file = bytes.name.clone();
        let mut reader = BytesReader::new(bytes.clone());
        let metadata = load(&mut reader, &file).await?;
        let schema = metadata.schema().clone();
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let positions = super::mapping::positions(&table, &file, &names)?;
        check_meanings(&file, &metadata, &positions)?;
        let columns = conversions(&table, &rules, &file, &metadata, &positions)?;
        let nanos = Nanos::open(bytes.clone(), &metadata, &positions, options.batch_rows.max(1));
        let nanos = nanos.map_err(|source| parquet_error(&file, source))?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let mask = ProjectionMask::roots(builder.parquet_schema(), positions.into_iter().flatten());
        let built = builder
            .with_projection(mask)
            .with_batch_size(options.batch_rows.max(1))
            .build();
        let stream = built.map_err(|source| parquet_error(&file, source))?;
        Ok(Self {
            file,
            stream,
            columns,
            folders: FolderValues::of(&table, &rules, &bytes.name)?,
            rules,
            on_bad: options.on_bad,
            nanos,
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
            let mut marks = Marks::default();
            if let Some(nanos) = &mut self.nanos {
                let marked = nanos.mark(&batch, &self.columns, &mut marks).await;
                marked.map_err(|source| parquet_error(&self.file, source))?;
            }
            let batch = self.convert(&batch, marks)?;
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The batch as the table has it; `marks` has what is known of its rows already.
    fn convert(&mut self, batch: &RecordBatch, mut marks: Marks) -> Result<RecordBatch, SourceError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (rule, column) in self.rules.columns.iter().zip(&self.columns) {
            let array = match column {
                None => self.folders.column(rule, batch.num_rows()),
                Some((at, conversion)) => {
                    let converted = conversion.apply(batch.column(*at), rule, &mut marks);
                    converted.and_then(|array| check::column(array, rule, &mut marks))
                }
            };
            arrays.push(array.map_err(|source| SourceError::Build {
                file: self.file.clone(),
                source,
            })?);
        }
        let source = ParquetRows {
            first: self.rows_before + 1,
            batch,
            columns: &self.columns,
        };
        self.rows_before += batch.num_rows() as u64;
        let assembly = Assembly {
            file: &self.file,
            rules: &self.rules,
            on_bad: &self.on_bad,
        };
        assembly.batch(arrays, batch.num_rows(), marks, Vec::new(), &source)
    }
}

/// The rows of a batch as the file has them.
struct ParquetRows<'a> {
    /// The number of the first, from 1.
    first: u64,
    batch: &'a RecordBatch,
    columns: &'a [Option<(usize, Conversion)>],
}

impl SourceRows for ParquetRows<'_> {
    fn position(&self, row: usize) -> Position {
        Position::Row(self.first + row as u64)
    }

    fn value(&self, row: usize, column: usize) -> Option<Value> {
        let (at, _) = (*self.columns.get(column)?)?;
        Some(rejected::shown(self.batch.column(at), row))
    }
}

/// Refuses columns that are read and of whose meaning Parquet says something that is not known here.
fn check_meanings(file: &str, metadata: &ArrowReaderMetadata, positions: &[Option<usize>]) -> Result<(), SourceError> {
    let read = positions.iter().flatten().map(|at| &roots(metadata)[*at]);
    let unknown = read.filter(|root| {
        let meaning = root.get_basic_info().logical_type_ref();
        matches!(meaning, Some(LogicalType::_Unknown { .. }))
    });
    let columns: Vec<String> = unknown.map(|root| root.name().to_owned()).collect();
    match columns.is_empty() {
        true => Ok(()),
        false => Err(SourceError::ParquetType {
            file: file.to_owned(),
            columns,
        }),
    }
}

/// How each column of the table is made from the file's, or why it cannot be.
fn conversions(
    table: &Table,
    rules: &Rules,
    file: &str,
    metadata: &ArrowReaderMetadata,
    positions: &[Option<usize>],
) -> Result<Vec<Option<(usize, Conversion)>>, SourceError> {
    let (schema, roots) = (metadata.schema(), roots(metadata));
    let mut read: Vec<usize> = positions.iter().copied().flatten().collect();
    read.sort_unstable();
    let pairs = rules.columns.iter().zip(positions);
    let convert = pairs.map(|(rule, position)| {
        let Some(position) = position else { return Ok(None) };
        let found = FileColumn {
            data_type: schema.field(*position).data_type(),
            is_uuid: roots[*position].get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid),
        };
        let refuse = |reason| {
            let (file, table, column) = (file.to_owned(), table.name.clone(), rule.name.clone());
            match reason {
                NoConversion::Zone => SourceError::Instants { file, table, column },
                NoConversion::Meaning => SourceError::Conversion {
                    file,
                    table,
                    column,
                    found: found.data_type.to_string(),
                    expected: rule.column_type.to_string(),
                },
            }
        };
        let conversion = Conversion::plan(&found, rule).map_err(refuse)?;
        // A projected batch keeps the file's order of columns.
        Ok(Some((read.partition_point(|other| other < position), conversion)))
    });
    convert.collect()
}

/// Reads the footer. The old INT96 timestamps, which are instants, are asked for in microseconds, since their usual
/// nanoseconds cannot hold the years before 1677, which `1600-01-01` for a missing date lies in.
async fn load(reader: &mut BytesReader, file: &str) -> Result<ArrowReaderMetadata, SourceError> {
    let error = |source| parquet_error(file, source);
    let parquet = reader.get_metadata(None).await.map_err(error)?;
    let metadata = unless_it_panics(|| ArrowReaderMetadata::try_new(Arc::clone(&parquet), ArrowReaderOptions::new()));
    let metadata = match metadata {
        Some(Ok(metadata)) => metadata,
        failed => {
            let columns = unknown_columns(parquet.file_metadata().schema_descr());
            let file = file.to_owned();
            return Err(match failed {
                _ if !columns.is_empty() => SourceError::ParquetType { file, columns },
                Some(Err(source)) => error(source),
                _ => SourceError::ArrowSchema { file },
            });
        }
    };
    let wide = microseconds(&metadata);
    if &wide == metadata.schema() {
        return Ok(metadata);
    }
    let options = ArrowReaderOptions::new().with_schema(wide);
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(error)
}

/// Some types that the reader does not know make it panic: `None` then.
fn unless_it_panics<T>(reading: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(reading)).ok()
}

/// The columns whose types have no equal among Arrow's.
fn unknown_columns(schema: &SchemaDescriptor) -> Vec<String> {
    let is_known = |column: usize| {
        let mask = ProjectionMask::roots(schema, [column]);
        unless_it_panics(|| parquet_to_arrow_schema_by_columns(schema, mask, None)).is_some_and(|read| read.is_ok())
    };
    let roots = schema.root_schema().get_fields().iter().enumerate();
    let unknown = roots.filter(|(column, _)| !is_known(*column));
    unknown.map(|(_, root)| root.name().to_owned()).collect()
}

/// The file's columns as Parquet describes them.
fn roots(metadata: &ArrowReaderMetadata) -> &[TypePtr] {
    let schema = metadata.metadata().file_metadata().schema_descr();
    schema.root_schema().get_fields()
}

/// Whether this is the old type of timestamps.
fn is_int96(root: &TypePtr) -> bool {
    root.is_primitive() && root.get_physical_type() == PhysicalType::INT96
}

/// The file's schema with microseconds for INT96 columns.
fn microseconds(metadata: &ArrowReaderMetadata) -> SchemaRef {
    let schema = metadata.schema();
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = schema
        .fields()
        .iter()
        .zip(roots(metadata))
        .map(|(field, root)| match is_int96(root) {
            true => Arc::new(Field::clone(field).with_data_type(instant.clone())),
            false => field.clone(),
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
