//! How long the planning of a statement may take, and whether somebody still waits for it. The thread that plans carries a
//! [`Deadline`]; the rules of a session look at it before each node that they rewrite ([`watched`]), so that planning ends
//! with an error like any other. Between two looks nothing stops it: that a single step is short, the limits of size see to.
//! A thread without a deadline plans for as long as it takes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::{PhysicalOptimizerContext, PhysicalOptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use parcours_sql::functions::within_budget;

use crate::failure::{Cause, Failure};

thread_local! {
    /// What the planning on this thread is held to.
    static CURRENT: RefCell<Option<Arc<Deadline>>> = const { RefCell::new(None) };
}

/// The time of one planning, which runs from when it begins.
#[derive(Debug)]
pub struct Deadline {
    limit: Duration,
    begun: OnceLock<Instant>,
    cancelled: AtomicBool,
}

impl Deadline {
    /// A planning that may take so long.
    pub fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            begun: OnceLock::new(),
            cancelled: AtomicBool::new(false),
        })
    }

    /// Says that nobody waits for the plan any more.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// Whether nobody waits for the plan any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Does the work on this thread, under this deadline and no other.
    pub fn over<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        self.begun.get_or_init(Instant::now);
        let before = CURRENT.with(|current| current.replace(Some(self.clone())));
        // The deadline is taken off even if the work panics.
        let _restored = Restored(before);
        within_budget(work)
    }

    /// # Errors
    /// If the time is up, or nobody waits for the plan any more.
    fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            let nobody = Failure::new(
                Cause::Unavailable,
                "nobody waits for the plan of the statement any more",
            );
            return Err(DataFusionError::Execution(nobody.to_string()));
        }
        match self.begun.get() {
            Some(begun) if begun.elapsed() > self.limit => Err(DataFusionError::Execution(
                Failure::new(Cause::Invalid, self.too_long()).to_string(),
            )),
            _ => Ok(()),
        }
    }

    fn too_long(&self) -> String {
        format!(
            "planning the statement took longer than {} s, which is the limit, split it",
            self.limit.as_secs_f32()
        )
    }
}

/// Puts back what stood there before.
struct Restored(Option<Arc<Deadline>>);

impl Drop for Restored {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| *current.borrow_mut() = before);
    }
}

/// Whether what is planned on this thread has a deadline.
pub fn counts() -> bool {
    CURRENT.with(|current| current.borrow().is_some())
}

/// Looks at the deadline of this thread, if there is one.
///
/// # Errors
/// If the time is up, or nobody waits for the plan any more.
pub fn check() -> Result<()> {
    CURRENT.with(|current| current.borrow().as_ref().map_or(Ok(()), |deadline| deadline.check()))
}

/// A rule that looks at the deadline before it does anything.
#[derive(Debug)]
struct Watched<R: ?Sized>(Arc<R>);

type Analyzing = dyn AnalyzerRule + Send + Sync;
type Optimizing = dyn OptimizerRule + Send + Sync;
type Arranging = dyn PhysicalOptimizerRule + Send + Sync;

impl AnalyzerRule for Watched<Analyzing> {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        check()?;
        self.0.analyze(plan, config)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

impl OptimizerRule for Watched<Optimizing> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        check()?;
        self.0.rewrite(plan, config)
    }
}

impl PhysicalOptimizerRule for Watched<Arranging> {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        check()?;
        self.0.optimize(plan, config)
    }

    fn optimize_with_context(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: &dyn PhysicalOptimizerContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        check()?;
        self.0.optimize_with_context(plan, context)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Returns the rules, each of which looks at the deadline.
pub(crate) fn watched_analyzer(rules: Vec<Arc<Analyzing>>) -> Vec<Arc<Analyzing>> {
    rules.into_iter().map(|rule| Arc::new(Watched(rule)) as _).collect()
}

/// Returns the rules, each of which looks at the deadline.
pub(crate) fn watched(rules: Vec<Arc<Optimizing>>) -> Vec<Arc<Optimizing>> {
    rules.into_iter().map(|rule| Arc::new(Watched(rule)) as _).collect()
}

/// Returns the rule, which looks at the deadline.
pub(crate) fn watched_physical(rule: Arc<Arranging>) -> Arc<Arranging> {
    Arc::new(Watched(rule))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::execution::context::SessionState;

    use super::*;
    use crate::session::{engine_config, engine_state};

    fn state() -> SessionState {
        engine_state(engine_config(), Arc::default()).unwrap()
    }

    async fn plan_of(state: &SessionState) -> LogicalPlan {
        state.create_logical_plan("SELECT 1 + 1 AS n").await.unwrap()
    }

    #[tokio::test]
    async fn the_rules_of_a_session_end_when_the_time_is_up() {
        let state = state();
        let plan = plan_of(&state).await;
        let late = Deadline::new(Duration::ZERO);
        late.over(|| std::thread::sleep(Duration::from_millis(2)));
        let said = late.over(|| state.optimize(&plan)).unwrap_err().to_string();
        let failure = Failure::find(&said).unwrap();
        assert!(
            failure.cause == Cause::Invalid && failure.message.contains("longer than 0 s"),
            "{said}"
        );
        assert!(state.optimize(&plan).is_ok(), "the deadline was of that planning alone");
        assert!(
            Deadline::new(Duration::from_secs(60))
                .over(|| state.optimize(&plan))
                .is_ok()
        );
    }

    #[tokio::test]
    async fn planning_for_which_nobody_waits_ends() {
        let state = state();
        let plan = plan_of(&state).await;
        let deadline = Deadline::new(Duration::from_secs(60));
        deadline.cancel();
        assert!(deadline.over(|| state.optimize(&plan)).is_err());
        let each = |rule: &Arc<Optimizing>| rule.rewrite(plan.clone(), &state).is_err();
        assert!(deadline.over(|| state.optimizer().rules.iter().all(each)));
        assert!(deadline.over(|| {
            state
                .analyzer()
                .rules
                .iter()
                .all(|rule| rule.analyze(plan.clone(), state.config_options()).is_err())
        }));
    }

    #[test]
    fn a_deadline_within_another_takes_its_place_for_a_while() {
        let (outer, inner) = (
            Deadline::new(Duration::from_secs(60)),
            Deadline::new(Duration::from_secs(60)),
        );
        inner.cancel();
        assert!(!counts() && check().is_ok());
        outer.over(|| {
            assert!(counts() && check().is_ok());
            assert!(inner.over(check).is_err());
            assert!(check().is_ok());
        });
        let panicked = std::panic::catch_unwind(|| {
            outer.over(|| {
                if counts() {
                    std::panic::resume_unwind(Box::new(()))
                }
            })
        });
        assert!(panicked.is_err() && !counts());
    }
}
