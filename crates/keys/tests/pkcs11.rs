//! The PKCS#11 service against SoftHSM2: the suite of every key service, and what an HSM adds to it, namely keys that stay
//! inside, lost sessions, a token that goes away, and a PIN that changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use parcours_keys::{
    DataKey, KeyAdmin, KeyError, KeyService, MasterKeyName, Pkcs11Keys, Pkcs11Options, WrappedKey, conformance,
    ensure_dataset_keys,
};

/// Where Debian, Alpine and Homebrew put the library.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

const PIN: &str = "1234-right";
const SO_PIN: &str = "5678-officer";

/// Set in the process that runs one test with a SoftHSM of its own: the folder of its tokens.
const FOLDER: &str = "PARCOURS_TEST_SOFTHSM";

/// A SoftHSM of this process, which reads its configuration from the environment it was started with.
struct SoftHsm {
    folder: PathBuf,
    library: Pkcs11,
}

/// Runs `test` in a process of its own with a fresh SoftHSM.
fn with_softhsm(name: &str, test: impl AsyncFnOnce(SoftHsm)) {
    let Some(module) = MODULES.iter().map(Path::new).find(|path| path.exists()) else {
        eprintln!(
            "NOT TESTED: SoftHSM2 is not installed, the PKCS#11 key service was not tried (apt install softhsm2)"
        );
        assert!(std::env::var_os("CI").is_none(), "CI needs SoftHSM2");
        return;
    };
    if let Some(folder) = std::env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(test(SoftHsm::start(module, folder.into())));
    }
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("softhsm2.conf");
    fs::create_dir(folder.path().join("tokens")).unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(
        &conf,
        format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
    )
    .unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SOFTHSM2_CONF", conf)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

impl SoftHsm {
    fn start(module: &Path, folder: PathBuf) -> Self {
        let library = Pkcs11::new(module).unwrap();
        library
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .unwrap();
        Self { folder, library }
    }

    /// Makes a token.
    fn token(&self, label: &str) {
        let slot = *self.library.get_all_slots().unwrap().last().unwrap();
        let officer = AuthPin::from(SO_PIN);
        self.library.init_token(slot, &officer, label).unwrap();
        let session = self.library.open_rw_session(self.slot(label)).unwrap();
        session.login(UserType::So, Some(&officer)).unwrap();
        session.init_pin(&AuthPin::from(PIN)).unwrap();
    }

    fn slot(&self, label: &str) -> Slot {
        let slots = self.library.get_slots_with_token().unwrap();
        let is_it = |slot: &Slot| self.library.get_token_info(*slot).unwrap().label().trim_end() == label;
        slots.into_iter().find(is_it).unwrap()
    }

    fn session(&self, label: &str) -> Session {
        self.library.open_rw_session(self.slot(label)).unwrap()
    }

    fn options(&self, tokens: &[&str]) -> Pkcs11Options {
        let pin_file = self.folder.join("pin");
        if !pin_file.exists() {
            self.write_pin(PIN);
        }
        Pkcs11Options {
            module: MODULES.iter().map(PathBuf::from).find(|path| path.exists()).unwrap(),
            tokens: tokens.iter().map(|label| (*label).to_owned()).collect(),
            pin_file,
            sessions: 4,
            limit_seconds: 5,
        }
    }

    fn write_pin(&self, pin: &str) {
        let path = self.folder.join("pin");
        let mut file = OpenOptions::new();
        let mut file = file
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .unwrap();
        writeln!(file, "{pin}").unwrap();
    }

    /// Ends every session and login of this process, as a module does that is reset.
    fn drop_sessions(&self) {
        self.library.clone().finalize().unwrap();
        self.library
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .unwrap();
    }

    /// Takes the tokens away, and gives them back when told.
    fn unplug(&self) {
        fs::rename(self.folder.join("tokens"), self.folder.join("unplugged")).unwrap();
    }

    fn plug_in(&self) {
        fs::rename(self.folder.join("unplugged"), self.folder.join("tokens")).unwrap();
    }
}

fn health() -> MasterKeyName {
    MasterKeyName::new("claims/health").unwrap()
}

/// A token with a key of class health, and a data key that it wrapped.
async fn with_a_key(hsm: &SoftHsm) -> (Pkcs11Keys, DataKey, WrappedKey) {
    hsm.token("parcours");
    let keys = Pkcs11Keys::open(hsm.options(&["parcours"])).await.unwrap();
    keys.create(&health()).await.unwrap();
    let key = DataKey::random().unwrap();
    let wrapped = keys.wrap(&health(), &key, b"file").await.unwrap();
    (keys, key, wrapped)
}

#[test]
fn keeps_the_rules_of_a_key_service() {
    with_softhsm("keeps_the_rules_of_a_key_service", async |hsm| {
        hsm.token("parcours");
        let keys = Pkcs11Keys::open(hsm.options(&["parcours"])).await.unwrap();
        conformance::run(&keys).await.unwrap();
        // And again beside what is there, over a login of its own.
        let others = Pkcs11Keys::open(hsm.options(&["parcours"])).await.unwrap();
        conformance::run(&others).await.unwrap();
    });
}

#[test]
fn keys_cannot_leave_the_token() {
    with_softhsm("keys_cannot_leave_the_token", async |hsm| {
        hsm.token("parcours");
        let keys = Pkcs11Keys::open(hsm.options(&["parcours"])).await.unwrap();
        ensure_dataset_keys(&keys, "claims").await.unwrap();
        let session = hsm.session("parcours");
        let objects = session
            .find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])
            .unwrap();
        assert_eq!(objects.len(), 5);
        for object in objects {
            let asked = [
                AttributeType::Sensitive,
                AttributeType::Extractable,
                AttributeType::NeverExtractable,
                AttributeType::Wrap,
                AttributeType::Derive,
            ];
            let expected = [
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::NeverExtractable(true),
                Attribute::Wrap(false),
                Attribute::Derive(false),
            ];
            assert_eq!(session.get_attributes(object, &asked).unwrap(), expected);
            let value = session.get_attributes(object, &[AttributeType::Value]).unwrap();
            assert!(value.is_empty(), "the value of a key is readable");
        }
    });
}

#[test]
fn a_login_that_ended_is_made_again() {
    with_softhsm("a_login_that_ended_is_made_again", async |hsm| {
        hsm.token("parcours");
        let keys = Pkcs11Keys::open(hsm.options(&["parcours"])).await.unwrap();
        keys.create(&health()).await.unwrap();
        let wrapped = keys.wrap(&health(), &DataKey::random().unwrap(), b"").await.unwrap();
        // Without a login the keys are not even visible: that must not read as if there were none.
        hsm.session("parcours").logout().unwrap();
        keys.unwrap(&wrapped, b"").await.unwrap();
        hsm.session("parcours").logout().unwrap();
        keys.current(&health()).await.unwrap();
        hsm.session("parcours").logout().unwrap();
        assert_eq!(keys.names().await.unwrap(), [health()]);
    });
}

#[test]
fn a_closed_session_is_opened_again() {
    with_softhsm("a_closed_session_is_opened_again", async |hsm| {
        let (keys, key, wrapped) = with_a_key(&hsm).await;
        for _ in 0..20 {
            hsm.drop_sessions();
            let opened = keys.unwrap(&wrapped, b"file").await.unwrap();
            assert_eq!(opened.expose(), key.expose());
        }
        // Sixteen calls find theirs closed at once, between calls: a module may not be reset under one that runs.
        for _ in 0..20 {
            hsm.drop_sessions();
            let calls = (0..16).map(|_| keys.unwrap(&wrapped, b"file"));
            for answer in futures::future::join_all(calls).await {
                assert_eq!(answer.unwrap().expose(), key.expose());
            }
        }
    });
}

#[test]
fn a_module_that_another_finalized_is_initialized_again() {
    with_softhsm("a_module_that_another_finalized_is_initialized_again", async |hsm| {
        let (keys, key, wrapped) = with_a_key(&hsm).await;
        // More often than a module that works would be initialized anew.
        for _ in 0..20 {
            hsm.library.clone().finalize().unwrap();
            let calls = (0..16).map(|_| keys.unwrap(&wrapped, b"file"));
            for answer in futures::future::join_all(calls).await {
                assert_eq!(answer.unwrap().expose(), key.expose());
            }
        }
    });
}

#[test]
fn a_token_that_went_away_is_found_when_it_is_back() {
    with_softhsm("a_token_that_went_away_is_found_when_it_is_back", async |hsm| {
        let (keys, key, wrapped) = with_a_key(&hsm).await;
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(1100)).await;
            hsm.unplug();
            let error = keys.unwrap(&wrapped, b"file").await.unwrap_err();
            assert!(error.is_passing() && !error.is_denial(), "{error}");
            hsm.plug_in();
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(keys.unwrap(&wrapped, b"file").await.unwrap().expose(), key.expose());
        }
    });
}

#[test]
fn a_changed_pin_is_named_and_not_tried_twice() {
    with_softhsm("a_changed_pin_is_named_and_not_tried_twice", async |hsm| {
        hsm.token("parcours");
        let keys = Pkcs11Keys::open(hsm.options(&["parcours"])).await.unwrap();
        keys.create(&health()).await.unwrap();
        let (old, new) = (AuthPin::from(PIN), AuthPin::from("another-pin"));
        hsm.session("parcours").set_pin(&old, &new).unwrap();
        // Sessions that are open stay so.
        keys.current(&health()).await.unwrap();
        hsm.drop_sessions();
        for expected in ["is refused by the token", "not tried again", "not tried again"] {
            let error = keys.current(&health()).await.unwrap_err();
            assert!(
                matches!(error, KeyError::Refused { .. }) && !error.is_passing(),
                "{error}"
            );
            let text = error.to_string();
            assert!(
                text.contains(expected) && text.contains("put the right one there"),
                "{text}"
            );
            assert!(!text.contains(PIN), "{text}");
        }
        hsm.write_pin("another-pin");
        keys.current(&health()).await.unwrap();
    });
}

#[test]
fn the_next_token_is_asked_when_one_is_gone() {
    with_softhsm("the_next_token_is_asked_when_one_is_gone", async |hsm| {
        hsm.token("second");
        let keys = Pkcs11Keys::open(hsm.options(&["first", "second"])).await.unwrap();
        keys.create(&health()).await.unwrap();
        keys.current(&health()).await.unwrap();
        let none = Pkcs11Keys::open(hsm.options(&["first"])).await.unwrap_err().to_string();
        assert!(
            none.contains("no slot of") && none.contains("token named first"),
            "{none}"
        );
    });
}

#[test]
fn what_cannot_be_used_is_named() {
    with_softhsm("what_cannot_be_used_is_named", async |hsm| {
        hsm.token("parcours");
        let good = hsm.options(&["parcours"]);
        let module = Pkcs11Options {
            module: "/nowhere/libhsm.so".into(),
            ..good.clone()
        };
        let no_token = Pkcs11Options {
            tokens: vec![],
            ..good.clone()
        };
        let no_pin = Pkcs11Options {
            pin_file: hsm.folder.join("no-pin"),
            ..good
        };
        for (options, says) in [
            (module, "/nowhere/libhsm.so is no PKCS#11 module"),
            (no_token, "no token is named"),
            (no_pin, "no-pin cannot be read"),
        ] {
            let error = Pkcs11Keys::open(options).await.unwrap_err();
            assert!(matches!(error, KeyError::Refused { .. }), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    });
}

#[test]
fn many_calls_at_once_are_answered_before_and_after_an_absence() {
    with_softhsm(
        "many_calls_at_once_are_answered_before_and_after_an_absence",
        async |hsm| {
            hsm.token("parcours");
            let keys = Pkcs11Keys::open(hsm.options(&["parcours"])).await.unwrap();
            let created = ensure_dataset_keys(&keys, "claims").await.unwrap();
            let key = DataKey::random().unwrap();
            let mut wrapped = Vec::new();
            for id in created {
                wrapped.push(keys.wrap(&id.name, &key, b"file").await.unwrap());
            }
            for round in 0..3 {
                for turn in 0..200 {
                    let calls = wrapped
                        .iter()
                        .flat_map(|wrapped| [keys.unwrap(wrapped, b"file"), keys.unwrap(wrapped, b"file")]);
                    for answer in futures::future::join_all(calls).await {
                        let answer = answer.unwrap_or_else(|error| panic!("round {round}, turn {turn}: {error}"));
                        assert_eq!(answer.expose(), key.expose());
                    }
                }
                tokio::time::sleep(Duration::from_millis(1100)).await;
                hsm.unplug();
                let calls = wrapped.iter().map(|wrapped| keys.unwrap(wrapped, b"file"));
                assert!(
                    futures::future::join_all(calls)
                        .await
                        .iter()
                        .all(|answer| answer.as_ref().is_err_and(KeyError::is_passing))
                );
                hsm.plug_in();
                tokio::time::sleep(Duration::from_millis(1100)).await;
            }
        },
    );
}
