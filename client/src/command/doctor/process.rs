//! What the system says of a running process: the files of `/proc`, read and parsed, judged nowhere here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};

use super::sockets::{self, Listening};

/// Ticks of a second in `/proc/<pid>/stat`: the kernel's promise to programs, whatever its own clock.
const TICKS: u64 = 100;

/// A resource limit; none is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds now.
    pub soft: Option<u64>,
    /// Up to where the process may raise it.
    pub hard: Option<u64>,
}

/// A running process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Bytes of its memory on swap.
    pub swapped: u64,
    /// Bytes of its memory that are locked.
    pub locked: u64,
    /// `RLIMIT_CORE`, in bytes.
    pub core: Limit,
    /// `RLIMIT_MEMLOCK`, in bytes.
    pub memlock: Limit,
    /// When it started.
    pub started: SystemTime,
    /// Whether `/proc` shows that its memory is closed to others of its user; not to be seen for a process of root.
    pub closed: Option<bool>,
    /// Where it stands, if that may be seen.
    pub folder: Option<PathBuf>,
    /// Sockets that it listens on, if that may be seen.
    pub listening: Option<Vec<Listening>>,
}

impl Process {
    /// Looks at a process.
    pub fn read(pid: u32) -> anyhow::Result<Self> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let read = |name: &str| fs::read_to_string(proc.join(name)).with_context(|| format!("no process {pid}"));
        let (status, limits, stat) = (read("status")?, read("limits")?, read("stat")?);
        let uid = effective_user(&status).context("its user cannot be told")?;
        // The system gives the files of a process that is closed to others to root.
        let owner = fs::metadata(proc.join("environ")).map(|file| file.uid()).ok();
        let closed = owner.filter(|_| uid != 0).map(|owner| owner == 0);
        Ok(Self {
            pid,
            uid,
            swapped: kib(&status, "VmSwap:") << 10,
            locked: kib(&status, "VmLck:") << 10,
            core: limit(&limits, "Max core file size").context("its limits cannot be read")?,
            memlock: limit(&limits, "Max locked memory").context("its limits cannot be read")?,
            started: started(&stat, &fs::read_to_string("/proc/stat")?).context("its start cannot be told")?,
            closed,
            folder: fs::read_link(proc.join("cwd")).ok(),
            listening: listening(&proc).ok(),
        })
    }

    /// The process that listens on `address`.
    pub fn listening_on(address: SocketAddr) -> anyhow::Result<Self> {
        let inodes: BTreeSet<u64> = sockets::listening(Path::new("/proc/self"))?
            .into_iter()
            .filter(|socket| socket.serves(address))
            .map(|socket| socket.inode)
            .collect();
        let processes = fs::read_dir("/proc")?.flatten().filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let held = held_sockets(&entry.path()).ok()?;
            (!held.is_disjoint(&inodes)).then_some(pid)
        });
        match processes.min() {
            Some(pid) => Self::read(pid),
            None if inodes.is_empty() => Err(anyhow!("nothing listens on {address}")),
            None => Err(anyhow!(
                "the process on {address} cannot be seen, name it with --pid or run as root"
            )),
        }
    }
}

fn listening(proc: &Path) -> io::Result<Vec<Listening>> {
    let held = held_sockets(proc)?;
    let all = sockets::listening(proc)?.into_iter();
    Ok(all.filter(|socket| held.contains(&socket.inode)).collect())
}

/// The inodes of a process's sockets.
fn held_sockets(proc: &Path) -> io::Result<BTreeSet<u64>> {
    let inode = |link: PathBuf| {
        let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
        name.parse().ok()
    };
    let links = fs::read_dir(proc.join("fd"))?.flatten();
    Ok(links
        .filter_map(|entry| inode(fs::read_link(entry.path()).ok()?))
        .collect())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kib(status: &str, name: &str) -> u64 {
    let number = field(status, name).and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn effective_user(status: &str) -> Option<u32> {
    field(status, "Uid:")?.split_whitespace().nth(1)?.parse().ok()
}

fn limit(limits: &str, name: &str) -> Option<Limit> {
    let mut values = field(limits, name)?.split_whitespace();
    let mut value = || match values.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Limit {
        soft: value()?,
        hard: value()?,
    })
}

/// The start, from the process's ticks since the machine's start and the time of that.
fn started(stat: &str, machine: &str) -> Option<SystemTime> {
    // The name before it is in brackets and may hold blanks.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let boot: u64 = field(machine, "btime")?.parse().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(boot + ticks / TICKS))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    // As Linux 6.1 writes them.
    const STATUS: &str = "Name:\tparcours\nUid:\t0\t998\t998\t998\nVmLck:\t       8 kB\nVmSwap:\t     120 kB\n";
    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max core file size        0                    unlimited            bytes     \n\
                          Max locked memory         8388608              8388608              bytes     \n";

    #[test]
    fn status_and_limits_are_read() {
        assert_eq!(effective_user(STATUS), Some(998));
        assert_eq!(
            (kib(STATUS, "VmLck:"), kib(STATUS, "VmSwap:"), kib(STATUS, "VmRSS:")),
            (8, 120, 0)
        );
        let core = limit(LIMITS, "Max core file size").unwrap();
        assert_eq!((core.soft, core.hard), (Some(0), None));
        assert_eq!(limit(LIMITS, "Max locked memory").unwrap().soft, Some(8 << 20));
        assert!(limit(LIMITS, "Max cpu time").is_none());
    }

    #[test]
    fn a_start_is_told_whatever_the_process_is_called() {
        let stat = "77 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 250 20";
        let start = started(stat, "cpu 1 2\nbtime 1000\n").unwrap();
        assert_eq!(start, SystemTime::UNIX_EPOCH + Duration::from_secs(1002));
    }

    #[test]
    fn this_process_is_found_by_where_it_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Process::listening_on(listener.local_addr().unwrap()).unwrap();
        assert_eq!(found.pid, std::process::id());
        assert!(
            found
                .listening
                .unwrap()
                .iter()
                .any(|socket| socket.address == listener.local_addr().unwrap())
        );
        assert!(found.started < SystemTime::now());
    }
}
