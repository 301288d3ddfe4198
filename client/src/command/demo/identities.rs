//! The demo's certificates: one authority, and for each process one certificate for each thing that it does: serve, dial,
//! sign grants.

use anyhow::Context;
use parcours_identity::Principal;
use parcours_identity::pki::{InitOptions, Pki, Request};

use super::folder::Folder;
use super::steps::Steps;
use super::{PERSON, TRUST_DOMAIN};
use crate::exit::Failure;

/// Names under which this machine is dialled.
const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

/// Issues everything; answers the authority, which knows where its files are.
pub fn make(folder: &Folder, executors: u16, steps: &Steps) -> Result<Pki, Failure> {
    let step = steps.begin("making certificates");
    let pki = Pki::init(&folder.pki(), TRUST_DOMAIN, InitOptions::default()).context("cannot make the authority")?;
    let name = |error| anyhow::Error::new(error).context("cannot name a process");
    let scheduler = Principal::scheduler(TRUST_DOMAIN).map_err(name)?;
    let mut requests = node("scheduler", scheduler.clone()).to_vec();
    requests.push(Request::signing(scheduler, "scheduler-signing"));
    let daemon = Principal::key_service(TRUST_DOMAIN).map_err(name)?;
    requests.push(Request::server(daemon, HOSTS, "keyd-server"));
    for id in executor_ids(executors) {
        requests.extend(node(&id, Principal::executor(TRUST_DOMAIN, &id).map_err(name)?));
    }
    requests.push(Request::client(
        Principal::user(TRUST_DOMAIN, PERSON).map_err(name)?,
        PERSON,
    ));
    let issued = requests.len();
    for request in requests {
        pki.issue(request).context("cannot issue a certificate")?;
    }
    step.end(&format!(
        "Made an authority for {TRUST_DOMAIN} and {issued} certificates, each to serve, to dial or to sign"
    ));
    Ok(pki)
}

/// The names of the executors.
pub fn executor_ids(executors: u16) -> impl Iterator<Item = String> {
    (1..=executors).map(|number| format!("executor-{number}"))
}

fn node(name: &str, principal: Principal) -> [Request; 2] {
    let server = Request::server(principal.clone(), HOSTS, format!("{name}-server"));
    [server, Request::client(principal, format!("{name}-client"))]
}
