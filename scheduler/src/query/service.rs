//! The query service behind [`QueryPort`]: each method reads as the steps a request takes.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use parcours_cluster::access::Access;
use parcours_cluster::session::CATALOG;
use parcours_cluster::task_grant::{Terms, ends_after};
use parcours_identity::Principal;

use super::errors::of_planning;
use super::jobs::Jobs;
use super::local;
use super::planner::{self, Planner};
use super::results::Relay;
use super::session::{Sessions, View};
use super::standing::Submission;
use super::statement::{Statement, Where};
use crate::port::{
    PlannedStatement, Progress, QueryError, QueryId, QueryPort, ResultStream, Started, VisibleCatalog, VisibleSchema,
    VisibleTable,
};

/// The query service.
pub struct Queries {
    access: Arc<Access>,
    sessions: Arc<Sessions>,
    planner: Planner,
    jobs: Arc<Jobs>,
    relay: Arc<Relay>,
}

impl Queries {
    /// A service of these parts.
    pub fn new(access: Arc<Access>, sessions: Arc<Sessions>, jobs: Arc<Jobs>, relay: Arc<Relay>) -> Self {
        Self {
            access,
            planner: Planner::new(sessions.clone()),
            sessions,
            jobs,
            relay,
        }
    }

    fn view(&self, who: &Principal) -> View {
        self.sessions.view(who, self.access.grant(who))
    }
}

#[async_trait]
impl QueryPort for Queries {
    type Statement = Statement;

    async fn catalog(&self, who: &Principal) -> Result<VisibleCatalog, QueryError> {
        let view = self.view(who);
        let schemas = view.datasets.keys().map(|name| visible_schema(&view, name)).collect();
        Ok(VisibleCatalog {
            name: CATALOG.to_owned(),
            schemas,
        })
    }

    fn check_granted(&self, who: &Principal) -> Result<(), QueryError> {
        planner::check_granted(&self.access.grant(who))
    }

    async fn prepare(&self, who: &Principal, sql: &str) -> Result<Arc<Statement>, QueryError> {
        Ok(Arc::new(self.planner.prepare(&self.view(who), sql).await?))
    }

    async fn start(
        &self,
        who: &Principal,
        statement: &Statement,
        parameters: Vec<ScalarValue>,
    ) -> Result<Started, QueryError> {
        let query = QueryId::new();
        let view = self.view(who);
        let plan = if statement.parameters().is_empty() {
            statement.plan.clone()
        } else {
            statement
                .plan
                .clone()
                .with_param_values(parameters)
                .map_err(|error| of_planning(&error))?
        };
        let admitted = self.planner.admit(&view, statement, plan)?;
        let schema: SchemaRef = Arc::new(admitted.plan.schema().as_arrow().clone());
        let terms = Terms {
            query: query.to_string(),
            sub: who.clone(),
            datasets: view.opened(&admitted.touched),
            exp: ends_after(self.jobs.limit()),
        };
        let context = self
            .sessions
            .context(&view, &query.to_string(), admitted.touched.partitions(), Some(&terms))
            .map_err(|error| of_planning(&error))?;
        match statement.run {
            Where::Here => {
                let messages = local::answer(&context, &admitted.plan, query).await?;
                self.jobs.enter_local(who, query, messages);
            }
            Where::Cluster => {
                let submission = Submission {
                    context: Arc::new(context),
                    plan: admitted.plan,
                    optimized: admitted.optimized,
                    opens: terms.datasets,
                    partitions: admitted.touched.partitions(),
                    together: admitted.touched.shards_of_a_task(),
                };
                self.jobs.submit(who, query, submission).await?;
            }
        }
        Ok(Started { query, schema })
    }

    async fn results(&self, who: &Principal, query: &QueryId) -> Result<ResultStream, QueryError> {
        let query = self.jobs.get(who, query)?;
        query.take()?;
        Ok(self.relay.stream(self.jobs.clone(), query))
    }

    async fn cancel(&self, who: &Principal, query: &QueryId) -> Result<(), QueryError> {
        let query = self.jobs.get(who, query)?;
        self.jobs.cancel(&query).await;
        Ok(())
    }

    async fn progress(&self, who: &Principal, query: &QueryId) -> Result<Progress, QueryError> {
        let query = self.jobs.get(who, query)?;
        self.jobs.progress(&query).await
    }
}

/// A dataset's tables, each with the columns whose class is granted.
fn visible_schema(view: &View, name: &str) -> VisibleSchema {
    let tables = view.datasets.get(name).map(|dataset| &dataset.tables);
    let tables = tables.into_iter().flatten().filter_map(|(table, provider)| {
        let snapshot = provider.table();
        let granted = |column: &str| {
            snapshot
                .class_of(column)
                .is_some_and(|class| view.grant.allows(name, class))
        };
        let fields: Vec<_> = snapshot
            .schema()
            .fields()
            .iter()
            .filter(|field| granted(field.name()))
            .cloned()
            .collect();
        (!fields.is_empty()).then(|| VisibleTable {
            name: table.clone(),
            schema: Arc::new(Schema::new(fields)),
            kind: "TABLE",
        })
    });
    VisibleSchema {
        name: name.to_owned(),
        tables: tables.collect(),
    }
}
