//! Calls to a key server over the network: a bounded number at once, each within a time limit, repeated a few times while
//! what fails may pass.
//!
//! A call runs in a task of its own: a caller that stopped waiting would otherwise keep its place among them for ever.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::error::KeyError;

/// How often a call that may be repeated is tried.
const TRIES: u32 = 3;
/// Pause before the second try; each later one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// Bounds of the calls to one server.
#[derive(Debug)]
pub(crate) struct Calls {
    places: Arc<Semaphore>,
    limit: Duration,
}

/// An error that tells whether the same call may succeed in a moment.
pub(crate) trait MayPass {
    /// Whether to try again.
    fn may_pass(&self) -> bool;
}

/// Whether a call may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or the same the second time.
    Yes,
    /// A lost answer does not tell whether it was carried out.
    No,
}

impl Calls {
    /// At most `places` calls at once, each of at most `limit_seconds`.
    pub fn new(places: usize, limit_seconds: u64) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places.max(1))),
            limit: Duration::from_secs(limit_seconds.max(1)),
        }
    }

    /// Runs `call`, waiting for a place first.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] when there is no answer in time, [`KeyError::NoRuntime`] outside of a runtime. What the
    /// call itself answers is inside.
    pub async fn run<T, E, F>(
        &self,
        repeat: Repeat,
        call: impl Fn() -> F + Send + 'static,
    ) -> Result<Result<T, E>, KeyError>
    where
        T: Send + 'static,
        E: MayPass + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        if Handle::try_current().is_err() {
            return Err(KeyError::NoRuntime);
        }
        let (places, limit) = (self.places.clone(), self.limit);
        let work = async move {
            let _place = places.acquire_owned().await;
            tries(repeat, call).await
        };
        let done = tokio::spawn(async move { timeout(limit, work).await }).await;
        let unavailable = |reason: String| KeyError::Unavailable { reason };
        done.map_err(|_| unavailable("the call to the key server broke off".to_owned()))?
            .map_err(|_| unavailable(format!("the key server did not answer within {} s", limit.as_secs())))
    }
}

async fn tries<T, E: MayPass, F: Future<Output = Result<T, E>>>(repeat: Repeat, call: impl Fn() -> F) -> Result<T, E> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match call().await {
            Err(error) if repeat == Repeat::Yes && error.may_pass() => sleep(pause).await,
            answer => return answer,
        }
        pause *= 2;
    }
    call().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Fault(bool);

    impl MayPass for Fault {
        fn may_pass(&self) -> bool {
            self.0
        }
    }

    async fn count(repeat: Repeat, passing: bool, good_after: u32) -> (Result<(), Fault>, u32) {
        let calls = Calls::new(1, 5);
        let counted = Arc::new(AtomicU32::new(0));
        let counter = counted.clone();
        let call = move || {
            let turn = counter.fetch_add(1, Ordering::SeqCst) + 1;
            async move { if turn > good_after { Ok(()) } else { Err(Fault(passing)) } }
        };
        (calls.run(repeat, call).await.unwrap(), counted.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn only_passing_faults_are_tried_again_and_not_for_ever() {
        assert_eq!(count(Repeat::Yes, true, 2).await, (Ok(()), 3));
        assert_eq!(count(Repeat::Yes, true, 9).await, (Err(Fault(true)), 3));
        assert_eq!(count(Repeat::Yes, false, 9).await, (Err(Fault(false)), 1));
        assert_eq!(count(Repeat::No, true, 9).await, (Err(Fault(true)), 1));
    }

    #[tokio::test]
    async fn a_call_that_never_ends_is_given_up_and_gives_its_place_back() {
        let calls = Calls::new(1, 1);
        let late = calls.run(Repeat::Yes, pending::<Result<(), Fault>>).await;
        assert!(late.unwrap_err().is_passing());
        // One that nobody waits for any more gives its place back too.
        let mut left = Box::pin(calls.run(Repeat::Yes, pending::<Result<(), Fault>>));
        assert!(left.as_mut().now_or_never().is_none());
        let next = || calls.run(Repeat::Yes, || async { Ok::<_, Fault>(7) });
        let mut answer = next().await;
        for _ in 0..20 {
            if answer.is_ok() {
                break;
            }
            answer = next().await;
        }
        assert_eq!(answer.unwrap().unwrap(), 7);
    }

    #[test]
    fn outside_of_a_runtime_it_says_so() {
        let calls = Calls::new(1, 1);
        let answer = calls.run(Repeat::Yes, || async { Ok::<_, Fault>(()) }).now_or_never();
        assert_eq!(answer.unwrap().unwrap_err(), KeyError::NoRuntime);
    }
}
