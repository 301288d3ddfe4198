//! Values that sources have by the folders they lie in, as Hive, Spark and pandas lay tables out, and by their names.

use std::sync::Arc;

use crate::sandbox::{Sandbox, all_granted, lines, query};
use crate::source_support::Fixture;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parcours_tables::source::ReadOptions;
use parcours_tables::spec::Dataset;
use parcours_tables::store::Stores;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

/// A dataset over `**/t*.csv` (or another pattern) in folders of its own.
fn fixture(pattern: &str, files: &[(&str, &[u8])], columns: &str, options: &str) -> Fixture {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    Fixture {
        dataset: described(&folder, pattern, columns, options).unwrap(),
        folder,
        stores: Stores::default(),
    }
}

fn described(folder: &TempDir, pattern: &str, columns: &str, options: &str) -> Result<Dataset, String> {
    let text = format!(
        "name = \"d\"\npatient_id = \"id\"\nshards = 2\n[[tables]]\nname = \"t\"\nsources = [\"{pattern}\"]\n{options}\n\
         columns = [{{ name = \"id\", class = \"identity\", type = \"utf8\" }}, {columns}]\n"
    );
    Dataset::parse(&text, folder.path(), &|_| None).map_err(|error| error.to_string())
}

async fn rows(fixture: &Fixture) -> Vec<String> {
    let rows = fixture.rows(ReadOptions::default()).await.unwrap();
    rows.iter().map(|row| row.join(",")).collect()
}

const YEAR: &str = "{ name = \"year\", class = \"plain\", type = \"int32\", folder = \"year\" }";

#[tokio::test]
async fn folders_are_columns_of_csv_files() {
    let columns = format!(
        "{YEAR}, {{ name = \"v\", class = \"plain\", type = \"int32\" }}, \
         {{ name = \"label\", class = \"plain\", type = \"utf8\", folder = \"l\" }}"
    );
    let files: [(&str, &[u8]); 3] = [
        ("year=2021/l=a%2Fb c/t1.csv", b"id,v\np1,1\np2,2\n"),
        (
            "year=1999/year=2022/l=__HIVE_DEFAULT_PARTITION__/t2.csv",
            b"v,id\n3,p3\n",
        ),
        ("year=2023/l=/t3.csv", b"id,v\n"),
    ];
    let fixture = fixture("**/t*.csv", &files, &columns, "");
    // Sources are read in the order of their paths.
    assert_eq!(
        rows(&fixture).await,
        ["p3,2022,3,∅", "p1,2021,1,a/b c", "p2,2021,2,a/b c"]
    );
}

#[tokio::test]
async fn a_file_without_header_counts_its_own_columns_only() {
    let columns = format!("{YEAR}, {{ name = \"v\", class = \"plain\", type = \"int32\" }}");
    let files: [(&str, &[u8]); 1] = [("year=2021/t.csv", b"p1;7\n")];
    let options = "csv = { delimiter = \";\", header = false }";
    let fixture = fixture("**/t*.csv", &files, &columns, options);
    assert_eq!(rows(&fixture).await, ["p1,2021,7"]);
}

#[tokio::test]
async fn folders_are_columns_of_parquet_files() {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["p1", "p2"]));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let columns = "{ name = \"day\", class = \"plain\", type = \"date32\", folder = \"day\" }";
    let files: [(&str, &[u8]); 2] = [("day=2021-03-04/t.parquet", &content), ("day=2021-03-05/_SUCCESS", b"")];
    let fixture = fixture("day=*/*", &files, columns, "format = \"parquet\"");
    assert_eq!(rows(&fixture).await, ["p1,2021-03-04", "p2,2021-03-04"]);
}

#[tokio::test]
async fn a_folder_that_is_no_value_or_is_not_there_is_named() {
    let wrong: [(&str, &[u8]); 1] = [("year=MMXXI/t.csv", b"id\np1\n")];
    let wrong = fixture("**/t*.csv", &wrong, YEAR, "").error().await;
    let named = "year=MMXXI/t.csv: the folder year=… is no value of column year of table t: not an integer";
    assert_eq!(wrong, named);

    let elsewhere: [(&str, &[u8]); 1] = [("2021/t.csv", b"id\np1\n")];
    let missing = fixture("**/t*.csv", &elsewhere, YEAR, "").error().await;
    assert!(missing.contains("2021/t.csv lies in no folder year=…"), "{missing}");
    let optional = YEAR.replace(" }", ", optional = true }");
    assert_eq!(rows(&fixture("**/t*.csv", &elsewhere, &optional, "")).await, ["p1,∅"]);

    let required = YEAR.replace(" }", ", nullable = false }");
    let null: [(&str, &[u8]); 1] = [("year=__HIVE_DEFAULT_PARTITION__/t.csv", b"id\np1\n")];
    let null = fixture("**/t*.csv", &null, &required, "").error().await;
    assert!(null.contains("missing value"), "{null}");
}

#[test]
fn what_a_folder_cannot_be_is_refused() {
    let folder = TempDir::new().unwrap();
    let column = |rest: &str| format!("{{ name = \"v\", class = \"plain\", {rest} }}");
    for (columns, said) in [
        (
            column("type = \"utf8\", folder = \"v\", from = \"w\""),
            "say folder or from",
        ),
        (column("type = \"utf8\", folder = \"v=1\""), "is a name alone"),
        (column("folder = \"v\""), "say one"),
    ] {
        let error = described(&folder, "*.parquet", &columns, "").unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    let text = "name = \"d\"\npatient_id = \"id\"\nshards = 2\n[[tables]]\nname = \"t\"\nsources = [\"*.csv\"]\n\
                columns = [{ name = \"id\", class = \"identity\", type = \"utf8\", folder = \"id\" }]\n";
    let error = Dataset::parse(text, folder.path(), &|_| None).unwrap_err().to_string();
    assert!(
        error.contains("patient id id of table t cannot come from a folder"),
        "{error}"
    );
}

/// A column of the year that stands in the name of a file.
fn of_name(pattern: &str) -> String {
    format!("{{ name = \"year\", class = \"plain\", type = \"int16\", file = \"{pattern}\" }}")
}

#[tokio::test]
async fn names_are_columns_of_files() {
    let files: [(&str, &[u8]); 3] = [
        ("A202306.csv", b"id\np1\n"),
        ("x=1/A202212.CSV", b"id\np2\n"),
        ("a 202101.csv.csv", b"id\np3\n"),
    ];
    let read = fixture("**/[Aa]*.csv", &files[..2], &of_name("A{????}??.csv"), "");
    let mut found = rows(&read).await;
    found.sort();
    assert_eq!(found, ["p1,2023", "p2,2022"]);
    let escaped = of_name("a {????}*").replace("int16", "utf8");
    assert_eq!(rows(&fixture("a *.csv", &files[2..], &escaped, "")).await, ["p3,2021"]);
    let bare = [("A202306.csv", &b"p1,7\n"[..])];
    let columns = format!(
        "{}, {{ name = \"v\", class = \"plain\", type = \"int32\" }}",
        of_name("A{????}??.csv")
    );
    let bare = fixture("*.csv", &bare, &columns, "csv = { header = false }");
    assert_eq!(rows(&bare).await, ["p1,2023,7"]);
}

#[tokio::test]
async fn a_name_that_has_no_value_or_several_is_refused() {
    let files: [(&str, &[u8]); 1] = [("open_damir_2021.csv", b"id\np1\n")];
    for (pattern, said) in [
        (
            "damir_{}.csv",
            "open_damir_2021.csv has no name like damir_{}.csv, which column year of table t comes from",
        ),
        (
            "*_{}.csv",
            "open_damir_2021.csv can be read as *_{}.csv in several ways",
        ),
        (
            "open_{}_2021.csv",
            "open_damir_2021.csv: what stands in its name, as open_{}_2021.csv says, is no value of column year of table t: \
             not an integer",
        ),
    ] {
        let error = fixture("*.csv", &files, &of_name(pattern), "").error().await;
        assert!(error.contains(said), "{error}");
    }
    let optional = of_name("damir_{}.csv").replace(" }", ", optional = true }");
    assert_eq!(rows(&fixture("*.csv", &files, &optional, "")).await, ["p1,∅"]);
    let missing = of_name("open_damir_{}.csv").replace(" }", ", missing = [2021] }");
    assert_eq!(rows(&fixture("*.csv", &files, &missing, "")).await, ["p1,∅"]);
}

#[test]
fn what_a_name_cannot_be_is_refused() {
    let folder = TempDir::new().unwrap();
    let column = |rest: &str| format!("{{ name = \"v\", class = \"plain\", {rest} }}");
    for (rest, said) in [
        (
            "type = \"utf8\", file = \"{}.parquet\", from = \"w\"",
            "say one of them",
        ),
        (
            "type = \"utf8\", file = \"{}.parquet\", folder = \"w\"",
            "say one of them",
        ),
        ("type = \"utf8\", file = \"year.parquet\"", "one pair of braces"),
        ("type = \"utf8\", file = \"a={}/t.parquet\"", "for folders, say folder"),
        ("file = \"{}.parquet\"", "values have no type: say one"),
    ] {
        let error = described(&folder, "*.parquet", &column(rest), "").unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

/// Equal files whose names say other values are other rows, in one load and in the next; a new column of names is refused
/// without its sources.
#[tokio::test(flavor = "multi_thread")]
async fn equal_files_of_two_names_are_both_loaded() {
    let sandbox = Sandbox::local(2).await;
    let described = |column: &str| {
        let text = format!(
            "name = \"claims\"\npatient_id = \"id\"\nshards = 2\n[[tables]]\nname = \"visit\"\nsources = [\"v*.csv\"]\n\
             columns = [{{ name = \"id\", class = \"identity\", type = \"utf8\" }}, {column}]\n"
        );
        Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap()
    };
    let write = |name: &str| std::fs::write(sandbox.dir.path().join(name), "id\np1\np2\n").unwrap();
    let dataset = described(&of_name("v_{????}*.csv"));
    write("v_2021.csv");
    write("v_2022.csv");
    sandbox.load_dataset(&dataset).await.unwrap();
    write("v_2021_copy.csv");
    assert_eq!(sandbox.load_dataset(&dataset).await.unwrap().created, None);
    write("v_2023.csv");
    assert_eq!(sandbox.load_dataset(&dataset).await.unwrap().created, Some(2));

    let (keys, session) = (sandbox.reading().keys(all_granted()), sandbox.session().await);
    let sql = "SELECT year, count(*) FROM visit GROUP BY year ORDER BY year";
    let counts = query(&session, &keys, sql).await.unwrap();
    assert_eq!(lines(&counts), ["2021|2", "2022|2", "2023|2"]);
    let two = format!(
        "{}, {}",
        of_name("v_{????}*.csv"),
        of_name("v_??{??}*.csv").replace("year", "short")
    );
    let error = sandbox.load_dataset(&described(&two)).await.unwrap_err().to_string();
    assert!(error.contains("--replace"), "{error}");
}

/// The same bytes in another folder are other rows, in one load and in the next.
#[tokio::test(flavor = "multi_thread")]
async fn equal_files_of_two_folders_are_both_loaded() {
    let sandbox = Sandbox::local(2).await;
    let text = "name = \"claims\"\npatient_id = \"id\"\nshards = 2\n[[tables]]\nname = \"visit\"\n\
                sources = [\"month=*/*.csv\"]\ncolumns = [{ name = \"id\", class = \"identity\", type = \"utf8\" }, \
                { name = \"month\", class = \"quasi\", type = \"int8\", folder = \"month\" }]\n";
    let write = |month: &str| {
        let folder = sandbox.dir.path().join(month);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("v.csv"), "id\np1\np2\n").unwrap();
    };
    write("month=1");
    write("month=2");
    let dataset = Dataset::parse(text, sandbox.dir.path(), &|_| None).unwrap();
    sandbox.load_dataset(&dataset).await.unwrap();
    write("month=3");
    assert_eq!(sandbox.load_dataset(&dataset).await.unwrap().created, Some(2));
    assert_eq!(sandbox.load_dataset(&dataset).await.unwrap().created, None);

    let keys = sandbox.reading().keys(all_granted());
    let session = sandbox.session().await;
    let sql = "SELECT month, count(*) FROM visit GROUP BY month ORDER BY month";
    assert_eq!(
        lines(&query(&session, &keys, sql).await.unwrap()),
        ["1|2", "2|2", "3|2"]
    );
}
