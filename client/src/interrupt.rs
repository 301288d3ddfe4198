//! Ctrl-C and SIGTERM: they end the work at hand, not the process, so that a query is cancelled in the cluster, files
//! half written are removed, and a shell goes on.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Failure;

/// How long work that was told to stop may take to let go.
const LET_GO: Duration = Duration::from_secs(2);

/// Runs the work in a task of its own, which an interruption aborts; what the task held is then dropped.
///
/// A task of its own, because work that is blocked writing to a pipe could not be interrupted from within.
pub async fn interruptible<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let mut task = tokio::spawn(work);
    tokio::select! {
        done = &mut task => done.unwrap_or_else(|error| Err(Failure::Failed(error.into()))),
        interrupted = interruption() => {
            interrupted?;
            task.abort();
            let _ = tokio::time::timeout(LET_GO, &mut task).await;
            Err(Failure::Interrupted)
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn interruption() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
