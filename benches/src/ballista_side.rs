//! Ballista's side: the engine below Parcours as its makers ship it, with nothing of ours. A scheduler and one executor
//! within this process (what Ballista calls standalone), over the same plain Parquet files; tasks are fetched by polling
//! and pass partitions through files, as is its default.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ballista_core::extension::{SessionConfigExt, SessionStateExt};
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use parcours_synthetic::tables;

use crate::measure::Answer;
use crate::options::Options;
use crate::parcours_side::rows;

/// A session of a Ballista of its own, which ends with this process.
pub struct Ballista {
    session: SessionContext,
}

impl Ballista {
    /// Starts it over the plain files below `source`.
    pub async fn start(options: &Options, source: &Path) -> anyhow::Result<Self> {
        let threads = usize::from(options.threads);
        let config = SessionConfig::new_with_ballista().with_target_partitions(threads);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .build();
        let address = ballista_scheduler::standalone::new_standalone_scheduler_from_state(&state)
            .await
            .context("Ballista's scheduler does not start")?;
        let url = format!("http://localhost:{}", address.port());
        let state = state.upgrade_for_ballista(url.clone())?;
        let scheduler = SchedulerGrpcClient::connect(url)
            .await
            .context("Ballista's scheduler does not answer")?;
        ballista_executor::new_standalone_executor_from_state(scheduler, threads, &state)
            .await
            .context("Ballista's executor does not start")?;
        let session = SessionContext::new_with_state(state);
        for table in tables() {
            let folder = source.join(table.name);
            let folder = folder.to_str().context("the folder's name is not UTF-8")?;
            session
                .register_parquet(table.name, folder, ParquetReadOptions::default())
                .await?;
        }
        Ok(Self { session })
    }

    /// A sentence on how it runs.
    pub fn about(options: &Options) -> String {
        let version = ballista_core::BALLISTA_VERSION;
        format!(
            "Ballista {version} as it comes: one executor of {} tasks, plain Parquet.",
            options.threads
        )
    }

    /// Runs a statement to its last row.
    pub async fn run(&self, sql: &str) -> anyhow::Result<Answer> {
        let started = Instant::now();
        let batches = self.session.sql(sql).await?.collect().await.context("Ballista")?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Answer {
            seconds,
            rows: rows(&batches)?,
        })
    }
}
