//! The built binary, run as a person runs it: development PKI, keyring, completions, profiles, usage errors and exit
//! codes. What needs a cluster is tested where clusters are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use binary::{parcours, said, succeeds};

#[track_caller]
fn fails(home: &Path, arguments: &[&str], code: i32) -> String {
    let output = parcours(home, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    String::from_utf8(output.stderr).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn with_pki() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    succeeds(
        home.path(),
        &["pki", "init", "--dir", "pki", "--trust-domain", "hospital.test"],
    );
    home
}

#[test]
fn a_pki_is_made_and_nothing_of_it_overwritten() {
    let home = with_pki();
    let pki = home.path().join("pki");
    assert_eq!(mode(&pki.join("ca.key")), 0o600);
    fails(
        home.path(),
        &["pki", "init", "--dir", "pki", "--trust-domain", "hospital.test"],
        1,
    );

    let issue = ["pki", "issue", "--dir", "pki", "user/alice", "--client"];
    succeeds(home.path(), &issue);
    assert_eq!(mode(&pki.join("user-alice-client.key")), 0o600);
    assert!(fails(home.path(), &issue, 1).contains("exists"));

    let sheet = succeeds(home.path(), &["pki", "show", "--dir", "pki", "user-alice-client.pem"]);
    assert!(
        sheet.contains("spiffe://hospital.test/user/alice") && sheet.contains("clientAuth"),
        "{sheet}"
    );
    assert!(sheet.contains("in force"), "{sheet}");
    succeeds(home.path(), &["pki", "revoke", "--dir", "pki", "user-alice-client.pem"]);
    let sheet = succeeds(home.path(), &["pki", "show", "--dir", "pki", "user-alice-client.pem"]);
    assert!(sheet.contains("revoked"), "{sheet}");
}

#[test]
fn certificates_no_listener_would_take_are_not_issued() {
    let home = with_pki();
    for wrong in [
        &["user/alice", "--server"][..],
        &["user/alice"],
        &["scheduler", "--server", "--client"],
        &["scheduler", "--server"],
        &["admin/alice", "--client"],
        &["spiffe://elsewhere.test/user/alice", "--client"],
        &["user/alice", "--client", "--days", "826"],
    ] {
        fails(home.path(), &[&["pki", "issue", "--dir", "pki"], wrong].concat(), 2);
    }
    let server = [
        "pki",
        "issue",
        "--dir",
        "pki",
        "scheduler",
        "--server",
        "--host",
        "localhost",
        "--key",
        "ed25519",
    ];
    succeeds(home.path(), &server);
    let sheet = succeeds(home.path(), &["pki", "show", "--dir", "pki", "scheduler-server.pem"]);
    assert!(
        sheet.contains("localhost") && sheet.contains("serverAuth") && sheet.contains("Ed25519"),
        "{sheet}"
    );
}

#[test]
fn keys_are_where_a_file_says() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let ring = ["--keyring", "master.keyring", "--key-file", "master.key"];
    succeeds(home, &[&["keyring", "init"], &ring[..]].concat());
    let keyring = "[keyring]\npath = 'master.keyring'\nkey_file = 'master.key'\n";
    std::fs::write(home.join("keys.toml"), keyring).unwrap();
    let described = ["--keys", "keys.toml"];
    succeeds(home, &[&["keyring", "add", "claims/health"], &described[..]].concat());
    let listed = succeeds(home, &[&["keyring", "list"], &ring[..]].concat());
    assert_eq!(listed, "claims/health#1\n");

    let both = [&["keyring", "list"], &ring[..], &described[..]].concat();
    assert!(fails(home, &both, 2).contains("cannot be used with"));
    let kmip = "[kmip]\nserver = 'kms:5696'\nca = 'ca.pem'\ncert = 'c.pem'\nkey = 'c.key'\n";
    for (text, code, says) in [
        (String::new(), 1, "one of the tables keyring, pkcs11, kmip and transit"),
        (format!("{keyring}{kmip}"), 1, "keyring and kmip are configured"),
        (kmip.to_owned(), 1, "ca.pem cannot be read"),
        (format!("{kmip}secret = 'hunter2'\n"), 2, "unknown field `secret`"),
    ] {
        std::fs::write(home.join("keys.toml"), text).unwrap();
        let error = fails(home, &[&["keyring", "list"], &described[..]].concat(), code);
        assert!(error.contains(says) && error.contains("keys.toml"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(fails(home, &["keyring", "list", "--keys", "none.toml"], 1).contains("cannot read none.toml"));
}

#[test]
fn a_keyring_is_made_filled_rotated_and_exported_in_part() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let ring = ["--keyring", "master.keyring", "--key-file", "master.key"];
    succeeds(home, &[&["keyring", "init"], &ring[..]].concat());
    assert_eq!(
        (mode(&home.join("master.keyring")), mode(&home.join("master.key"))),
        (0o600, 0o600)
    );
    fails(home, &[&["keyring", "init"], &ring[..]].concat(), 1);

    let added = succeeds(home, &[&["keyring", "add", "claims"], &ring[..]].concat());
    assert_eq!(added.lines().count(), 5, "{added}");
    succeeds(home, &[&["keyring", "rotate", "claims/health"], &ring[..]].concat());
    let listed = succeeds(home, &[&["keyring", "list"], &ring[..]].concat());
    assert!(
        listed.contains("claims/health#2") && listed.contains("claims/footer#1"),
        "{listed}"
    );

    let export = [
        "keyring",
        "export",
        "--to",
        "part.keyring",
        "--to-key-file",
        "part.key",
        "--only",
        "claims/plain",
    ];
    succeeds(home, &[&export[..], &ring[..]].concat());
    let part = succeeds(
        home,
        &["keyring", "list", "--keyring", "part.keyring", "--key-file", "part.key"],
    );
    assert_eq!(part, "claims/plain#1\n");
    fails(
        home,
        &[
            "keyring",
            "list",
            "--keyring",
            "part.keyring",
            "--key-file",
            "master.key",
        ],
        1,
    );
}

#[test]
fn a_passphrase_comes_from_the_environment_and_is_never_said() {
    let home = tempfile::tempdir().unwrap();
    succeeds(home.path(), &["keyring", "init", "--keyring", "k"]);
    succeeds(home.path(), &["keyring", "add", "claims", "--keyring", "k"]);
    let wrong = Command::new(env!("CARGO_BIN_EXE_parcours"))
        .args(["keyring", "list", "--keyring", "k"])
        .current_dir(home.path())
        .env("PARCOURS_KEYRING_PASSPHRASE", "faux-secret")
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(!said(&wrong).contains("faux-secret"), "{}", said(&wrong));
}

#[test]
fn usage_errors_end_with_two_and_a_remedy() {
    let home = with_pki();
    let home = home.path();
    assert!(fails(home, &["sql", "-c", "select 1"], 2).contains("--uri"));
    fails(home, &["sql", "--uri", "grpc+tls://localhost:1", "-c", "select 1"], 2);
    fails(home, &["sql", "-c", "select 1", "-f", "x.sql"], 2);
    fails(home, &["no-such-command"], 2);
    assert!(fails(home, &["sql", "-c", "  ; -- nothing"], 2).contains("no statement"));
    assert!(fails(home, &["sql", "-c", "select 'open"], 2).contains("quote"));
    fails(home, &["sql", "-c", "select 1; select 2", "-o", "x.parquet"], 2);
    fails(home, &["sql", "-c", "select $1", "--param", "2=x"], 2);
    assert!(!home.join("x.parquet").exists());

    succeeds(home, &["pki", "issue", "--dir", "pki", "user/alice", "--client"]);
    let files = [
        "--ca",
        "pki/ca.pem",
        "--cert",
        "pki/user-alice-client.pem",
        "--key",
        "pki/user-alice-client.key",
    ];
    let plaintext = [&["sql", "-c", "select 1", "--uri", "grpc://localhost:1"], &files[..]].concat();
    assert!(fails(home, &plaintext, 2).contains("plaintext"));
    // Port 1 of loopback: nobody listens there.
    let nobody = [
        &["sql", "-c", "select 1", "--uri", "grpc+tls://127.0.0.1:1"],
        &files[..],
    ]
    .concat();
    assert!(fails(home, &nobody, 1).contains("cannot connect"));
}

#[test]
fn profiles_are_read_from_their_file_and_unknown_keys_refused() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let folder = home.join(".config/parcours");
    std::fs::create_dir_all(&folder).unwrap();
    let profile = "[profiles.study]\nuri = 'grpc+tls://127.0.0.1:1'\nca = 'ca'\ncert = 'c'\nkey = 'k'\n";
    let file = folder.join("profiles.toml");
    std::fs::write(&file, format!("{profile}trust_domain = 'x'\n")).unwrap();
    assert!(fails(home, &["sql", "-c", "select 1"], 2).contains("default"));
    let missing = fails(home, &["sql", "-p", "study", "-c", "select 1"], 1);
    assert!(missing.contains(&folder.join("ca").display().to_string()), "{missing}");
    assert!(fails(home, &["sql", "-p", "other", "-c", "select 1"], 2).contains("study"));
    std::fs::write(&file, format!("{profile}colour = 'red'\n")).unwrap();
    assert!(fails(home, &["sql", "-p", "study", "-c", "select 1"], 2).contains("colour"));
}

#[test]
fn completions_and_version_are_printed() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        assert!(succeeds(home.path(), &["completions", shell]).contains("keyring"));
    }
    assert!(succeeds(home.path(), &["--version"]).starts_with("parcours "));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_parcours"))
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
