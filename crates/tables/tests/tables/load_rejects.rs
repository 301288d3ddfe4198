//! Rows that a load sets aside and keeps: encrypted, read back with what their sources hold, and gone when they are tried
//! again. What is expected of them was written by hand into the sources.

use parcours_tables::compact::{CompactOptions, compact};
use parcours_tables::load::{KeptReject, LoadError, LoadOptions, LoadReport, load, rejects};
use parcours_tables::source::{RejectLimit, SourceError};
use parcours_tables::spec::Dataset;
use parcours_tables::verify::{VerifyOptions, verify};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const HEADER: &str = "patient,day,name,quantity\n";

fn description(sandbox: &Sandbox) -> Dataset {
    let text = format!(
        "name = \"claims\"\npatient_id = \"patient\"\nshards = 3\nsplits = [\"B\", \"C\"]\n\
         [[tables]]\nname = \"stay\"\nsources = [\"{0}/stay-*.csv\"]\nignore = [\"name\"]\norder = [\"day\"]\ncolumns = [\n\
         {{ name = \"patient\", class = \"identity\", type = \"utf8\" }},\n\
         {{ name = \"day\", class = \"quasi\", type = \"date32\" }},\n\
         {{ name = \"amount\", from = \"quantity\", class = \"plain\", type = \"int16\" }}]\n\
         [[tables]]\nname = \"act\"\nsources = [\"{0}/act-*.csv\"]\ncolumns = [\n\
         {{ name = \"day\", class = \"quasi\", type = \"date32\" }},\n\
         {{ name = \"code\", class = \"health\", type = \"utf8\" }}]\n\
         flatten = {{ with = \"stay\", on = [\"day\"] }}\n",
        sandbox.sources().display()
    );
    Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap()
}

fn keeping(sandbox: &Sandbox) -> LoadOptions {
    LoadOptions {
        reject_to: Some(sandbox.dir.path().join("rejects.csv")),
        reject_limit: RejectLimit::Rows(9),
        keep_rejects: true,
        ..sandbox.options()
    }
}

async fn load_with(sandbox: &Sandbox, options: &LoadOptions) -> Result<LoadReport, LoadError> {
    let dataset = description(sandbox);
    load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, options).await
}

async fn kept(sandbox: &Sandbox, version: Option<u64>) -> Vec<KeptReject> {
    rejects(&sandbox.into, "claims", version, &sandbox.stores, &sandbox.keys)
        .await
        .unwrap()
}

/// Table, line, column, reason and values of each.
fn shown(rows: &[KeptReject]) -> Vec<(&str, u64, &str, &str, &Value)> {
    assert!(rows.iter().all(|row| row.row.is_none() && row.byte.is_some()));
    rows.iter()
        .map(|row| {
            let column = row.column.as_deref().unwrap_or("");
            (
                row.table.as_str(),
                row.line.unwrap(),
                column,
                row.reason.as_str(),
                &row.values,
            )
        })
        .collect()
}

fn write(sandbox: &Sandbox, name: &str, text: &[u8]) {
    std::fs::write(sandbox.sources().join(name), text).unwrap();
}

/// A dataset of which one load set five rows aside.
async fn loaded() -> Sandbox {
    let sandbox = Sandbox::local(3).await;
    let stays =
        b"A,2020-01-02,NAMEMARK,3\nB,2020-13-45,NAMEMARK,7\n\"C,SECRET\",2020-01-04,NAMEMARK,x\nSECRET1,2020-01-05\n\
                  SECRET\xe9,2020-01-06,NAMEMARK,\n";
    write(&sandbox, "stay-1.csv", &[HEADER.as_bytes(), stays].concat());
    write(
        &sandbox,
        "act-1.csv",
        b"day,code\n2020-01-02,E11\n2020-02-02,SECRETCODE\n",
    );
    let report = load_with(&sandbox, &keeping(&sandbox)).await.unwrap();
    assert_eq!(report.rejected, 5);
    sandbox
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_kept_and_read_back() {
    let sandbox = loaded().await;
    let found = kept(&sandbox, None).await;
    assert!(
        found
            .iter()
            .all(|row| row.version == 1 && row.source.starts_with("file://"))
    );
    // What is ignored is not kept, unless nobody knows which field is which.
    let expected = [
        (
            "act",
            3,
            "",
            "no parent row has its keys",
            &json!({ "day": "2020-02-02", "code": "SECRETCODE" }),
        ),
        (
            "stay",
            3,
            "day",
            "no day of the calendar, or no time of the day",
            &json!({ "patient": "B", "day": "2020-13-45", "amount": "7" }),
        ),
        (
            "stay",
            4,
            "amount",
            "not an integer",
            &json!({ "patient": "C,SECRET", "day": "2020-01-04", "amount": "x" }),
        ),
        (
            "stay",
            5,
            "",
            "wrong number of fields: 2, not 4",
            &json!(["SECRET1", "2020-01-05"]),
        ),
        (
            "stay",
            6,
            "patient",
            "not utf-8",
            &json!({ "patient": { "hex": "534543524554e9" }, "day": "2020-01-06", "amount": "" }),
        ),
    ];
    assert_eq!(shown(&found), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_them_is_in_clear() {
    let sandbox = loaded().await;
    let listed = std::fs::read(sandbox.dir.path().join("rejects.csv")).unwrap();
    let files = sandbox.files().into_iter().map(|file| std::fs::read(file).unwrap());
    for bytes in files.chain([listed]) {
        let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
        assert!(!has(b"SECRET") && !has(b"2020-13-45") && !has(b"NAMEMARK"));
    }
    assert!(!format!("{:?}", kept(&sandbox, None).await).contains("SECRET"));
    let snapshot = sandbox.snapshot().await;
    let names: Vec<&str> = snapshot.tables().map(|table| table.name()).collect();
    assert_eq!(names, ["act", "stay"]);
    let options = VerifyOptions::default();
    let verified = verify(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    let verified = verified.unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    let rows = verified.tables.iter().find(|table| table.name == "_rejects_stay");
    assert_eq!(rows.unwrap().rows, 4);
}

/// They go on with other loads and new keys, and leave when they are tried again.
#[tokio::test(flavor = "multi_thread")]
async fn they_leave_with_the_load_that_set_them_aside() {
    let sandbox = loaded().await;
    write(
        &sandbox,
        "stay-2.csv",
        format!("{HEADER}D,2021-01-02,NAMEMARK,SECRET2\n").as_bytes(),
    );
    load_with(&sandbox, &keeping(&sandbox)).await.unwrap();
    assert_eq!(kept(&sandbox, Some(1)).await.len(), 5);
    sandbox.rotate_all().await;
    sandbox.rewrap().await.unwrap();
    sandbox.retire_old().await;
    let options = CompactOptions {
        all_files: true,
        writing: sandbox.options(),
        ..CompactOptions::default()
    };
    let compacted = compact(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    assert_eq!(compacted.unwrap().created, Some(3));
    let all = kept(&sandbox, None).await;
    let of_stays: Vec<u64> = all
        .iter()
        .filter(|row| row.table == "stay")
        .map(|row| row.version)
        .collect();
    assert_eq!((all.len(), of_stays), (6, vec![1, 1, 1, 1, 2]));

    write(
        &sandbox,
        "stay-1.csv",
        format!("{HEADER}A,2020-01-02,NAMEMARK,3\n").as_bytes(),
    );
    write(
        &sandbox,
        "stay-2.csv",
        format!("{HEADER}D,2021-01-02,NAMEMARK,y\n").as_bytes(),
    );
    write(&sandbox, "act-1.csv", b"day,code\n2020-01-02,E11\n");
    let again = LoadOptions {
        replace: true,
        ..keeping(&sandbox)
    };
    load_with(&sandbox, &again).await.unwrap();
    let left = kept(&sandbox, None).await;
    assert_eq!((left.len(), left[0].version), (1, 4));
    assert_eq!(left[0].values["amount"], "y");
    assert_eq!(
        kept(&sandbox, Some(3)).await.len(),
        6,
        "versions before stay as they are"
    );

    write(
        &sandbox,
        "stay-2.csv",
        format!("{HEADER}D,2021-01-02,NAMEMARK,4\n").as_bytes(),
    );
    load_with(&sandbox, &again).await.unwrap();
    assert!(kept(&sandbox, None).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_kept_only_where_that_is_said_and_not_without_end() {
    let sandbox = Sandbox::local(3).await;
    write(&sandbox, "act-1.csv", b"day,code\n");
    write(
        &sandbox,
        "stay-1.csv",
        format!("{HEADER}A,2020-01-02,NAMEMARK,x\n").as_bytes(),
    );
    let listed = LoadOptions {
        keep_rejects: false,
        ..keeping(&sandbox)
    };
    load_with(&sandbox, &listed).await.unwrap();
    assert!(kept(&sandbox, None).await.is_empty());

    let nowhere = LoadOptions {
        reject_to: None,
        ..keeping(&sandbox)
    };
    let refused = load_with(&sandbox, &nowhere).await.unwrap_err();
    assert!(
        matches!(
            refused,
            LoadError::Option {
                option: "keep_rejects",
                ..
            }
        ),
        "{refused}"
    );

    // A twentieth of 64 MiB.
    let long = format!("{},2020-01-02,NAMEMARK,x\n", "A".repeat(4 << 20));
    write(&sandbox, "stay-2.csv", format!("{HEADER}{long}").as_bytes());
    let little = LoadOptions {
        memory_bytes: 64 << 20,
        ..keeping(&sandbox)
    };
    let refused = load_with(&sandbox, &little).await.unwrap_err();
    let too_many = matches!(refused, LoadError::Source(SourceError::TooManyKept { .. }));
    assert!(too_many && refused.to_string().contains("--keep-rejects"), "{refused}");
    assert_eq!(sandbox.snapshot().await.version(), 1);
}
