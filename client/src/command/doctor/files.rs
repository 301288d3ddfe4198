//! Who may read a node's secrets and who may write its configuration.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::finding::Finding;
use super::node::Node;

/// What the system says of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its owner.
    pub owner: u32,
    /// Its mode, the lower twelve bits.
    pub mode: u32,
}

impl Access {
    /// Of a path, links followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|file| Self::from(&file))
    }
}

impl From<&Metadata> for Access {
    fn from(file: &Metadata) -> Self {
        Self {
            owner: file.uid(),
            mode: file.mode() & 0o7777,
        }
    }
}

/// Looks at the configuration and at every file of secrets. `user` is who the process runs as.
pub fn judge(node: &Node, user: u32) -> Vec<Finding> {
    let mut findings = vec![configuration(&node.config, user)];
    findings.extend(node.secrets.iter().map(|(key, path)| {
        let seen = Access::of(path);
        let folder = path.parent().map(Access::of).and_then(Result::ok);
        secret(&format!("{key} {}", path.display()), seen, folder, user)
    }));
    findings
}

fn configuration(path: &Path, user: u32) -> Finding {
    const CHECK: &str = "configuration";
    let name = path.display();
    match Access::of(path) {
        Err(error) => Finding::problem(CHECK, format!("{name}: {error}"), "make it readable to the doctor"),
        Ok(access) => writable(CHECK, &name.to_string(), access, user)
            .unwrap_or_else(|| Finding::ok(CHECK, format!("{name} cannot be written by others"))),
    }
}

/// What is wrong with who may write something that the node trusts.
fn writable(check: &'static str, name: &str, access: Access, user: u32) -> Option<Finding> {
    let Access { owner, mode } = access;
    if mode & 0o022 != 0 {
        let seen = format!("{name} can be written by others (mode {mode:03o})");
        return Some(Finding::problem(check, seen, "chmod go-w it"));
    }
    if owner != user && owner != 0 {
        let seen = format!("{name} belongs to user {owner}, the node runs as {user}");
        return Some(Finding::problem(check, seen, "chown it to root or to the node's user"));
    }
    None
}

fn secret(name: &str, file: io::Result<Access>, folder: Option<Access>, user: u32) -> Finding {
    const CHECK: &str = "secrets";
    let access = match file {
        Ok(access) => access,
        Err(error) => return Finding::problem(CHECK, format!("{name}: {error}"), "put it there, or name another"),
    };
    if access.mode & 0o077 != 0 {
        let seen = format!("{name} may be used by others (mode {:03o})", access.mode);
        return Finding::problem(CHECK, seen, "chmod 600 it, and take what it holds for known");
    }
    if access.owner != user {
        let seen = format!("{name} belongs to user {}, the node runs as {user}", access.owner);
        return Finding::problem(CHECK, seen, "chown it to the node's user");
    }
    // A sticky folder does not let others replace what is not theirs.
    let open = folder.filter(|folder| folder.mode & 0o022 != 0 && folder.mode & 0o1000 == 0);
    match open {
        Some(folder) => Finding::problem(
            CHECK,
            format!(
                "{name} can be replaced by others (its folder has mode {:03o})",
                folder.mode
            ),
            "chmod go-w the folder",
        ),
        None => Finding::ok(CHECK, format!("{name} is its user's alone")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level::{self, Ok, Problem};
    use super::*;

    const CLOSED: Access = Access {
        owner: 998,
        mode: 0o700,
    };

    fn secret_level(owner: u32, mode: u32, folder: u32) -> Level {
        let folder = Access { owner, mode: folder };
        secret("key", io::Result::Ok(Access { owner, mode }), Some(folder), 998).level
    }

    #[test]
    fn a_secret_is_its_users_alone() {
        assert_eq!(
            (secret_level(998, 0o600, 0o755), secret_level(998, 0o400, 0o1777)),
            (Ok, Ok)
        );
        for (owner, mode, folder) in [
            (998, 0o640, 0o755),
            (998, 0o604, 0o755),
            (0, 0o600, 0o755),
            (998, 0o600, 0o777),
        ] {
            assert_eq!(
                secret_level(owner, mode, folder),
                Problem,
                "{owner} {mode:o} {folder:o}"
            );
        }
        let missing = secret("key", Err(io::ErrorKind::NotFound.into()), Some(CLOSED), 998);
        assert_eq!(missing.level, Problem);
    }

    #[test]
    fn a_configuration_may_be_read_but_not_written() {
        let wrong = |owner, mode| writable("c", "f", Access { owner, mode }, 998).is_some();
        assert!(!wrong(0, 0o644) && !wrong(998, 0o600));
        assert!(wrong(998, 0o664) && wrong(998, 0o646) && wrong(1000, 0o644));
    }
}
