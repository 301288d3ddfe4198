//! The transit service: the suite of every key service and what a server over the network adds to it.
//!
//! Most tests run against a re-implementation of the documented HTTP interface (`engine`). Those in `vault` run against a
//! HashiCorp Vault of its own for each, which `just vault` builds and `PARCOURS_VAULT` names; other runs ignore them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authority;
mod engine;

#[path = "transit/vault.rs"]
mod vault;

use std::time::{Duration, Instant};

use parcours_keys::{
    DataKey, KeyAdmin, KeyError, KeyService, MasterKeyName, TransitKeys, TransitOptions, WrappedKey, conformance,
};
use rustls::version::{TLS12, TLS13};

use authority::{Authority, write_private};
use engine::{Engine, Fault, Tls};

const TOKEN: &str = "hvs.of-the-test";
const MODERN: Tls = Tls {
    version: &TLS13,
    asks_for_certificate: false,
};

/// An engine, and how to reach it.
struct Site {
    authority: Authority,
    engine: Engine,
    options: TransitOptions,
}

impl Site {
    async fn new(tls: Tls) -> Self {
        let authority = Authority::new();
        let (engine, address) = Engine::start(&authority, tls, TOKEN).await;
        write_private(&authority.at("token"), &format!("{TOKEN}\n"));
        Self {
            options: TransitOptions {
                limit_seconds: 30,
                ..TransitOptions::new(address, authority.at("token"), authority.at("ca.pem"))
            },
            authority,
            engine,
        }
    }

    async fn open(&self) -> TransitKeys {
        TransitKeys::open(self.options.clone()).await.unwrap()
    }
}

fn health() -> MasterKeyName {
    MasterKeyName::new("claims/health").unwrap()
}

/// A data key that `claims/health` wrapped for the place `file`.
async fn wrapped_by(keys: &TransitKeys) -> (DataKey, WrappedKey) {
    keys.create(&health()).await.unwrap();
    let key = DataKey::random().unwrap();
    let wrapped = keys.wrap(&health(), &key, b"file").await.unwrap();
    (key, wrapped)
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_rules_of_a_key_service() {
    let site = Site::new(MODERN).await;
    conformance::run(&site.open().await).await.unwrap();
    conformance::run(&site.open().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_a_certificate_of_our_own_are_for_servers_that_ask_for_them() {
    let mut site = Site::new(Tls {
        version: &TLS12,
        asks_for_certificate: true,
    })
    .await;
    let refused = TransitKeys::open(site.options.clone()).await.unwrap_err();
    assert!(matches!(refused, KeyError::Refused { .. }), "{refused:?}");
    let (cert, key) = site.authority.client("loader");
    (site.options.cert, site.options.key) = (Some(cert), None);
    let half = TransitKeys::open(site.options.clone()).await.unwrap_err();
    assert!(half.to_string().contains("write cert and key"), "{half}");
    site.options.key = Some(key);
    wrapped_by(&site.open().await).await;
    let stranger = Authority::new();
    let (cert, key) = stranger.client("loader");
    (site.options.cert, site.options.key) = (Some(cert), Some(key));
    let refused = TransitKeys::open(site.options.clone()).await.unwrap_err();
    assert!(matches!(refused, KeyError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("see ca, cert and key"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_authority_gets_no_token() {
    let site = Site::new(MODERN).await;
    let other = Authority::new();
    let options = TransitOptions {
        ca: other.at("ca.pem"),
        ..site.options.clone()
    };
    let error = TransitKeys::open(options).await.unwrap_err();
    assert!(matches!(error, KeyError::Refused { .. }), "{error:?}");
    assert_eq!(site.engine.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_may_pass_are_tried_three_times_and_no_more() {
    let site = Site::new(MODERN).await;
    let keys = site.open().await;
    let (key, wrapped) = wrapped_by(&keys).await;
    site.engine.requests();
    for faults in [[503, 500], [429, 502]] {
        site.engine.fail_next(faults.map(Fault::Status));
        assert_eq!(keys.unwrap(&wrapped, b"file").await.unwrap().expose(), key.expose());
        assert_eq!(site.engine.requests(), 3);
    }
    for fault in [Fault::Status(503), Fault::Status(307)] {
        site.engine.fail_always(Some(fault));
        let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
        assert!(error.is_passing() && !error.is_denial(), "{fault:?}: {error}");
        assert_eq!(site.engine.requests(), 3, "{fault:?}");
    }
    // A new version is asked for once: whether a lost answer means that there is none cannot be told.
    site.engine.fail_always(None);
    site.engine.fail_next([]);
    keys.current(&health()).await.unwrap();
    site.engine.requests();
    site.engine.fail_always(Some(Fault::Garbage));
    assert!(keys.unwrap(&wrapped, b"file").await.unwrap_err().is_passing());
    site.engine.fail_always(None);
    assert_eq!(keys.rotate(&health()).await.unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_not_tried_again() {
    let site = Site::new(MODERN).await;
    let keys = site.open().await;
    let (_, wrapped) = wrapped_by(&keys).await;
    site.engine.requests();
    for (status, class) in [(403, "denied"), (404, "refused"), (418, "refused")] {
        site.engine.fail_next([Fault::Status(status)]);
        let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
        assert_eq!(site.engine.requests(), 1, "{status}");
        let is = match class {
            "denied" => error.is_denial() && error.key() == Some(&health()),
            _ => matches!(error, KeyError::Refused { .. }),
        };
        assert!(is && !error.is_passing(), "{status}: {error:?}");
        // The server's words stay out of it.
        assert!(!error.to_string().contains("a reason"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let site = Site::new(MODERN).await;
    let patient = site.open().await;
    let (_, wrapped) = wrapped_by(&patient).await;
    let options = TransitOptions {
        limit_seconds: 1,
        ..site.options.clone()
    };
    let keys = TransitKeys::open(options).await.unwrap();
    site.engine.fail_always(Some(Fault::Silence));
    let began = Instant::now();
    // More calls than places: none waits longer than one.
    for answer in futures::future::join_all((0..24).map(|_| keys.unwrap(&wrapped, b"file"))).await {
        assert!(answer.unwrap_err().is_passing());
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    site.engine.fail_always(None);
    patient.unwrap(&wrapped, b"file").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_when_its_file_changes() {
    let site = Site::new(MODERN).await;
    let keys = site.open().await;
    let (_, wrapped) = wrapped_by(&keys).await;
    let file = site.authority.at("token");
    write_private(&file, "hvs.of-another\n");
    let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(error.is_denial() && error.key() == Some(&health()), "{error}");
    assert!(!error.to_string().contains("hvs."), "{error}");
    write_private(&file, &format!("{TOKEN}\n"));
    keys.unwrap(&wrapped, b"file").await.unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
    assert!(error.to_string().contains("make its mode 0600"), "{error}");
}
