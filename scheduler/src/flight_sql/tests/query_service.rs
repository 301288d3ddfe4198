//! A query service in one process: real DataFusion over small tables, no cluster. It counts what it was asked, so that a
//! test can see which way a statement came, and remembers what was cancelled.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{
    array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, SchemaRef},
};
use arrow_flight::{encode::FlightDataEncoderBuilder, error::FlightError};
use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider},
    common::ParamValues,
    config::Dialect,
    error::DataFusionError,
    execution::context::SQLOptions,
    logical_expr::LogicalPlan,
    prelude::{DataFrame, SessionConfig, SessionContext},
    scalar::ScalarValue,
    sql::{parser::Statement as Parsed, sqlparser::ast::Statement as Ast},
};
use futures::{StreamExt, TryStreamExt};
use parcours_identity::{Principal, Role};
use parking_lot::Mutex;

use crate::port::{
    Phase, PlannedStatement, Progress, QueryError, QueryId, QueryPort, ResultStream, Started, VisibleCatalog,
    VisibleSchema, VisibleTable,
};

/// Day 0 is 1970-01-01.
pub const BIRTHS: [i32; 4] = [-3653, 0, 7305, 14_610];

pub struct SingleProcess {
    context: SessionContext,
    queries: Mutex<HashMap<QueryId, Query>>,
    stopped: Arc<Mutex<Vec<QueryId>>>,
    prepared: AtomicUsize,
    /// Pass between a query's being entered and its start's being told; none is left in a house that is slow to start.
    starts: tokio::sync::Semaphore,
}

struct Query {
    owner: Principal,
    results: Option<DataFrame>,
    /// How often its progress was asked for; each time one of its four tasks ends.
    asked: u64,
}

pub struct Planned {
    sql: String,
    plan: LogicalPlan,
    parameters: Vec<Field>,
}

impl PlannedStatement for Planned {
    fn sql(&self) -> &str {
        &self.sql
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema().inner().clone()
    }

    fn parameters(&self) -> &[Field] {
        &self.parameters
    }
}

/// Four people: `id`, `nom` (one null), `naissance`, `montant`.
pub fn people() -> RecordBatch {
    let montant = Decimal128Array::from(vec![Some(1250), Some(0), None, Some(99_999)]);
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef),
        (
            "nom",
            Arc::new(StringArray::from(vec![Some("Ada"), Some("Éloïse"), None, Some("Zoé")])),
        ),
        ("naissance", Arc::new(Date32Array::from(BIRTHS.to_vec()))),
        ("montant", Arc::new(montant.with_precision_and_scale(9, 2).unwrap())),
    ])
    .unwrap()
}

impl SingleProcess {
    pub fn new() -> Self {
        let config = SessionConfig::new().with_default_catalog_and_schema("parcours", "snds");
        let context = SessionContext::new_with_config(config);
        let catalog = Arc::new(MemoryCatalogProvider::new());
        for (schema, tables) in [("snds", vec!["personnes", "sejours"]), ("omop", vec!["person"])] {
            let provider = Arc::new(MemorySchemaProvider::new());
            for table in tables {
                let table_of = MemTable::try_new(people().schema(), vec![vec![people()]]).unwrap();
                provider.register_table(table.into(), Arc::new(table_of)).unwrap();
            }
            catalog.register_schema(schema, provider).unwrap();
        }
        context.register_catalog("parcours", catalog);
        Self {
            context,
            queries: Mutex::default(),
            stopped: Arc::default(),
            prepared: AtomicUsize::new(0),
            starts: tokio::sync::Semaphore::new(1),
        }
    }

    /// How many statements were prepared.
    pub fn prepared(&self) -> usize {
        self.prepared.load(Ordering::Relaxed)
    }

    /// How many queries have been started, whether or not it was told.
    pub fn started(&self) -> usize {
        self.queries.lock().len()
    }

    /// Tells no start until this is dropped.
    pub async fn hold_starts(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.starts.acquire().await.unwrap()
    }

    /// The queries that were cancelled or whose stream was dropped before its end.
    pub fn stopped(&self) -> Vec<QueryId> {
        self.stopped.lock().clone()
    }

    fn with_query<T>(
        &self,
        who: &Principal,
        query: &QueryId,
        then: impl FnOnce(&mut Query) -> T,
    ) -> Result<T, QueryError> {
        let missing = || QueryError::NotFound {
            kind: "query",
            name: query.to_string(),
            near: vec![],
        };
        let mut queries = self.queries.lock();
        queries
            .get_mut(query)
            .filter(|query| query.owner == *who)
            .map(then)
            .ok_or_else(missing)
    }

    /// Alice sees both schemas, everyone else the first.
    fn sees(who: &Principal, schema: &str) -> bool {
        schema == "snds" || matches!(who.role(), Role::User(name) if name == "alice")
    }
}

#[async_trait]
impl QueryPort for SingleProcess {
    type Statement = Planned;

    async fn catalog(&self, who: &Principal) -> Result<VisibleCatalog, QueryError> {
        let catalog = self.context.catalog("parcours").unwrap();
        let mut schemas = Vec::new();
        for name in catalog
            .schema_names()
            .into_iter()
            .filter(|schema| Self::sees(who, schema))
        {
            let schema = catalog.schema(&name).unwrap();
            let mut tables = Vec::new();
            for table in schema.table_names() {
                let columns = schema.table(&table).await.map_err(planning)?.unwrap().schema();
                tables.push(VisibleTable {
                    name: table,
                    schema: columns,
                    kind: "TABLE",
                });
            }
            schemas.push(VisibleSchema { name, tables });
        }
        Ok(VisibleCatalog {
            name: "parcours".into(),
            schemas,
        })
    }

    fn check_granted(&self, who: &Principal) -> Result<(), QueryError> {
        match who.role() {
            Role::User(name) if name == "mallory" => Err(QueryError::Denied {
                message: "nothing is granted to you".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    async fn prepare(&self, _who: &Principal, sql: &str) -> Result<Arc<Planned>, QueryError> {
        self.prepared.fetch_add(1, Ordering::Relaxed);
        let state = self.context.state();
        let parsed = state.sql_to_statement(sql, &Dialect::Generic).map_err(planning)?;
        if let Parsed::Statement(ast) = &parsed
            && matches!(ast.as_ref(), Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_))
        {
            return Err(QueryError::ReadOnly {
                statement: "a change".to_owned(),
            });
        }
        let plan = state.statement_to_plan(parsed).await.map_err(planning)?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let refused = |_| QueryError::ReadOnly {
            statement: plan.display().to_string(),
        };
        read_only.verify_plan(&plan).map_err(refused)?;
        let mut types = plan
            .get_parameter_types()
            .map_err(planning)?
            .into_iter()
            .collect::<Vec<_>>();
        types.sort();
        let parameters = types
            .into_iter()
            .map(|(name, of)| Field::new(name, of.unwrap_or(DataType::Null), true));
        Ok(Arc::new(Planned {
            sql: sql.into(),
            parameters: parameters.collect(),
            plan,
        }))
    }

    async fn start(
        &self,
        who: &Principal,
        statement: &Planned,
        parameters: Vec<ScalarValue>,
    ) -> Result<Started, QueryError> {
        let values = ParamValues::from(parameters);
        let plan = statement.plan.clone().with_param_values(values).map_err(planning)?;
        let results = self.context.execute_logical_plan(plan).await.map_err(planning)?;
        let (query, schema) = (QueryId::new(), results.schema().inner().clone());
        self.queries.lock().insert(
            query,
            Query {
                owner: who.clone(),
                results: Some(results),
                asked: 0,
            },
        );
        let _pass = self.starts.acquire().await.unwrap();
        Ok(Started { query, schema })
    }

    async fn results(&self, who: &Principal, query: &QueryId) -> Result<ResultStream, QueryError> {
        let frame = self
            .with_query(who, query, |query| query.results.take())?
            .expect("results are taken once");
        let batches = frame.execute_stream().await.map_err(planning)?;
        let data = FlightDataEncoderBuilder::new()
            .with_schema(batches.schema())
            .build(batches.map_err(|error| FlightError::ExternalError(Box::new(error))))
            .skip(1)
            .map_err(|_| QueryError::Internal { query: None });
        let mut unread = Unread {
            query: *query,
            stopped: Some(self.stopped.clone()),
        };
        Ok(Box::pin(
            data.map(Some)
                .chain(futures::stream::iter([None]))
                .filter_map(move |message| {
                    let held = &mut unread;
                    if message.is_none() {
                        drop(held.stopped.take());
                    }
                    std::future::ready(message)
                }),
        ))
    }

    async fn cancel(&self, who: &Principal, query: &QueryId) -> Result<(), QueryError> {
        self.with_query(who, query, |query| query.results = None)?;
        self.stopped.lock().push(*query);
        Ok(())
    }

    async fn progress(&self, who: &Principal, query: &QueryId) -> Result<Progress, QueryError> {
        self.with_query(who, query, |query| {
            query.asked += 1;
            let phase = if query.asked < 4 {
                Phase::Running
            } else {
                Phase::Finished
            };
            Progress {
                phase,
                tasks_done: query.asked,
                tasks_total: 4,
            }
        })
    }
}

/// Reports a stream that is dropped before its end.
struct Unread {
    query: QueryId,
    stopped: Option<Arc<Mutex<Vec<QueryId>>>>,
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(stopped) = self.stopped.take() {
            stopped.lock().push(self.query);
        }
    }
}

/// The engine wraps errors in where they happened; what they are is at the root.
fn planning(error: DataFusionError) -> QueryError {
    match error.find_root() {
        DataFusionError::SQL(error, _) => QueryError::Syntax {
            message: error.to_string(),
        },
        other if other.to_string().contains("not found") && other.to_string().contains("table") => {
            QueryError::NotFound {
                kind: "table",
                name: other.to_string(),
                near: vec![],
            }
        }
        other => QueryError::Invalid {
            message: other.strip_backtrace(),
        },
    }
}
