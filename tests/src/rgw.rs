//! A Ceph RADOS Gateway on loopback for one test process, over `tests/rgw/rgw.sh`: TLS 1.3 under a CA of its own, one
//! user, one bucket. The gateway can be stopped and started again while its data stays. It ends with the test process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::process::Process;
use crate::{place, tool};

/// A running object store.
pub struct Store {
    // Dropped first: the daemons write into the folder.
    process: Process,
    dir: TempDir,
    settings: Vec<(String, String)>,
}

impl Store {
    /// Starts a store, which takes about ten seconds. `None` (reported) where Ceph's packages are missing.
    pub fn start() -> Result<Option<Self>> {
        let remedy = "apt-get install ceph-mon ceph-osd ceph-mgr radosgw openssl curl";
        if !tool::have(
            &["ceph-mon", "ceph-osd", "ceph-mgr", "radosgw", "openssl", "curl"],
            remedy,
        )? {
            return Ok(None);
        }
        let dir = tempfile::Builder::new()
            .prefix("rgw-")
            .tempdir_in(place::scratch("rgw")?)?;
        let mut command = script();
        command.arg("run").arg(dir.path().join("store")).arg("0");
        let mut process = Process::spawn("rgw", command, dir.path())?;
        process.wait_until("answer", Duration::from_secs(180), |process| {
            process.log().contains("rgw: ready")
        })?;
        let settings = read_settings(&dir.path().join("store/s3.env"))?;
        Ok(Some(Self { process, dir, settings }))
    }

    /// A setting of `s3.env`: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`.
    pub fn setting(&self, name: &str) -> Result<&str> {
        let found = self.settings.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .with_context(|| format!("the store has no setting {name}"))
    }

    /// Every setting, as environment variables for a process that reads them.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// `s3://<bucket>`.
    pub fn url(&self) -> Result<String> {
        Ok(format!("s3://{}", self.setting("PARCOURS_TEST_BUCKET")?))
    }

    /// The certificate authority of the gateway, as PEM.
    pub fn ca(&self) -> Result<PathBuf> {
        self.setting("PARCOURS_TEST_S3_CA").map(PathBuf::from)
    }

    /// Kills the gateway; the data stays.
    pub fn stop_gateway(&self) -> Result<()> {
        self.tell("gateway-stop")
    }

    /// Starts the gateway again on the same port and waits until it answers.
    pub fn start_gateway(&self) -> Result<()> {
        self.tell("gateway-start")
    }

    /// Writes an object only if there is none under this key. Returns whether it was written.
    pub fn create(&self, key: &str, body: &str) -> Result<bool> {
        let answer = self.request(
            key,
            &[
                "--request",
                "PUT",
                "--header",
                "If-None-Match: *",
                "--data-binary",
                body,
            ],
        )?;
        match answer.as_str() {
            "200" => Ok(true),
            "412" => Ok(false),
            other => bail!("the store answered {other} to a conditional create"),
        }
    }

    /// Sends a signed request with curl. Returns the status, 000 when there was no answer.
    fn request(&self, key: &str, arguments: &[&str]) -> Result<String> {
        let user = format!(
            "{}:{}",
            self.setting("AWS_ACCESS_KEY_ID")?,
            self.setting("AWS_SECRET_ACCESS_KEY")?
        );
        let url = format!(
            "{}/{}/{key}",
            self.setting("AWS_ENDPOINT_URL")?,
            self.setting("PARCOURS_TEST_BUCKET")?
        );
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--noproxy",
            "*",
        ]);
        curl.arg("--cacert")
            .arg(self.ca()?)
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user]);
        curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .args(arguments)
            .arg(url);
        Ok(String::from_utf8(curl.output()?.stdout)?)
    }

    fn tell(&self, verb: &str) -> Result<()> {
        let output = script().arg(verb).arg(self.dir.path().join("store")).output()?;
        ensure!(
            output.status.success(),
            "{verb}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The script stops the daemons when its input ends; killing it would leave them.
        let _ = self.process.close_input(Duration::from_secs(30));
    }
}

fn script() -> Command {
    Command::new(place::tests().join("rgw/rgw.sh"))
}

fn read_settings(file: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
