//! A session of the engine for one person: the catalog holds the datasets that they are granted, and nothing else exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider,
};
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use parcours_cluster::grant::Grant;
use parcours_cluster::options::TaskOptions;
use parcours_cluster::session::{CATALOG, engine_config, engine_state};
use parcours_cluster::task_grant::{DatasetTerms, Opened, Terms};
use parcours_identity::Principal;
use parcours_tables::SnapshotTable;

use super::admission::Touched;
use crate::datasets::{Dataset, Datasets};

/// Memory for what the scheduler itself computes: descriptions and explanations.
const LOCAL_MEMORY: usize = 256 << 20;

/// Makes sessions.
#[derive(Debug)]
pub struct Sessions {
    template: SessionState,
    datasets: Arc<Datasets>,
    hash_join_bytes: usize,
}

/// What one person sees at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Who.
    pub who: Principal,
    /// What they are granted.
    pub grant: Grant,
    /// The datasets they see, by name, each at one version.
    pub datasets: BTreeMap<String, Arc<Dataset>>,
}

impl View {
    /// Whether a column may be offered to the person by its name: it is granted to them in one of the tables that they see, or
    /// is in none of these, so that their statement names it itself.
    pub fn may_name(&self, column: &str) -> bool {
        let mut classes = self.datasets.iter().flat_map(|(name, dataset)| {
            let tables = dataset.tables.values();
            tables.filter_map(move |table| Some((name, table.table().class_of(column)?)))
        });
        let Some(first) = classes.next() else { return true };
        std::iter::once(first)
            .chain(classes)
            .any(|(dataset, class)| self.grant.allows(dataset, class))
    }

    /// The tables of which the person is granted a column, as `dataset.table`.
    pub fn table_names(&self) -> impl Iterator<Item = String> {
        self.datasets.iter().flat_map(move |(name, dataset)| {
            let tables = dataset.tables.iter().filter(move |(_, table)| self.sees(name, table));
            tables.map(move |(table, _)| format!("{name}.{table}"))
        })
    }

    fn sees(&self, dataset: &str, table: &SnapshotTable) -> bool {
        let classes = table.table().classes();
        classes.into_iter().any(|class| self.grant.allows(dataset, class))
    }

    /// What a query that touches this may open: of each table that it reads, the classes of the columns that it reads.
    pub fn opened(&self, touched: &Touched) -> Opened {
        let terms = |(dataset, tables): (&String, &BTreeMap<_, _>)| {
            let version = self.datasets.get(dataset).map(|dataset| dataset.snapshot.version());
            let terms = DatasetTerms {
                version: version.unwrap_or_default(),
                tables: tables.clone(),
            };
            (dataset.clone(), terms)
        };
        Opened(touched.tables().iter().map(terms).collect())
    }
}

impl Sessions {
    /// Sessions over these datasets, whose joins are by hash while a partition of the smaller side has at most so many bytes.
    pub fn new(datasets: Arc<Datasets>, hash_join_bytes: usize) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(LOCAL_MEMORY)))
            .build_arc()?;
        Ok(Self {
            template: engine_state(engine_config(), runtime)?,
            datasets,
            hash_join_bytes,
        })
    }

    /// What a person sees now under a grant.
    pub fn view(&self, who: &Principal, grant: Grant) -> View {
        let current = self.datasets.current();
        let datasets = grant
            .datasets()
            .filter_map(|name| current.get(name).map(|dataset| (name.to_owned(), dataset.clone())))
            .collect();
        View {
            who: who.clone(),
            grant,
            datasets,
        }
    }

    /// A session that sees exactly this, for a query of this name, with this many partitions. Without terms it can plan, and
    /// no executor would run a task of it.
    pub fn context(
        &self,
        view: &View,
        query: &str,
        partitions: usize,
        terms: Option<&Terms>,
    ) -> Result<SessionContext> {
        let options = TaskOptions {
            terms: terms.map(Terms::encode).unwrap_or_default(),
            grant: String::new(),
        };
        let mut config = engine_config()
            .with_option_extension(options)
            .with_ballista_hash_join_max_build_partition_bytes(self.hash_join_bytes)
            .with_target_partitions(partitions.max(1));
        if let Some(schema) = only(view.datasets.keys()) {
            config = config.with_default_catalog_and_schema(CATALOG, schema);
        }
        let mut builder = SessionStateBuilder::new_from_existing(self.template.clone());
        if terms.is_some() {
            // What runs was analysed when it was admitted.
            builder = builder.with_analyzer_rules(Vec::new());
        }
        let state = builder
            .with_session_id(format!("query-{query}"))
            .with_config(config)
            .with_catalog_list(catalogs(view)?)
            .build();
        Ok(SessionContext::new_with_state(state))
    }
}

/// The one element, if there is exactly one: whoever sees one dataset need not name it.
fn only<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let first = names.next();
    if names.next().is_some() { None } else { first }
}

fn catalogs(view: &View) -> Result<Arc<dyn CatalogProviderList>> {
    let catalog = MemoryCatalogProvider::new();
    for (name, dataset) in &view.datasets {
        let schema = MemorySchemaProvider::new();
        for (table, provider) in &dataset.tables {
            schema.register_table(table.clone(), provider.clone())?;
        }
        catalog.register_schema(name, Arc::new(schema))?;
    }
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(catalogs))
}
