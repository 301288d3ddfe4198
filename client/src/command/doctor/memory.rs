//! Whether keys and rows can leave a process's memory for a disk: through a core dump, through swap, or because the pages of
//! keys could not be locked.

use super::finding::Finding;
use super::node::Kind;
use super::process::Process;

/// The least limit of locked memory that holds the keys of a large dataset.
const LEAST_MEMLOCK: u64 = 1 << 20;

/// What the machine and the node's metrics add to what the process shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether swap that lies on a disk is in use.
    pub swap_on_disk: bool,
    /// The node's own word on whether its memory may be dumped.
    pub dumpable: Option<bool>,
    /// Pages of keys that are locked.
    pub pages_locked: Option<u64>,
    /// Pages of keys that could not be locked.
    pub pages_refused: Option<u64>,
}

/// Whether a table of swaps names a disk; compressed memory is none.
pub fn swap_on_disk(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.starts_with("/dev/zram"))
}

/// Looks at everything.
pub fn judge(kind: Kind, process: &Process, around: Surroundings) -> Vec<Finding> {
    let mut findings = vec![
        core_dumps(process),
        others(process, around.dumpable),
        swap(process, around.swap_on_disk),
    ];
    if kind != Kind::Scheduler {
        findings.push(key_pages(process, around));
        findings.push(memlock(process));
    }
    findings
}

fn core_dumps(process: &Process) -> Finding {
    const CHECK: &str = "core dumps";
    match (process.core.soft, process.core.hard) {
        (Some(0), Some(0)) => Finding::ok(CHECK, "off, and cannot be turned on"),
        (Some(0), _) => Finding::problem(
            CHECK,
            "off, but the process may turn them on (hard limit of RLIMIT_CORE)",
            "start it by `parcours`, which sets both limits to 0",
        ),
        _ => Finding::problem(
            CHECK,
            "on: a crash would write keys and rows to a disk",
            "set RLIMIT_CORE to 0, soft and hard",
        ),
    }
}

fn others(process: &Process, dumpable: Option<bool>) -> Finding {
    const CHECK: &str = "memory of process";
    let closed = dumpable.map(|dumpable| !dumpable).or(process.closed);
    match closed {
        Some(true) => Finding::ok(CHECK, "closed to dump handlers and to processes of its user"),
        Some(false) => Finding::problem(
            CHECK,
            "open to dump handlers and to every process of its user",
            "start it by `parcours`, which closes it, and let nothing open it again",
        ),
        None => Finding::warning(
            CHECK,
            "cannot be told whether it is closed to others",
            "see that the health port answers",
        ),
    }
}

fn swap(process: &Process, on_disk: bool) -> Finding {
    const CHECK: &str = "swap";
    match (process.swapped, on_disk) {
        (0, false) => Finding::ok(CHECK, "none on a disk"),
        (0, true) => Finding::warning(
            CHECK,
            "the machine swaps to a disk, though nothing of the process now",
            "turn swap off (swapoff -a), or encrypt it",
        ),
        (bytes, true) => Finding::problem(
            CHECK,
            format!("{} KiB of the process lie on swap", bytes >> 10),
            "turn swap off (swapoff -a), which also takes them back, or encrypt it",
        ),
        (bytes, false) => Finding::ok(
            CHECK,
            format!("{} KiB of the process in compressed memory", bytes >> 10),
        ),
    }
}

fn key_pages(process: &Process, around: Surroundings) -> Finding {
    const CHECK: &str = "key pages";
    let remedy = "raise RLIMIT_MEMLOCK (LimitMEMLOCK= of a systemd unit) or turn swap off";
    match (around.pages_locked, around.pages_refused) {
        (Some(0), Some(0)) => Finding::ok(CHECK, "no key is in memory yet"),
        (Some(locked), Some(0)) if process.locked < locked << 12 => Finding::problem(
            CHECK,
            format!(
                "the node says that {locked} pages are locked, the system only {} KiB",
                process.locked >> 10
            ),
            remedy,
        ),
        (Some(locked), Some(0)) => Finding::ok(CHECK, format!("all {locked} pages that hold keys are locked")),
        (Some(locked), Some(refused)) => {
            let seen = format!(
                "{refused} of {} pages that hold keys could not be locked",
                locked + refused
            );
            match around.swap_on_disk {
                true => Finding::problem(CHECK, format!("{seen}, and the machine swaps to a disk"), remedy),
                false => Finding::warning(CHECK, seen, remedy),
            }
        }
        _ => Finding::warning(
            CHECK,
            "the node does not say how many are locked",
            "see that the health port answers",
        ),
    }
}

fn memlock(process: &Process) -> Finding {
    const CHECK: &str = "RLIMIT_MEMLOCK";
    match process.memlock.soft {
        None => Finding::ok(CHECK, "no limit"),
        Some(bytes) if bytes >= LEAST_MEMLOCK => Finding::ok(CHECK, format!("{} KiB", bytes >> 10)),
        Some(bytes) => Finding::warning(
            CHECK,
            format!("{} KiB, little for the keys of large datasets", bytes >> 10),
            format!(
                "raise it to {} KiB or more (LimitMEMLOCK= of a systemd unit)",
                LEAST_MEMLOCK >> 10
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::finding::Level::{Ok, Problem, Warning};
    use super::super::process::Limit;
    use super::*;

    const NONE: Limit = Limit {
        soft: Some(0),
        hard: Some(0),
    };

    fn process() -> Process {
        Process {
            pid: 1,
            uid: 998,
            swapped: 0,
            locked: 8 << 10,
            core: NONE,
            memlock: Limit {
                soft: Some(8 << 20),
                hard: None,
            },
            started: SystemTime::UNIX_EPOCH,
            closed: None,
            folder: None,
            listening: None,
        }
    }

    #[test]
    fn core_dumps_are_off_for_good_or_a_problem() {
        let with = |soft, hard| {
            let core = Limit { soft, hard };
            core_dumps(&Process { core, ..process() }).level
        };
        assert_eq!(with(Some(0), Some(0)), Ok);
        assert_eq!(
            (with(Some(0), None), with(None, None), with(Some(4096), Some(4096))),
            (Problem, Problem, Problem)
        );
    }

    #[test]
    fn the_node_is_asked_whether_it_is_closed_and_the_system_where_it_can_tell() {
        let closed = |dumpable, closed| others(&Process { closed, ..process() }, dumpable).level;
        assert_eq!((closed(Some(false), None), closed(None, Some(true))), (Ok, Ok));
        assert_eq!(
            (closed(Some(true), Some(true)), closed(None, Some(false))),
            (Problem, Problem)
        );
        assert_eq!(closed(None, None), Warning);
    }

    #[test]
    fn swap_is_judged_by_what_lies_on_it() {
        let with = |swapped, on_disk| swap(&Process { swapped, ..process() }, on_disk).level;
        assert_eq!((with(0, false), with(4096, false)), (Ok, Ok));
        assert_eq!((with(0, true), with(4096, true)), (Warning, Problem));
        let header = "Filename\tType\tSize\tUsed\tPriority\n";
        assert!(!swap_on_disk(header) && !swap_on_disk(&format!("{header}/dev/zram0 partition 1 0 5\n")));
        assert!(swap_on_disk(&format!("{header}/swapfile file 1 0 -2\n")));
    }

    #[test]
    fn key_pages_are_locked_and_the_system_agrees() {
        let with = |pages_locked, pages_refused, swap_on_disk| {
            let around = Surroundings {
                swap_on_disk,
                dumpable: None,
                pages_locked,
                pages_refused,
            };
            key_pages(&process(), around).level
        };
        assert_eq!((with(Some(0), Some(0), true), with(Some(2), Some(0), true)), (Ok, Ok));
        assert_eq!(
            with(Some(3), Some(0), false),
            Problem,
            "the system has locked two pages only"
        );
        assert_eq!(
            (with(Some(2), Some(1), false), with(Some(2), Some(1), true)),
            (Warning, Problem)
        );
        assert_eq!(with(None, None, false), Warning);
    }

    #[test]
    fn a_scheduler_has_no_keys_to_lock() {
        let checks = |kind| judge(kind, &process(), Surroundings::default()).len();
        assert_eq!((checks(Kind::Scheduler), checks(Kind::Executor)), (3, 5));
        let with = |soft| {
            let limit = Limit { soft, hard: None };
            let process = Process {
                memlock: limit,
                ..process()
            };
            memlock(&process).level
        };
        assert_eq!((with(None), with(Some(64 << 10))), (Ok, Warning));
    }
}
