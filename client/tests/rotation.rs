//! The built binary rotating, rewrapping, retiring and backing up master keys, as an operator does it, on a small dataset
//! that it loaded itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use binary::care::{fails, loaded, with_keys};
use binary::succeeds;

fn data_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut data_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn keys_are_rotated_rewrapped_checked_and_retired() {
    let home = loaded();
    let home = home.path();
    let before = data_files(&home.join("tables"));
    assert_eq!(before.len(), 4);
    let rewrap = with_keys(&["rewrap", "care", "--in", "tables", "--quiet"]);
    let retire =
        |version: &'static str| with_keys(&["keyring", "retire", version, "--dataset-url", "tables", "--quiet"]);

    succeeds(home, &with_keys(&["keyring", "rotate", "care"]));
    let needed = fails(home, &retire("care/health#1"), 1);
    assert!(
        needed.contains("needed by 2 files") && needed.contains("parcours rewrap"),
        "{needed}"
    );
    let check = succeeds(home, &[&rewrap[..], &["--check"]].concat());
    assert!(check.contains("care/health#1") && check.contains("old"), "{check}");

    // Acts have identity, quasi, health and footer in two files; labels plain and footer in one, the load's report
    // identity, plain and footer in one.
    let done = succeeds(home, &rewrap);
    assert!(done.contains("4 rewrapped (13 keys), 0 were current"), "{done}");
    let again = succeeds(home, &rewrap);
    assert!(again.contains("0 rewrapped (0 keys), 4 were current"), "{again}");
    let usage: Value = serde_json::from_str(&succeeds(home, &[&rewrap[..], &["--check", "--json"]].concat())).unwrap();
    let in_use = usage["in_use"].as_array().unwrap();
    assert_eq!(in_use.len(), 5);
    assert!(in_use.iter().all(|version| version["current"] == true), "{usage}");

    fails(home, &retire("care/health#2"), 1);
    for key in ["footer", "identity", "quasi", "health", "plain"] {
        let version: &'static str = format!("care/{key}#1").leak();
        let retired = succeeds(home, &retire(version));
        assert!(retired.contains("none of 4 files"), "{retired}");
    }
    let verified = succeeds(
        home,
        &with_keys(&["tables", "verify-keys", "care", "--in", "tables", "--quiet"]),
    );
    assert!(
        verified.contains("13 keys of 4 files open, 0 stay closed"),
        "{verified}"
    );
    assert_eq!(data_files(&home.join("tables")), before);
}

#[test]
fn nothing_is_retired_on_a_guess() {
    let home = loaded();
    let home = home.path();
    succeeds(home, &with_keys(&["keyring", "rotate", "care/health"]));
    let retire = ["keyring", "retire", "care/health#1"];
    assert!(fails(home, &with_keys(&retire), 2).contains("--dataset-url"));
    let elsewhere = fails(
        home,
        &with_keys(&[&retire[..], &["--dataset-url", "elsewhere"]].concat()),
        1,
    );
    assert!(elsewhere.contains("has no version"), "{elsewhere}");
    let both = [&retire[..], &["--dataset-url", "tables", "--lose-files"]].concat();
    fails(home, &with_keys(&both), 2);
    assert!(
        fails(
            home,
            &with_keys(&["keyring", "retire", "care/health", "--lose-files"]),
            2
        )
        .contains("care/health")
    );

    let lost = succeeds(home, &with_keys(&[&retire[..], &["--lose-files"]].concat()));
    assert!(lost.contains("do not open any more"), "{lost}");
    let verify = with_keys(&["tables", "verify-keys", "care", "--in", "tables", "--quiet"]);
    let verified = fails(home, &verify, 1);
    assert!(
        verified.contains("2 stay closed") && verified.contains("2 files of care"),
        "{verified}"
    );
    assert_eq!(
        verified.matches("(health under care/health#1)").count(),
        2,
        "{verified}"
    );
    let rewrap = with_keys(&["rewrap", "care", "--in", "tables", "--quiet"]);
    let incomplete = fails(home, &rewrap, 1);
    assert!(
        incomplete.contains("2 keys do not open and stay as they are"),
        "{incomplete}"
    );
}

#[test]
fn a_keyring_is_backed_up_and_restored() {
    let home = loaded();
    let home = home.path();
    let backup = with_keys(&["keyring", "backup", "--to", "backup.keyring"]);
    let made = succeeds(home, &backup);
    assert!(made.contains("the same 5 keys in 5 versions"), "{made}");
    let mode = std::fs::metadata(home.join("backup.keyring"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fails(home, &backup, 1).contains("exists already"));

    let restore = with_keys(&["keyring", "restore", "--from", "backup.keyring"]);
    assert!(
        fails(home, &restore, 1).contains("exists already"),
        "a keyring is not overwritten"
    );
    std::fs::remove_file(home.join("master.keyring")).unwrap();
    succeeds(home, &restore);
    let verified = succeeds(
        home,
        &with_keys(&["tables", "verify-keys", "care", "--in", "tables", "--quiet"]),
    );
    assert!(verified.contains("0 stay closed"), "{verified}");

    // A backup of the time before a retirement opens what was lost with it.
    succeeds(home, &with_keys(&["keyring", "rotate", "care/health"]));
    succeeds(
        home,
        &with_keys(&["keyring", "retire", "care/health#1", "--lose-files"]),
    );
    let verify = ["tables", "verify-keys", "care", "--in", "tables", "--quiet"];
    fails(home, &with_keys(&verify), 1);
    let of_backup = ["--keyring", "backup.keyring", "--key-file", "master.key"];
    succeeds(home, &[&verify[..], &of_backup].concat());
}

#[test]
fn a_file_whose_material_is_lost_is_named() {
    let home = loaded();
    let home = home.path();
    let lost = data_files(&home.join("tables")).into_keys().next().unwrap();
    let name = lost.file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::remove_file(lost.with_file_name(format!("_KEY_MATERIAL_FOR_{name}.json"))).unwrap();
    let verify = with_keys(&["tables", "verify-keys", "care", "--in", "tables", "--quiet"]);
    let verified = fails(home, &verify, 1);
    assert!(
        verified.contains(&name) && verified.contains("is missing beside it"),
        "{verified}"
    );
    let retire = with_keys(&[
        "keyring",
        "retire",
        "care/health#1",
        "--dataset-url",
        "tables",
        "--quiet",
    ]);
    let refused = fails(home, &retire, 1);
    assert!(
        refused.contains("do not tell whether they need care/health#1"),
        "{refused}"
    );
}
