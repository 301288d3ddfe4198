//! The tasks that run now, by job, so that an order to cancel reaches each of them, also one that is just being decoded, and
//! one that computes without a pause ([`stop`](crate::stop)).

use std::collections::HashMap;
use std::sync::Arc;

use ballista_core::JobId;
use ballista_executor::executor::Executor;
use parking_lot::Mutex;

use crate::stop::Stop;

/// Stage and task number of a running task.
type TaskNumber = (usize, usize);

/// A running task, and how it is stopped.
type Task = (TaskNumber, Arc<Stop>);

/// Which tasks of which jobs run.
#[derive(Debug, Default)]
pub(crate) struct RunningTasks {
    jobs: Mutex<HashMap<String, Vec<Task>>>,
}

/// Says that a task runs for as long as it lives.
#[derive(Debug)]
pub(crate) struct Running {
    tasks: Arc<RunningTasks>,
    job: String,
    stop: Arc<Stop>,
}

impl Running {
    /// Says when the task is to end.
    pub(crate) fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }
}

impl RunningTasks {
    /// Enters a task.
    pub(crate) fn enter(self: &Arc<Self>, job: &str, number: TaskNumber) -> Running {
        let stop = Stop::of(job);
        let task = (number, stop.clone());
        self.jobs.lock().entry(job.to_owned()).or_default().push(task);
        Running {
            tasks: self.clone(),
            job: job.to_owned(),
            stop,
        }
    }

    /// How many tasks run.
    pub(crate) fn count(&self) -> usize {
        self.jobs.lock().values().map(Vec::len).sum()
    }

    /// Stops every task of a job: those that compute see their flag, those that wait are aborted.
    pub(crate) async fn cancel(&self, executor: &Executor, job: &str) {
        let tasks = self.jobs.lock().get(job).cloned().unwrap_or_default();
        tasks.iter().for_each(|(_, stop)| stop.set());
        for ((stage, task), _) in tasks {
            if let Err(error) = executor.cancel_task(JobId::new(job), stage, task).await {
                tracing::warn!(job, stage, task, %error, "task could not be cancelled");
            }
        }
    }

    /// Stops every task of every job.
    pub(crate) async fn cancel_all(&self, executor: &Executor) {
        let jobs: Vec<String> = {
            let jobs = self.jobs.lock();
            jobs.values().flatten().for_each(|(_, stop)| stop.set());
            jobs.keys().cloned().collect()
        };
        for job in jobs {
            self.cancel(executor, &job).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut jobs = self.tasks.jobs.lock();
        if let Some(tasks) = jobs.get_mut(&self.job) {
            tasks.retain(|(_, stop)| !Arc::ptr_eq(stop, &self.stop));
            if tasks.is_empty() {
                jobs.remove(&self.job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
