//! Every byte that a process, its threads and its children hand to the system: to files, also those that have no name any
//! more, to pipes and to sockets. strace stands between the process and the kernel and prints the bytes of each writing
//! call with the name of what they went to, so that nothing has to be caught on the disk before it is removed.
//!
//! Why nothing escapes: there are three ways to change a file. The writing calls are all traced, whole: a string that is cut
//! short, or that strace may not read, counts as *unseen*. A shared mapping that could be written through, by which bytes
//! would reach a file without a call, counts as unseen, too: one that is writable, or of a file opened to be written. So do calls that move bytes inside the kernel or on a ring ([`UNSEEN`]); a
//! copy from file to file does unless the first file was recorded. Names and attributes are traced like bytes. A test that proves something asks [`Recording::ensure_complete`].
//!
//! strace needs root, since processes of ours are closed to others of their user. See `line` for its output.

mod line;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, ensure};

use crate::tool;
use line::Call;

/// Calls that hand bytes over.
const WRITING: &str = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg";
/// Calls that give names, targets or attributes: bytes that lie on a disk, too.
const NAMING: &str = "openat,?open,?creat,?rename,renameat,renameat2,?link,linkat,?symlink,symlinkat,?mkdir,mkdirat,\
                      ?mknod,mknodat,setxattr,lsetxattr,fsetxattr,memfd_create";
/// Calls that change files without showing the bytes.
const UNSEEN: &str = "io_uring_setup,io_submit,sendfile,splice,tee,vmsplice,process_vm_writev";
/// The call that copies from one file, named first, to another: what it copies was recorded if the first file was.
const COPYING: &str = "copy_file_range";
/// Longer than anything that is written at once.
const LONGEST: usize = 1 << 28;
/// Bytes that wait in memory for their file of the recording.
const PENDING: usize = 1 << 20;

/// Records processes into a folder.
pub struct Recorder {
    dir: PathBuf,
    readers: Mutex<Vec<(String, JoinHandle<Result<Recording>>)>>,
}

/// What one process wrote.
#[derive(Debug, Default)]
pub struct Recording {
    /// The name it was started under.
    pub process: String,
    /// What was written to, with the file that holds the bytes in the order in which they were written.
    pub targets: BTreeMap<String, PathBuf>,
    /// Names and attributes that it gave.
    pub names: BTreeSet<Vec<u8>>,
    /// Files that it opened to be written.
    pub opened: BTreeSet<String>,
    /// What could not be looked into.
    pub unseen: BTreeSet<String>,
    /// Bytes written.
    pub bytes: u64,
}

impl Recorder {
    /// Records into `dir`, which is made. `None` (reported) where strace cannot be used.
    pub fn new(dir: &Path) -> Result<Option<Self>> {
        if !tool::have(&["strace", "mkfifo"], "run as root, with the package strace")? {
            return Ok(None);
        }
        let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output()?;
        if !traced.status.success() || Command::new("id").arg("-u").output()?.stdout != b"0\n" {
            tool::missing("the right to trace processes", "run as root, where ptrace is allowed")?;
            return Ok(None);
        }
        fs::create_dir_all(dir)?;
        Ok(Some(Self {
            dir: dir.to_path_buf(),
            readers: Mutex::default(),
        }))
    }

    /// The same command, recorded under a name. Its environment has to be set anew: what was cleared cannot be seen. The
    /// process keeps its id and its parent; strace ends when it does.
    pub fn wrap(&self, name: &str, command: &Command) -> Result<Command> {
        let mut readers = self.readers.lock().map_err(|_| anyhow!("a reader panicked"))?;
        let dir = self.dir.join(format!("{:02}-{name}", readers.len()));
        fs::create_dir(&dir)?;
        let pipe = dir.join("strace");
        let made = Command::new("mkfifo").arg(&pipe).status()?;
        ensure!(made.success(), "cannot make {}", pipe.display());
        let mut traced = Command::new("strace");
        traced.args(["-D", "-f", "--seccomp-bpf", "-y", "-xx", "-qqq", "-e", "signal=none"]);
        traced.arg("-s").arg(LONGEST.to_string());
        traced
            .arg("-e")
            .arg(format!("trace=mmap,{WRITING},{NAMING},{COPYING},{UNSEEN}"));
        traced
            .arg("-o")
            .arg(&pipe)
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            traced.current_dir(dir);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        let process = name.to_owned();
        let reader = std::thread::spawn(move || Contents::new(process, dir).read(&pipe));
        readers.push((name.to_owned(), reader));
        Ok(traced)
    }

    /// What the processes wrote; waits for the end of each.
    pub fn finish(&self) -> Result<Vec<Recording>> {
        let mut readers = self.readers.lock().map_err(|_| anyhow!("a reader panicked"))?;
        let ended = readers.drain(..).map(|(name, reader)| {
            let recording = reader.join().map_err(|_| anyhow!("a reader panicked"))?;
            recording.with_context(|| format!("the recording of {name}"))
        });
        ended.collect()
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Recording {
    /// Fails when anything was written that is not in the recording.
    pub fn ensure_complete(&self) -> Result<()> {
        ensure!(
            self.unseen.is_empty(),
            "{} wrote in ways that cannot be seen: {:?}",
            self.process,
            self.unseen
        );
        ensure!(self.bytes > 0, "{} wrote nothing, was it traced?", self.process);
        Ok(())
    }

    /// What went to files: targets that are paths, without devices.
    pub fn files(&self) -> impl Iterator<Item = (&String, &PathBuf)> {
        let is_file = |name: &str| name.starts_with('/') && !name.starts_with("/dev/") && !name.starts_with("/proc/");
        self.targets.iter().filter(move |(name, _)| is_file(name))
    }
}

/// A recording while it is made.
struct Contents {
    recording: Recording,
    dir: PathBuf,
    /// Files that are mapped to be read, and shared: writable later only if the file was opened to be written.
    mapped: BTreeSet<String>,
    /// Files that were copied from.
    copied: BTreeSet<String>,
    waiting: HashMap<String, Vec<u8>>,
    waiting_bytes: usize,
}

impl Contents {
    fn new(process: String, dir: PathBuf) -> Self {
        Self {
            recording: Recording {
                process,
                ..Recording::default()
            },
            dir,
            mapped: BTreeSet::new(),
            copied: BTreeSet::new(),
            waiting: HashMap::new(),
            waiting_bytes: 0,
        }
    }

    fn read(mut self, pipe: &Path) -> Result<Recording> {
        let mut lines = BufReader::with_capacity(1 << 20, File::open(pipe)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            if let Some(call) = Call::read(&line) {
                self.take(&call).with_context(|| format!("a call of {}", call.name))?;
            }
            line.clear();
        }
        self.flush()?;
        self.judge();
        Ok(self.recording)
    }

    /// What was mapped or copied, now that it is known what was opened and written.
    fn judge(&mut self) {
        let (opened, targets) = (&self.recording.opened, &self.recording.targets);
        let is_opened = |path: &String| opened.iter().any(|opened| path.ends_with(opened.as_str()));
        let mapped = self.mapped.iter().filter(|path| is_opened(path));
        let mapped = mapped.map(|path| format!("a shared mapping of {path}"));
        let copied = self.copied.iter().filter(|path| !targets.contains_key(*path));
        let copied = copied.map(|path| format!("a copy of {path}"));
        let unseen: Vec<String> = mapped.chain(copied).collect();
        self.recording.unseen.extend(unseen);
    }

    fn take(&mut self, call: &Call<'_>) -> Result<()> {
        let listed = |names: &str| names.split(',').any(|name| name.trim_start_matches('?') == call.name);
        if listed(WRITING) {
            return self.written(call);
        }
        let unseen = &mut self.recording.unseen;
        if call.name == COPYING {
            self.copied.insert(call.target()?);
            return Ok(());
        }
        if call.name == "mmap" {
            match (call.is_shared_file_mapping(), call.is_writable_mapping()) {
                (true, true) => _ = unseen.insert("a shared mapping of a file".to_owned()),
                (true, false) => _ = self.mapped.insert(call.target()?),
                (false, _) => {}
            }
        } else if listed(UNSEEN) {
            unseen.insert(call.name.to_owned());
        } else {
            let strings = call.strings()?;
            if call.opens_for_writing() {
                let paths = strings.iter().map(|path| String::from_utf8_lossy(path).into_owned());
                self.recording.opened.extend(paths);
            }
            self.recording.names.extend(strings);
        }
        Ok(())
    }

    fn written(&mut self, call: &Call<'_>) -> Result<()> {
        if call.is_opaque() {
            self.recording.unseen.insert(format!("bytes of {}", call.name));
        }
        let target = call.target()?;
        let waiting = self.waiting.entry(target).or_default();
        for bytes in call.strings()? {
            waiting.extend_from_slice(&bytes);
            self.waiting_bytes += bytes.len();
            self.recording.bytes += bytes.len() as u64;
        }
        if self.waiting_bytes > 64 * PENDING || waiting.len() > PENDING {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        for (target, bytes) in self.waiting.drain() {
            let number = self.recording.targets.len();
            let path = self.recording.targets.entry(target);
            let path = path.or_insert_with(|| self.dir.join(format!("{number:05}")));
            File::options()
                .create(true)
                .append(true)
                .open(path)?
                .write_all(&bytes)?;
        }
        self.waiting_bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const WRITER: &str = r#"
import os, sys, threading
os.chdir(sys.argv[1])
gone = open("gone", "wb", buffering=0); os.unlink("gone"); gone.write(b"ONE-MARKER"); os.pwrite(gone.fileno(), b"TWO-MARKER", 0)
os.writev(gone.fileno(), [b"THREE-", b"MARKER"])
thread = threading.Thread(target=lambda: open("kept", "wb", buffering=0).write(b"FOUR-MARKER" * 100000)); thread.start(); thread.join()
os.mkdir("FIVE-MARKER")
if os.fork() == 0:
    open("child", "wb", buffering=0).write(b"SIX-MARKER"); os._exit(0)
os.wait()
if len(sys.argv) > 2:
    import mmap
    shared = open("shared", "w+b"); shared.truncate(4096); mmap.mmap(shared.fileno(), 4096)[0:3] = b"???"
"#;

    fn recorded(more: &[&str]) -> Option<(tempfile::TempDir, Recording)> {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(&dir.path().join("recording")).unwrap()?;
        let mut python = Command::new("python3");
        python.arg("-c").arg(WRITER).arg(dir.path()).args(more);
        assert!(recorder.wrap("python", &python).unwrap().status().unwrap().success());
        let recording = recorder.finish().unwrap().remove(0);
        Some((dir, recording))
    }

    #[test]
    fn what_goes_to_files_is_recorded_in_whatever_way_it_goes() {
        let Some((dir, recording)) = recorded(&[]) else { return };
        recording.ensure_complete().unwrap();
        let written = |name: &str| {
            let path = dir.path().canonicalize().unwrap().join(name);
            fs::read(&recording.targets[&path.display().to_string()]).unwrap()
        };
        assert_eq!(written("gone"), b"ONE-MARKERTWO-MARKERTHREE-MARKER");
        assert_eq!(written("kept"), b"FOUR-MARKER".repeat(100_000));
        assert_eq!(written("child"), b"SIX-MARKER");
        assert!(recording.names.contains(b"FIVE-MARKER".as_slice()));
        assert!(recording.opened.contains("kept"), "{:?}", recording.opened);
    }

    #[test]
    fn a_shared_mapping_is_told() {
        let Some((_dir, recording)) = recorded(&["map"]) else {
            return;
        };
        assert!(recording.ensure_complete().unwrap_err().to_string().contains("mapping"));
    }
}
