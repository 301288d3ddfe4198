//! The threads on which tasks compute. Ballista runs tasks on threads of two megabytes of stack, of which an expression of some
//! thousand operators takes more; a stack that overflows ends the process, with the tasks of everybody else. Here they have as
//! much as the threads on which plans are decoded: it is reserved, and takes memory only where it is used.

use std::io;

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Handle, Runtime};

/// The bytes of stack of a thread.
const STACK: usize = 32 << 20;

/// How far they stand back behind threads that answer the network: as far as Ballista's.
const NICE: i32 = 10;

/// The runtime of tasks.
pub(crate) struct ComputeThreads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl ComputeThreads {
    /// Starts as many threads as tasks may run at once.
    pub(crate) fn start(tasks: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .worker_threads(tasks.max(1))
            .thread_name("compute")
            .thread_stack_size(STACK)
            .on_thread_start(stand_back)
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Where work is spawned.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for ComputeThreads {
    fn drop(&mut self) {
        // The last one may be dropped where nobody may wait for threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn stand_back() {
    // Of the thread that asks, on Linux. Without it tasks compute as well.
    if let Err(error) = setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread of tasks keeps its priority");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Takes more stack than a thread has by default.
    fn deep(levels: usize) -> usize {
        let taken = std::hint::black_box([1_u8; 4096]);
        match levels {
            0 => usize::from(taken[0]),
            levels => deep(levels - 1) + usize::from(std::hint::black_box(taken)[0]),
        }
    }

    #[tokio::test]
    async fn what_runs_there_may_be_deep() {
        let threads = ComputeThreads::start(1).unwrap();
        let levels = 2_000;
        let done = threads.handle().spawn(async move { deep(levels) }).await;
        assert_eq!(done.unwrap(), levels + 1);
        drop(threads);
    }
}
