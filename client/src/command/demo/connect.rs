//! How to reach the demo's cluster: for the demo itself, through the relay, and for others, in `connect.json` and in a
//! few lines of Python that work as pasted.

use std::path::PathBuf;

use anyhow::Context;
use parcours::{Connection, Profile};
use parcours_identity::pki::Pki;
use serde::Serialize;

use super::folder::Folder;
use super::settings::Listeners;
use super::steps::Steps;
use super::wire::Wire;
use super::{DATASET, PERSON};
use crate::exit::Failure;

/// What a client needs, with absolute paths; the content of `connect.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Connect {
    /// Address of the scheduler.
    pub uri: String,
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The person's certificate.
    pub cert: PathBuf,
    /// The person's private key.
    pub key: PathBuf,
}

/// Connects as the demo's person, through the relay.
pub async fn open(folder: &Folder, wire: &Wire, people: &Pki) -> Result<Connection, Failure> {
    let files = people.tls_files(PERSON);
    let profile = Profile {
        uri: format!("grpc+tls://{}", wire.client()),
        ca: files.ca,
        cert: files.cert,
        key: files.key,
        trust_domain: people.trust_domain().to_owned(),
        crl: files.crl,
    };
    let failed = || format!("the cluster in {} does not answer", folder.path().display());
    Ok(Connection::open(&profile).await.with_context(failed)?)
}

/// Writes `connect.json`.
pub fn describe(folder: &Folder, listeners: &Listeners) -> Result<Connect, Failure> {
    let pki = folder.pki();
    let connect = Connect {
        uri: format!("grpc+tls://localhost:{}", listeners.client.port()),
        ca: pki.join("ca.pem"),
        cert: pki.join(format!("{PERSON}.pem")),
        key: pki.join(format!("{PERSON}.key")),
    };
    let text = serde_json::to_string_pretty(&connect).context("cannot write connect.json")?;
    // Renamed into place: whoever waits for the file finds it whole.
    std::fs::write(folder.at("connect.json.new"), text + "\n").context("cannot write connect.json")?;
    std::fs::rename(folder.at("connect.json.new"), folder.at("connect.json")).context("cannot write connect.json")?;
    Ok(connect)
}

impl Connect {
    /// Says how to connect, from Python and from the command line.
    pub fn print(&self, folder: &Folder, is_running: bool, steps: &Steps) {
        steps.title("Connect");
        if !is_running {
            steps.say("With --keep the cluster stays, and these work as pasted:\n");
        }
        steps.say("$ pip install adbc-driver-manager adbc-driver-flightsql pyarrow\n");
        steps.say(&self.python(folder));
        let program = std::env::current_exe().unwrap_or_else(|_| "parcours".into());
        let (uri, ca, cert, key) = (&self.uri, self.ca.display(), self.cert.display(), self.key.display());
        let program = program.display();
        steps.say(&format!(
            "$ {program} sql --uri {uri} \\\n    --ca {ca} \\\n    --cert {cert} \\\n    --key {key}"
        ));
    }

    fn python(&self, folder: &Folder) -> String {
        let file = python_string(&folder.at("connect.json").display().to_string());
        format!(
            r#"import json
import pathlib
from adbc_driver_flightsql import DatabaseOptions, dbapi

demo = json.loads(pathlib.Path({file}).read_text())
connection = dbapi.connect(demo["uri"], db_kwargs={{
    DatabaseOptions.TLS_ROOT_CERTS.value: pathlib.Path(demo["ca"]).read_text(),
    DatabaseOptions.MTLS_CERT_CHAIN.value: pathlib.Path(demo["cert"]).read_text(),
    DatabaseOptions.MTLS_PRIVATE_KEY.value: pathlib.Path(demo["key"]).read_text(),
}}, autocommit=True)
cursor = connection.cursor()
cursor.execute("SELECT ben_sex_cod, count(*) AS patients FROM {DATASET}.beneficiaire GROUP BY 1 ORDER BY 1")
print(cursor.fetch_arrow_table())
cursor.close()
connection.close()
"#
        )
    }
}

/// A path as a Python string literal.
fn python_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
