//! An executor's scratch folder: closed to others, where it lies, and that nothing of a process that is gone is left in it.
//! What an executor writes there is sealed; what it does not know is not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files::Access;
use super::finding::Finding;

const CHECK: &str = "scratch";
/// The folders that an executor makes.
const OURS: [&str; 2] = ["partitions", "spill"];
/// The mark that a process holds a spill folder.
const IN_USE: &str = "in-use";
/// What clocks of files and of processes may differ by.
const SLACK: Duration = Duration::from_secs(2);

/// Looks at a scratch folder. `process` is the user that the node runs as and when it started, if it runs.
pub fn judge(dir: &Path, user: u32, started: Option<SystemTime>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match Access::of(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && started.is_none() => {
            return vec![Finding::ok(CHECK, format!("{} is made at the start", dir.display()))];
        }
        Err(error) => {
            let seen = format!("{}: {error}", dir.display());
            return vec![Finding::problem(
                CHECK,
                seen,
                "run the doctor as root, or see scratch.dir",
            )];
        }
        Ok(access) => findings.push(closed(dir, access, user)),
    }
    for folder in OURS.map(|name| dir.join(name)) {
        if let Ok(access) = Access::of(&folder) {
            findings.push(closed(&folder, access, user));
        }
    }
    findings.push(place(dir));
    findings.push(left_over(&contents(dir, started)));
    findings
}

fn closed(dir: &Path, access: Access, user: u32) -> Finding {
    let name = dir.display();
    if access.mode & 0o077 != 0 {
        let seen = format!("{name} is open to others (mode {:03o})", access.mode);
        return Finding::problem(CHECK, seen, "chmod 700 it");
    }
    if access.owner != user {
        let seen = format!("{name} belongs to user {}, the node runs as {user}", access.owner);
        return Finding::problem(CHECK, seen, "chown it to the node's user");
    }
    Finding::ok(CHECK, format!("{name} is its user's alone"))
}

fn place(dir: &Path) -> Finding {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    judge_place(file_system(&mounts, &dir))
}

/// The kind of the file system that a folder lies on: the longest mount point above it, the last of equals.
fn file_system<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    };
    let above = mounts
        .lines()
        .filter_map(mount)
        .filter(|(point, _)| dir.starts_with(point));
    above
        .max_by_key(|(point, _)| point.as_os_str().len())
        .map(|(_, kind)| kind)
}

fn judge_place(kind: Option<&str>) -> Finding {
    const CHECK: &str = "scratch place";
    match kind {
        Some("tmpfs" | "ramfs") => Finding::ok(CHECK, "in memory, which partitions and spills take beside the node"),
        Some(kind)
            if ["nfs", "cifs", "smb", "fuse", "9p", "ceph"]
                .iter()
                .any(|net| kind.starts_with(net)) =>
        {
            let seen = format!("on {kind}: sealed, but kept by another machine, and slow");
            Finding::warning(CHECK, seen, "use a disk of this machine")
        }
        Some(kind) => Finding::ok(CHECK, format!("on a disk ({kind}), sealed")),
        None => Finding::warning(CHECK, "its file system cannot be told", "see /proc/self/mounts"),
    }
}

/// What lies in a scratch folder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    /// Files of the running process.
    live: usize,
    /// Files that were there before it started, or of no process.
    old: Vec<PathBuf>,
    /// What no executor makes.
    strange: Vec<PathBuf>,
}

fn contents(dir: &Path, started: Option<SystemTime>) -> Contents {
    let mut found = Contents::default();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if OURS.iter().any(|ours| name == *ours) && path.is_dir() {
            look_into(&path, started, &mut found);
        } else {
            found.strange.push(path);
        }
    }
    found
}

fn look_into(folder: &Path, started: Option<SystemTime>, found: &mut Contents) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(file) = entry.metadata() else { continue };
        if file.is_dir() {
            look_into(&path, started, found);
        } else if entry.file_name() != IN_USE {
            let live = started.is_some_and(|started| file.modified().is_ok_and(|time| time + SLACK >= started));
            match live {
                true => found.live += 1,
                false => found.old.push(path),
            }
        }
    }
}

fn left_over(found: &Contents) -> Finding {
    const CHECK: &str = "left-over files";
    let named = |paths: &[PathBuf]| {
        let first = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        match paths.len() {
            1 => first,
            count => format!("{first} and {} more", count - 1),
        }
    };
    if !found.strange.is_empty() {
        let seen = format!(
            "{}: no executor makes that, and it is not sealed",
            named(&found.strange)
        );
        return Finding::problem(CHECK, seen, "find out what it is, and remove it");
    }
    if !found.old.is_empty() {
        let seen = format!(
            "{} of a process that is gone (noise, its key went with it)",
            named(&found.old)
        );
        return Finding::problem(CHECK, seen, "remove it; a node that starts here scrubs the folder");
    }
    Finding::ok(CHECK, format!("none; {} files of the running node", found.live))
}

/// Folders of loads that died: `parcours-load-<pid>` in the system's temporary folder.
pub fn dead_loads(temporary: &Path) -> Finding {
    const CHECK: &str = "left-over loads";
    let entries = fs::read_dir(temporary).into_iter().flatten().flatten();
    let dead: Vec<PathBuf> = entries
        .filter(|entry| {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_prefix("parcours-load-")?.parse::<u32>().ok());
            pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
        })
        .map(|entry| entry.path())
        .collect();
    match dead.first() {
        None => Finding::ok(CHECK, "none"),
        Some(first) => Finding::warning(
            CHECK,
            format!("{} of a load that died (noise, its key went with it)", first.display()),
            "remove the folder",
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::finding::Level::{Ok, Problem, Warning};
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /var tmpfs rw 0 0\n/dev/vdb /var/lib xfs rw 0 0\nproc /proc proc rw 0 0\n";
        let kind = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(
            (kind("/var/lib/p"), kind("/var/x"), kind("/srv")),
            (Some("xfs"), Some("tmpfs"), Some("ext4"))
        );
        assert_eq!(kind("/var/library"), Some("tmpfs"), "a mount point ends at a separator");
        assert_eq!(
            (judge_place(Some("tmpfs")).level, judge_place(Some("ext4")).level),
            (Ok, Ok)
        );
        assert_eq!(
            (judge_place(Some("nfs4")).level, judge_place(None).level),
            (Warning, Warning)
        );
    }

    #[test]
    fn a_folder_is_closed_and_of_the_nodes_user() {
        let level = |owner, mode| closed(Path::new("/s"), Access { owner, mode }, 998).level;
        assert_eq!(
            (level(998, 0o700), level(998, 0o750), level(0, 0o700)),
            (Ok, Problem, Problem)
        );
    }

    #[test]
    fn files_are_the_nodes_own_old_or_strange() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("partitions/job/1")).unwrap();
        fs::create_dir(dir.path().join("spill")).unwrap();
        fs::write(dir.path().join("spill/in-use"), "").unwrap();
        let now = SystemTime::now();
        let level = |started| left_over(&contents(dir.path(), started)).level;
        assert_eq!((level(Some(now)), level(None)), (Ok, Ok), "the mark is no leftover");
        fs::write(dir.path().join("partitions/job/1/data"), "noise").unwrap();
        assert_eq!(contents(dir.path(), Some(now)).live, 1);
        assert_eq!((level(Some(now)), level(None)), (Ok, Problem));
        assert_eq!(
            level(Some(now + Duration::from_secs(60))),
            Problem,
            "older than the process"
        );
        fs::write(dir.path().join("dump.csv"), "patients").unwrap();
        let finding = left_over(&contents(dir.path(), Some(now)));
        assert!(
            finding.level == Problem && finding.seen.contains("dump.csv"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_missing_folder_is_made_at_the_start_and_missed_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("scratch");
        assert_eq!(judge(&missing, 0, None)[0].level, Ok);
        assert_eq!(judge(&missing, 0, Some(SystemTime::now()))[0].level, Problem);
        fs::create_dir(&missing).unwrap();
        fs::set_permissions(&missing, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            judge(&missing, Access::of(&missing).unwrap().owner, None)[0].level,
            Problem
        );
    }

    #[test]
    fn a_dead_load_is_told_from_a_living_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(format!("parcours-load-{}", std::process::id()))).unwrap();
        fs::create_dir(dir.path().join("parcours-load-notes")).unwrap();
        assert_eq!(dead_loads(dir.path()).level, Ok);
        fs::create_dir(dir.path().join("parcours-load-4294967295")).unwrap();
        assert_eq!(dead_loads(dir.path()).level, Warning);
    }
}
