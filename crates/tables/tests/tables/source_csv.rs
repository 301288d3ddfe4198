//! CSV sources: every type, every way of writing NULL, every kind of bad row with its line, and files that are not what
//! they seem. Each content is read in chunks of many sizes, because rows may end anywhere.

use crate::source_support::Fixture;
use parcours_tables::source::{OnBad, ReadOptions, Reason, RejectFile, RejectLimit, SourceError};

fn chunks(bytes: usize) -> ReadOptions {
    ReadOptions {
        chunk_bytes: bytes,
        batch_rows: 3,
        ..ReadOptions::default()
    }
}

/// The rows, the same for every chunk size.
async fn rows(fixture: &Fixture) -> Vec<Vec<String>> {
    let whole = fixture.rows(ReadOptions::default()).await.unwrap();
    for bytes in 16..80 {
        assert_eq!(fixture.rows(chunks(bytes)).await.unwrap(), whole, "chunks of {bytes}");
    }
    whole
}

fn column(name: &str, column_type: &str) -> String {
    format!("{{ name = \"{name}\", class = \"plain\", type = \"{column_type}\" }}")
}

#[tokio::test]
async fn every_type_is_read() {
    let types = [
        ("bool", "true,f,YES,0", "true,false,true,false"),
        ("int8", "-128,127,+5,-0.0", "-128,127,5,0"),
        ("int16", "-32768,32767,1,007", "-32768,32767,1,7"),
        ("int32", "-2147483648,2147483647,1,2", "-2147483648,2147483647,1,2"),
        (
            "int64",
            "-9223372036854775808,9223372036854775807,1,2",
            "-9223372036854775808,9223372036854775807,1,2",
        ),
        ("uint8", "0,255,1,2", "0,255,1,2"),
        ("uint16", "0,65535,1,2", "0,65535,1,2"),
        ("uint32", "0,4294967295,1,2", "0,4294967295,1,2"),
        ("uint64", "0,18446744073709551615,1,2", "0,18446744073709551615,1,2"),
        ("float32", "1.5,-2.25,1e3,.5", "1.5,-2.25,1000.0,0.5"),
        ("float64", "0.1,-2,1E-3,12345678.9", "0.1,-2.0,0.001,12345678.9"),
        ("utf8", "a,é,b c,00", "a,é,b c,00"),
        (
            "date32",
            "2008-11-29,1800-01-01,2200-12-31 00:00:00,2000-02-29",
            "2008-11-29,1800-01-01,2200-12-31,2000-02-29",
        ),
        (
            "timestamp(us)",
            "2008-11-29 10:20:30.123456,2008-11-29T10:20,2008-11-29,1969-12-31T23:59:59.5",
            "2008-11-29T10:20:30.123456,2008-11-29T10:20:00,2008-11-29T00:00:00,1969-12-31T23:59:59.500",
        ),
        ("decimal(5,2)", "999.99,-0.5,7,1.250", "999.99,-0.50,7.00,1.25"),
    ];
    for (name, written, expected) in types {
        let lines: Vec<String> = written
            .split(',')
            .enumerate()
            .map(|(n, value)| format!("p{n},{value}\n"))
            .collect();
        let fixture = Fixture::csv(format!("id,v\n{}", lines.concat()), &column("v", name), "");
        let found: Vec<String> = rows(&fixture).await.into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(found, expected.split(',').collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test]
async fn nulls_and_missing_values_become_null() {
    let columns = "{ name = \"n\", class = \"plain\", type = \"int32\", missing = [9999, \"-1\"] },
        { name = \"d\", class = \"quasi\", type = \"date32\", format = \"%Y%m%d\", missing = [1600-01-01, \"00000000\"] },
        { name = \"s\", class = \"plain\", type = \"utf8\", missing = [\"?\"] }";
    let content =
        "id,n,d,s\na,,,\nb,NA,NA,NA\nc,9999,16000101,?\nd,-1,00000000,x\ne,09999,20081129,\"\"\nf,1,20081129, \n";
    let fixture = Fixture::csv(content, columns, "csv = { null = [\"NA\"] }");
    let expected = [
        "a ∅ ∅ ∅",
        "b ∅ ∅ ∅",
        "c ∅ ∅ ∅",
        "d ∅ ∅ x",
        "e ∅ 2008-11-29 ∅",
        "f 1 2008-11-29  ",
    ];
    let found: Vec<String> = rows(&fixture).await.iter().map(|row| row.join(" ")).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn empty_texts_stay_texts_when_the_description_says_so() {
    let columns = format!("{}, {}", column("s", "utf8"), column("n", "int32"));
    let options = "csv = { null = [\"NA\"], keep_empty = true }";
    let fixture = Fixture::csv("id,s,n\na,,\nb,NA,NA\n", &columns, options);
    assert_eq!(rows(&fixture).await, [["a", "", "∅"], ["b", "∅", "∅"]]);
    let fixture = Fixture::csv("id,s,n\na,,\nb,NA,NA\n", &columns, "csv = { null = [\"NA\"] }");
    assert_eq!(rows(&fixture).await, [["a", "∅", "∅"], ["b", "∅", "∅"]]);
}

#[tokio::test]
async fn french_files_are_read() {
    let columns = format!(
        "{}, {{ name = \"d\", class = \"quasi\", type = \"date32\" }}",
        column("m", "decimal(10,2)")
    );
    let options = "csv = { delimiter = \";\", decimal = \",\", date_format = \"%d/%m/%Y\", quote = \"'\" }";
    let fixture = Fixture::csv("id;m;d\r\n'a;b';12,5;29/11/2008\r\nc;;\r\n", &columns, options);
    assert_eq!(rows(&fixture).await, [["a;b", "12.50", "2008-11-29"], ["c", "∅", "∅"]]);
}

#[tokio::test]
async fn lines_may_end_in_any_way_and_rows_span_them() {
    let expected = [["a", "x\ny"], ["b", "say \"hi\", twice"], ["c", "5\" tall"]];
    let content = "id,s\na,\"x\ny\"\nb,\"say \"\"hi\"\", twice\"\n\nc,5\" tall";
    let variants = [
        content.to_owned(),
        format!("{content}\n\n\n"),
        format!("\u{feff}{content}"),
        content.replace('\n', "\r\n").replace("x\r\ny", "x\ny"),
        content.replace('\n', "\r").replace("x\ry", "x\ny"),
    ];
    for variant in variants {
        let options = "csv = { multiline = true, stray_quotes = true }";
        let fixture = Fixture::csv(&variant, &column("s", "utf8"), options);
        assert_eq!(rows(&fixture).await, expected, "{variant:?}");
    }
}

#[tokio::test]
async fn a_file_without_a_header_is_read_in_order() {
    let fixture = Fixture::csv("a,1\nb,2\n", &column("n", "int32"), "csv = { header = false }");
    assert_eq!(rows(&fixture).await, [["a", "1"], ["b", "2"]]);
    let empty = Fixture::csv("", &column("n", "int32"), "csv = { header = false }");
    assert!(rows(&empty).await.is_empty());
}

#[tokio::test]
async fn a_header_alone_is_no_rows_and_nothing_is_an_error() {
    assert!(
        rows(&Fixture::csv("id,n\n", &column("n", "int32"), ""))
            .await
            .is_empty()
    );
    let empty = Fixture::csv("", &column("n", "int32"), "").error().await;
    assert!(empty.starts_with("t.csv is empty"), "{empty}");
}

const OUTSIDE: &str = "column d: a date outside date_min and date_max of its column, which are 1800-01-01 and 2200-12-31 \
                       unless they are said";

/// A file whose only bad row begins on line 7: line 5 holds a quoted line end, and line 2 is empty.
fn bad_on_line_seven(bad: &[u8]) -> Vec<u8> {
    let head = b"id,n,d,s\n\na,1,2008-01-01,x\nb,2,2008-01-02,\nc,3,2008-01-03,\"two\nlines\"\n";
    [head, bad, b"\ne,5,2008-01-05,z\n"].concat()
}

#[tokio::test]
async fn every_kind_of_bad_row_is_named_with_its_line() {
    let kinds: [(&[u8], &str); 16] = [
        (b",4,2008-01-04,y", "column id: missing patient id"),
        (b"\"  \",4,2008-01-04,y", "column id: missing patient id"),
        (
            b"d,4,2008-01-04",
            "wrong number of fields: 3, not 4; if rows may end before their last columns, say csv = { short_rows = true }",
        ),
        (b"d,4,2008-01-04,y,SECRET", "wrong number of fields: 5, not 4"),
        (b"d,SECRET,2008-01-04,y", "column n: not an integer"),
        (b"d,4.5,2008-01-04,y", "column n: not an integer"),
        (b"d,128,2008-01-04,y", "column n: value out of range"),
        (b"d,99999999999999999999,2008-01-04,y", "column n: value out of range"),
        (b"d,4,SECRET,y", "column d: not a date"),
        (b"d,4,2008-1-4,y", "column d: not a date"),
        (
            b"d,4,2008-02-30,y",
            "column d: no day of the calendar, or no time of the day",
        ),
        (b"d,4,1600-01-01,y", OUTSIDE),
        (b"d,4,2208-01-04,y", OUTSIDE),
        (b"d,4,,y", "column d: missing value"),
        (b"d,4,2008-01-04,caf\xe9", "column s: not utf-8"),
        (b"d,SECRET,SECRET,caf\xe9", "column n: not an integer"),
    ];
    let columns = "{ name = \"n\", class = \"plain\", type = \"int8\" },
        { name = \"d\", class = \"quasi\", type = \"date32\", nullable = false },
        { name = \"s\", class = \"plain\", type = \"utf8\" }";
    for (bad, expected) in kinds {
        for content in [bad_on_line_seven(bad), with_crlf(&bad_on_line_seven(bad))] {
            let byte = content.windows(bad.len()).position(|window| window == bad).unwrap();
            let fixture = Fixture::csv(&content, columns, "csv = { multiline = true }");
            let separator = if expected.starts_with("column") { ", " } else { ": " };
            assert_eq!(
                fixture.error().await,
                format!("t.csv line 7 (byte {byte}){separator}{expected}")
            );
            for bytes in [16, 17, 31, 64] {
                let error = fixture.rows(chunks(bytes)).await.unwrap_err();
                assert!(error.to_string().contains(&format!("line 7 (byte {byte})")), "{error}");
            }
        }
    }
}

fn with_crlf(content: &[u8]) -> Vec<u8> {
    content
        .iter()
        .flat_map(|byte| {
            if *byte == b'\n' {
                vec![b'\r', b'\n']
            } else {
                vec![*byte]
            }
        })
        .collect()
}

#[tokio::test]
async fn other_types_have_their_kinds_of_badness() {
    let kinds = [
        ("bool", "maybe", "not a boolean"),
        ("float64", "nan", "not a number"),
        ("float64", "1e400", "value out of range"),
        ("float32", "1e39", "value out of range"),
        ("decimal(5,2)", "1.005", "value would lose digits"),
        ("decimal(5,2)", "1000", "value out of range"),
        ("decimal(5,2)", "1e1", "not a number"),
        (
            "timestamp(us)",
            "2008-01-01 25:00:00",
            "no day of the calendar, or no time of the day",
        ),
        ("timestamp(us)", "2008-01-01 10", "not a timestamp"),
        (
            "timestamp(us)",
            "2008-01-01 10:00:00Z",
            "a time with an offset from UTC: say the zone of the column's clock",
        ),
        (
            "date32",
            "2008-01-01 10:00:00",
            "a date with a time of day: say timestamp(us), a format, or any_time = true",
        ),
        (
            "timestamp(us)",
            "2300-01-01 10:00:00",
            "a date outside date_min and date_max of its column, which are 1800-01-01 and 2200-12-31 unless they are said",
        ),
        (
            "timestamp(us)",
            "2008-01-01 10:00:00.1234567",
            "value would lose digits",
        ),
        ("uint64", "-1", "value out of range"),
        ("int64", "9223372036854775808", "value out of range"),
    ];
    for (name, written, reason) in kinds {
        let fixture = Fixture::csv(format!("id,v\na,{written}\n"), &column("v", name), "");
        assert_eq!(
            fixture.error().await,
            format!("t.csv line 2 (byte 5), column v: {reason}"),
            "{name} {written}"
        );
    }
}

#[tokio::test]
async fn date_bounds_of_the_table_and_of_a_column_hold() {
    let columns = "{ name = \"d\", class = \"quasi\", type = \"date32\" },
        { name = \"w\", class = \"quasi\", type = \"date32\", date_min = 1999-01-01, date_max = \"2020-12-31\" }";
    let options = "date_min = 2000-01-01\ndate_max = 2010-12-31";
    let good = Fixture::csv(
        "id,d,w\na,2000-01-01,1999-01-01\nb,2010-12-31,2020-12-31\n",
        columns,
        options,
    );
    assert_eq!(rows(&good).await.len(), 2);
    let early = Fixture::csv("id,d,w\na,1999-12-31,2000-01-01\n", columns, options)
        .error()
        .await;
    assert_eq!(early, format!("t.csv line 2 (byte 7), {OUTSIDE}"));
    let late = Fixture::csv("id,d,w\na,2000-01-01,2021-01-01\n", columns, options)
        .error()
        .await;
    assert_eq!(
        late,
        format!("t.csv line 2 (byte 7), {}", OUTSIDE.replace("column d", "column w"))
    );
}

#[tokio::test]
async fn moments_are_bounded_by_whole_days() {
    let columns = "{ name = \"at\", class = \"quasi\", type = \"timestamp(us)\" }";
    let options = "date_min = 2000-01-01\ndate_max = 2010-12-31";
    let good = "id,at\na,2000-01-01 00:00:00\nb,2010-12-31 23:59:59.999999\n";
    assert_eq!(rows(&Fixture::csv(good, columns, options)).await.len(), 2);
    for outside in ["1999-12-31 23:59:59.999999", "2011-01-01 00:00:00"] {
        let said = Fixture::csv(format!("id,at\na,{outside}\n"), columns, options)
            .error()
            .await;
        assert_eq!(
            said,
            format!("t.csv line 2 (byte 6), {}", OUTSIDE.replace("column d", "column at")),
            "{outside}"
        );
    }
}

#[tokio::test]
async fn the_first_bad_row_of_a_file_is_the_one_named() {
    let fixture = Fixture::csv("id,n\na,1\nb,x\nc\n,4\n", &column("n", "int32"), "");
    assert_eq!(fixture.error().await, "t.csv line 3 (byte 9), column n: not an integer");
    let fixture = Fixture::csv("id,n\na,1\nc\nb,x\n,4\n", &column("n", "int32"), "");
    let error = fixture.error().await;
    assert!(
        error.starts_with("t.csv line 3 (byte 9): wrong number of fields: 1, not 2;"),
        "{error}"
    );
}

#[tokio::test]
async fn bad_rows_are_set_aside_without_their_values() {
    let content = "id,n\nSECRET0,x\na,1\nSECRET1\n,SECRET2\nb,2\nSECRET3,2,3\nc,3\nSECRET4,99999999999\n";
    let fixture = Fixture::csv(content, &column("n", "int32"), "");
    let path = fixture.path("rejected.csv");
    for options in [ReadOptions::default(), chunks(16)] {
        let rejects = std::sync::Arc::new(RejectFile::create(&path, RejectLimit::Share(1.0)).unwrap());
        let options = ReadOptions {
            on_bad: OnBad::SetAside(rejects.clone()),
            ..options
        };
        assert_eq!(
            fixture.rows(options).await.unwrap(),
            [["a", "1"], ["b", "2"], ["c", "3"]]
        );
        rejects.finish().unwrap();
        assert_eq!(rejects.total(), 5);
        let reasons: Vec<(Reason, u64)> = rejects
            .counts()
            .into_iter()
            .map(|((_, reason), count)| (reason, count))
            .collect();
        let expected = [
            (Reason::MissingPatientId, 1),
            (Reason::WrongNumberOfFields, 2),
            (Reason::NotAnInteger, 1),
            (Reason::OutOfRange, 1),
        ];
        assert_eq!(reasons, expected);
        let url = format!("\"file://{}\"", fixture.path("t.csv").display());
        let lines = [
            "file,line,byte,row,column,reason".to_owned(),
            format!("{url},2,5,,n,\"not an integer\""),
            format!("{url},4,19,,,\"wrong number of fields: 1, not 2\""),
            format!("{url},5,27,,id,\"missing patient id\""),
            format!("{url},7,40,,,\"wrong number of fields: 3, not 2\""),
            format!("{url},9,56,,n,\"value out of range\""),
        ];
        assert_eq!(
            std::fs::read_to_string(&path).unwrap().lines().collect::<Vec<_>>(),
            lines
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_reject_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rejected.csv");
    RejectFile::create(&path, RejectLimit::default()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = RejectFile::create(folder.path().join("absent/r.csv"), RejectLimit::default())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot write reject file "), "{error}");
}

#[tokio::test]
async fn skipping_says_nothing() {
    let fixture = Fixture::csv("id,n\na,1\nb,x\n", &column("n", "int32"), "");
    let options = ReadOptions {
        on_bad: OnBad::Skip,
        ..ReadOptions::default()
    };
    assert_eq!(fixture.rows(options).await.unwrap(), [["a", "1"]]);
}

#[tokio::test]
async fn a_file_of_bad_rows_alone_ends() {
    let fixture = Fixture::csv("id,n\n".to_owned() + &"x\n".repeat(20_000), &column("n", "int32"), "");
    let options = ReadOptions {
        on_bad: OnBad::Skip,
        ..ReadOptions::default()
    };
    assert!(fixture.rows(options).await.unwrap().is_empty());
}

#[tokio::test]
async fn broken_quotes_stop_the_file_whatever_the_policy() {
    let cases = [
        (
            "id,n\na,1\n\"b,2\nc,3\n",
            "t.csv line 3 (byte 9): a quote is not closed at the end of the line",
        ),
        (
            "id,n\na,1\nb\"c,2\n",
            "t.csv line 3 (byte 9): a quote stands inside a field that does not begin with one",
        ),
        (
            "id,s\na,\"x\"y\n",
            "t.csv line 2 (byte 5): text follows a closing quote",
        ),
        (
            "id,s\nx,\"abc,1\ny,\"def\",2\n",
            "t.csv line 2 (byte 5): a quote is not closed at the end of the line",
        ),
    ];
    for (content, expected) in cases {
        let name = if content.starts_with("id,n") {
            column("n", "utf8")
        } else {
            column("s", "utf8")
        };
        let fixture = Fixture::csv(content, &name, "");
        let error = fixture.error().await;
        assert!(error.starts_with(expected), "{error}");
        let skip = ReadOptions {
            on_bad: OnBad::Skip,
            ..chunks(16)
        };
        assert!(matches!(fixture.rows(skip).await, Err(SourceError::Quotes { .. })));
    }
    let unquoted = Fixture::csv("id,s\na,\"x\"y\n", &column("s", "utf8"), "csv = { quote = \"\" }");
    assert_eq!(rows(&unquoted).await, [["a", "\"x\"y"]]);
}

#[tokio::test]
async fn a_row_without_end_is_refused_before_it_fills_memory() {
    let content = format!("id,s\na,b\nc,\"{}", "x\n".repeat(9 << 20));
    let multiline = "csv = { multiline = true }";
    let error = Fixture::csv(content, &column("s", "utf8"), multiline).error().await;
    assert!(
        error.starts_with("t.csv line 3 (byte 9): row is longer than 8388608 bytes"),
        "{error}"
    );
    let wide = format!("id,s\n{}\n", ",".repeat(17 << 20));
    let error = Fixture::csv(wide, &column("s", "utf8"), "").error().await;
    assert!(error.starts_with("t.csv line 2 (byte 5): row is longer"), "{error}");
}

#[tokio::test]
async fn other_encodings_are_named() {
    let utf16: Vec<u8> = "\u{feff}id,n\na,1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    // A byte order mark says it.
    assert_eq!(
        rows(&Fixture::csv(utf16, &column("n", "int32"), "")).await,
        [["a", "1"]]
    );
    let error = Fixture::csv(b"id,pr\xe9nom\na,1\n", &column("n", "int32"), "")
        .error()
        .await;
    assert_eq!(
        error,
        "t.csv is not utf-8: its header is not: say csv = { encoding = \"windows-1252\" } or another, or convert it"
    );
}

#[tokio::test]
async fn every_source_column_is_used_once_or_ignored() {
    let n = column("n", "int32");
    let cases = [
        (
            "id,n,x,y",
            "",
            "t.csv has columns that table t does not use: x, y: describe them, or list them under ignore",
        ),
        (
            "id,m",
            "ignore = [\"m\"]",
            "t.csv lacks columns of table t: n: check names, say from, or optional = true if others have them",
        ),
        ("id,n,n", "", "t.csv has column n twice"),
        (
            "id,N,n ",
            "",
            "t.csv has columns that table t does not use: n : describe them, or list them under ignore",
        ),
        (
            "id,Nn,nN",
            "",
            "t.csv lacks columns of table t: n: check names, say from, or optional = true if others have them",
        ),
        (
            "ID,Id,n",
            "",
            "t.csv has several columns that could be id of table t: say from",
        ),
    ];
    for (header, options, expected) in cases {
        let line = header.split(',').map(|_| "1").collect::<Vec<_>>().join(",");
        let fixture = Fixture::csv(format!("{header}\n{line}\n"), &n, options);
        assert_eq!(fixture.error().await, expected, "{header}");
    }
    let ignoring = Fixture::csv("ID,x,N,Y\na,junk,1,junk\n", &n, "ignore = [\"x\", \"Y\", \"absent\"]");
    assert_eq!(rows(&ignoring).await, [["a", "1"]]);
    let from = "{ name = \"n\", class = \"plain\", type = \"int32\", from = \"N\" }";
    assert_eq!(
        rows(&Fixture::csv("id,N,n\na,1,2\n", from, "ignore = [\"n\"]")).await,
        [["a", "1"]]
    );
    let exact = Fixture::csv("id,n\na,1\n", from, "").error().await;
    assert_eq!(
        exact,
        "t.csv lacks columns of table t: N: check names, say from, or optional = true if others have them"
    );
    let shared = "{ name = \"n\", class = \"plain\", type = \"int32\", from = \"M\" }, { name = \"m\", class = \"plain\", type = \"int32\" }";
    let error = Fixture::csv("id,M\na,1\n", shared, "").error().await;
    assert_eq!(
        error,
        "columns n and m of table t would both read one column of t.csv: say from"
    );
}

#[tokio::test]
async fn batches_are_bounded() {
    let content = "id,n\n".to_owned() + &"a,1\n".repeat(20_000);
    let fixture = Fixture::csv(content, &column("n", "int32"), "");
    let sizes: Vec<usize> = fixture
        .batches(ReadOptions::default())
        .await
        .unwrap()
        .iter()
        .map(|batch| batch.num_rows())
        .collect();
    assert_eq!(sizes, [8192, 8192, 3616]);
    let long = "id,s\n".to_owned() + &format!("a,{}\n", "x".repeat(1 << 19)).repeat(64);
    let fixture = Fixture::csv(long, &column("s", "utf8"), "");
    let batches = fixture.batches(ReadOptions::default()).await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 64);
    assert!(
        batches.iter().all(|batch| batch.num_rows() <= 33),
        "16 MiB of text a batch"
    );
}

#[tokio::test]
async fn a_file_that_changes_under_a_load_is_an_error() {
    use futures::StreamExt;
    let content = "id,n\n".to_owned() + &"a,1\n".repeat(20_000);
    let fixture = Fixture::csv(&content, &column("n", "int32"), "");
    let files = parcours_tables::source::expand(&fixture.stores, fixture.table())
        .await
        .unwrap();
    let schema = fixture.table().schema().unwrap();
    let options = ReadOptions {
        chunk_bytes: 1024,
        batch_rows: 10,
        ..ReadOptions::default()
    };
    let mut stream =
        parcours_tables::source::read(&fixture.stores, fixture.table(), schema, &files[0], options).unwrap();
    stream.next().await.unwrap().unwrap();
    std::fs::write(fixture.path("t.csv"), content.replace('1', "22")).unwrap();
    let mut last = None;
    while let Some(batch) = stream.next().await {
        last = Some(batch);
    }
    assert!(matches!(last, Some(Err(SourceError::Changed { .. }))), "{last:?}");
}

/// Any well-formed file, written by another implementation, is read as that implementation reads it.
#[tokio::test]
async fn fields_agree_with_the_csv_crate() {
    use rand::{Rng, RngExt, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let alphabet = ["a", "é", ",", "\"", "\n", "\r\n", " ", "0", "", "\"\"", "日本", ";"];
    for round in 0..60 {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(["id", "a", "b"]).unwrap();
        let mut expected = Vec::new();
        for row in 0..random.random_range(0..40) {
            let text = |random: &mut rand::rngs::StdRng| -> String {
                (0..random.next_u32() % 6)
                    .map(|_| alphabet[random.next_u32() as usize % alphabet.len()])
                    .collect()
            };
            let record = [format!("p{row}"), text(&mut random), text(&mut random)];
            writer.write_record(&record).unwrap();
            expected.push(record.to_vec());
        }
        let content = writer.into_inner().unwrap();
        let columns = format!("{}, {}", column("a", "utf8"), column("b", "utf8"));
        let fixture = Fixture::csv(&content, &columns, "csv = { keep_empty = true, multiline = true }");
        let read: Vec<Vec<String>> = csv::Reader::from_reader(&content[..])
            .records()
            .map(|record| record.unwrap().iter().map(str::to_owned).collect())
            .collect();
        assert_eq!(read, expected);
        assert_eq!(fixture.rows(chunks(16 + round)).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_list_of_bad_rows_destroys_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = |name: &str| {
        let error = RejectFile::create(path(name), RejectLimit::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(name) && error.contains("no list of bad rows"), "{error}");
    };
    std::fs::write(path("source.csv"), "id,n\na,1\n").unwrap();
    std::fs::hard_link(path("source.csv"), path("same.csv")).unwrap();
    refused("source.csv");
    refused("same.csv");
    std::fs::create_dir(path("folder")).unwrap();
    refused("folder");
    RejectFile::create(path("rejects.csv"), RejectLimit::default())
        .unwrap()
        .finish()
        .unwrap();
    std::os::unix::fs::symlink(path("rejects.csv"), path("link.csv")).unwrap();
    refused("link.csv");
    // An earlier list is written anew.
    RejectFile::create(path("rejects.csv"), RejectLimit::default()).unwrap();
    assert_eq!(std::fs::read_to_string(path("source.csv")).unwrap(), "id,n\na,1\n");
}

#[tokio::test]
async fn more_bad_rows_than_may_be_set_aside_stop_the_load() {
    let content = "id,n\n".to_owned() + &"a,1\n".repeat(98) + &"a,x\n".repeat(2);
    for (limit, stops) in [
        ("1%", true),
        ("2%", false),
        ("1", true),
        ("2", false),
        ("2%,1", true),
        ("9,1%", true),
        ("2%,2", false),
    ] {
        let fixture = Fixture::csv(&content, &column("n", "int32"), "");
        let rejects = RejectFile::create(fixture.path("rejected.list"), limit.parse().unwrap()).unwrap();
        let rejects = std::sync::Arc::new(rejects);
        let options = ReadOptions {
            on_bad: OnBad::SetAside(rejects.clone()),
            ..ReadOptions::default()
        };
        let read = fixture
            .rows(options)
            .await
            .and_then(|rows| rejects.finish().map(|()| rows.len()));
        match stops {
            true => assert!(read.unwrap_err().to_string().contains("2 of the 100 rows"), "{limit}"),
            false => assert_eq!(read.unwrap(), 98, "{limit}"),
        }
    }
}

#[tokio::test]
async fn files_are_read_as_people_have_them() {
    let columns = format!(
        "{}, {}, {}",
        column("n", "int32"),
        column("m", "decimal(10,2)"),
        column("b", "bool")
    );
    let plain = [["a", "1234", "1234567.50", "true"], ["b", "∅", "∅", "false"]];
    let cases = [
        (
            "Remboursements 2021\n\nid;n;m;b;\na; 1 234 ;1 234 567,50;O;\nb;  ;;N;\n",
            "delimiter = \";\", decimal = \",\", thousands = \" \", skip_lines = 2, trailing_delimiter = true, trim = true, \
             booleans = { true = [\"O\"], false = [\"N\"] }",
        ),
        (
            "id\tn\tm\tb\r\na\t1234.0\t1234567.5\t1\r\nb\t\t\t0\r\n",
            "delimiter = \"\\t\"",
        ),
    ];
    for (content, options) in cases {
        let fixture = Fixture::csv(content, &columns, &format!("csv = {{ {options} }}"));
        assert_eq!(rows(&fixture).await, plain, "{options}");
    }
}

#[tokio::test]
async fn delimiters_behind_the_last_column_are_said() {
    let n = column("n", "int32");
    let error = Fixture::csv("id,n,\na,1,\n", &n, "").error().await;
    assert!(
        error.starts_with("t.csv has a delimiter behind the last column"),
        "{error}"
    );
    let said = "csv = { trailing_delimiter = true }";
    assert_eq!(rows(&Fixture::csv("id,n,\na,1,\n", &n, said)).await, [["a", "1"]]);
    for (content, problem) in [
        ("id,n\na,1\n", "t.csv has no delimiter behind the last column"),
        (
            "id,n,\na,1\n",
            "t.csv line 2 (byte 6): wrong number of fields: 2, not 3",
        ),
        (
            "id,n,\na,1,2\n",
            "t.csv line 2 (byte 6): wrong number of fields: 3, not 2",
        ),
        // One field is missing and so is the last delimiter: that is not a whole row.
        ("id,n,\na\n", "t.csv line 2 (byte 6): wrong number of fields: 1, not 3"),
    ] {
        let error = Fixture::csv(content, &n, said).error().await;
        assert!(error.starts_with(problem), "{error}");
    }
}

/// Fields that are not there are NULL, also where an empty field is an empty text.
#[tokio::test]
async fn rows_may_be_short_where_that_is_said() {
    let columns = format!("{}, {}", column("n", "int32"), column("s", "utf8"));
    let content = "id,n,s\na,1,x\nb,2\nc\nd,,\n";
    let fixture = Fixture::csv(content, &columns, "csv = { short_rows = true, keep_empty = true }");
    let expected = [["a", "1", "x"], ["b", "2", "∅"], ["c", "∅", "∅"], ["d", "∅", ""]];
    for options in [ReadOptions::default(), chunks(16)] {
        assert_eq!(fixture.rows(options).await.unwrap(), expected);
    }
    let error = Fixture::csv(content, &columns, "").error().await;
    assert!(
        error.starts_with("t.csv line 3 (byte 13): wrong number of fields: 2, not 3"),
        "{error}"
    );
    let long = Fixture::csv("id,n,s\na,1,x,y\n", &columns, "csv = { short_rows = true }")
        .error()
        .await;
    assert!(long.ends_with("wrong number of fields: 4, not 3"), "{long}");
    let required = columns.replace("\"s\"", "\"s\", nullable = false");
    let missing = Fixture::csv(content, &required, "csv = { short_rows = true }")
        .error()
        .await;
    assert!(
        missing.ends_with("line 3 (byte 13), column s: missing value"),
        "{missing}"
    );
    let trailing = "csv = { short_rows = true, trailing_delimiter = true }";
    let fixture = Fixture::csv("id,n,s,\na,1,x,\nb,2,\n", &columns, trailing);
    assert_eq!(rows(&fixture).await, [["a", "1", "x"], ["b", "2", "∅"]]);
}

#[tokio::test]
async fn a_closing_quote_that_text_follows_is_told_with_what_to_say() {
    let error = Fixture::csv("id,s\na,\"x\"y\n", &column("s", "utf8"), "").error().await;
    assert!(
        error.contains("text follows a closing quote") && error.contains("csv = { quote = \"\" }"),
        "{error}"
    );
}

#[tokio::test]
async fn escaped_quotes_are_read_where_they_are_said() {
    let content = "id,s\na,\"say \\\"hi\\\", \\\\ twice\"\n";
    let fixture = Fixture::csv(content, &column("s", "utf8"), r#"csv = { escape = "\\" }"#);
    assert_eq!(rows(&fixture).await, [["a", "say \"hi\", \\ twice"]]);
}

#[tokio::test]
async fn every_encoding_and_compression_is_read() {
    let text = "id,s\nà,œuvre €\nb,été\n";
    let expected = [["à", "œuvre €"], ["b", "été"]];
    let (windows, _, _) = encoding_rs::WINDOWS_1252.encode(text);
    let (latin9, _, _) = encoding_rs::ISO_8859_15.encode(text);
    let utf16: Vec<u8> = format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let cases: [(&str, Vec<u8>); 4] = [
        ("utf-8", text.into()),
        ("windows-1252", windows.into()),
        ("iso-8859-15", latin9.into()),
        ("utf-16", utf16),
    ];
    for (encoding, bytes) in cases {
        for compressed in [bytes.clone(), gzip(&bytes), zstd(&bytes), bzip2(&bytes)] {
            let options = format!("csv = {{ encoding = \"{encoding}\" }}");
            let fixture = Fixture::csv(&compressed, &column("s", "utf8"), &options);
            assert_eq!(rows(&fixture).await, expected, "{encoding}");
        }
    }
    let latin1 = Fixture::csv(
        b"id,s\na,\xe9t\xe9\n",
        &column("s", "utf8"),
        "csv = { encoding = \"iso-8859-1\" }",
    );
    assert_eq!(rows(&latin1).await, [["a", "été"]]);
    let undefined = Fixture::csv(
        b"id,s\na,\x81\n",
        &column("s", "utf8"),
        "csv = { encoding = \"windows-1252\" }",
    );
    let error = undefined.error().await;
    assert!(error.starts_with("t.csv is not written in windows-1252"), "{error}");
    let cut = gzip(text.as_bytes());
    let cut = Fixture::csv(&cut[..cut.len() - 9], &column("s", "utf8"), "")
        .error()
        .await;
    assert!(cut.starts_with("t.csv cannot be decompressed"), "{cut}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    // Two members, as files that were put together have them.
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let member = |part: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    [member(one), member(other)].concat()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_is_no_csv_is_named() {
    for (content, problem) in [
        (&b"PAR1...."[..], "t.csv is parquet: say format"),
        (b"PK\x03\x04....", "t.csv is a zip archive, or a workbook"),
        (b"\xfd7zXZ\x00..", "t.csv is compressed with xz"),
    ] {
        let error = Fixture::csv(content, &column("n", "int32"), "").error().await;
        assert!(error.starts_with(problem), "{error}");
    }
}
