//! A certificate authority of a test: a folder with `ca.pem`, a server's `cert.pem` and `key.pem`, and clients'
//! certificates. And a child process that ends with the test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// An authority and the folder of what it issued.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// An authority, and a server's certificate for this machine.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let authority = Self {
            folder,
            issuer: Issuer::new(params, key),
        };
        authority.issue("server", "cert.pem", "key.pem", ExtendedKeyUsagePurpose::ServerAuth);
        authority
    }

    /// A client's certificate under this common name, with `<name>.pem` and `<name>.key`.
    pub fn client(&self, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        self.issue(name, &cert, &key, ExtendedKeyUsagePurpose::ClientAuth);
        (self.at(&cert), self.at(&key))
    }

    /// A file of the folder.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn issue(&self, name: &str, cert: &str, key: &str, usage: ExtendedKeyUsagePurpose) {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        fs::write(self.at(cert), certificate.pem()).unwrap();
        write_private(&self.at(key), &pair.serialize_pem());
    }
}

/// Writes a file of mode 0600.
pub fn write_private(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server's process, killed when it is dropped; it ends by itself when its standard input does.
pub struct Process(Child);

impl Process {
    /// Starts a server and waits until it says that it listens.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut process = Self(child);
        let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.is_ok_and(|line| line.starts_with("listening"))),
            "{command:?} ended instead of listening"
        );
        // Read on, so that the server never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        process
    }

    /// Holds the server up: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
