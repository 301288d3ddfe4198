//! What a protocol front asks of the query service, in the query service's own terms: principals, statements, queries,
//! streams of results. Nothing here knows gRPC statuses, tickets or handles; those stay in [`crate::flight_sql`], and
//! what stands behind the port is in [`crate::query`].

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use arrow::datatypes::{Field, SchemaRef};
use arrow_flight::FlightData;
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use futures::Stream;
use parcours_identity::Principal;
use uuid::Uuid;

/// The query service as a front sees it. Every method acts for one principal, already authenticated, and answers only
/// about what is that principal's own: another person's query is [`QueryError::NotFound`].
#[async_trait]
pub trait QueryPort: Send + Sync + 'static {
    /// What [`prepare`](Self::prepare) makes and only [`start`](Self::start) can run.
    type Statement: PlannedStatement;

    /// What this principal may see: nothing that is not granted appears.
    async fn catalog(&self, who: &Principal) -> Result<VisibleCatalog, QueryError>;

    /// Refuses a principal to whom nothing is granted. Asked before anything else that they send is looked at.
    fn check_granted(&self, who: &Principal) -> Result<(), QueryError>;

    /// Parses, plans and admits one statement without executing it. Placeholders are `$1`, `$2`, …
    async fn prepare(&self, who: &Principal, sql: &str) -> Result<Arc<Self::Statement>, QueryError>;

    /// Submits a statement with a value for each of its parameters, in their order, and answers before the query is done.
    async fn start(
        &self,
        who: &Principal,
        statement: &Self::Statement,
        parameters: Vec<ScalarValue>,
    ) -> Result<Started, QueryError>;

    /// The one stream of a query's results, in order. It may be taken once; dropping it cancels the query.
    async fn results(&self, who: &Principal, query: &QueryId) -> Result<ResultStream, QueryError>;

    /// Stops a query and removes its data. A query that has already ended is not an error.
    async fn cancel(&self, who: &Principal, query: &QueryId) -> Result<(), QueryError>;

    /// How far a query is. A query that failed answers with its error.
    async fn progress(&self, who: &Principal, query: &QueryId) -> Result<Progress, QueryError>;
}

/// What a front needs to know of a statement that was admitted.
pub trait PlannedStatement: Send + Sync + 'static {
    /// The statement's text, as it was given to [`QueryPort::prepare`].
    fn sql(&self) -> &str;

    /// The logical schema of the result. A column that is nothing but a parameter of unknown type has type `Null` until
    /// it is bound.
    fn schema(&self) -> SchemaRef;

    /// One field for each parameter `$1`, `$2`, … in order, named so. Type `Null` where the statement does not say, which
    /// accepts a value of any type.
    fn parameters(&self) -> &[Field];
}

/// A query that was submitted.
#[derive(Clone, Debug)]
pub struct Started {
    /// The query's name from here on.
    pub query: QueryId,
    /// The schema of its results with the parameters bound: what the data messages of
    /// [`QueryPort::results`] are encoded under.
    pub schema: SchemaRef,
}

/// A query's identity: random, unique over restarts, safe to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(Uuid);

impl QueryId {
    /// A new identity, ordered by the time it was made.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The 16 bytes a ticket carries.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The identity whose bytes these are.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Encoded record batches (and dictionaries, where the schema has them) in order, without a schema message: the front
/// sends the logical schema first.
pub type ResultStream = Pin<Box<dyn Stream<Item = Result<FlightData, QueryError>> + Send>>;

/// What one principal may see, cut to its grants.
#[derive(Clone, Debug)]
pub struct VisibleCatalog {
    /// The catalog's name.
    pub name: String,
    /// The datasets, one schema each.
    pub schemas: Vec<VisibleSchema>,
}

/// One schema of a [`VisibleCatalog`].
#[derive(Clone, Debug)]
pub struct VisibleSchema {
    /// The schema's name.
    pub name: String,
    /// The tables and views with at least one column that may be read.
    pub tables: Vec<VisibleTable>,
}

/// One table of a [`VisibleSchema`].
#[derive(Clone, Debug)]
pub struct VisibleTable {
    /// The table's name.
    pub name: String,
    /// The columns that may be read.
    pub schema: SchemaRef,
    /// `TABLE` or `VIEW`.
    pub kind: &'static str,
}

/// How far a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whether it runs yet, or no more.
    pub phase: Phase,
    /// Tasks that have ended, of all stages known so far.
    pub tasks_done: u64,
    /// Tasks of all stages known so far; may grow while the query runs, and is 0 before planning is done.
    pub tasks_total: u64,
}

/// The phases of a query that has not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Accepted; no task runs yet.
    Queued,
    /// Tasks run, or wait for the reader.
    Running,
    /// All results are made.
    Finished,
}

/// Why a query, or a question about one, has no answer. Every text here is for the person who asked: it may name their
/// tables and columns and quote their statement, and must not be logged.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The statement cannot be parsed.
    #[error("syntax error: {message}")]
    Syntax {
        /// What is wrong and where.
        message: String,
    },
    /// The statement is well-formed and cannot be planned: unknown column, wrong types, wrong parameters.
    #[error("{message}")]
    Invalid {
        /// What is wrong, and the nearest names where one was misspelt.
        message: String,
    },
    /// A table, schema or query does not exist for this principal.
    #[error("{kind} {name} not found{}", did_you_mean(near))]
    NotFound {
        /// `table`, `schema`, `query`, …
        kind: &'static str,
        /// The name as it was asked for.
        name: String,
        /// The nearest names that this principal may see.
        near: Vec<String>,
    },
    /// The principal's grants do not cover the statement.
    #[error("{message}")]
    Denied {
        /// What is not granted, by name.
        message: String,
    },
    /// The statement would change something.
    #[error("{statement} is refused: this server is read-only")]
    ReadOnly {
        /// The kind of statement, such as `INSERT`.
        statement: String,
    },
    /// The statement uses something this server does not have.
    #[error("{message}")]
    Unsupported {
        /// What it is, and what to use instead.
        message: String,
    },
    /// The query needs more than its share of memory, disk or slots.
    #[error("{message}")]
    ResourcesExhausted {
        /// What ran out and its limit.
        message: String,
    },
    /// The query was cancelled, by its owner or because its reader went away.
    #[error("the query was cancelled")]
    Cancelled,
    /// The query ran for longer than it may.
    #[error("the query ran for longer than {} s and was stopped", limit.as_secs())]
    TimedOut {
        /// The limit it reached.
        limit: Duration,
    },
    /// Something the query needs cannot be reached now: executors, object store, key service.
    #[error("{message}")]
    Unavailable {
        /// What is missing, and that it is worth trying again.
        message: String,
    },
    /// A fault of ours; what happened is in the log under the query's id.
    #[error("internal error{}", of_query(query))]
    Internal {
        /// The query to look for in the log, where there is one already.
        query: Option<QueryId>,
    },
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!(", did you mean {}?", near.join(", ")),
    }
}

fn of_query(query: &Option<QueryId>) -> String {
    query.map_or_else(String::new, |query| format!(" in query {query}"))
}
