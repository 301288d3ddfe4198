//! The built binary loading, as a data manager does it: bad rows set aside, sources that changed, what it says of it, and disks
//! that are full.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use binary::care::{fails, loaded, with_keys};
use binary::{said, succeeds};

const LOAD: [&str; 5] = ["load", "care.toml", "--into", "tables", "--quiet"];
const VERIFY: [&str; 6] = ["tables", "verify", "care", "--in", "tables", "--quiet"];

fn load<'a>(more: &[&'a str]) -> Vec<&'a str> {
    with_keys(&[&LOAD[..], more].concat())
}

fn describe(home: &Path, change: impl Fn(String) -> String) {
    let path = home.join("care.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, change(text)).unwrap();
}

#[test]
fn bad_rows_are_set_aside_up_to_a_limit_and_tried_again() {
    let home = loaded();
    let home = home.path();
    describe(home, |text| text.replace("\"acts.csv\"", "\"acts*.csv\""));
    std::fs::write(
        home.join("acts-2.csv"),
        "patient,day,code\nP001,2021-01-01,C1\nP002,01/02/2021,C1\n",
    )
    .unwrap();
    let stopped = fails(home, &load(&[]), 1);
    assert!(
        stopped.contains("acts-2.csv line 3") && !stopped.contains("01/02/2021"),
        "{stopped}"
    );
    let too_many = fails(home, &load(&["--reject-to", "bad.csv"]), 1);
    assert!(
        too_many.contains("1 of the 2 rows") && too_many.contains("--reject-limit"),
        "{too_many}"
    );
    for taken in ["acts.csv", "care.toml"] {
        let before = std::fs::read(home.join(taken)).unwrap();
        fails(home, &load(&["--reject-to", taken, "--reject-limit", "1"]), 1);
        assert_eq!(std::fs::read(home.join(taken)).unwrap(), before);
    }
    let keeping = load(&["--reject-to", "bad.csv", "--reject-limit", "1,50%", "--keep-rejects"]);
    let done = succeeds(home, &keeping);
    assert!(done.contains("1 bad rows set aside, see bad.csv"), "{done}");
    assert!(!done.contains("01/02/2021"), "{done}");
    let rejects = with_keys(&["tables", "rejects", "care", "--in", "tables"]);
    let kept = succeeds(home, &rejects);
    assert!(kept.contains("line 3") && kept.contains("01/02/2021"), "{kept}");
    let kept: Value = serde_json::from_str(&succeeds(home, &[&rejects[..], &["--json"]].concat())).unwrap();
    assert_eq!(kept[0]["values"]["day"], "01/02/2021");
    fails(home, &rejects[..5], 2);
    let listed = std::fs::read_to_string(home.join("bad.csv")).unwrap();
    assert!(
        listed.lines().count() == 2 && !listed.contains("01/02/2021"),
        "{listed}"
    );

    let again = succeeds(home, &load(&[]));
    assert!(again.contains("--replace tries them again"), "{again}");
    std::fs::write(
        home.join("acts-2.csv"),
        "patient,day,code\nP001,2021-01-01,C1\nP002,2021-02-01,C1\n",
    )
    .unwrap();
    let changed = fails(home, &load(&[]), 1);
    assert!(
        changed.contains("acts-2.csv of table act has changed") && changed.contains("--replace"),
        "{changed}"
    );
    let report: Value = serde_json::from_str(&succeeds(home, &load(&["--replace", "--json"]))).unwrap();
    let act = &report["tables"][0];
    assert_eq!(
        (&act["rows"], &act["skipped"], &act["replaced"]),
        (&2.into(), &1.into(), &true.into())
    );
    let none = succeeds(home, &rejects);
    assert!(none.contains("keeps no rows that were set aside"), "{none}");
    let verified = succeeds(home, &with_keys(&VERIFY));
    assert!(verified.contains("62 rows"), "{verified}");
}

#[test]
fn what_a_load_would_do_and_did_is_said() {
    let home = loaded();
    let home = home.path();
    describe(home, |text| text.replace("\"acts.csv\"", "\"acts*.csv\""));
    std::fs::write(home.join("acts-2.csv"), "patient,day,code\nP090,2021-01-01,C1\n").unwrap();
    let diff = ["dataset", "diff", "care.toml", "--into", "tables", "--quiet"];
    let shown = succeeds(home, &diff);
    assert!(shown.contains("acts-2.csv"), "{shown}");
    let shown: Value = serde_json::from_str(&succeeds(home, &[&diff[..], &["--json"]].concat())).unwrap();
    assert_eq!(shown["tables"][0]["new_sources"].as_array().unwrap().len(), 1);
    succeeds(home, &load(&[]));
    let report = with_keys(&["tables", "report", "care", "--in", "tables"]);
    let kept = succeeds(home, &report);
    assert!(
        kept.contains("1 new, 0 known before") && kept.contains("acts-2.csv"),
        "{kept}"
    );

    std::fs::remove_file(home.join("acts-2.csv")).unwrap();
    std::fs::write(home.join("labels.csv"), "code,label\nC1,ONE\nC2,two\n").unwrap();
    let replaced = succeeds(home, &load(&["--replace"]));
    assert!(
        !replaced.contains("no longer there"),
        "the archived source is another table's: {replaced}"
    );
    let forgotten = succeeds(home, &load(&["--replace", "--forget-missing"]));
    assert!(forgotten.contains("version 4"), "{forgotten}");
    let verified = succeeds(home, &with_keys(&VERIFY));
    assert!(verified.contains("60 rows"), "{verified}");
}

#[test]
fn errors_are_said_once() {
    let home = loaded();
    let home = home.path();
    describe(home, |text| text.replace("class = \"health\"", "class = \"secret\""));
    let unknown = fails(home, &load(&[]), 1);
    assert_eq!(unknown.matches("class secret").count(), 1, "{unknown}");
    assert_eq!(unknown.matches("care.toml").count(), 1, "{unknown}");
    describe(home, |text| text.replace("class = \"secret\"", "class = \"health\""));
    let little = fails(home, &load(&["--memory", "1MiB"]), 2);
    assert!(little.contains("at least 64 MiB"), "{little}");
}

/// A disk that is full stops the load, is said, and leaves what there was.
#[test]
fn a_full_disk_stops_a_load_and_loses_nothing() {
    let home = loaded();
    let home = home.path();
    describe(home, |text| text.replace("\"acts.csv\"", "\"acts*.csv\""));
    let rows = (0..200_000).map(|row| format!("P{row:06},2020-02-{:02},C{}\n", 1 + row % 28, row % 7));
    std::fs::write(
        home.join("acts-2.csv"),
        format!("patient,day,code\n{}", rows.collect::<String>()),
    )
    .unwrap();
    // A mount of the test's own, which only processes below it see. The dataset is copied there, and the rest of it is full.
    let script = "set -e; mount -t tmpfs -o size=1m none small; cp -a tables small/; head -c 300000 /dev/zero >small/rest; \
                  set +e; \"$@\"; code=$?; rm -f small/rest; cp -a small/tables after; exit $code";
    std::fs::create_dir(home.join("small")).unwrap();
    let arguments = with_keys(&["load", "care.toml", "--into", "small/tables", "--quiet"]);
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            env!("CARGO_BIN_EXE_parcours"),
        ])
        .args(&arguments)
        .current_dir(home)
        .env("PARCOURS_KEYRING_PASSPHRASE", "une phrase longue")
        .output()
        .unwrap();
    let told = said(&output);
    if !home.join("after").exists() {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "CI needs mount namespaces: {told}");
        eprintln!("SKIPPED: no mount namespace of its own: {told}");
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    std::fs::remove_dir_all(home.join("tables")).unwrap();
    std::fs::rename(home.join("after"), home.join("tables")).unwrap();
    let verified = succeeds(home, &with_keys(&VERIFY));
    assert!(verified.contains("60 rows"), "{verified}");
    let done = succeeds(home, &load(&[]));
    assert!(done.contains("200,000 rows"), "{done}");
}
