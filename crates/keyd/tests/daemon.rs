//! A running key daemon and the executors that ask it: what is released under which grant, to whom, and what is refused
//! with which words. Grants are forged, replayed, expired and widened; none of that opens anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parcours_cluster::task_grant::{Assignment, DatasetTerms, HeldGrant, Opened, TaskGrant, Terms, ends_after};
use parcours_cluster::tls::Certificate;
use parcours_identity::pki::{InitOptions, Pki, Request};
use parcours_identity::{ClientTls, Expects, Principal, Signer};
use parcours_keyd::client::KeyDaemonClient;
use parcours_keyd::config::{Config, Listen, Tls};
use parcours_keyd::protocol::Usable;
use parcours_keys::{
    ColumnClass, DataKey, FileContext, KeyError, KeyService, KeyServiceOptions, KeyUse, Keyring, KeyringOptions,
    MasterKeyName, Unlock, WrappedKey, create_key_file, ensure_dataset_keys,
};
use tokio::runtime::Runtime;

const DOMAIN: &str = "hospital.example";

struct Daemon {
    folder: tempfile::TempDir,
    pki: Pki,
    keyring: Keyring,
    address: SocketAddr,
    config: Config,
    /// A runtime of its own: with it go its connections, as with a process.
    running: Option<Runtime>,
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Daemon {
    async fn start() -> Self {
        parcours_identity::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let pki = Pki::init(&at("pki"), DOMAIN, InitOptions::default()).unwrap();
        let principal = |name: &str| -> Principal { format!("spiffe://{DOMAIN}/{name}").parse().unwrap() };
        pki.issue(Request::server(principal("keyd"), ["127.0.0.1"], "keyd"))
            .unwrap();
        pki.issue(Request::signing(principal("scheduler"), "signing")).unwrap();
        for (name, out) in [
            ("executor/executor-1", "executor-1"),
            ("executor/executor-2", "executor-2"),
            ("scheduler", "scheduler"),
            ("user/alice", "alice"),
        ] {
            pki.issue(Request::client(principal(name), out)).unwrap();
        }
        create_key_file(at("key")).unwrap();
        let keyring = Keyring::create(at("keyring"), Unlock::key_file(at("key"))).unwrap();
        ensure_dataset_keys(&keyring, "claims").await.unwrap();
        ensure_dataset_keys(&keyring, "omop").await.unwrap();
        let (address, health) = (free(), free());
        let config = Config {
            access: at("access.toml"),
            listen: Listen { keys: address, health },
            tls: Tls {
                trust_domain: DOMAIN.into(),
                ca: at("pki/ca.pem"),
                crl: Some(at("pki/crl.pem")),
                server: Certificate {
                    cert: at("pki/keyd.pem"),
                    key: at("pki/keyd.key"),
                },
            },
            keys: KeyServiceOptions {
                keyring: Some(KeyringOptions {
                    path: at("keyring"),
                    key_file: Some(at("key")),
                    passphrase_file: None,
                }),
                ..KeyServiceOptions::default()
            },
        };
        let mut daemon = Self {
            folder,
            pki,
            keyring,
            address,
            config,
            running: None,
        };
        daemon.allow("[\"identity\", \"quasi\", \"health\", \"plain\"]");
        daemon.run().await;
        daemon
    }

    async fn run(&mut self) {
        let runtime = Runtime::new().unwrap();
        runtime.spawn(parcours_keyd::run(self.config.clone(), std::future::pending()));
        self.running = Some(runtime);
        for _ in 0..200 {
            if std::net::TcpStream::connect(self.address).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the daemon does not listen");
    }

    fn stop(&mut self) {
        self.running.take().unwrap().shutdown_background();
    }

    /// Lets `executor-1` and `executor-2` use these classes of `claims`.
    fn allow(&self, classes: &str) {
        let entry = |n| format!("[\"spiffe://{DOMAIN}/executor/executor-{n}\"]\nclaims = {classes}\n");
        let (path, new) = (self.at("access.toml"), self.at("access.new"));
        std::fs::write(&new, entry(1) + &entry(2)).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn client(&self, out: &str) -> KeyDaemonClient {
        let tls = ClientTls::open(self.pki.tls_files(out), DOMAIN, Expects::KeyService).unwrap();
        KeyDaemonClient::new(&tls, &self.address.to_string()).unwrap()
    }

    fn signer(&self) -> Signer {
        Signer::open(self.pki.tls_files("signing"), DOMAIN).unwrap()
    }

    /// A grant of these classes of `claims`, for `executor-1`.
    fn grant(&self, classes: &[ColumnClass]) -> String {
        TaskGrant::sign(&self.signer(), terms(classes), assignment()).unwrap()
    }

    /// A key of a file of table `stay`.
    async fn wrapped(&self, name: &str) -> (WrappedKey, DataKey) {
        let key = DataKey::random().unwrap();
        let name = MasterKeyName::new(name).unwrap();
        let aad = aad_of(&name, "stay");
        (self.keyring.wrap(&name, &key, &aad).await.unwrap(), key)
    }
}

/// What a key of a file of this table is wrapped with.
fn aad_of(name: &MasterKeyName, table: &str) -> Vec<u8> {
    let place = FileContext::new(name.dataset(), table, "shard=0001/part-1.parquet");
    place.wrap_aad(name.key_use().unwrap())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

/// The first stage of a job, for `executor-1`.
fn assignment() -> Assignment {
    Assignment {
        job: "J1".to_owned(),
        executor: "executor-1:start".to_owned(),
        stage: 1,
        inputs: BTreeSet::new(),
    }
}

/// Of a query that reads these classes of table `stay`, and counts the rows of table `visit`.
fn terms(classes: &[ColumnClass]) -> Terms {
    let classes: BTreeSet<_> = classes.iter().copied().collect();
    let opened = DatasetTerms {
        version: 1,
        tables: [("stay".to_owned(), classes), ("visit".to_owned(), BTreeSet::new())].into(),
    };
    Terms {
        query: "q1".into(),
        sub: Principal::user(DOMAIN, "alice").unwrap(),
        datasets: Opened([("claims".to_owned(), opened)].into()),
        exp: ends_after(Duration::from_secs(60)),
    }
}

async fn ask(client: &KeyDaemonClient, grant: &str, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
    ask_at(client, grant, wrapped, &aad_of(&wrapped.master.name, "stay")).await
}

async fn ask_at(client: &KeyDaemonClient, grant: &str, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
    client.under(&HeldGrant::new(grant)).unwrap(wrapped, aad).await
}

fn denied(answer: Result<DataKey, KeyError>, says: &str) {
    match answer {
        Err(KeyError::Denied { reason, .. }) => assert!(reason.contains(says), "{reason}"),
        other => panic!("expected a denial with {says:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_released_for_what_the_grant_names_and_no_more() {
    let daemon = Daemon::start().await;
    let client = daemon.client("executor-1");
    let grant = daemon.grant(&[ColumnClass::Health]);
    for name in ["claims/health", "claims/footer"] {
        let (wrapped, key) = daemon.wrapped(name).await;
        assert_eq!(ask(&client, &grant, &wrapped).await.unwrap().expose(), key.expose());
    }
    for name in ["claims/identity", "claims/plain", "omop/health", "omop/footer"] {
        let (wrapped, _) = daemon.wrapped(name).await;
        denied(ask(&client, &grant, &wrapped).await, "the query was not granted it");
    }
    // The place is part of what is authenticated.
    let (wrapped, _) = daemon.wrapped("claims/health").await;
    let another = FileContext::new("claims", "stay", "another.parquet");
    let another = another.wrap_aad(KeyUse::Class(ColumnClass::Health));
    let elsewhere = ask_at(&client, &grant, &wrapped, &another).await;
    assert!(matches!(elsewhere, Err(KeyError::Tampered { .. })), "{elsewhere:?}");
    // A version that was never made.
    let mut unknown = wrapped;
    unknown.master.version = 9;
    assert!(matches!(
        ask(&client, &grant, &unknown).await,
        Err(KeyError::Unknown { version: Some(9), .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_released_for_the_tables_that_the_grant_names() {
    let daemon = Daemon::start().await;
    let client = daemon.client("executor-1");
    let grant = daemon.grant(&[ColumnClass::Health]);
    let key = DataKey::random().unwrap();
    let name = |text: &str| MasterKeyName::new(text).unwrap();
    for (master, table, released) in [
        ("claims/health", "stay", true),
        ("claims/footer", "stay", true),
        // Its rows are counted: its footers are read, and none of its columns.
        ("claims/footer", "visit", true),
        ("claims/health", "visit", false),
        ("claims/health", "act", false),
        ("claims/footer", "act", false),
    ] {
        let (master, aad) = (name(master), aad_of(&name(master), table));
        let wrapped = daemon.keyring.wrap(&master, &key, &aad).await.unwrap();
        let answer = ask_at(&client, &grant, &wrapped, &aad).await;
        match released {
            true => assert_eq!(answer.unwrap().expose(), key.expose(), "{master} {table}"),
            false => denied(answer, "the query was not granted it"),
        }
        // The same key, said to be one of a table that the grant names.
        let pretended = aad_of(&master, "stay");
        if !released {
            let answer = ask_at(&client, &grant, &wrapped, &pretended).await;
            assert!(
                matches!(answer, Err(KeyError::Tampered { .. })),
                "{master} {table}: {answer:?}"
            );
        }
    }
    // One class, said to be another; and no place at all.
    let health = name("claims/health");
    let (wrapped, _) = daemon.wrapped("claims/health").await;
    let as_footer = aad_of(&name("claims/footer"), "stay");
    denied(
        ask_at(&client, &grant, &wrapped, &as_footer).await,
        "not one of the file",
    );
    denied(ask_at(&client, &grant, &wrapped, b"place").await, "names no file");
    assert!(
        ask_at(&client, &grant, &wrapped, &aad_of(&health, "stay"))
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_of_another_executor_opens_nothing() {
    let daemon = Daemon::start().await;
    let grant = daemon.grant(&[ColumnClass::Health]);
    let (wrapped, _) = daemon.wrapped("claims/health").await;
    ask(&daemon.client("executor-1"), &grant, &wrapped).await.unwrap();
    denied(
        ask(&daemon.client("executor-2"), &grant, &wrapped).await,
        "belongs to another executor",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_over_opens_nothing() {
    let daemon = Daemon::start().await;
    let mut over = terms(&[ColumnClass::Health]);
    over.exp = ends_after(Duration::ZERO) - 60;
    let grant = TaskGrant::sign(&daemon.signer(), over, assignment()).unwrap();
    let (wrapped, _) = daemon.wrapped("claims/health").await;
    denied(ask(&daemon.client("executor-1"), &grant, &wrapped).await, "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widened_grant_opens_nothing() {
    let daemon = Daemon::start().await;
    let client = daemon.client("executor-1");
    let grant = daemon.grant(&[ColumnClass::Plain]);
    let mut parts: Vec<String> = grant.split('.').map(str::to_owned).collect();
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
    let wider = payload.replace("plain", "health");
    assert_ne!(wider, payload);
    parts[1] = URL_SAFE_NO_PAD.encode(wider);
    let (health, _) = daemon.wrapped("claims/health").await;
    let (plain, _) = daemon.wrapped("claims/plain").await;
    denied(ask(&client, &parts.join("."), &health).await, "wrong signature");
    // Not even what the grant had named before it was altered.
    denied(ask(&client, &parts.join("."), &plain).await, "wrong signature");
    denied(ask(&client, &grant, &health).await, "the query was not granted it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_grant_opens_nothing() {
    let daemon = Daemon::start().await;
    let client = daemon.client("executor-1");
    let (wrapped, _) = daemon.wrapped("claims/health").await;
    // Signed by a scheduler of the same name, of another authority.
    let foreign = tempfile::tempdir().unwrap();
    let pki = Pki::init(&foreign.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
    let scheduler = Principal::scheduler(DOMAIN).unwrap();
    pki.issue(Request::signing(scheduler, "signing")).unwrap();
    let signer = Signer::open(pki.tls_files("signing"), DOMAIN).unwrap();
    let forged = TaskGrant::sign(&signer, terms(&[ColumnClass::Health]), assignment()).unwrap();
    denied(ask(&client, &forged, &wrapped).await, "unknown ca");
    for nothing in ["", "e30.e30.AA", "not a token"] {
        denied(ask(&client, nothing, &wrapped).await, "grant");
    }
    // The signing certificate is revoked: what it signs from now on, and what it signed before, opens nothing.
    let grant = daemon.grant(&[ColumnClass::Health]);
    ask(&client, &grant, &wrapped).await.unwrap();
    daemon.pki.revoke("signing.pem").unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    denied(ask(&client, &grant, &wrapped).await, "revoked certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_and_people_are_not_let_in() {
    let daemon = Daemon::start().await;
    let grant = daemon.grant(&[ColumnClass::Health]);
    let (wrapped, _) = daemon.wrapped("claims/health").await;
    for out in ["scheduler", "alice"] {
        let answer = ask(&daemon.client(out), &grant, &wrapped).await;
        match answer {
            Err(KeyError::Unavailable { reason }) => assert!(reason.contains("refused us"), "{reason}"),
            other => panic!("{out} was answered: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_without_an_entry_is_released_nothing() {
    let daemon = Daemon::start().await;
    std::fs::write(
        daemon.at("access.toml"),
        format!("[\"spiffe://{DOMAIN}/executor/executor-2\"]\nclaims = [\"health\"]\n"),
    )
    .unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let grant = daemon.grant(&[ColumnClass::Health]);
    for name in ["claims/health", "claims/footer"] {
        let (wrapped, _) = daemon.wrapped(name).await;
        denied(
            ask(&daemon.client("executor-1"), &grant, &wrapped).await,
            "executors may not use it",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_told_within_two_seconds_and_no_longer_released() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client("executor-1");
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel::<Usable>();
    let follower = client.clone();
    let following = tokio::spawn(async move {
        follower
            .follow(|usable| {
                let _ = sender.send(usable);
            })
            .await
    });
    let first = told.recv().await.unwrap();
    assert!(first.allows("claims", ColumnClass::Health) && !first.allows("omop", ColumnClass::Health));
    let grant = daemon.grant(&[ColumnClass::Health]);
    let (wrapped, _) = daemon.wrapped("claims/health").await;
    ask(&client, &grant, &wrapped).await.unwrap();
    daemon.allow("[\"plain\"]");
    let changed = async {
        loop {
            let usable = told.recv().await.unwrap();
            if !usable.allows("claims", ColumnClass::Health) {
                return usable;
            }
        }
    };
    let usable = tokio::time::timeout(Duration::from_secs(2), changed).await.unwrap();
    assert!(usable.allows("claims", ColumnClass::Plain));
    denied(ask(&client, &grant, &wrapped).await, "may no longer");
    // A daemon that goes away ends the stream, answers nobody, and is asked again once it is back.
    daemon.allow("[\"health\"]");
    daemon.stop();
    let status = tokio::time::timeout(Duration::from_secs(15), following)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(status.code(), tonic::Code::Ok);
    let away = ask(&client, &grant, &wrapped).await.unwrap_err();
    assert!(away.is_passing(), "{away}");
    daemon.run().await;
    ask(&client, &grant, &wrapped).await.unwrap();
}
