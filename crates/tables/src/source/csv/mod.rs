//! CSV files as batches: bytes in chunks, chunks to rows, rows to typed columns. Rows may lie across chunks and lines;
//! every row knows the physical line and the byte it begins at.

mod decoded;
mod header;
mod rows;
mod tokenizer;

use arrow::array::RecordBatch;
use bytes::{Buf, Bytes};
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::Value;

use self::rows::Rows;
use self::tokenizer::{Broken, Tokenizer};
use super::ReadOptions;
use super::assemble::{Assembly, SourceRows};
use super::check;
use super::error::{Position, SourceError};
use super::file::SourceBytes;
use super::folders::FolderValues;
use super::marks::Marks;
use super::parse;
use super::reject::OnBad;
use super::rejected;
use super::rule::Rules;
use crate::spec::Table;

/// The rows of a CSV file.
pub(super) fn stream(
    table: &Table,
    rules: Rules,
    bytes: SourceBytes,
    options: ReadOptions,
) -> Result<BoxStream<'static, Result<RecordBatch, SourceError>>, SourceError> {
    let reader = CsvReader {
        file: bytes.name.clone(),
        chunk: Bytes::new(),
        started: false,
        tokenizer: Tokenizer::new(&table.csv),
        rows: Rows::new(options.batch_rows, &table.csv, options.on_bad.keeps_rows()),
        fields: None,
        folders: FolderValues::of(table, &rules, &bytes.name)?,
        table: table.clone(),
        rules,
        on_bad: options.on_bad,
        chunks: decoded::chunks(bytes, &table.csv, options.chunk_bytes),
    };
    let batches = stream::try_unfold(reader, |mut reader| async move {
        Ok(reader.next_batch().await?.map(|batch| (batch, reader)))
    });
    Ok(batches.boxed())
}

/// One file under way.
struct CsvReader {
    file: String,
    chunks: BoxStream<'static, Result<Bytes, SourceError>>,
    chunk: Bytes,
    /// Whether the first chunk has been looked at for a byte order mark.
    started: bool,
    tokenizer: Tokenizer,
    rows: Rows,
    /// For every column of the table its field in a row, if it has one; known after the header.
    fields: Option<Vec<Option<usize>>>,
    /// The values of the columns that the file's rows do not hold.
    folders: FolderValues,
    table: Table,
    rules: Rules,
    on_bad: OnBad,
}

impl CsvReader {
    /// The next batch that holds a row, or `None` at the end.
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        if self.fields.is_none() {
            self.read_header().await?;
        }
        loop {
            let more = self.fill().await?;
            let batch = self.take_batch()?;
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
            if !more {
                return Ok(None);
            }
        }
    }

    /// Collects rows until the batch is full; false when the file has no more.
    async fn fill(&mut self) -> Result<bool, SourceError> {
        while !self.rows.is_full() {
            if self.chunk.is_empty() && !self.next_chunk().await? {
                self.tokenizer
                    .finish(&mut self.rows)
                    .map_err(|broken| self.broken(broken))?;
                return Ok(false);
            }
            let taken = self.tokenizer.feed(&self.chunk, &mut self.rows);
            self.chunk.advance(taken.map_err(|broken| self.broken(broken))?);
        }
        Ok(true)
    }

    async fn next_chunk(&mut self) -> Result<bool, SourceError> {
        let Some(chunk) = self.chunks.next().await.transpose()? else {
            return Ok(false);
        };
        self.chunk = chunk;
        if !self.started {
            self.started = true;
            self.skip_byte_order_mark();
        }
        Ok(true)
    }

    fn skip_byte_order_mark(&mut self) {
        if self.chunk.starts_with(&[0xef, 0xbb, 0xbf]) {
            self.chunk.advance(3);
            self.tokenizer.skip(3);
        }
    }

    /// Finds each column's field, by the header's names or by order.
    async fn read_header(&mut self) -> Result<(), SourceError> {
        if !self.table.csv.header {
            let fields = super::mapping::in_order(&self.table);
            self.rows.expect_fields(fields.iter().flatten().count());
            self.fields = Some(fields);
            return Ok(());
        }
        self.rows.expect_header();
        self.fill().await?;
        let names = header::names(&self.rows, &self.file, self.table.csv.trailing_delimiter)?;
        header::check_delimiter(&names, &self.table, &self.file)?;
        self.rows.clear();
        self.rows.expect_fields(names.len());
        self.fields = Some(super::mapping::positions(&self.table, &self.file, &names)?);
        Ok(())
    }

    /// Turns the collected rows into a batch and starts the next one.
    fn take_batch(&mut self) -> Result<RecordBatch, SourceError> {
        let mut marks = Marks::default();
        let mut arrays = Vec::with_capacity(self.rules.columns.len());
        for (rule, field) in self.rules.columns.iter().zip(self.fields.iter().flatten()) {
            let array = match field {
                None => self.folders.column(rule, self.rows.len()),
                Some(field) => {
                    let cells = self.rows.column(*field, rule);
                    let parsed = parse::column(cells, rule.column_type, &rule.notation, rule.index, &mut marks);
                    check::column(parsed, rule, &mut marks)
                }
            };
            arrays.push(array.map_err(|source| SourceError::Build {
                file: self.file.clone(),
                source,
            })?);
        }
        let assembly = Assembly {
            file: &self.file,
            rules: &self.rules,
            on_bad: &self.on_bad,
        };
        let uneven = self.rows.take_uneven();
        let source = CsvRows {
            rows: &self.rows,
            fields: self.fields.as_deref().unwrap_or_default(),
        };
        let batch = assembly.batch(arrays, self.rows.len(), marks, uneven, &source)?;
        self.rows.clear();
        Ok(batch)
    }

    fn broken(&self, broken: Broken) -> SourceError {
        let file = self.file.clone();
        match broken {
            Broken::Quotes { line, byte, problem } => SourceError::Quotes {
                file,
                line,
                byte,
                problem: problem.text(),
            },
            Broken::TooLong { line, byte, limit } => SourceError::RowTooLong {
                file,
                line,
                byte,
                limit,
            },
        }
    }
}

/// The rows of a batch as the file has them.
struct CsvRows<'a> {
    rows: &'a Rows,
    /// For every column of the table its field in a row.
    fields: &'a [Option<usize>],
}

impl SourceRows for CsvRows<'_> {
    fn position(&self, row: usize) -> Position {
        self.rows.position(row).unwrap_or(Position::Line { line: 0, byte: 0 })
    }

    fn value(&self, row: usize, column: usize) -> Option<Value> {
        let field = self.fields.get(column).copied().flatten()?;
        self.rows.text(row, field).map(rejected::text)
    }
}
