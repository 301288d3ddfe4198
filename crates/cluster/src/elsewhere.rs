//! Where plans are made: on the threads of whoever said so in the session, which have large stacks and a limit of time. The
//! engine calls its planner from wherever it is, be it a thread that answers the network; work that has not been put there yet
//! is put there by [`in_place`].

use std::future::Future;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;

use crate::deadline;

type Place = dyn Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, Result<()>> + Send + Sync;

/// An extension of a session's configuration: where what is planned in it is planned.
pub struct PlanningPlace(Arc<Place>);

impl PlanningPlace {
    /// A place that sees a work through, or says why it does not.
    pub fn new(
        place: impl Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(place))
    }

    async fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        // Whoever has left does not want to know.
        let told = work.map(move |done| drop(sender.send(done)));
        (self.0)(told.boxed()).await?;
        let lost = |_| DataFusionError::Internal("planning broke off".to_owned());
        receiver.await.map_err(lost)?
    }
}

/// Does the work where the session is planned; right here if nothing was said, or if this is the place.
///
/// # Errors
/// Those of the work, and of a place that has no room for it.
pub async fn in_place<T: Send + 'static>(
    config: &SessionConfig,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match config.get_extension::<PlanningPlace>() {
        Some(place) if !deadline::counts() => place.run(work).await,
        _ => work.await,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deadline::Deadline;

    fn session(place: PlanningPlace) -> SessionConfig {
        SessionConfig::new().with_extension(Arc::new(place))
    }

    async fn here() -> Result<Option<String>> {
        Ok(std::thread::current().name().map(str::to_owned))
    }

    #[tokio::test]
    async fn work_is_done_where_the_session_says() {
        let on_a_thread = |work: BoxFuture<'static, ()>| {
            let thread = std::thread::Builder::new().name("planner".to_owned());
            let deadline = Deadline::new(Duration::from_secs(60));
            let thread = thread.spawn(move || deadline.over(|| futures::executor::block_on(work)));
            thread.unwrap().join().unwrap();
            futures::future::ready(Ok(())).boxed()
        };
        let config = session(PlanningPlace::new(on_a_thread));
        assert_eq!(in_place(&config, here()).await.unwrap().as_deref(), Some("planner"));
        let nested = config.clone();
        let twice = in_place(&config, async move { in_place(&nested, here()).await });
        assert_eq!(twice.await.unwrap().as_deref(), Some("planner"));
        assert_ne!(
            in_place(&SessionConfig::new(), here()).await.unwrap().as_deref(),
            Some("planner")
        );
    }

    #[tokio::test]
    async fn a_place_without_room_says_so() {
        let full = |_| futures::future::ready(datafusion::common::exec_err!("no room")).boxed();
        let refused = in_place(&session(PlanningPlace::new(full)), here()).await;
        assert!(refused.unwrap_err().to_string().contains("no room"));
        let lost = |_| futures::future::ready(Ok(())).boxed();
        assert!(in_place(&session(PlanningPlace::new(lost)), here()).await.is_err());
    }
}
