//! Parquet sources: the file's own types, conversions that keep every value, and those that cannot.

use std::sync::Arc;

use crate::source_support::Fixture;
use arrow::array::*;
use arrow::datatypes::{Int32Type, i256};
use parcours_tables::source::{self, OnBad, ReadOptions, RejectFile, RejectLimit};
use parcours_tables::spec::Dataset;
use parcours_tables::store::Stores;
use parquet::arrow::ArrowWriter;
use parquet::data_type::{Int96, Int96Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A Parquet file with patient ids p1, p2, … and a column `v`.
fn file(values: ArrayRef) -> Vec<u8> {
    let ids: StringArray = (1..=values.len()).map(|n| Some(format!("p{n}"))).collect();
    written(
        RecordBatch::try_from_iter_with_nullable([("id", Arc::new(ids) as ArrayRef, true), ("v", values, true)])
            .unwrap(),
    )
}

fn written(batch: RecordBatch) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    content
}

fn fixture(content: Vec<u8>, column_type: &str) -> Fixture {
    let column_type = if column_type.is_empty() {
        String::new()
    } else {
        format!(", type = \"{column_type}\"")
    };
    Fixture::of(
        "t.parquet",
        content,
        &format!("{{ name = \"v\", class = \"plain\"{column_type} }}"),
        "",
    )
}

async fn values(array: impl Array + 'static, column_type: &str) -> Result<Vec<String>, String> {
    let fixture = fixture(file(Arc::new(array)), column_type);
    let rows = fixture
        .rows(ReadOptions {
            batch_rows: 2,
            ..ReadOptions::default()
        })
        .await;
    let found = rows.map_err(|error| {
        error
            .to_string()
            .split("t.parquet")
            .last()
            .unwrap_or_default()
            .to_owned()
    });
    Ok(found?.into_iter().map(|row| row[1].clone()).collect())
}

#[tokio::test]
async fn the_files_own_types_are_taken() {
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(Int16Array::from(vec![1])), "Int16"),
        (Arc::new(UInt64Array::from(vec![1])), "UInt64"),
        (Arc::new(LargeStringArray::from(vec!["a"])), "Utf8"),
        (Arc::new(StringViewArray::from(vec!["a"])), "Utf8"),
        (Arc::new(DictionaryArray::<Int32Type>::from_iter(["a"])), "Utf8"),
        (Arc::new(Date64Array::from(vec![86_400_000])), "Date32"),
        (Arc::new(TimestampMillisecondArray::from(vec![1])), "Timestamp(µs)"),
        (Arc::new(TimestampNanosecondArray::from(vec![1000])), "Timestamp(µs)"),
        (
            Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(18, 3).unwrap()),
            "Decimal128(18, 3)",
        ),
        (
            Arc::new(
                Decimal256Array::from(vec![i256::ONE])
                    .with_precision_and_scale(38, 3)
                    .unwrap(),
            ),
            "Decimal128(38, 3)",
        ),
        (Arc::new(BooleanArray::from(vec![true])), "Boolean"),
        (Arc::new(Float64Array::from(vec![1.5])), "Float64"),
    ];
    for (array, expected) in cases {
        let fixture = fixture(file(array), "");
        let batches = fixture.batches(ReadOptions::default()).await.unwrap();
        assert_eq!(batches[0].schema().field(1).data_type().to_string(), expected);
    }
}

#[tokio::test]
async fn values_that_fit_are_converted() {
    let ok = |values: &[&str]| Ok(values.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(
        values(Int64Array::from(vec![Some(-128), None, Some(127)]), "int8").await,
        ok(&["-128", "∅", "127"])
    );
    assert_eq!(
        values(Float64Array::from(vec![1.0, -2.0]), "int32").await,
        ok(&["1", "-2"])
    );
    assert_eq!(values(Int32Array::from(vec![7]), "decimal(5,2)").await, ok(&["7.00"]));
    assert_eq!(
        values(Int32Array::from(vec![16_777_217]), "float64").await,
        ok(&["16777217.0"])
    );
    assert_eq!(values(Float64Array::from(vec![0.1]), "float32").await, ok(&["0.1"]));
    assert_eq!(
        values(TimestampMillisecondArray::from(vec![86_400_000]), "date32").await,
        ok(&["1970-01-02"])
    );
    assert_eq!(
        values(Date32Array::from(vec![1]), "timestamp(us)").await,
        ok(&["1970-01-02T00:00:00"])
    );
    assert_eq!(
        values(StringArray::from(vec![Some("2008-11-29"), None]), "date32").await,
        ok(&["2008-11-29", "∅"])
    );
    assert_eq!(
        values(BinaryArray::from(vec![b"abc".as_ref()]), "utf8").await,
        ok(&["abc"])
    );
    let decimal = Decimal128Array::from(vec![1250])
        .with_precision_and_scale(10, 3)
        .unwrap();
    assert_eq!(values(decimal, "decimal(5,2)").await, ok(&["1.25"]));
}

#[tokio::test]
async fn values_that_do_not_fit_are_bad_rows() {
    let bad = |row: usize, reason: &str| Err(format!(" row {row}, column v: {reason}"));
    assert_eq!(
        values(Int64Array::from(vec![1, 2, 128]), "int8").await,
        bad(3, "value out of range")
    );
    assert_eq!(
        values(Int64Array::from(vec![-1]), "uint64").await,
        bad(1, "value out of range")
    );
    assert_eq!(
        values(Float64Array::from(vec![1.0, 1.5]), "int32").await,
        bad(2, "value would lose digits")
    );
    assert_eq!(
        values(Float64Array::from(vec![f64::NAN]), "int32").await,
        bad(1, "not a number")
    );
    assert_eq!(
        values(Float64Array::from(vec![f64::INFINITY]), "int32").await,
        bad(1, "value out of range")
    );
    assert_eq!(
        values(Float64Array::from(vec![0.1, 0.1 + f64::EPSILON]), "float32").await,
        bad(2, "value would lose digits")
    );
    assert_eq!(
        values(Float64Array::from(vec![1e-300]), "float32").await,
        bad(1, "value would lose digits")
    );
    assert_eq!(
        values(Float64Array::from(vec![1e300]), "float32").await,
        bad(1, "value out of range")
    );
    assert_eq!(
        values(Int64Array::from(vec![(1 << 53) + 1]), "float64").await,
        bad(1, "value would lose digits")
    );
    assert_eq!(
        values(TimestampNanosecondArray::from(vec![1]), "timestamp(us)").await,
        bad(1, "value would lose digits")
    );
    assert_eq!(
        values(TimestampMillisecondArray::from(vec![1]), "date32").await,
        bad(1, "value would lose digits")
    );
    assert_eq!(
        values(BinaryArray::from(vec![b"caf\xe9".as_ref()]), "utf8").await,
        bad(1, "not utf-8")
    );
    assert_eq!(
        values(StringArray::from(vec!["x"]), "int32").await,
        bad(1, "not an integer")
    );
    assert_eq!(
        values(Date32Array::from(vec![-200_000]), "").await,
        bad(
            1,
            "a date outside date_min and date_max of its column, which are 1800-01-01 and 2200-12-31 unless they are said"
        )
    );
    let decimal = || {
        Decimal128Array::from(vec![1255])
            .with_precision_and_scale(10, 3)
            .unwrap()
    };
    assert_eq!(
        values(decimal(), "decimal(5,2)").await,
        bad(1, "value would lose digits")
    );
    assert_eq!(values(decimal(), "decimal(3,3)").await, bad(1, "value out of range"));
}

#[tokio::test]
async fn types_of_another_meaning_are_refused_before_the_first_row() {
    let refused = " has type Int32, which does not convert to date32 of table t";
    assert_eq!(
        values(Int32Array::from(vec![20081129]), "date32").await,
        Err(refused.to_owned())
    );
    for zone in ["UTC", "Europe/Paris"] {
        let instants = TimestampMicrosecondArray::from(vec![1]).with_timezone(zone);
        let error = values(instants, "").await.unwrap_err();
        assert!(error.starts_with(" holds instants: say the zone"), "{error}");
    }
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    assert!(
        values(list, "")
            .await
            .unwrap_err()
            .contains("which table t cannot hold")
    );
}

#[tokio::test]
async fn patients_missing_values_and_bad_rows_are_as_in_csv() {
    let ids = StringArray::from(vec![Some("a"), None, Some(" "), Some("d"), Some("e")]);
    let dates = Date32Array::from(vec![Some(0), Some(0), Some(0), Some(-135_140), None]);
    let nested = StructArray::from(
        RecordBatch::try_from_iter([("x", Arc::new(Int32Array::from(vec![1; 5])) as ArrayRef)]).unwrap(),
    );
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("nested", Arc::new(nested) as ArrayRef, true),
        ("V", Arc::new(dates) as ArrayRef, true),
        ("id", Arc::new(ids) as ArrayRef, true),
    ]);
    let column = "{ name = \"v\", class = \"plain\", missing = [1600-01-01] }";
    let fixture = Fixture::of("t.parquet", written(batch.unwrap()), column, "ignore = [\"nested\"]");
    let rejects = Arc::new(RejectFile::create(fixture.path("r.csv"), RejectLimit::Share(1.0)).unwrap());
    let options = ReadOptions {
        on_bad: OnBad::SetAside(rejects.clone()),
        batch_rows: 2,
        ..ReadOptions::default()
    };
    assert_eq!(
        fixture.rows(options).await.unwrap(),
        [["a", "1970-01-01"], ["d", "∅"], ["e", "∅"]]
    );
    rejects.finish().unwrap();
    let listed = std::fs::read_to_string(fixture.path("r.csv")).unwrap();
    let places: Vec<&str> = listed
        .lines()
        .skip(1)
        .map(|line| line.split_once("\",").unwrap().1)
        .collect();
    assert_eq!(
        places,
        [",,2,id,\"missing patient id\"", ",,3,id,\"missing patient id\""]
    );
    assert!(fixture.error().await.ends_with("row 2, column id: missing patient id"));
}

/// A file with patients a and b and INT96 timestamps, as Julian days and nanoseconds.
fn old_timestamps(times: [(u32, u64); 2]) -> Vec<u8> {
    let schema = "message m { optional binary id (UTF8); optional int96 v; }";
    let mut content = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(&mut content, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let ids = ["a".into(), "b".into()];
    column
        .typed::<parquet::data_type::ByteArrayType>()
        .write_batch(&ids, Some(&[1, 1]), None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let times = times.map(|(day, nanos)| {
        let mut value = Int96::new();
        value.set_data(nanos as u32, (nanos >> 32) as u32, day);
        value
    });
    column
        .typed::<Int96Type>()
        .write_batch(&times, Some(&[1, 1]), None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    content
}

#[tokio::test]
async fn old_timestamps_reach_back_to_1600() {
    // Julian days of 1600-01-01 and 2008-11-29.
    let content = old_timestamps([(2_305_448, 0), (2_454_800, 3_600_000_000_000)]);
    let column = "{ name = \"v\", class = \"plain\", missing = [1600-01-01], zone = \"UTC\" }";
    let fixture = Fixture::of("t.parquet", content.clone(), column, "");
    assert_eq!(
        fixture.rows(ReadOptions::default()).await.unwrap(),
        [["a", "∅"], ["b", "2008-11-29T01:00:00"]]
    );
    let unsaid = Fixture::of("t.parquet", content, "{ name = \"v\", class = \"plain\" }", "")
        .error()
        .await;
    assert!(unsaid.contains("holds instants"), "{unsaid}");
}

#[tokio::test]
async fn old_timestamps_keep_their_digits_or_are_bad_rows() {
    let column = "{ name = \"v\", class = \"plain\", date_min = 0001-01-01, zone = \"UTC\" }";
    let fixture = Fixture::of(
        "t.parquet",
        old_timestamps([(1_721_426, 1_000), (2_305_448, 1_001)]),
        column,
        "",
    );
    let error = fixture.error().await;
    assert!(error.ends_with("row 2, column v: value would lose digits"), "{error}");
}

/// What bad rows hold is what the file has, before it becomes what the table has.
#[tokio::test]
async fn bad_rows_are_given_out_with_what_they_hold() {
    let ids = StringArray::from(vec![Some("a"), Some("b"), None]);
    let values = Int64Array::from(vec![Some(1), Some(70_000), None]);
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("v", Arc::new(values) as ArrayRef, true),
        ("id", Arc::new(ids) as ArrayRef, true),
        ("other", Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef, true),
    ]);
    let column = "{ name = \"small\", from = \"v\", class = \"plain\", type = \"int16\" }";
    let fixture = Fixture::of("t.parquet", written(batch.unwrap()), column, "ignore = [\"other\"]");
    let rejects = RejectFile::create(fixture.path("r.csv"), RejectLimit::Share(1.0)).unwrap();
    let rejects = Arc::new(rejects.keeping_rows(1 << 20));
    let options = ReadOptions {
        on_bad: OnBad::SetAside(rejects.clone()),
        ..ReadOptions::default()
    };
    assert_eq!(fixture.rows(options).await.unwrap(), [["a", "1"]]);
    let kept = rejects.take_rows();
    let kept: Vec<(&str, String, &str)> = kept
        .iter()
        .map(|row| (row.table.as_str(), row.bad.position.to_string(), row.values.as_json()))
        .collect();
    assert_eq!(
        kept,
        [
            ("t", "row 2".to_owned(), r#"{"id":"b","small":"70000"}"#),
            ("t", "row 3".to_owned(), r#"{"id":null,"small":null}"#),
        ]
    );
    assert!(rejects.take_rows().is_empty());
}

#[tokio::test]
async fn instants_are_shown_on_the_clock_of_the_zone() {
    let noon = 1_625_140_800_000_000;
    let summer = || TimestampMicrosecondArray::from(vec![Some(noon), None]).with_timezone("UTC");
    let read = async |zone: &str, kind: &str| {
        let column = format!("{{ name = \"v\", class = \"plain\", type = \"{kind}\"{zone} }}");
        let options = if zone.is_empty() { "zone = \"Europe/Paris\"" } else { "" };
        let fixture = Fixture::of("t.parquet", file(Arc::new(summer())), &column, options);
        fixture
            .rows(ReadOptions::default())
            .await
            .map(|rows| rows[0][1].clone())
    };
    assert_eq!(
        read(", zone = \"UTC\"", "timestamp(us)").await.unwrap(),
        "2021-07-01T12:00:00"
    );
    assert_eq!(read("", "timestamp(us)").await.unwrap(), "2021-07-01T14:00:00");
    let cut = read("", "date32").await.unwrap_err().to_string();
    let midnight = "row 1, column v: no midnight on the clock of its zone: say timestamp(us), or any_time = true";
    assert!(cut.ends_with(midnight), "{cut}");
}

/// The 28th and 29th of March 2021 begin in Paris at 23:00 and 22:00 of the day before, as Python's zoneinfo has it.
#[tokio::test]
async fn days_are_taken_of_the_midnights_of_a_zone() {
    let midnights = [1_616_886_000_000_000, 1_616_968_800_000_000];
    let read = async |instants: Vec<i64>, utc: bool, more: &str| {
        let column = format!("{{ name = \"v\", class = \"plain\", type = \"date32\"{more} }}");
        let instants = TimestampMicrosecondArray::from(instants);
        let instants = if utc { instants.with_timezone("UTC") } else { instants };
        let rows = Fixture::of("t.parquet", file(Arc::new(instants)), &column, "")
            .rows(ReadOptions::default())
            .await;
        rows.map(|rows| rows.into_iter().map(|row| row[1].clone()).collect::<Vec<_>>())
    };
    let paris = ", zone = \"Europe/Paris\"";
    assert_eq!(
        read(midnights.to_vec(), true, paris).await.unwrap(),
        ["2021-03-28", "2021-03-29"]
    );
    let other = read(midnights.to_vec(), true, ", zone = \"UTC\"")
        .await
        .unwrap_err()
        .to_string();
    assert!(other.contains("row 1, column v: no midnight"), "{other}");
    let any = ", zone = \"UTC\", any_time = true";
    assert_eq!(
        read(midnights.to_vec(), true, any).await.unwrap(),
        ["2021-03-27", "2021-03-28"]
    );
    let clocks = vec![midnights[0], -1];
    assert_eq!(
        read(clocks.clone(), false, ", any_time = true").await.unwrap(),
        ["2021-03-27", "1969-12-31"]
    );
    let lost = read(clocks, false, "").await.unwrap_err().to_string();
    assert!(lost.ends_with("row 1, column v: value would lose digits"), "{lost}");
}

#[tokio::test]
async fn other_kinds_of_columns_are_read_where_the_table_says_what_they_are() {
    let one = |values: Result<Vec<String>, String>| values.map(|values| values.join(" "));
    assert_eq!(one(values(NullArray::new(2), "int32").await), Ok("∅ ∅".to_owned()));
    assert_eq!(
        one(values(Int32Array::from(vec![7, -1]), "utf8").await),
        Ok("7 -1".to_owned())
    );
    assert_eq!(
        one(values(Int8Array::from(vec![0, 1]), "bool").await),
        Ok("false true".to_owned())
    );
    let rest = values(Float64Array::from(vec![f64::NAN, -0.0, f64::INFINITY]), "float32").await;
    assert_eq!(one(rest), Ok("NaN -0.0 inf".to_owned()));
    let two = values(Int8Array::from(vec![2]), "bool").await.unwrap_err();
    assert_eq!(two, " row 1, column v: not a boolean");
    let bytes = FixedSizeBinaryArray::try_from_iter([b"abc", b"def"].into_iter()).unwrap();
    assert_eq!(one(values(bytes, "utf8").await), Ok("abc def".to_owned()));
    let column = "{ name = \"v\", class = \"plain\", type = \"date32\", format = \"%Y%m%d\" }";
    let days = Fixture::of(
        "t.parquet",
        file(Arc::new(Int32Array::from(vec![20081129]))),
        column,
        "",
    );
    assert_eq!(days.rows(ReadOptions::default()).await.unwrap(), [["p1", "2008-11-29"]]);
}

#[tokio::test]
async fn files_must_agree_unless_the_table_says() {
    let dataset = |folder: &std::path::Path, declared: &str| {
        let text = format!(
            "name = \"d\"\npatient_id = \"id\"\nshards = 1\n[[tables]]\nname = \"t\"\nsources = [\"*.parquet\"]\n\
             columns = [{{ name = \"id\", class = \"identity\" }}, {{ name = \"v\", class = \"plain\"{declared} }}]"
        );
        Dataset::parse(&text, folder, &|_| None).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.parquet"),
        file(Arc::new(Int32Array::from(vec![1]))),
    )
    .unwrap();
    std::fs::write(
        folder.path().join("b.parquet"),
        file(Arc::new(Int64Array::from(vec![1]))),
    )
    .unwrap();
    let stores = Stores::default();
    let open = dataset(folder.path(), "");
    let files = source::expand(&stores, &open.tables[0]).await.unwrap();
    let error = source::resolve_schema(&stores, &open.tables[0], &files)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("column v of table t has type int64 in "), "{error}");
    let said = dataset(folder.path(), ", type = \"int64\"");
    let schema = source::resolve_schema(&stores, &said.tables[0], &files).await.unwrap();
    assert_eq!(
        source::patient_type(&said, [("t", schema.as_ref())])
            .unwrap()
            .to_string(),
        "utf8"
    );
}

#[tokio::test]
async fn a_column_of_nulls_has_the_type_that_other_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, values: ArrayRef| std::fs::write(folder.path().join(name), file(values)).unwrap();
    write("a.parquet", Arc::new(NullArray::new(1)));
    let text = "name = \"d\"\npatient_id = \"id\"\nshards = 1\n[[tables]]\nname = \"t\"\nsources = [\"*.parquet\"]\n\
                columns = [{ name = \"id\", class = \"identity\" }, { name = \"v\", class = \"plain\" }]";
    let dataset = Dataset::parse(text, folder.path(), &|_| None).unwrap();
    let stores = Stores::default();
    let resolved = async || {
        let files = source::expand(&stores, &dataset.tables[0]).await.unwrap();
        source::resolve_schema(&stores, &dataset.tables[0], &files).await
    };
    let unsaid = resolved().await.unwrap_err().to_string();
    assert!(
        unsaid.contains("column v of table t has no type") && unsaid.contains("say one"),
        "{unsaid}"
    );
    write("b.parquet", Arc::new(Int16Array::from(vec![1])));
    let schema = resolved().await.unwrap();
    assert_eq!(schema.field(1).data_type().to_string(), "Int16");
}

#[tokio::test]
async fn missing_values_of_another_type_and_files_of_another_kind_are_refused() {
    let column = "{ name = \"v\", class = \"plain\", missing = [\"none\"] }";
    let numbers = file(Arc::new(Int32Array::from(vec![1])));
    let fixture = Fixture::of("t.parquet", numbers, column, "");
    assert_eq!(fixture.error().await, "missing value none is not a value of type int32");
    let error = fixture_error(b"id,v\n1,2\n".to_vec()).await;
    assert!(error.starts_with("t.parquet is not readable as parquet"), "{error}");
    let error = fixture_error(Vec::new()).await;
    assert!(error.starts_with("t.parquet is not readable as parquet"), "{error}");
}

async fn fixture_error(content: Vec<u8>) -> String {
    fixture(content, "").error().await
}
