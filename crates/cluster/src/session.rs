//! The one assembly of an engine session, used by scheduler and executor alike, so that both know the same functions,
//! rules and options. What differs by query (who, which grant, how many shards) is laid over a clone.

use std::sync::Arc;

use ballista_core::config::BALLISTA_COALESCE_ENABLED;
use ballista_core::extension::SessionConfigExt;
use datafusion::common::Result;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use parcours_sql::functions::single_row;
use parcours_sql::semantics::set_all::SetOperationsAll;
use parcours_sql::semantics::{expressions, subquery_rules};

use crate::codec::PlanCodec;
use crate::deadline::{watched, watched_analyzer};
use crate::functions::{aggregate_functions, scalar_functions};
use crate::options::TaskOptions;
use crate::placement::Marks;
use crate::placement::planner::Planner;
use crate::rules::{WholeWindows, optimizer_rules};
use crate::windows::window_functions;

/// The SQL catalog in which every dataset is a schema.
pub const CATALOG: &str = "parcours";

/// The engine's settings, alike on both sides of the wire.
///
/// Adaptive planning is on, broadcasts stay allowed, and `prefer_existing_union` avoids a union of sharded tables that
/// Ballista 55 cannot restrict to a task. Every shuffle read goes through our own reader. File streams do not take files
/// from each other: a task holds several shards in a partitioning that is no longer declared, and a shard read under
/// another's number, or out of its order, gives wrong answers.
pub fn engine_config() -> SessionConfig {
    let mut config = SessionConfig::new_with_ballista()
        .with_option_extension(TaskOptions::default())
        .with_default_catalog_and_schema(CATALOG, "public")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_ballista_use_tls(true)
        .with_ballista_shuffle_reader_force_remote_read(true)
        .with_ballista_adaptive_query_planner(true)
        // Partitions read together come in no order, and the plan above them may rely on theirs.
        .set_bool(BALLISTA_COALESCE_ENABLED, false);
    let options = config.options_mut();
    options.execution.enable_file_stream_work_stealing = false;
    // Columns carry their class as metadata, which unions treat otherwise in logical plans than in physical ones.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.bloom_filter_on_read = false;
    options.optimizer.prefer_existing_union = true;
    // It puts a merge above a sort with a limit each time it sees one below an exchange, so that Ballista drops the stage
    // that runs there, and ends the job without its last stage.
    options.optimizer.enable_sort_pushdown = false;
    options.optimizer.enable_round_robin_repartition = false;
    config
}

/// How plans travel from the scheduler to executors.
pub fn plan_codec() -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(PlanCodec::default())
}

/// What a statement means, in the order in which it is worked out: what depends on the types that were written, then the
/// engine's rules, which make types alike, then what depends on these.
fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = expressions::before_coercion();
    rules.extend(Analyzer::new().rules);
    rules.extend(subquery_rules(single_row()));
    rules.push(Arc::new(SetOperationsAll {}));
    rules.extend(expressions::after_coercion());
    rules.push(Arc::new(WholeWindows));
    rules
}

/// The engine's rules over joins that declare no order.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(Marks)];
    rules.extend(PhysicalOptimizer::new().rules);
    rules
}

fn expression_planners() -> Vec<Arc<dyn ExprPlanner>> {
    let mut planners = expressions::expression_planners();
    planners.extend(SessionStateDefaults::default_expr_planners());
    planners
}

/// A session state over a configuration, with every function and rule of Parcours.
pub fn engine_state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionState> {
    Ok(SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(expression_planners())
        .with_type_planner(expressions::type_planner())
        .with_analyzer_rules(watched_analyzer(analyzer_rules()))
        .with_optimizer_rules(watched(optimizer_rules()))
        .with_physical_optimizer_rules(physical_rules())
        .with_query_planner(Arc::new(Planner))
        .with_scalar_functions(scalar_functions())
        .with_aggregate_functions(aggregate_functions())
        .with_window_functions(window_functions())
        .build())
}
