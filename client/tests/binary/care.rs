//! A small dataset, `care`, that the built binary has loaded, and its keyring.

use std::path::Path;

use tempfile::TempDir;

use super::{parcours, said, succeeds};

const KEYS: [&str; 4] = ["--keyring", "master.keyring", "--key-file", "master.key"];
const ROWS: usize = 60;

/// Ends with `code`; returns all that was said.
#[track_caller]
pub fn fails(home: &Path, arguments: &[&str], code: i32) -> String {
    let output = parcours(home, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// The arguments, and those that open the keyring.
pub fn with_keys<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &KEYS[..]].concat()
}

/// A keyring with the keys of `care`, and that dataset loaded into `tables`: two shards and a list of labels.
pub fn loaded() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let mut acts = "patient,day,code\n".to_owned();
    for row in 0..ROWS {
        acts += &format!("P{:03},2020-01-{:02},C{}\n", row % 20, 1 + row % 28, row % 7);
    }
    std::fs::write(at("acts.csv"), acts).unwrap();
    std::fs::write(at("labels.csv"), "code,label\nC1,one\nC2,two\n").unwrap();
    let description = r#"
name = "care"
patient_id = "patient"
shards = 2

[[tables]]
name = "act"
sources = ["acts.csv"]
order = ["day"]
columns = [
  { name = "patient", class = "identity", type = "utf8" },
  { name = "day", class = "quasi", type = "date32" },
  { name = "code", class = "health", type = "utf8" },
]

[[tables]]
name = "label"
sharded = false
sources = ["labels.csv"]
columns = [
  { name = "code", class = "plain", type = "utf8" },
  { name = "label", class = "plain", type = "utf8" },
]
"#;
    std::fs::write(at("care.toml"), description).unwrap();
    let home_path = home.path();
    succeeds(home_path, &with_keys(&["keyring", "init"]));
    succeeds(home_path, &with_keys(&["keyring", "add", "care"]));
    succeeds(
        home_path,
        &with_keys(&["load", "care.toml", "--into", "tables", "--quiet"]),
    );
    home
}
