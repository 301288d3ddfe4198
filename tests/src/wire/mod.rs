//! What goes over the wire: a command runs in a network namespace of its own, where nothing but its own traffic exists,
//! with every packet captured; then each TCP connection is told by its first bytes: TLS 1.3, an older TLS, or plain.
//! Nothing is decrypted. `pcap` reads packets, `stream` puts bytes in order, `hello` reads the two hellos.

mod hello;
mod pcap;
mod stream;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

pub use hello::{Speech, X25519_MLKEM768};

use crate::tool;

/// One TCP connection of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Who opened it.
    pub client: SocketAddr,
    /// Who listened.
    pub server: SocketAddr,
    /// What was spoken.
    pub speech: Speech,
    /// Payload bytes seen in both directions.
    pub bytes: u64,
}

/// What a captured command did and what was seen meanwhile.
#[derive(Debug)]
pub struct Capture {
    /// The command's end and output.
    pub output: Output,
    /// Every connection that was opened, in order.
    pub connections: Vec<Connection>,
}

/// Runs `program` in a network namespace of its own and captures its loopback traffic into `dir`.
///
/// `None` (reported) where the tools or the right to make a namespace are missing.
pub fn capture<S: AsRef<OsStr>>(dir: &Path, program: &Path, arguments: &[S]) -> Result<Option<Capture>> {
    let remedy = "apt-get install tcpdump iproute2 util-linux";
    if !tool::have(&["tcpdump", "ip", "unshare"], remedy)? || !may_unshare()? {
        return Ok(None);
    }
    let file = dir.join("loopback.pcap");
    let output = namespace()?.arg(&file).arg(program).args(arguments).output()?;
    let said = std::fs::read_to_string(log_of(&file)).unwrap_or_default();
    ensure!(
        said.contains("0 packets dropped by kernel"),
        "the capture is not complete: {said}"
    );
    let connections = read(&file)?;
    Ok(Some(Capture { output, connections }))
}

/// Tells the connections of a capture file.
pub fn read(file: &Path) -> Result<Vec<Connection>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let streams = stream::assemble(pcap::segments(&bytes)?);
    Ok(streams
        .into_iter()
        .map(|stream| Connection {
            client: stream.client,
            server: stream.server,
            speech: hello::tell(&stream.sent, &stream.answered),
            bytes: stream.bytes,
        })
        .collect())
}

const SCRIPT: &str = r#"
ip link set lo up || exit 97
file=$0
tcpdump -i lo -U -s 0 -B 65536 -Z root -w "$file" tcp 2>"$file.log" & sniffer=$!
for _ in $(seq 200); do grep -q 'listening on' "$file.log" && break; sleep 0.05; done
"$@" </dev/null; status=$?
sleep 1
kill -INT "$sniffer"; wait "$sniffer"
exit "$status"
"#;

fn namespace() -> Result<Command> {
    let mut command = Command::new("unshare");
    if !is_root()? {
        command.arg("--map-root-user");
    }
    command.args(["--net", "/bin/bash", "-c", SCRIPT]);
    Ok(command)
}

fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".log");
    PathBuf::from(name)
}

fn is_root() -> Result<bool> {
    Ok(Command::new("id").arg("-u").output()?.stdout == b"0\n")
}

fn may_unshare() -> Result<bool> {
    let mut command = Command::new("unshare");
    command
        .args((!is_root()?).then_some("--map-root-user"))
        .args(["--net", "true"]);
    let allowed = command.output()?.status.success();
    if !allowed {
        tool::missing(
            "the right to make a network namespace",
            "run as root, or allow user namespaces",
        )?;
    }
    Ok(allowed)
}
