//! A table of a snapshot as SQL sees it. Keyless: it plans scans from the log alone and declares the layout (Range
//! partitioning by patient, order inside shards) so that patient-level queries need no shuffle and no sort. It cannot read:
//! `crate::scan` gives a plan its keys, on executors only.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::snapshot::{DataFile, TableSnapshot};
use crate::splits::FILE_ORDER;
use crate::together::together;

/// A table provider over one table of a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotTable {
    table: Arc<TableSnapshot>,
    /// Whether plans are told in which shard and in which order rows lie.
    declared: bool,
}

impl SnapshotTable {
    /// A provider of `table`.
    pub fn new(table: Arc<TableSnapshot>) -> Self {
        Self { table, declared: true }
    }

    /// The same rows, of which plans are told neither shard nor order: what needs patients together exchanges and sorts them.
    #[must_use]
    pub fn undeclared(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            declared: false,
        }
    }

    /// The column by whose shards plans may go; none if the table has no patients, or its layout is not declared.
    pub fn declared_patient(&self) -> Option<&str> {
        self.table.patient_id().filter(|_| self.declared)
    }

    /// The table behind it.
    pub fn table(&self) -> &Arc<TableSnapshot> {
        &self.table
    }

    fn scan_config(
        &self,
        options: TableParquetOptions,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<FileScanConfig> {
        let source = ParquetSource::new(Arc::clone(self.table.schema())).with_table_parquet_options(options);
        let groups = self.file_groups();
        let ordering = self.ordering(&groups)?;
        let config = FileScanConfigBuilder::new(self.table.store().clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(self.table_statistics())
            .with_output_partitioning(self.partitioning()?)
            .with_output_ordering(ordering.into_iter().collect())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit);
        Ok(config.build())
    }

    /// One group a shard, empty shards included, so that group `i` is shard `i` in every table.
    fn file_groups(&self) -> Vec<FileGroup> {
        let group = |files: Vec<&DataFile>| match self.merged(&files) {
            Some(merged) => FileGroup::new(vec![merged]),
            None => FileGroup::new(files.into_iter().map(partitioned).collect()),
        };
        self.table.files_by_shard().into_iter().map(group).collect()
    }

    /// Several files of a shard that are in order, under one name: executors merge them.
    fn merged(&self, files: &[&DataFile]) -> Option<PartitionedFile> {
        if files.len() < 2 || !self.table.is_sharded() || !self.declared {
            return None;
        }
        let path = together(files.iter().map(|file| (file.path(), file.size())))?;
        Some(named(path, files.iter().map(|file| file.size()).sum()))
    }

    /// Range by patient over the dataset's split points. A row's shard does not depend on how many files the shard has.
    fn partitioning(&self) -> Result<Option<Partitioning>> {
        let Some(patient) = self.declared_patient() else {
            return Ok(None);
        };
        let patient = Arc::new(Column::new_with_schema(patient, self.table.schema())?);
        Ok(self.table.splits().partitioning(patient))
    }

    /// The order inside a shard, which holds only while each group is one file, or several under one name: files of one
    /// group are read one after the other.
    fn ordering(&self, groups: &[FileGroup]) -> Result<Option<LexOrdering>> {
        if !self.declared || groups.iter().any(|files| files.len() > 1) {
            return Ok(None);
        }
        Self::order_of(&self.table)
    }

    /// The order of rows in each file; none if the table has no order.
    pub(crate) fn order_of(table: &TableSnapshot) -> Result<Option<LexOrdering>> {
        let key = |name| {
            let column = Column::new_with_schema(name, table.schema())?;
            Ok(PhysicalSortExpr::new(Arc::new(column), FILE_ORDER))
        };
        Ok(LexOrdering::new(
            table.sorted_by().map(key).collect::<Result<Vec<_>>>()?,
        ))
    }

    /// Rows are known from the log; nothing is said of columns, whose values may be sensitive.
    fn table_statistics(&self) -> Statistics {
        Statistics {
            num_rows: Precision::Exact(self.table.rows() as usize),
            total_byte_size: Precision::Inexact(self.table.bytes() as usize),
            column_statistics: vec![ColumnStatistics::new_unknown(); self.table.schema().fields().len()],
        }
    }
}

/// A data file as a scan names it. The path as it is: going through text would encode it twice. No statistics per file: a
/// plan that names thousands of files has to stay small on the wire.
pub(crate) fn partitioned(file: &DataFile) -> PartitionedFile {
    named(file.path().clone(), file.size())
}

/// A file of this path and size.
pub(crate) fn named(location: Path, size: u64) -> PartitionedFile {
    PartitionedFile::new_from_meta(ObjectMeta {
        location,
        last_modified: DateTime::<Utc>::UNIX_EPOCH,
        size,
        e_tag: None,
        version: None,
    })
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.table_statistics())
    }

    /// Filters reach the scan through DataFusion's physical pushdown; here they are only promised to prune.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut options = state.default_table_options().parquet;
        options.global = state.config_options().execution.parquet.clone();
        // Bloom filters would be plaintext in an encrypted file: none are written, so none are looked for.
        options.global.bloom_filter_on_read = false;
        let config = self.scan_config(options, projection, limit)?;
        Ok(DataSourceExec::from_data_source(config))
    }
}
