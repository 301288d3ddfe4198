//! What a load says of itself, counted by hand beside it, and that it is kept with the version, encrypted.

use std::collections::BTreeMap;

use parcours_tables::compact::{CompactOptions, compact};
use parcours_tables::load::{LoadOptions, LoadReport, PatientsReport, TableReport, diff, load, reports};
use parcours_tables::source::RejectLimit;
use parcours_tables::spec::Dataset;

use crate::sandbox::{Sandbox, all_granted, lines, patients, query};

fn description(sandbox: &Sandbox) -> Dataset {
    Dataset::parse(&description_text(sandbox), sandbox.dir.path(), &|_| None).unwrap()
}

fn description_text(sandbox: &Sandbox) -> String {
    format!(
        "name = \"claims\"\npatient_id = \"patient\"\nshards = 3\nsplits = [\"B\", \"C\"]\n\
         [[tables]]\nname = \"rows\"\nsources = [\"{0}/rows-*.csv\"]\norder = [\"day\"]\ncolumns = [\n\
         {{ name = \"patient\", class = \"identity\", type = \"utf8\" }},\n\
         {{ name = \"day\", class = \"quasi\", type = \"date32\" }},\n\
         {{ name = \"quantity\", class = \"plain\", type = \"int16\" }}]\n\
         [[tables]]\nname = \"labels\"\nsharded = false\nsources = [\"{0}/labels.csv\"]\ncolumns = [\n\
         {{ name = \"code\", class = \"plain\", type = \"utf8\" }}]\n",
        sandbox.sources().display()
    )
}

async fn load_all(sandbox: &Sandbox) -> LoadReport {
    let options = LoadOptions {
        reject_to: Some(sandbox.dir.path().join("rejects.csv")),
        reject_limit: RejectLimit::Rows(9),
        ..sandbox.options()
    };
    let dataset = description(sandbox);
    let loaded = load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options).await;
    loaded.unwrap()
}

async fn kept(sandbox: &Sandbox, version: Option<u64>) -> Vec<LoadReport> {
    reports(&sandbox.into, "claims", version, &sandbox.stores, &sandbox.keys)
        .await
        .unwrap()
}

async fn twice_loaded() -> (Sandbox, [LoadReport; 2]) {
    let sandbox = Sandbox::local(3).await;
    let write = |name: &str, text: &str| std::fs::write(sandbox.sources().join(name), text).unwrap();
    write(
        "rows-1.csv",
        "patient,day,quantity\nA,2020-01-02,3\nB,2020-01-01,\nA,2020-01-02,3\nA,2020-01-02,3\nA,2020-01-02,4\n\
         C,2020-02-30,1\n,2020-01-01,1\nA,2020-01-01,x\nC,2020-02-31,1\n",
    );
    write("rows-2.csv", "patient,day,quantity\nA,2020-01-02,4\nC,,-7\n");
    write("labels.csv", "code\nx\ny\nx\n");
    let first = load_all(&sandbox).await;
    write(
        "rows-3.csv",
        "patient,day,quantity\nA,2021-01-01,1\nD,2021-01-01,1\nD,2021-01-02,1\n",
    );
    let second = load_all(&sandbox).await;
    (sandbox, [first, second])
}

fn table<'a>(report: &'a LoadReport, name: &str) -> &'a TableReport {
    report.tables.iter().find(|table| table.name == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_patients_and_columns_are_counted() {
    let (_sandbox, [first, second]) = twice_loaded().await;
    let rows = table(&first, "rows");
    // A|2020-01-02|3 three times and A|2020-01-02|4 twice, in two sources.
    assert_eq!((rows.loaded, rows.rows, rows.repeated), (2, 7, 3));
    let counts: Vec<_> = rows.sources.iter().map(|source| (source.read, source.loaded)).collect();
    assert_eq!(counts, [(9, 5), (2, 2)]);
    let reasons = BTreeMap::from([
        ("missing patient id".to_owned(), 1),
        ("no day of the calendar, or no time of the day".to_owned(), 2),
        ("not an integer".to_owned(), 1),
    ]);
    assert_eq!(rows.sources[0].rejected, reasons);
    assert!(rows.sources[1].rejected.is_empty() && rows.sources[1].path.ends_with("/rows-2.csv"));
    let columns: Vec<_> = rows
        .columns
        .iter()
        .map(|column| {
            (
                column.name.as_str(),
                column.nulls,
                column.least.as_deref(),
                column.greatest.as_deref(),
            )
        })
        .collect();
    // Bounds of other classes would be values of one patient.
    assert_eq!(
        columns,
        [
            ("patient", 0, None, None),
            ("day", 1, None, None),
            ("quantity", 1, Some("-7"), Some("4"))
        ]
    );
    let labels = table(&first, "labels");
    assert_eq!((labels.rows, labels.repeated), (3, 1));
    assert_eq!(labels.columns[0].greatest.as_deref(), Some("y"));
    assert_eq!((first.created, first.rejected), (Some(1), 4));
    assert_eq!(first.patients, PatientsReport { new: 3, known: 0 });
    assert_eq!(second.patients, PatientsReport { new: 1, known: 1 });
    let rows = table(&second, "rows");
    assert_eq!((rows.loaded, rows.skipped, rows.rows, rows.sources.len()), (1, 2, 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_kept_with_their_versions() {
    let (sandbox, [first, second]) = twice_loaded().await;
    assert_eq!(kept(&sandbox, None).await, [second.clone(), first.clone()]);
    assert_eq!(kept(&sandbox, Some(1)).await.first(), Some(&first));
    // Under new master keys, in files written anew, and beside a version that no load made.
    sandbox.rotate_all().await;
    sandbox.rewrap().await.unwrap();
    sandbox.retire_old().await;
    assert_eq!(kept(&sandbox, None).await.len(), 2);
    let options = CompactOptions {
        writing: sandbox.options(),
        ..CompactOptions::default()
    };
    let compacted = compact(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    assert_eq!(compacted.unwrap().created, Some(3));
    assert_eq!(kept(&sandbox, Some(3)).await, [second, first]);
    // No table of theirs is to be seen, and nothing of them in clear.
    let snapshot = sandbox.snapshot().await;
    let names: Vec<&str> = snapshot.tables().map(|table| table.name()).collect();
    assert_eq!(names, ["labels", "rows"]);
    for file in sandbox.files() {
        let bytes = std::fs::read(&file).unwrap();
        let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
        assert!(!has(b"missing patient id") && !has(b"greatest"), "{}", file.display());
    }
}

/// Rows that were set aside are not forgotten: the next loads say so, and `--replace` tries them again.
#[tokio::test(flavor = "multi_thread")]
async fn rows_set_aside_are_said_until_they_are_tried_again() {
    let sandbox = Sandbox::local(3).await;
    let write = |name: &str, text: &str| std::fs::write(sandbox.sources().join(name), text).unwrap();
    write(
        "rows-1.csv",
        "patient,day,quantity\nA,2020-01-02,3\nB,2020-01-01,70000\n",
    );
    write("labels.csv", "code\nx\n");
    assert_eq!(load_all(&sandbox).await.rejected, 1);
    write("rows-2.csv", "patient,day,quantity\nC,2020-01-02,3\n");
    let text = description_text(&sandbox).replace("int16", "int32");
    let wider = Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap();
    let found = diff(&wider, &sandbox.into, &sandbox.stores, &sandbox.options())
        .await
        .unwrap();
    assert_eq!(found.tables[0].set_aside, 1);
    let report = sandbox.load_dataset(&wider).await.unwrap();
    assert_eq!(table(&report, "rows").set_aside_before, 1);
    let replace = LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let report = load(&wider, &sandbox.into, &sandbox.stores, &sandbox.keys, &replace)
        .await
        .unwrap();
    let rows = table(&report, "rows");
    assert_eq!((rows.set_aside_before, rows.rows, rows.skipped), (0, 2, 1));
    let (session, keys) = (sandbox.session().await, sandbox.reading().keys(all_granted()));
    let sql = "SELECT patient, quantity FROM rows ORDER BY patient";
    assert_eq!(
        lines(&query(&session, &keys, sql).await.unwrap()),
        ["A|3", "B|70000", "C|3"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_of_nothing_new_makes_no_report() {
    let sandbox = Sandbox::local(2).await;
    sandbox.write_patients(&patients(5));
    sandbox.write_labels();
    sandbox.write_dispensings("1", &[]);
    sandbox.load().await.unwrap();
    let again = sandbox.load().await.unwrap();
    assert_eq!((again.created, again.version), (None, Some(1)));
    assert_eq!(again.tables[0].columns, []);
    assert_eq!(kept(&sandbox, None).await.len(), 1);
}
