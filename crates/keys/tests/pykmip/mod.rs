//! A PyKMIP server of a test, with its own certificates, and PyKMIP's client for looking at what is on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use parcours_keys::{KmipKeys, KmipMode, KmipOptions};

use super::authority::{Authority, Process, free_port};

/// A PyKMIP server of a test.
pub struct PyKmip {
    python: String,
    pub authority: Authority,
    port: u16,
    pub process: Option<Process>,
}

/// An object as PyKMIP's client shows it.
#[derive(Debug)]
pub struct Object {
    pub uid: String,
    pub name: String,
    pub state: String,
    pub usage: String,
    pub key: String,
    pub sensitive: bool,
}

impl PyKmip {
    /// A server, unless there is no PyKMIP.
    pub fn start() -> Option<Self> {
        let python = std::env::var("PARCOURS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let probe = Command::new(&python).args(["-c", "import kmip"]).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            eprintln!("NOT TESTED: no Python with PyKMIP, the KMIP key service was not tried (set PARCOURS_PYTHON)");
            assert!(std::env::var_os("CI").is_none(), "CI needs PARCOURS_PYTHON with PyKMIP");
            return None;
        }
        let authority = Authority::new();
        authority.client("client");
        let mut server = Self {
            python,
            authority,
            port: free_port(),
            process: None,
        };
        server.restart();
        Some(server)
    }

    fn script(&self, name: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
        let mut command = Command::new(&self.python);
        // PyKMIP names ciphers that its library has moved.
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONWARNINGS", "ignore");
        command
            .arg(script)
            .arg(self.authority.folder())
            .arg(self.port.to_string());
        command
    }

    /// Starts the server, on what it kept.
    pub fn restart(&mut self) {
        self.process = None;
        self.process = Some(Process::start(&mut self.script("pykmip_server.py")));
    }

    pub fn stop(&mut self) {
        self.process = None;
    }

    /// How to reach it, with patience: other tests keep this machine busy.
    pub fn options(&self, mode: KmipMode) -> KmipOptions {
        let at = |name| self.authority.at(name);
        KmipOptions {
            mode,
            limit_seconds: 30,
            ..KmipOptions::new(
                format!("localhost:{}", self.port),
                at("ca.pem"),
                at("client.pem"),
                at("client.key"),
            )
        }
    }

    pub async fn open(&self, mode: KmipMode) -> KmipKeys {
        KmipKeys::open(self.options(mode)).await.unwrap()
    }

    /// Runs PyKMIP's client.
    pub fn client(&self, arguments: &[&str]) -> String {
        let output = self.script("pykmip_client.py").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    pub fn objects(&self) -> Vec<Object> {
        let object = |line: &str| {
            let words: Vec<_> = line.split('|').map(str::to_owned).collect();
            let [uid, name, state, usage, algorithm, bits, sensitive] = words.try_into().unwrap();
            Object {
                uid,
                name,
                state,
                usage,
                key: format!("{algorithm}-{bits}"),
                sensitive: sensitive == "True",
            }
        };
        self.client(&["list"]).lines().map(object).collect()
    }

    /// The operations that the server was asked for, each once, in order of the alphabet.
    pub fn operations(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.authority.at("server.log")).unwrap();
        let named = log.lines().filter_map(|line| line.split_once("Processing operation: "));
        let operations: BTreeSet<_> = named.map(|(_, operation)| operation.to_owned()).collect();
        operations.into_iter().collect()
    }

    /// Takes the objects of this name, or whose name goes on from it, out of use.
    pub fn revoke(&self, name: &str) {
        let named = |object: &Object| object.name == name || object.name.starts_with(&format!("{name} "));
        for object in self.objects().into_iter().filter(named) {
            self.client(&["revoke", &object.uid]);
        }
    }
}
