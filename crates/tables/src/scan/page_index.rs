//! The page index of a file, for a reader of some of its columns. Parquet's own reader has the index of all columns or of
//! none, and fails over a column that stays closed. Here such columns are said to have an index of no pages, which is put
//! into the bytes that are decoded; whoever reads columns looks at the index of those alone. Bounds that are not to be used
//! are taken out ([`without_index`]).

use std::ops::Range;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parcours_keys::FileKeys;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::basic::Type as PhysicalType;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

/// The offset index of a column without pages, in Parquet's encoding: a list of no structs, and the end.
const NO_PAGES: [u8; 3] = [0x19, 0x0c, 0x00];

/// The footer with the page index of the columns that are open. If it has none, or none that can be used, it says so.
pub(super) async fn load(
    metadata: ParquetMetaData,
    reader: &mut (dyn AsyncFileReader + Send),
) -> ParquetResult<ParquetMetaData> {
    let locked = FileKeys::locked_columns(&metadata);
    let Some(end) = end_of_index(&metadata, &locked) else {
        return without_index(metadata);
    };
    let readable = with_no_pages(&metadata, &locked, end)?;
    let mut loading =
        ParquetMetaDataReader::new_with_metadata(readable).with_page_index_policy(PageIndexPolicy::Optional);
    loading.load_page_index(IndexFetch { reader, end }).await?;
    let loaded = loading.finish()?;
    match (loaded.column_index(), loaded.offset_index()) {
        (Some(columns), Some(offsets)) => {
            let (columns, offsets) = (Some(columns.clone()), Some(offsets.clone()));
            let builder = metadata.into_builder();
            Ok(builder.set_column_index(columns).set_offset_index(offsets).build())
        }
        _ => without_index(metadata),
    }
}

/// Where the page index of the columns that are open ends; none if they have none.
fn end_of_index(metadata: &ParquetMetaData, locked: &[usize]) -> Option<u64> {
    let groups = metadata.row_groups().iter();
    let columns = groups.flat_map(|group| group.columns().iter().enumerate());
    let open = columns.filter(|(leaf, _)| !locked.contains(leaf));
    let ends = open.flat_map(|(_, column)| {
        [
            end_of(column.column_index_offset(), column.column_index_length()),
            end_of(column.offset_index_offset(), column.offset_index_length()),
        ]
    });
    ends.flatten().max()
}

fn end_of(offset: Option<i64>, length: Option<i32>) -> Option<u64> {
    let offset = u64::try_from(offset?).ok()?;
    offset.checked_add(u64::try_from(length?).ok()?)
}

/// The footer as if the closed columns had an index of no pages, in clear, behind that of the others.
fn with_no_pages(metadata: &ParquetMetaData, locked: &[usize], end: u64) -> ParquetResult<ParquetMetaData> {
    if locked.is_empty() {
        return Ok(metadata.clone());
    }
    let offset = i64::try_from(end).ok();
    changed(metadata.clone(), |leaf, column| {
        if !locked.contains(&leaf) {
            return Ok(column);
        }
        let column = column.into_builder().set_column_crypto_metadata(None);
        let column = column.set_column_index_offset(None).set_column_index_length(None);
        let column = column.set_offset_index_offset(offset);
        column.set_offset_index_length(Some(NO_PAGES.len() as i32)).build()
    })
}

/// Whether there are bounds of floating-point numbers. They leave NaN out, which is greater than all others in a condition;
/// files have none since that is known, and those of older files are not to be used.
pub(super) fn has_float_bounds(metadata: &ParquetMetaData) -> bool {
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    columns.any(|column| is_float(column) && column.statistics().is_some())
}

fn is_float(column: &ColumnChunkMetaData) -> bool {
    matches!(column.column_type(), PhysicalType::FLOAT | PhysicalType::DOUBLE)
}

/// The footer as if the file had no page index, and no bounds of floating-point numbers.
pub(super) fn without_index(metadata: ParquetMetaData) -> ParquetResult<ParquetMetaData> {
    changed(metadata, |_, column| {
        let exact = !is_float(&column);
        let column = match exact {
            true => column.into_builder(),
            false => column.into_builder().clear_statistics(),
        };
        let column = column.set_column_index_offset(None).set_column_index_length(None);
        column
            .set_offset_index_offset(None)
            .set_offset_index_length(None)
            .build()
    })
}

/// The footer with each column, by its number, as `change` makes it.
fn changed(
    metadata: ParquetMetaData,
    change: impl Fn(usize, ColumnChunkMetaData) -> ParquetResult<ColumnChunkMetaData>,
) -> ParquetResult<ParquetMetaData> {
    let mut builder = metadata.into_builder();
    let mut groups = Vec::new();
    for group in builder.take_row_groups() {
        let columns = group.columns().iter().cloned().enumerate();
        let columns = columns
            .map(|(leaf, column)| change(leaf, column))
            .collect::<ParquetResult<Vec<_>>>()?;
        groups.push(group.into_builder().set_column_metadata(columns).build()?);
    }
    Ok(builder.set_row_groups(groups).build())
}

/// Lets Parquet's metadata reader fetch through a boxed file reader, and puts the index of closed columns behind the others'.
struct IndexFetch<'a> {
    reader: &'a mut (dyn AsyncFileReader + Send),
    end: u64,
}

impl MetadataFetch for IndexFetch<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let beyond = range.end > self.end;
        let index = self.reader.get_bytes(range.start..range.end.min(self.end));
        async move {
            let index = index.await?;
            match beyond {
                true => Ok([index.as_ref(), &NO_PAGES].concat().into()),
                false => Ok(index),
            }
        }
        .boxed()
    }
}
