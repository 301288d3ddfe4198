//! The executor's side of a scan: a plan arrives without keys, [`open_for_reading`] gives each Parquet scan a reader that
//! decrypts what the query was granted. Refuses every other source by name and every column whose class was not granted.
//! Footers are decoded once and kept ([`FooterCache`]); `reader.rs` is where a file is opened.

mod by_value;
mod codes;
mod conditions;
mod flow;
mod footers;
mod grants;
mod merged;
mod page_index;
mod pushed;
mod reader;
mod shared;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use parcours_keys::{
    CacheCounters, CacheOptions, ColumnClass, FileContext, KeyError, KeyService, UnwrapCache, class_key,
};
use parking_lot::Mutex;
use parquet::arrow::async_reader::AsyncFileReader;

use crate::provider::partitioned;
use crate::snapshot::{DataFile, TableSnapshot, class_of};
use crate::store::{StoreError, Stores};

pub use codes::is_same_dictionary;
pub use footers::{FooterCache, FooterCounters};
use grants::GrantedService;
pub use grants::Grants;
use merged::{Apart, MergedScan, take_apart};
pub use pushed::{Wanted, compute_in_scan};
use reader::DecryptingReaderFactory;
use shared::SharedScans;

/// Most rows of a literal table (`VALUES`) inside a plan.
const MAX_LITERAL_ROWS: usize = 4096;
/// Most different grants of tables whose unwrapped keys are kept apart at one time.
const MAX_GRANTS: usize = 2048;

/// Why a plan cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A column of a class that the query was not granted.
    #[error("class {class} of dataset {dataset} is denied: column {column} of table {table} needs it")]
    ClassDenied {
        /// The class.
        class: ColumnClass,
        /// The dataset.
        dataset: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A scan that is not one of our encrypted Parquet scans.
    #[error("source {source_name} is refused: executors read encrypted tables only")]
    Source {
        /// What the plan calls the source.
        source_name: String,
    },
    /// A literal table too large to be one.
    #[error("literal table of {rows} rows is refused, the limit is {MAX_LITERAL_ROWS}")]
    Literal {
        /// Its rows.
        rows: usize,
    },
    /// A file that lies where no table of ours can be.
    #[error("file {path} is refused: its place names no dataset and table")]
    Place {
        /// The file.
        path: String,
    },
    /// A column of the plan has no class.
    #[error("column {column} of file {path} is refused: the plan gives it no class")]
    Unclassed {
        /// The column.
        column: String,
        /// A file of the scan.
        path: String,
    },
    /// The files of one scan belong to different tables.
    #[error("scan of table {first} is refused: it also names files of {second}")]
    Mixed {
        /// One table.
        first: String,
        /// The other.
        second: String,
    },
    /// A file whose footer cannot be read.
    #[error("{file} is damaged or is not the file that was written there")]
    Damaged {
        /// Its place: file, table and dataset.
        file: FileContext,
    },
    /// The scan's object store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ScanError> for DataFusionError {
    fn from(error: ScanError) -> Self {
        Self::External(Box::new(error))
    }
}

/// What an executor keeps for reading: the key service, unwrapped keys, decoded footers, object stores. One a process.
#[derive(Debug)]
pub struct Reading {
    service: Arc<dyn KeyService>,
    stores: Arc<Stores>,
    caches: Arc<Caches>,
}

/// What is kept of keys and footers, apart for whatever is granted of a table.
#[derive(Debug)]
struct Caches {
    options: CacheOptions,
    footers: FooterCache,
    unwraps: Mutex<HashMap<Arc<Grants>, Unwraps>>,
}

/// The unwrapped keys of some grants, and the way to the service behind them.
#[derive(Debug, Clone)]
struct Unwraps {
    granted: Arc<GrantedService>,
    cache: Arc<UnwrapCache>,
}

impl Caches {
    /// The unwrapped keys of these grants, which are asked of `service` from now on, also for files that were opened before.
    fn unwraps(&self, grants: &Arc<Grants>, service: &Arc<dyn KeyService>) -> Arc<UnwrapCache> {
        let mut known = self.unwraps.lock();
        if known.len() >= MAX_GRANTS && !known.contains_key(grants) {
            known.values().for_each(|unwraps| unwraps.cache.forget_all());
            known.clear();
            self.footers.clear();
        }
        let make = || {
            let granted = Arc::new(GrantedService::new(service, grants));
            let cache = UnwrapCache::new(Arc::clone(&granted) as Arc<dyn KeyService>, self.options);
            Unwraps { granted, cache }
        };
        let unwraps = known.entry(Arc::clone(grants)).or_insert_with(make);
        unwraps.granted.ask_through(service);
        Arc::clone(&unwraps.cache)
    }
}

impl Reading {
    /// Keeps at most `footer_bytes` of decoded footers and, for each grant, unwrapped keys within `options`.
    pub fn new(service: Arc<dyn KeyService>, stores: Arc<Stores>, options: CacheOptions, footer_bytes: usize) -> Self {
        let caches = Caches {
            options,
            footers: FooterCache::new(footer_bytes),
            unwraps: Mutex::default(),
        };
        Self {
            service,
            stores,
            caches: Arc::new(caches),
        }
    }

    /// The keys that a query with `grants` may use. Queries with equal grants of a table share its caches; others share
    /// nothing.
    pub fn keys(&self, grants: Grants) -> ScanKeys {
        self.keys_through(grants, &self.service)
    }

    /// The same, where the service is asked in the name of a task: whenever a file is opened with these keys, `service` is
    /// asked for the keys of its table, also by files that were opened before.
    pub fn keys_through(&self, grants: Grants, service: &Arc<dyn KeyService>) -> ScanKeys {
        ScanKeys {
            grants: Arc::new(grants),
            service: Arc::clone(service),
            caches: Arc::clone(&self.caches),
            stores: Arc::clone(&self.stores),
        }
    }

    /// Forgets the keys of one class of a dataset, and every footer of the dataset: after a revocation or a rotation.
    pub fn forget(&self, dataset: &str, class: ColumnClass) -> Result<(), KeyError> {
        let name = class_key(dataset, class)?;
        let caches = &self.caches;
        caches
            .unwraps
            .lock()
            .values()
            .for_each(|unwraps| unwraps.cache.forget(&name));
        caches.footers.forget(dataset);
        Ok(())
    }

    /// Forgets every key and footer.
    pub fn forget_all(&self) {
        let caches = &self.caches;
        caches
            .unwraps
            .lock()
            .values()
            .for_each(|unwraps| unwraps.cache.forget_all());
        caches.footers.clear();
    }

    /// Hits, misses and size of the footer cache.
    pub fn footer_counters(&self) -> FooterCounters {
        self.caches.footers.counters()
    }

    /// Hits, misses and unwraps of the key caches, summed over grants.
    pub fn key_counters(&self) -> CacheCounters {
        let sum = |mut all: CacheCounters, unwraps: &Unwraps| {
            let one = unwraps.cache.counters();
            all.hits += one.hits;
            all.misses += one.misses;
            all.unwraps += one.unwraps;
            all.denials += one.denials;
            all
        };
        self.caches.unwraps.lock().values().fold(CacheCounters::default(), sum)
    }
}

/// The keys of one query's scans; made by [`Reading::keys`].
#[derive(Clone)]
pub struct ScanKeys {
    grants: Arc<Grants>,
    service: Arc<dyn KeyService>,
    caches: Arc<Caches>,
    stores: Arc<Stores>,
}

impl ScanKeys {
    /// What is granted of one table, and its unwrapped keys.
    fn of_table(&self, dataset: &str, table: &str) -> (Arc<Grants>, Arc<UnwrapCache>) {
        let grants = Arc::new(self.grants.of_table(dataset, table));
        let unwraps = self.caches.unwraps(&grants, &self.service);
        (grants, unwraps)
    }
}

impl std::fmt::Debug for ScanKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScanKeys")
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
}

impl ScanKeys {
    /// What these keys may open.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }
}

/// A reader of all of one data file, outside any plan: for whoever has to know the file's row groups. It refuses what a scan
/// would refuse.
pub(crate) fn open_file(
    file: &DataFile,
    table: &TableSnapshot,
    keys: &ScanKeys,
) -> Result<impl AsyncFileReader + use<>, DataFusionError> {
    let store = keys.stores.by_name(table.store()).map_err(ScanError::from)?;
    let columns = table.schema().fields().iter().map(|field| field.name().clone());
    let factory = DecryptingReaderFactory::new(keys, store, columns.collect(), false);
    factory.reader(0, partitioned(file), None, &ExecutionPlanMetricsSet::new())
}

/// Gives every scan of `plan` its decrypting reader. The plan comes back whole or not at all.
pub fn open_for_reading(
    plan: Arc<dyn ExecutionPlan>,
    keys: &ScanKeys,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let mut shared = SharedScans::of(&plan, keys)?;
    let opened = plan.transform(|node| {
        let Some(scan) = node.downcast_ref::<DataSourceExec>() else {
            return Ok(Transformed::no(node));
        };
        match open_scan(&node, scan, keys)? {
            Some(opened) => Ok(Transformed::yes(shared.instead_of(&node, opened))),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(opened.data)
}

/// The scan with its reader; none for a small literal table, which stays as it is.
fn open_scan(
    node: &Arc<dyn ExecutionPlan>,
    scan: &DataSourceExec,
    keys: &ScanKeys,
) -> Result<Option<Arc<dyn ExecutionPlan>>, ScanError> {
    if let Some((config, source)) = scan.downcast_to_file_source::<ParquetSource>() {
        return Ok(Some(match take_apart(config)? {
            None => DataSourceExec::from_data_source(open_parquet(config, source, keys)?),
            Some(Apart { config, partitions }) => {
                let limit = config.limit;
                let files = DataSourceExec::from_data_source(open_parquet(&config, source, keys)?);
                Arc::new(MergedScan::new(files, partitions, limit, node.properties()))
            }
        }));
    }
    if let Some(literal) = scan.data_source().downcast_ref::<MemorySourceConfig>() {
        let rows = literal
            .partitions()
            .iter()
            .flatten()
            .map(|batch| batch.num_rows())
            .sum();
        return if rows <= MAX_LITERAL_ROWS {
            Ok(None)
        } else {
            Err(ScanError::Literal { rows })
        };
    }
    Err(ScanError::Source {
        source_name: source_name(scan),
    })
}

fn source_name(scan: &DataSourceExec) -> String {
    match scan.data_source().downcast_ref::<FileScanConfig>() {
        Some(config) => config.file_source().file_type().to_string(),
        None => "of an unknown kind".to_string(),
    }
}

fn open_parquet(config: &FileScanConfig, source: &ParquetSource, keys: &ScanKeys) -> Result<FileScanConfig, ScanError> {
    let read = expressions(source);
    let columns = needed_columns(&read);
    if let Some(place) = check_place(config)? {
        check_classes(config, &place, &columns, keys)?;
    }
    let mut codes = codes::code_columns(&read);
    if has_filter(source) {
        codes.extend(repeated_patient(config));
    }
    let store = keys.stores.by_name(&config.object_store_url)?;
    let wants_index = source.table_parquet_options().global.enable_page_index && has_filter(source);
    let factory = DecryptingReaderFactory::new(keys, store, columns.into_iter().collect(), wants_index);
    // The reader brings the page index with the footer, or hides that there is one.
    let source = source
        .clone()
        .with_enable_page_index(wants_index)
        .with_bloom_filter_on_read(false)
        .with_parquet_file_reader_factory(Arc::new(factory));
    let mut opened = config.clone();
    opened.file_source = Arc::new(source);
    read_codes(&mut opened, &codes);
    Ok(opened)
}

/// Has these columns read as dictionaries, and conditions looked at as these and others allow.
fn read_codes(config: &mut FileScanConfig, columns: &BTreeSet<String>) {
    config.expr_adapter_factory = Some(Arc::new(codes::OnCodesFactory));
    let Some(schema) = codes::as_dictionaries(config.file_schema(), columns) else {
        return;
    };
    let groups = std::mem::take(&mut config.file_groups).into_iter();
    let with_schema = |file: PartitionedFile| file.with_arrow_schema(Arc::clone(&schema));
    config.file_groups = groups
        .map(|group| group.into_inner().into_iter().map(with_schema).collect())
        .collect();
}

/// The patient of a table that has many rows of each, as a rule: one whose rows are ordered by more than the patient. Where
/// a filter leaves few rows, the texts of the others need not be made.
fn repeated_patient(config: &FileScanConfig) -> Option<String> {
    let order = config.output_ordering.first().filter(|order| order.len() > 1)?;
    let patient = order.first().expr.downcast_ref::<Column>()?;
    Some(patient.name().to_owned())
}

fn has_filter(source: &ParquetSource) -> bool {
    use datafusion::datasource::physical_plan::FileSource;
    source.filter().is_some()
}

/// Every file column that the scan's output or its filter reads.
fn needed_columns(read: &[Arc<dyn PhysicalExpr>]) -> BTreeSet<String> {
    read.iter()
        .flat_map(collect_columns)
        .map(|column| column.name().to_string())
        .collect()
}

/// What the scan puts out, and its filter.
fn expressions(source: &ParquetSource) -> Vec<Arc<dyn PhysicalExpr>> {
    use datafusion::datasource::physical_plan::FileSource;
    let output = source
        .projection()
        .into_iter()
        .flat_map(|projection| projection.expr_iter());
    output.chain(source.filter()).collect()
}

/// The place of the scan's first file, once all files are seen to belong to one table; none if there is no file.
fn check_place(config: &FileScanConfig) -> Result<Option<FileContext>, ScanError> {
    let mut found: Option<FileContext> = None;
    for file in config.file_groups.iter().flat_map(|group| group.iter()) {
        let place = file_context(&file.object_meta.location)?;
        let first = found.get_or_insert_with(|| place.clone());
        if (&first.dataset, &first.table) != (&place.dataset, &place.table) {
            let name = |place: &FileContext| format!("{}.{}", place.dataset, place.table);
            return Err(ScanError::Mixed {
                first: name(first),
                second: name(&place),
            });
        }
    }
    Ok(found)
}

fn check_classes(
    config: &FileScanConfig,
    place: &FileContext,
    columns: &BTreeSet<String>,
    keys: &ScanKeys,
) -> Result<(), ScanError> {
    for column in columns {
        let field = config.file_schema().field_with_name(column).ok();
        let class = field.and_then(class_of);
        let class = class.ok_or_else(|| ScanError::Unclassed {
            column: column.clone(),
            path: place.to_string(),
        })?;
        if !keys.grants.allow(&place.dataset, &place.table, class) {
            let (dataset, table, column) = (place.dataset.clone(), place.table.clone(), column.clone());
            return Err(ScanError::ClassDenied {
                class,
                dataset,
                table,
                column,
            });
        }
    }
    Ok(())
}

/// The place that a file's path names: `…/<dataset>/<table>/[shard=…/]<file>`.
pub(crate) fn file_context(path: &object_store::path::Path) -> Result<FileContext, ScanError> {
    let refuse = || ScanError::Place { path: path.to_string() };
    let parts: Vec<String> = path.parts().map(|part| part.as_ref().to_string()).collect();
    let (folders, file) = match parts.as_slice() {
        [folders @ .., shard, file] if shard.starts_with("shard=") => (folders, format!("{shard}/{file}")),
        [folders @ .., file] => (folders, file.clone()),
        [] => return Err(refuse()),
    };
    match folders {
        [.., dataset, table] => Ok(FileContext::new(dataset, table, file)),
        _ => Err(refuse()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use object_store::path::Path;

    #[test]
    fn a_path_names_its_place() {
        let place = |path: &str| file_context(&Path::from(path)).ok();
        let sharded = FileContext::new("claims", "stay", "shard=0003/part-1.parquet");
        assert_eq!(
            place("data/claims/stay/shard=0003/part-1.parquet"),
            Some(sharded.clone())
        );
        assert_eq!(place("claims/stay/shard=0003/part-1.parquet"), Some(sharded));
        assert_eq!(
            place("x/claims/label/part-1.parquet"),
            Some(FileContext::new("claims", "label", "part-1.parquet"))
        );
        assert_eq!(place("label/part-1.parquet"), None);
        assert_eq!(place("shard=0003/part-1.parquet"), None);
    }
}
