//! One child process of a test: its output goes to a log file, its standard input is a pipe that closes when the test
//! process ends in whatever way (`--exit-with-stdin`), and dropping it kills it. It can be asked what it uses of the
//! machine, so that leaks over many rounds show. It does not know what it runs: see `sandbox` and `rgw` for that.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A running (or ended) child, held by the test.
pub struct Process {
    name: String,
    child: Child,
    // Kept only to be closed: its end tells the child that the test is gone.
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// The most resident memory since the start, in KiB.
    pub peak_resident_kib: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: u64,
}

impl Process {
    /// Starts `command` with both outputs appended to `<logs>/<name>.log`.
    pub fn spawn(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stdin = child.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            child,
            stdin,
            log,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The name it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything it has written so far, over all starts under this name.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of its log, headed by its name, for a failing test's message.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        format!("--- {} ({})\n{tail}\n", self.name, self.log.display())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `done` holds, looking every 20 ms. An error when the process ends before, or after `limit`.
    pub fn wait_until(&mut self, what: &str, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            ensure!(
                self.is_running(),
                "{} ended before {what}\n{}",
                self.name,
                self.last_words()
            );
            ensure!(
                start.elapsed() < limit,
                "{}: no {what} within {limit:?}\n{}",
                self.name,
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for its end. An error after `limit`; the process is left as it is.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                bail!("{} did not end within {limit:?}\n{}", self.name, self.last_words());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal by name (`TERM`, `INT`, `STOP`, `CONT`).
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("/bin/sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &self.id().to_string()])
            .status()?;
        ensure!(status.success(), "cannot send {name} to {}", self.name);
        Ok(())
    }

    /// SIGTERM, then waits at most `limit` for the end.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait(limit)
    }

    /// Closes its standard input, then waits at most `limit` for the end.
    pub fn close_input(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.stdin = None;
        self.wait(limit)
    }

    /// SIGKILL: no warning, no cleaning up.
    pub fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait()?;
        Ok(())
    }

    /// What it uses of the machine now.
    pub fn usage(&self) -> Result<Usage> {
        let proc = PathBuf::from(format!("/proc/{}", self.id()));
        let status = std::fs::read_to_string(proc.join("status"))
            .with_context(|| format!("{} has no entry in /proc", self.name))?;
        let descriptors = std::fs::read_dir(proc.join("fd"))?.count();
        Ok(Usage {
            resident_kib: field(&status, "VmRSS:")?,
            peak_resident_kib: field(&status, "VmHWM:")?,
            descriptors,
            threads: field(&status, "Threads:")?,
        })
    }
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .with_context(|| format!("/proc/<pid>/status has no {name}"))?
        .parse()
        .context("not a number")
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprint!("{}", self.last_words());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn shell(script: &str, logs: &Path) -> Process {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Process::spawn("shell", command, logs).unwrap()
    }

    #[test]
    fn keeps_the_output_and_sees_the_end() {
        let logs = tempfile::tempdir().unwrap();
        let mut process = shell("echo out; echo err >&2; read line; exit 3", logs.path());
        process
            .wait_until("both lines", Duration::from_secs(5), |p| p.log() == "out\nerr\n")
            .unwrap();
        assert!(process.usage().unwrap().descriptors >= 3);
        assert_eq!(process.close_input(Duration::from_secs(5)).unwrap().code(), Some(3));
        assert!(process.wait_until("more", Duration::from_secs(5), |_| false).is_err());
    }

    #[test]
    fn what_a_process_opens_is_seen() {
        let logs = tempfile::tempdir().unwrap();
        let mut process = shell(
            "echo one; read line; exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null; echo two; read line",
            logs.path(),
        );
        let said = |words: &'static str| move |process: &Process| process.log().ends_with(words);
        process
            .wait_until("one", Duration::from_secs(5), said("one\n"))
            .unwrap();
        let before = process.usage().unwrap();
        std::io::Write::write_all(process.stdin.as_mut().unwrap(), b"\n").unwrap();
        process
            .wait_until("two", Duration::from_secs(5), said("two\n"))
            .unwrap();
        assert_eq!(process.usage().unwrap().descriptors, before.descriptors + 4);
    }

    #[test]
    fn signals_arrive_and_a_drop_leaves_nothing() {
        let logs = tempfile::tempdir().unwrap();
        let mut process = shell(
            "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done",
            logs.path(),
        );
        process
            .wait_until("ready", Duration::from_secs(5), |p| p.log().contains("ready"))
            .unwrap();
        assert_eq!(process.terminate(Duration::from_secs(5)).unwrap().code(), Some(7));
        let process = shell("exec sleep 600", logs.path());
        let proc = PathBuf::from(format!("/proc/{}", process.id()));
        assert!(proc.exists());
        drop(process);
        assert!(!proc.exists());
    }
}
