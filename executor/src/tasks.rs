//! The tasks that run now, by job, so that an order to cancel reaches each of them, also one that is just being decoded.

use std::collections::HashMap;

use ballista_core::JobId;
use ballista_executor::executor::Executor;
use parking_lot::Mutex;

/// Stage and task number of a running task.
type TaskNumber = (usize, usize);

/// Which tasks of which jobs run.
#[derive(Debug, Default)]
pub(crate) struct RunningTasks {
    jobs: Mutex<HashMap<String, Vec<TaskNumber>>>,
}

/// Says that a task runs for as long as it lives.
#[derive(Debug)]
pub(crate) struct Running {
    tasks: std::sync::Arc<RunningTasks>,
    job: String,
    number: TaskNumber,
}

impl RunningTasks {
    /// Enters a task.
    pub(crate) fn enter(self: &std::sync::Arc<Self>, job: &str, number: TaskNumber) -> Running {
        self.jobs.lock().entry(job.to_owned()).or_default().push(number);
        Running {
            tasks: self.clone(),
            job: job.to_owned(),
            number,
        }
    }

    /// How many tasks run.
    pub(crate) fn count(&self) -> usize {
        self.jobs.lock().values().map(Vec::len).sum()
    }

    /// Aborts every task of a job.
    pub(crate) async fn cancel(&self, executor: &Executor, job: &str) {
        let numbers = self.jobs.lock().get(job).cloned().unwrap_or_default();
        for (stage, task) in numbers {
            if let Err(error) = executor.cancel_task(JobId::new(job), stage, task).await {
                tracing::warn!(job, stage, task, %error, "task could not be cancelled");
            }
        }
    }

    /// Aborts every task of every job.
    pub(crate) async fn cancel_all(&self, executor: &Executor) {
        let jobs: Vec<String> = self.jobs.lock().keys().cloned().collect();
        for job in jobs {
            self.cancel(executor, &job).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut jobs = self.tasks.jobs.lock();
        if let Some(numbers) = jobs.get_mut(&self.job) {
            if let Some(at) = numbers.iter().position(|number| *number == self.number) {
                numbers.swap_remove(at);
            }
            if numbers.is_empty() {
                jobs.remove(&self.job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_task_leaves_when_its_guard_is_dropped() {
        let tasks = Arc::new(RunningTasks::default());
        let first = tasks.enter("J", (1, 1));
        let second = tasks.enter("J", (1, 2));
        assert_eq!(tasks.count(), 2);
        drop(first);
        assert_eq!(tasks.count(), 1);
        drop(second);
        assert!(tasks.jobs.lock().is_empty());
    }
}
