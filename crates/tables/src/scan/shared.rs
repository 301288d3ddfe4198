//! Scans that are one. A query that says twice which rows of a table it is about, as one does that follows a patient from
//! one event to another, has a scan for each, of the same files. Here those of a task become one that reads what any of them
//! wants, and each takes its own rows out of it. Only scans with a condition take part: rows that one has read wait for the
//! other, and should be few ([`Flow`] says what happens if they are not).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::EmptyRecordBatchStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use parking_lot::Mutex;

use super::by_value::ByValue;
use super::codes::{OnCodesFactory, code_columns};
use super::flow::Flow;
use super::merged::names_several;
use super::{ScanKeys, expressions, needed_columns, open_parquet};

/// A scan that may be one with others.
struct Candidate<'a> {
    config: &'a FileScanConfig,
    source: &'a ParquetSource,
    filter: Arc<dyn PhysicalExpr>,
}

impl<'a> Candidate<'a> {
    fn of(scan: &'a DataSourceExec) -> Option<Self> {
        let (config, source) = scan.downcast_to_file_source::<ParquetSource>()?;
        let filter = source.filter().filter(is_fixed)?;
        let single = config.limit.is_none() && !names_several(config);
        single.then_some(Self { config, source, filter })
    }

    /// Whether both read the same files in the same partitions.
    fn is_beside(&self, other: &Self) -> bool {
        let (a, b) = (self.config, other.config);
        a.object_store_url == b.object_store_url
            && a.file_schema() == b.file_schema()
            && a.file_groups.len() == b.file_groups.len()
            && a.file_groups.iter().zip(&b.file_groups).all(|(a, b)| files_alike(a, b))
    }
}

/// Whether a condition stays what it is while the query runs.
fn is_fixed(filter: &Arc<dyn PhysicalExpr>) -> bool {
    !filter
        .exists(|expr| Ok(expr.is::<DynamicFilterPhysicalExpr>()))
        .unwrap_or(true)
}

fn files_alike(a: &FileGroup, b: &FileGroup) -> bool {
    let files = |group: &FileGroup| -> Vec<_> {
        let file = group.iter().map(|file| (file.object_meta.clone(), file.range.clone()));
        file.collect()
    };
    files(a) == files(b)
}

/// The scans of a plan that are one with others, by their node.
pub(super) struct SharedScans(HashMap<*const (), Part>);

fn address(node: &Arc<dyn ExecutionPlan>) -> *const () {
    Arc::as_ptr(node).cast()
}

impl SharedScans {
    /// Finds them.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>, keys: &ScanKeys) -> Result<Self> {
        let mut nodes: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        plan.apply(|node| {
            nodes.extend(node.is::<DataSourceExec>().then(|| Arc::clone(node)));
            Ok(TreeNodeRecursion::Continue)
        })?;
        let mut groups: Vec<Vec<(*const (), Candidate)>> = Vec::new();
        for node in &nodes {
            let Some(candidate) = node.downcast_ref().and_then(Candidate::of) else {
                continue;
            };
            let beside = |group: &&mut Vec<(_, Candidate)>| group.iter().all(|(_, other)| other.is_beside(&candidate));
            match groups.iter_mut().find(beside) {
                Some(group) => group.push((address(node), candidate)),
                None => groups.push(vec![(address(node), candidate)]),
            }
        }
        let mut parts = HashMap::new();
        for group in groups.iter().filter(|group| group.len() > 1) {
            let scans: Vec<&Candidate> = group.iter().map(|(_, scan)| scan).collect();
            let source = Arc::new(Source::of(&scans, keys)?);
            for (reader, (node, scan)) in group.iter().enumerate() {
                parts.insert(*node, Part::of(&source, reader, scan)?);
            }
        }
        Ok(Self(parts))
    }

    /// The scan that has its rows of the common one, and reads with `own` where it comes too late for that; `own` for a node
    /// that is one with no other.
    pub(super) fn instead_of(
        &mut self,
        node: &Arc<dyn ExecutionPlan>,
        own: Arc<dyn ExecutionPlan>,
    ) -> Arc<dyn ExecutionPlan> {
        match self.0.remove(&address(node)) {
            Some(part) => Arc::new(SharedScan {
                part,
                properties: Arc::clone(node.properties()),
                own,
            }),
            None => own,
        }
    }
}

/// The common scan, and the rows of each of its partitions that are on their way.
#[derive(Debug)]
struct Source {
    scan: Arc<DataSourceExec>,
    readers: usize,
    flows: Mutex<HashMap<usize, Arc<Flow>>>,
}

impl Source {
    /// Reads the columns of all of these scans, for the rows of which one of their conditions holds.
    fn of(scans: &[&Candidate], keys: &ScanKeys) -> Result<Self> {
        let Some(first) = scans.first() else {
            return internal_err!("a common scan is for somebody");
        };
        let mut filter = Arc::clone(&first.filter);
        let mut conditions = vec![&first.filter];
        for scan in scans {
            if !conditions.contains(&&scan.filter) {
                conditions.push(&scan.filter);
                filter = Arc::new(BinaryExpr::new(filter, Operator::Or, Arc::clone(&scan.filter)));
            }
        }
        let table = first.source.table_schema();
        let schema = table.table_schema();
        let columns: BTreeSet<String> = scans
            .iter()
            .flat_map(|scan| needed_columns(&expressions(scan.source)))
            .collect();
        let codes = code_columns(&conditions.into_iter().cloned().collect::<Vec<_>>());
        let read = |name: &String| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, schema.index_of(name)?));
            let is_text = *schema.field_with_name(name)?.data_type() == DataType::Utf8;
            let column = match is_text && codes.contains(name) {
                true => Arc::new(ByValue(column)),
                false => column,
            };
            Ok(ProjectionExpr::new(column, name))
        };
        let columns = columns.iter().map(read).collect::<Result<Vec<_>>>()?;
        let source = ParquetSource::new(table.clone())
            .with_table_parquet_options(first.source.table_parquet_options().clone())
            .with_predicate(filter);
        let Some(source) = source.try_pushdown_projection(&ProjectionExprs::new(columns))? else {
            return internal_err!("a scan takes no projection");
        };
        let Some(source) = source.downcast_ref::<ParquetSource>() else {
            return internal_err!("a scan became another");
        };
        let mut config = first.config.clone();
        config.file_source = Arc::new(source.clone());
        let opened = open_parquet(&config, source, keys)?;
        Ok(Self {
            scan: DataSourceExec::from_data_source(opened),
            readers: scans.len(),
            flows: Mutex::default(),
        })
    }

    /// The rows of a partition for this reader; none if it has to read for itself.
    fn begin(
        &self,
        partition: usize,
        reader: usize,
        context: &Arc<TaskContext>,
    ) -> Result<Option<SendableRecordBatchStream>> {
        let mut flows = self.flows.lock();
        let flow = match flows.get(&partition) {
            Some(flow) => Arc::clone(flow),
            None => {
                let memory = MemoryConsumer::new(format!("SharedScan[{partition}]")).register(context.memory_pool());
                let rows = self.scan.execute(partition, Arc::clone(context))?;
                let flow = Arc::new(Flow::new(rows, self.readers, memory));
                flows.insert(partition, Arc::clone(&flow));
                flow
            }
        };
        Ok(flow.begin(reader))
    }
}

/// What one scan takes of the common one.
#[derive(Debug)]
struct Part {
    source: Arc<Source>,
    reader: usize,
    /// Fits expressions over the table's texts to the common scan's dictionaries.
    on_codes: Arc<dyn PhysicalExprAdapter>,
    /// Over the columns of the common scan, as is the output.
    filter: Arc<dyn PhysicalExpr>,
    output: Vec<ProjectionExpr>,
}

impl Part {
    fn of(source: &Arc<Source>, reader: usize, scan: &Candidate) -> Result<Self> {
        let schema = source.scan.schema();
        let table = scan.source.table_schema().table_schema();
        let texts = schema
            .fields()
            .iter()
            .map(|field| table.field_with_name(field.name()).cloned());
        let texts = Schema::new(texts.collect::<std::result::Result<Vec<_>, _>>()?);
        let mut output = match scan.source.projection() {
            Some(projection) => projection.as_ref().to_vec(),
            None => return internal_err!("a scan puts nothing out"),
        };
        for column in &mut output {
            column.expr = reassign_expr_columns(Arc::clone(&column.expr), &schema)?;
        }
        Ok(Self {
            source: Arc::clone(source),
            reader,
            on_codes: OnCodesFactory.create(Arc::new(texts), Arc::clone(&schema))?,
            filter: reassign_expr_columns(Arc::clone(&scan.filter), &schema)?,
            output,
        })
    }

    fn take(&self, rows: SendableRecordBatchStream, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows: Arc<dyn PartitionStream> = Arc::new(Rows {
            schema: rows.schema(),
            stream: Mutex::new(Some(rows)),
        });
        let rows = StreamingTableExec::try_new(Arc::clone(rows.schema()), vec![rows], None, [], false, None)?;
        // Anew for each partition, since each has dictionaries of its own.
        let filter = self.on_codes.rewrite(Arc::clone(&self.filter))?;
        let output = self.output.iter().cloned().map(|mut column| {
            column.expr = self.on_codes.rewrite(column.expr)?;
            Ok(column)
        });
        let output = output.collect::<Result<Vec<_>>>()?;
        let rows = FilterExec::try_new(filter, Arc::new(rows))?;
        ProjectionExec::try_new(output, Arc::new(rows))?.execute(0, context)
    }
}

/// A stream as a source of plans, once.
struct Rows {
    schema: SchemaRef,
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows")
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.stream.lock().take();
        rows.unwrap_or_else(|| Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.schema))))
    }
}

/// A scan that is one with others, or reads for itself.
#[derive(Debug)]
struct SharedScan {
    part: Part,
    properties: Arc<PlanProperties>,
    own: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for SharedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SharedScan: {} of {}",
            self.part.reader + 1,
            self.part.source.readers
        )
    }
}

impl ExecutionPlan for SharedScan {
    fn name(&self) -> &'static str {
        "SharedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Its own way to read is a part of this node, not a child of it: nothing may be put between them.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("a scan has no children"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.part.source.begin(partition, self.part.reader, &context)? {
            Some(rows) => self.part.take(rows, context),
            None => self.own.execute(partition, context),
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.own.metrics()
    }
}
