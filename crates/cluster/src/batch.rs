//! Batches of rows between plan nodes.

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;

/// The batch under the schema that a plan declares. Unlike [`RecordBatch::with_schema`] it asks for the same types only: parts
/// of a union differ in their columns' metadata.
pub fn as_declared(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &rows)?)
}
