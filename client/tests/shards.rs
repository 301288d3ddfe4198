//! The built binary verifying the rows of a dataset and giving it other shards, as an operator does it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;

use serde_json::Value;

use binary::care::{fails, loaded, with_keys};
use binary::succeeds;

const VERIFY: [&str; 6] = ["tables", "verify", "care", "--in", "tables", "--quiet"];

#[test]
fn rows_are_verified_and_faults_end_with_1() {
    let home = loaded();
    let home = home.path();
    let said = succeeds(home, &with_keys(&VERIFY));
    assert!(said.contains("verified care version 1"), "{said}");
    assert!(
        said.contains("60 rows in 2 files") && said.contains("2 rows in 1 files"),
        "{said}"
    );
    let one = succeeds(
        home,
        &with_keys(&[&VERIFY[..], &["--table", "label", "--json"]].concat()),
    );
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (&one["tables"][0]["rows"], &one["faults"]),
        (&2.into(), &serde_json::json!([]))
    );
    fails(home, &with_keys(&[&VERIFY[..], &["--table", "stay"]].concat()), 1);
    fails(home, &VERIFY, 2);

    let shard = std::fs::read_dir(home.join("tables/care/act/shard=0001")).unwrap();
    let mut files = shard.map(|entry| entry.unwrap().path());
    let file = files
        .find(|path| path.extension().is_some_and(|ext| ext == "parquet"))
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let said = fails(home, &with_keys(&VERIFY), 1);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        said.contains(&format!("act/shard=0001/{name} row group 1 row 1: ")),
        "{said}"
    );
    assert!(said.contains("1 files of care have faults"), "{said}");
    let said = fails(home, &with_keys(&[&VERIFY[..], &["--json"]].concat()), 1);
    assert!(said.contains("\"unreadable\""), "{said}");
}

#[test]
fn a_dataset_is_resharded_and_loaded_again() {
    let home = loaded();
    let home = home.path();
    let reshard = |shards| with_keys(&["reshard", "care", "--in", "tables", "--shards", shards, "--quiet"]);
    fails(home, &reshard("0"), 2);
    let said = succeeds(home, &reshard("5"));
    assert!(
        said.contains("resharded care from 2 to 5 shards (split set 2) in version 2") && said.contains("60 rows"),
        "{said}"
    );
    assert!(said.contains("say shards = 5"), "{said}");
    succeeds(home, &with_keys(&VERIFY));
    succeeds(home, &with_keys(&[&VERIFY[..], &["--version", "1"]].concat()));
    assert!(succeeds(home, &reshard("5")).contains("has these 5 shards already"));

    let load = with_keys(&["load", "care.toml", "--into", "tables", "--quiet"]);
    let said = fails(home, &load, 1);
    assert!(said.contains("say shards = 5"), "{said}");
    let description = std::fs::read_to_string(home.join("care.toml")).unwrap();
    std::fs::write(home.join("care.toml"), description.replace("shards = 2", "shards = 5")).unwrap();
    assert!(succeeds(home, &load).contains("nothing new"));
    let described = succeeds(home, &["tables", "describe", "care", "--in", "tables"]);
    assert!(described.contains("in 5 shards (split set 2)"), "{described}");
}
