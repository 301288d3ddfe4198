//! Files as people name, keep and write them: what is read of them, and what is refused by its name.

use std::path::Path;
use std::process::Command;

use crate::source_support::Fixture;
use parcours_tables::source::{self, ReadOptions};
use parcours_tables::spec::Dataset;
use parcours_tables::store::Stores;
use tempfile::TempDir;

const TEXT: &str = "{ name = \"s\", class = \"plain\", type = \"utf8\" }";

async fn rows(fixture: &Fixture) -> Vec<Vec<String>> {
    fixture.rows(ReadOptions::default()).await.unwrap()
}

/// The names of the files that `pattern` matches in `folder`, or why none.
async fn found(folder: &Path, pattern: &str) -> Result<Vec<String>, String> {
    let dataset = described(folder, pattern, "")?;
    let files = source::expand(&Stores::default(), &dataset.tables[0]).await;
    let files = files.map_err(|error| error.to_string())?;
    let name = |file: &source::SourceFile| file.url.path_segments().unwrap().next_back().unwrap().to_owned();
    Ok(files.iter().map(name).collect())
}

fn described(folder: &Path, pattern: &str, options: &str) -> Result<Dataset, String> {
    let text = format!(
        "name = \"d\"\npatient_id = \"id\"\nshards = 1\n[[tables]]\nname = \"t\"\nsources = ['{pattern}']\n{options}\n\
         columns = [{{ name = \"id\", class = \"identity\", type = \"utf8\" }}]"
    );
    Dataset::parse(&text, folder, &|_| None).map_err(|error| error.to_string())
}

fn write(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "id\n1\n").unwrap();
    }
}

#[tokio::test]
async fn names_are_matched_in_any_case_and_as_they_are() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("odd [name] *");
    write(&folder, &["A9.CSV", "a [2021].csv", "sub/b.csv"]);
    assert_eq!(found(&folder, "a*.csv").await.unwrap(), ["A9.CSV", "a%20[2021].csv"]);
    assert_eq!(found(&folder, "a [2021].csv").await.unwrap(), ["a%20[2021].csv"]);
    assert_eq!(found(&folder, "a [[]2021].csv").await.unwrap(), ["a%20[2021].csv"]);
    assert_eq!(found(&folder.join("sub"), "../A9.CSV").await.unwrap(), ["A9.CSV"]);
    assert_eq!(found(&folder.join("sub"), "../sub/*.csv").await.unwrap(), ["b.csv"]);
    let error = found(&folder, "b [2021]*.csv").await.unwrap_err();
    assert!(error.contains("a bracket in a name is written [[]"), "{error}");
}

#[tokio::test]
async fn what_writers_leave_beside_their_data_is_not_read() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("_exports");
    let names = [
        "p=1/a.csv",
        "_temporary/0/b.csv",
        "p=1/_SUCCESS.csv",
        ".staging/c.csv",
        "_kept/d.csv",
    ];
    write(&folder, &names);
    assert_eq!(found(&folder, "**/*.csv").await.unwrap(), ["a.csv"]);
    assert_eq!(found(&folder, "_kept/*.csv").await.unwrap(), ["d.csv"]);
    assert_eq!(found(root.path(), "_exports/p=1/*.csv").await.unwrap(), ["a.csv"]);
    assert_eq!(
        found(root.path(), "_exports/p=1/_*.csv").await.unwrap(),
        ["_SUCCESS.csv"]
    );
}

#[tokio::test]
async fn what_is_no_file_is_said() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("a.csv")).unwrap();
    let error = found(folder.path(), "a.csv").await.unwrap_err();
    assert!(error.contains("it is a folder: say which of its files"), "{error}");
    let pipe = folder.path().join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = found(folder.path(), "pipe*.csv").await.unwrap_err();
    assert!(error.contains("pipe.csv is no file"), "{error}");
}

#[test]
fn files_of_other_programs_are_refused_with_a_remedy() {
    let folder = Path::new("/nowhere");
    for (name, remedy) in [
        ("t.sas7bdat", "export it as csv or parquet"),
        ("t.XPT", "export it as csv or parquet"),
        ("t.xlsx", "save it as csv"),
        ("t.csv.zip", "unpack it"),
    ] {
        let error = described(folder, name, "").unwrap_err();
        assert!(error.contains(name) && error.contains(remedy), "{error}");
    }
}

#[tokio::test]
async fn files_of_other_programs_are_known_by_their_bytes() {
    let mut sas = vec![0; 12];
    sas.extend([0xc2, 0xea, 0x81, 0x60, 0xb3]);
    let cases: [(&[u8], &str); 5] = [
        (&sas, "a data file of SAS"),
        (
            b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!",
            "a transport file of SAS",
        ),
        (b"PK\x03\x04____________", "a zip archive, or a workbook"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1________",
            "a workbook of a spreadsheet",
        ),
        (b"i\0d\0,\0s\0\n\0", "utf-16 without a byte order mark"),
    ];
    for (content, kind) in cases {
        let error = Fixture::csv(content, TEXT, "").error().await;
        assert!(error.contains(kind), "{error}");
    }
}

#[tokio::test]
async fn a_header_with_another_delimiter_is_said() {
    let error = Fixture::csv("id;s\na;1\n", TEXT, "").error().await;
    let said = "t.csv has no , in its header, and ; instead: say csv = { delimiter = \";\" }";
    assert_eq!(error, said);
    let error = Fixture::csv("id\ts\na\t1\n", TEXT, "csv = { delimiter = \";\" }")
        .error()
        .await;
    assert!(error.contains("say csv = { delimiter = \"\\t\" }"), "{error}");
}

#[tokio::test]
async fn fields_of_tsv_files_are_delimited_by_tabs() {
    let content = "id\ts\na\tx,y\n";
    assert_eq!(rows(&Fixture::of("t.tsv", content, TEXT, "")).await, [["a", "x,y"]]);
    let said = Fixture::of("t.tsv", "id;s\na;x\ty\n", TEXT, "csv = { delimiter = \";\" }");
    assert_eq!(rows(&said).await, [["a", "x\ty"]]);
}

#[tokio::test]
async fn a_byte_order_mark_says_more_than_the_description() {
    let fixture = Fixture::csv("\u{feff}id,s\na,é\n", TEXT, "csv = { encoding = \"windows-1252\" }");
    assert_eq!(rows(&fixture).await, [["a", "é"]]);
}

#[tokio::test]
async fn control_characters_of_iso_8859_are_those_of_windows() {
    for encoding in ["iso-8859-1", "iso-8859-15"] {
        let options = format!("csv = {{ encoding = \"{encoding}\" }}");
        let error = Fixture::csv(b"id,s\na,5 \x80\n", TEXT, &options).error().await;
        assert!(error.contains("windows-1252"), "{error}");
    }
    let windows = Fixture::csv(b"id,s\na,5 \x80\n", TEXT, "csv = { encoding = \"windows-1252\" }");
    assert_eq!(rows(&windows).await, [["a", "5 €"]]);
}

#[tokio::test]
async fn rows_of_some_megabytes_are_read() {
    let long = "x".repeat(3 << 20);
    let fixture = Fixture::csv(format!("id,s\na,{long}\n"), TEXT, "");
    assert_eq!(rows(&fixture).await, [["a", long.as_str()]]);
}
