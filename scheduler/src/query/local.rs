//! What the scheduler computes itself: explanations of plans and descriptions of the catalog. Both are made of names and
//! counts in the logs of tables; no data file is opened, and the memory for it is bounded.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, StringArray};
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use datafusion::common::DataFusionError;
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::logical_expr::{Explain, LogicalPlan};
use datafusion::physical_plan::collect;
use futures::TryStreamExt;

use super::errors::of_local;
use super::exchanges;
use crate::port::{QueryError, QueryId};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Computes a local plan and encodes its rows, without the schema message.
pub async fn answer(
    context: &SessionContext,
    plan: &LogicalPlan,
    query: QueryId,
) -> Result<Vec<FlightData>, QueryError> {
    let computed = async {
        let state = context.state();
        let physical = state.create_physical_plan(plan).await?;
        let mut batches = collect(physical, context.task_ctx()).await?;
        if let LogicalPlan::Explain(explain) = plan {
            batches.push(exchanges_of(&state, explain).await?);
        }
        Ok(batches)
    };
    let batches = tokio::time::timeout(LIMIT, computed)
        .await
        .map_err(|_| QueryError::TimedOut { limit: LIMIT })?
        .map_err(|error: DataFusionError| of_local(query, &error))?;
    let stream = futures::stream::iter(batches.into_iter().map(Ok));
    let mut messages: Vec<FlightData> = FlightDataEncoderBuilder::new()
        .build(stream)
        .try_collect()
        .await
        .map_err(|_| QueryError::Internal { query: Some(query) })?;
    if !messages.is_empty() {
        messages.remove(0);
    }
    Ok(messages)
}

/// One more row of an explanation: what is exchanged, and why.
async fn exchanges_of(state: &SessionState, explain: &Explain) -> Result<RecordBatch, DataFusionError> {
    let physical = state.create_physical_plan(&explain.plan).await?;
    let kind = StringArray::from(vec!["exchanges"]);
    let told = StringArray::from(vec![exchanges::told(&physical)]);
    let schema = Arc::clone(explain.schema.inner());
    Ok(RecordBatch::try_new(schema, vec![Arc::new(kind), Arc::new(told)])?)
}
