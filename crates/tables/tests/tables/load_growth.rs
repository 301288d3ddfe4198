//! Descriptions that grow: what may change between loads without reading sources again, what takes `--replace`, and what is
//! said of either before it happens.

use parcours_tables::load::{LoadError, LoadOptions, LoadReport, TableDiff, diff, load};
use parcours_tables::spec::Dataset;
use parcours_tables::verify::{VerifyOptions, verify};

use crate::sandbox::{Sandbox, all_granted, dispensings, lines, patients, query};

/// A sandbox with two patients' rows, in two shards, and a description of them that can be altered.
async fn loaded() -> Sandbox {
    let sandbox = Sandbox::local(2).await;
    write(
        &sandbox,
        "1",
        "patient,day,quantity\nA,2020-01-01,3\nB,2020-01-02,\nB,2020-01-03,7\n",
    );
    load_as(&sandbox, FIRST, false).await.unwrap();
    sandbox
}

const FIRST: &str = "{ name = \"day\", class = \"quasi\", type = \"date32\" }, \
                     { name = \"quantity\", class = \"health\", type = \"int16\" }";

fn write(sandbox: &Sandbox, name: &str, text: &str) {
    std::fs::write(sandbox.sources().join(format!("rows-{name}.csv")), text).unwrap();
}

fn described(sandbox: &Sandbox, columns: &str) -> Dataset {
    let text = format!(
        "name = \"claims\"\npatient_id = \"patient\"\nshards = 2\nsplits = [\"B\"]\n[[tables]]\nname = \"rows\"\n\
         sources = [\"{}/rows-*.csv\"]\norder = [\"day\"]\n\
         columns = [{{ name = \"patient\", class = \"identity\", type = \"utf8\" }}, {columns}]\n",
        sandbox.sources().display()
    );
    Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap()
}

async fn load_as(sandbox: &Sandbox, columns: &str, replace: bool) -> Result<LoadReport, LoadError> {
    let options = LoadOptions {
        replace,
        ..sandbox.options()
    };
    let dataset = described(sandbox, columns);
    load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options).await
}

async fn diff_as(sandbox: &Sandbox, columns: &str) -> TableDiff {
    let dataset = described(sandbox, columns);
    let found = diff(&dataset, &sandbox.into, &sandbox.stores, &sandbox.options()).await;
    found.unwrap().tables.remove(0)
}

async fn rows(sandbox: &Sandbox) -> Vec<String> {
    let (session, keys) = (sandbox.session().await, sandbox.reading().keys(all_granted()));
    lines(
        &query(&session, &keys, "SELECT * FROM rows ORDER BY patient, day")
            .await
            .unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_grow_without_their_sources() {
    let sandbox = loaded().await;
    // The sources may be gone: they are not read again.
    std::fs::remove_file(sandbox.sources().join("rows-1.csv")).unwrap();
    write(&sandbox, "2", "patient,site,quantity,day\nA,north,70000,2019-12-31\n");
    let grown = "{ name = \"site\", class = \"plain\", type = \"utf8\" }, \
                 { name = \"quantity\", class = \"health\", type = \"int32\" }, \
                 { name = \"day\", class = \"quasi\", type = \"date32\" }";
    let said = diff_as(&sandbox, grown).await;
    assert!(!said.needs_replace, "{said:?}");
    assert_eq!(
        said.columns,
        [
            "quantity becomes Int32 from Int16",
            "site is new, NULL in rows loaded before",
            "columns stand in another order"
        ]
    );
    assert_eq!((said.new_sources.len(), said.missing_sources.len()), (1, 1));
    load_as(&sandbox, grown, false).await.unwrap();
    assert_eq!(
        rows(&sandbox).await,
        [
            "A|north|70000|2019-12-31",
            "A||3|2020-01-01",
            "B|||2020-01-02",
            "B||7|2020-01-03"
        ]
    );
    assert_eq!(load_as(&sandbox, grown, false).await.unwrap().created, None);
    let options = VerifyOptions::default();
    let verified = verify(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options);
    assert_eq!(verified.await.unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_grows_without_new_sources() {
    let sandbox = loaded().await;
    let grown = format!("{FIRST}, {{ name = \"site\", class = \"plain\", type = \"utf8\", optional = true }}");
    let report = load_as(&sandbox, &grown, false).await.unwrap();
    assert_eq!((report.created, report.tables[0].rows), (Some(2), 0));
    assert_eq!(
        rows(&sandbox).await,
        ["A|2020-01-01|3|", "B|2020-01-02||", "B|2020-01-03|7|"]
    );
    write(&sandbox, "2", "patient,day,quantity\nA,2021-01-01,1\n");
    write(&sandbox, "3", "patient,day,quantity,site\nA,2022-01-01,1,south\n");
    load_as(&sandbox, &grown, false).await.unwrap();
    assert_eq!(rows(&sandbox).await[1..3], ["A|2021-01-01|1|", "A|2022-01-01|1|south"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_growth_takes_the_sources() {
    for (columns, said) in [
        (
            "{ name = \"day\", class = \"quasi\", type = \"date32\" }, \
             { name = \"quantity\", class = \"plain\", type = \"int16\" }",
            "quantity has another class",
        ),
        (
            "{ name = \"day\", class = \"quasi\", type = \"date32\" }, \
             { name = \"quantity\", class = \"health\", type = \"int8\" }",
            "quantity was Int16 and is Int8",
        ),
        (
            "{ name = \"day\", class = \"quasi\", type = \"date32\" }, \
             { name = \"quantity\", class = \"health\", type = \"float64\" }",
            "quantity was Int16 and is Float64",
        ),
    ] {
        let sandbox = loaded().await;
        let before = rows(&sandbox).await;
        let diff = diff_as(&sandbox, columns).await;
        assert!(diff.needs_replace && diff.columns == [said], "{diff:?}");
        let refused = load_as(&sandbox, columns, false).await.unwrap_err();
        assert!(matches!(refused, LoadError::ColumnsChanged { .. }), "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
        assert_eq!(rows(&sandbox).await, before);
        assert!(load_as(&sandbox, columns, true).await.unwrap().tables[0].replaced);
        assert_eq!(rows(&sandbox).await.len(), before.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_gone_takes_the_sources() {
    let sandbox = loaded().await;
    let without = "{ name = \"day\", class = \"quasi\", type = \"date32\" }";
    write(&sandbox, "1", "patient,day\nA,2020-01-01\n");
    let diff = diff_as(&sandbox, without).await;
    assert_eq!(
        (diff.changed_sources.len(), diff.columns),
        (1, vec!["quantity is gone".to_owned()])
    );
    load_as(&sandbox, without, false).await.unwrap_err();
    load_as(&sandbox, without, true).await.unwrap();
    assert_eq!(rows(&sandbox).await, ["A|2020-01-01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_lacks_optional_columns_alone() {
    let sandbox = loaded().await;
    write(&sandbox, "2", "patient,day\nA,2021-01-01\n");
    let refused = load_as(&sandbox, FIRST, false).await.unwrap_err().to_string();
    assert!(refused.contains("lacks columns of table rows: quantity"), "{refused}");
}

/// The first load, compared with a description that fits it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_different_after_a_load() {
    let sandbox = Sandbox::local(2).await;
    sandbox.write_patients(&patients(20));
    sandbox.write_labels();
    sandbox.write_dispensings("1", &dispensings(20, 100, 1));
    let dataset = sandbox.dataset();
    let options = sandbox.options();
    let asked = || diff(&dataset, &sandbox.into, &sandbox.stores, &options);
    let before = asked().await.unwrap();
    assert_eq!(before.version, None);
    assert!(
        before
            .tables
            .iter()
            .all(|table| table.new_sources.len() == 1 && !table.needs_replace)
    );
    sandbox.load().await.unwrap();
    let after = asked().await.unwrap();
    assert_eq!(after.version, Some(1));
    for table in after.tables {
        assert_eq!(
            (table.new_sources.len(), table.known_sources),
            (0, 1),
            "{}",
            table.table
        );
        assert!(table.columns.is_empty() && table.reading.is_empty(), "{}", table.table);
    }
}

/// Split points are values of the patient id's type.
#[tokio::test(flavor = "multi_thread")]
async fn another_type_of_the_patient_id_is_refused_by_name() {
    let sandbox = Sandbox::local(2).await;
    std::fs::write(sandbox.dir.path().join("r.csv"), "id\n1\n2\n").unwrap();
    let dataset = |kind: &str| {
        let text = format!(
            "name = \"claims\"\npatient_id = \"id\"\nshards = 2\n[[tables]]\nname = \"rows\"\nsources = [\"r.csv\"]\n\
             columns = [{{ name = \"id\", class = \"identity\", type = \"{kind}\" }}]\n"
        );
        Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap()
    };
    sandbox.load_dataset(&dataset("int32")).await.unwrap();
    let error = sandbox.load_dataset(&dataset("int64")).await.unwrap_err().to_string();
    assert!(
        error.contains("its patient id had type Int32, and has Int64"),
        "{error}"
    );
}
