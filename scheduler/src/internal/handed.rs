//! The tasks that a member has in hand. The engine believes whatever it is told of a task: a report of one that there is not
//! ends its event loop, and a success that is told twice has the task's rows twice in the answer. So nothing reaches it but
//! the first report of a task, from the member that the task was handed to.
//!
//! With the tasks stand the terms that their grants were signed over: while a task is in hand its grant is signed anew
//! ([`renewals`](super::renewals)).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::task_status::Status as TaskEnd;
use ballista_core::serde::protobuf::{ShuffleWritePartition, TaskDefinition, TaskStatus};
use parcours_cluster::task_grant::{Assignment, TaskGrant, Terms};
use parcours_identity::{Signer, SigningError};

/// Why a report is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfounded {
    /// The member has no such task in hand: it never had, or has reported on it before.
    #[error("the task is not in the member's hand, or was reported before")]
    NotInHand,
    /// The task is in the member's hand, and what is said of it cannot be.
    #[error("what is said of the task cannot be: {0}")]
    Impossible(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Task {
    job: String,
    stage: u32,
    number: u32,
}

#[derive(Clone, Copy, Debug)]
struct HandedOut {
    stage_attempt: u32,
    task_attempt: u32,
    at: Instant,
}

/// What a grant was signed over, and when.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) terms: Terms,
    pub(super) assignment: Assignment,
    pub(super) signed: Instant,
}

impl Granted {
    /// Signs it.
    pub(super) fn sign(&self, signer: &Signer) -> Result<String, SigningError> {
        TaskGrant::sign(signer, self.terms.clone(), self.assignment.clone())
    }
}

/// What one member has in hand.
#[derive(Debug, Default)]
pub(super) struct InHand {
    tasks: HashMap<Task, HandedOut>,
    /// By job and stage, the grants of tasks.
    grants: HashMap<(String, u32), Granted>,
}

impl InHand {
    /// Notes tasks that are handed out, and forgets those that have been out for so long that no report will come of them.
    pub(super) fn give(&mut self, tasks: &[TaskDefinition], longest: Duration) {
        self.tasks.retain(|_, handed| handed.at.elapsed() <= longest);
        for task in tasks {
            let handed = HandedOut {
                stage_attempt: task.stage_attempt_num,
                task_attempt: task.task_attempt_num,
                at: Instant::now(),
            };
            self.tasks
                .insert(named(&task.job_id, task.stage_id, task.task_id), handed);
        }
    }

    /// Notes under which grants tasks were handed out.
    pub(super) fn grant(&mut self, granted: Vec<Granted>) {
        for granted in granted {
            let stage = u32::try_from(granted.assignment.stage).unwrap_or(u32::MAX);
            self.grants.insert((granted.assignment.job.clone(), stage), granted);
        }
    }

    /// The grants of tasks in hand that were signed so long ago. From now on they count as signed now; those of which no
    /// task is in hand are forgotten.
    pub(super) fn take_aged(&mut self, age: Duration) -> Vec<Granted> {
        let stages: HashSet<(&str, u32)> = self.tasks.keys().map(|task| (task.job.as_str(), task.stage)).collect();
        self.grants
            .retain(|(job, stage), _| stages.contains(&(job.as_str(), *stage)));
        let aged = self
            .grants
            .values_mut()
            .filter(|granted| granted.signed.elapsed() >= age);
        aged.map(|granted| {
            granted.signed = Instant::now();
            granted.clone()
        })
        .collect()
    }

    /// Takes a task out of the hand of this member, for its report. Whether the report can be believed.
    pub(super) fn take(&mut self, member: &str, report: &mut TaskStatus) -> Result<(), Unfounded> {
        let task = named(&report.job_id, report.stage_id, report.task_id);
        let handed = self.tasks.get(&task).copied().ok_or(Unfounded::NotInHand)?;
        // Ballista 55 reports a task that could not begin under the attempt at the task instead of that at the stage.
        if ![handed.stage_attempt, handed.task_attempt].contains(&report.stage_attempt_num) {
            return Err(Unfounded::NotInHand);
        }
        self.tasks.remove(&task);
        report.stage_attempt_num = handed.stage_attempt;
        check_end(member, report).map_err(Unfounded::Impossible)
    }

    /// How many tasks there are.
    pub(super) fn count(&self) -> usize {
        self.tasks.len()
    }
}

fn named(job: &str, stage: u32, number: u32) -> Task {
    Task {
        job: job.to_owned(),
        stage,
        number,
    }
}

/// Whether a report says how a task ended, and of a success what its task can have written.
fn check_end(member: &str, report: &TaskStatus) -> Result<(), &'static str> {
    match &report.status {
        Some(TaskEnd::Failed(_)) => Ok(()),
        Some(TaskEnd::Successful(done)) if done.executor_id != member => Err("another executor ran it"),
        Some(TaskEnd::Successful(done)) => check_written(report.task_id, &done.partitions),
        Some(TaskEnd::Running(_)) | None => Err("it has not ended"),
    }
}

fn check_written(task: u32, partitions: &[ShuffleWritePartition]) -> Result<(), &'static str> {
    let mut seen = BTreeSet::new();
    for partition in partitions {
        if partition.file_id != Some(u64::from(task)) {
            return Err("it wrote a partition of another task");
        }
        if !seen.insert(partition.partition_id) {
            return Err("it wrote a partition twice");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ballista_core::serde::protobuf::{FailedTask, RunningTask, SuccessfulTask};

    use super::*;

    const MEMBER: &str = "executor-1:ab";
    const LONG: Duration = Duration::from_secs(60);

    fn task(job: &str, stage_id: u32, task_id: u32) -> TaskDefinition {
        TaskDefinition {
            job_id: job.to_owned(),
            stage_id,
            task_id,
            stage_attempt_num: 2,
            task_attempt_num: 3,
            ..Default::default()
        }
    }

    fn report(of: &TaskDefinition, status: Option<TaskEnd>) -> TaskStatus {
        TaskStatus {
            job_id: of.job_id.clone(),
            stage_id: of.stage_id,
            task_id: of.task_id,
            stage_attempt_num: of.stage_attempt_num,
            status,
            ..Default::default()
        }
    }

    fn success(executor: &str, partitions: &[(u64, u64)]) -> Option<TaskEnd> {
        let partitions = partitions.iter().map(|(partition_id, file)| ShuffleWritePartition {
            partition_id: *partition_id,
            file_id: Some(*file),
            ..Default::default()
        });
        Some(TaskEnd::Successful(SuccessfulTask {
            executor_id: executor.to_owned(),
            partitions: partitions.collect(),
            ..Default::default()
        }))
    }

    fn failure() -> Option<TaskEnd> {
        Some(TaskEnd::Failed(FailedTask::default()))
    }

    fn in_hand(tasks: &[TaskDefinition]) -> InHand {
        let mut in_hand = InHand::default();
        in_hand.give(tasks, LONG);
        in_hand
    }

    #[test]
    fn a_task_is_reported_once() {
        let task = task("a", 1, 7);
        for end in [success(MEMBER, &[(0, 7), (1, 7)]), success(MEMBER, &[]), failure()] {
            let mut in_hand = in_hand(std::slice::from_ref(&task));
            let mut report = report(&task, end);
            assert_eq!(in_hand.take(MEMBER, &mut report), Ok(()));
            assert_eq!(in_hand.take(MEMBER, &mut report), Err(Unfounded::NotInHand), "replayed");
            assert_eq!(in_hand.count(), 0);
        }
    }

    #[test]
    fn what_was_not_handed_out_is_not_reported() {
        let mut in_hand = in_hand(&[task("a", 1, 7)]);
        for other in [task("a", 1, 999), task("a", 2, 7), task("b", 1, 7), task("", 0, 0)] {
            let refused = in_hand.take(MEMBER, &mut report(&other, success(MEMBER, &[])));
            assert_eq!(refused, Err(Unfounded::NotInHand), "{other:?}");
        }
        let mut of_another_attempt = report(&task("a", 1, 7), failure());
        of_another_attempt.stage_attempt_num = 4;
        assert_eq!(in_hand.take(MEMBER, &mut of_another_attempt), Err(Unfounded::NotInHand));
        assert_eq!(in_hand.count(), 1, "what is in hand stays there");
    }

    #[test]
    fn a_report_says_how_the_task_ended_and_what_it_can_have_written() {
        let task = task("a", 1, 7);
        let running = TaskEnd::Running(RunningTask {
            executor_id: MEMBER.to_owned(),
        });
        for end in [
            None,
            Some(running),
            success("executor-2:cd", &[(0, 7)]),
            success(MEMBER, &[(0, 8)]),
            success(MEMBER, &[(0, 7), (1, 7), (0, 7)]),
        ] {
            let mut in_hand = in_hand(std::slice::from_ref(&task));
            let refused = in_hand.take(MEMBER, &mut report(&task, end.clone()));
            assert!(matches!(refused, Err(Unfounded::Impossible(_))), "{end:?}: {refused:?}");
            assert_eq!(in_hand.count(), 0, "it is not asked again");
        }
        let mut nameless = report(&task, success(MEMBER, &[(0, 7)]));
        if let Some(TaskEnd::Successful(done)) = &mut nameless.status {
            done.partitions[0].file_id = None;
        }
        assert!(in_hand(&[task]).take(MEMBER, &mut nameless).is_err());
    }

    #[test]
    fn a_task_that_could_not_begin_is_reported_under_its_own_attempt() {
        let task = task("a", 1, 7);
        let mut report = report(&task, failure());
        report.stage_attempt_num = task.task_attempt_num;
        assert_eq!(in_hand(std::slice::from_ref(&task)).take(MEMBER, &mut report), Ok(()));
        assert_eq!(report.stage_attempt_num, task.stage_attempt_num);
    }

    fn granted(job: &str, stage: usize) -> Granted {
        Granted {
            terms: Terms {
                query: "q1".into(),
                sub: "spiffe://hospital.example/user/alice".parse().unwrap(),
                datasets: Default::default(),
                exp: 0,
            },
            assignment: Assignment {
                job: job.to_owned(),
                executor: MEMBER.to_owned(),
                stage,
                inputs: BTreeSet::new(),
            },
            signed: Instant::now(),
        }
    }

    #[test]
    fn grants_are_signed_anew_while_their_tasks_are_in_hand() {
        let mut in_hand = in_hand(&[task("a", 1, 7), task("a", 1, 8), task("b", 1, 1)]);
        in_hand.grant(vec![granted("a", 1), granted("b", 1), granted("c", 1)]);
        assert!(in_hand.take_aged(LONG).is_empty(), "they are new");
        let jobs = |aged: Vec<Granted>| -> BTreeSet<String> {
            aged.into_iter().map(|granted| granted.assignment.job).collect()
        };
        let both = ["a".to_owned(), "b".to_owned()];
        assert_eq!(jobs(in_hand.take_aged(Duration::ZERO)), both.clone().into());
        let mut end = |task: TaskDefinition| in_hand.take(MEMBER, &mut report(&task, failure())).unwrap();
        end(task("a", 1, 7));
        end(task("b", 1, 1));
        assert_eq!(jobs(in_hand.take_aged(Duration::ZERO)), [both[0].clone()].into());
        let last = in_hand.take(MEMBER, &mut report(&task("a", 1, 8), failure()));
        assert_eq!(last, Ok(()));
        assert!(in_hand.take_aged(Duration::ZERO).is_empty());
    }

    #[test]
    fn tasks_of_which_nothing_was_heard_for_long_are_forgotten() {
        let mut in_hand = in_hand(&[task("a", 1, 7)]);
        std::thread::sleep(Duration::from_millis(5));
        in_hand.give(&[task("b", 1, 1)], Duration::from_millis(1));
        assert_eq!(in_hand.count(), 1);
    }
}
