//! Every format is written, then read back by a reader that is not ours to write, and compared with what went in.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatchReader, StringArray,
    TimestampMicrosecondArray,
};
use arrow::ipc::reader::{FileReader, StreamReader};

use super::*;

const LAYOUT: Layout = Layout {
    max_rows: Some(1000),
    footer: true,
};

fn sample() -> RecordBatch {
    let floats = vec![Some(0.1 + 0.2), None, Some(1e300), Some(-0.0)];
    let texts = vec![Some("a,\"b\"\nc"), Some(""), None, Some(" é\u{1b}[31m")];
    let decimal = Decimal128Array::from(vec![Some(1_234_567_890_123_456_789_i128), None, Some(-5), Some(0)])
        .with_precision_and_scale(38, 2)
        .unwrap();
    RecordBatch::try_from_iter_with_nullable(vec![
        (
            "id",
            Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(-1), None, Some(0)])) as ArrayRef,
            true,
        ),
        ("x", Arc::new(Float64Array::from(floats)), true),
        ("text", Arc::new(StringArray::from(texts)), true),
        (
            "day",
            Arc::new(Date32Array::from(vec![Some(16_832), None, Some(-1), Some(0)])),
            true,
        ),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(1_454_198_400_000_001),
                None,
                Some(0),
                Some(1),
            ])),
            true,
        ),
        (
            "flag",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)])),
            true,
        ),
        ("amount", Arc::new(decimal), true),
    ])
    .unwrap()
}

fn written(format: Format, batches: &[RecordBatch], layout: Layout) -> Vec<u8> {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let mut sink = sink(format, batches[0].schema(), Destination::Memory(memory.clone()), layout).unwrap();
    for batch in batches {
        sink.write(batch).unwrap();
    }
    sink.finish().unwrap();
    memory.lock().unwrap().clone()
}

fn two_batches() -> [RecordBatch; 2] {
    [sample().slice(0, 1), sample().slice(1, 3)]
}

/// A reader of RFC 4180 that tells an empty field from a quoted empty one, written apart from the writer.
fn parse_csv(text: &str) -> Vec<Vec<Option<String>>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = true;
                loop {
                    match chars.next().unwrap() {
                        '"' if chars.next_if_eq(&'"').is_some() => field.push('"'),
                        '"' => break,
                        c => field.push(c),
                    }
                }
            }
            ',' | '\n' => {
                let text = std::mem::take(&mut field);
                row.push((quoted || !text.is_empty()).then_some(text));
                quoted = false;
                if c == '\n' {
                    rows.push(std::mem::take(&mut row));
                }
            }
            c => field.push(c),
        }
    }
    assert!(row.is_empty() && field.is_empty(), "the last line ends");
    rows
}

#[test]
fn csv_reads_back_to_the_same_values() {
    let text = String::from_utf8(written(Format::Csv, &two_batches(), LAYOUT)).unwrap();
    let rows = parse_csv(&text);
    let line = |row: usize| rows[row].iter().map(Option::as_deref).collect::<Vec<_>>();
    assert_eq!(line(0), ["id", "x", "text", "day", "at", "flag", "amount"].map(Some));
    assert_eq!(line(1)[0], Some("9223372036854775807"));
    assert_eq!(line(1)[1].unwrap().parse::<f64>().unwrap(), 0.1 + 0.2);
    assert_eq!(
        line(1)[2..],
        [
            Some("a,\"b\"\nc"),
            Some("2016-02-01"),
            Some("2016-01-31T00:00:00.000001"),
            Some("true"),
            Some("12345678901234567.89"),
        ]
    );
    assert_eq!(line(2), [Some("-1"), None, Some(""), None, None, None, None]);
    assert_eq!(line(3)[1].unwrap().parse::<f64>().unwrap(), 1e300);
    assert_eq!(line(3)[2..4], [None, Some("1969-12-31")]);
    assert_eq!(line(4)[2], Some(" é\u{1b}[31m"));
}

#[test]
fn csv_reads_back_by_arrow() {
    let plain = sample().project(&[0, 1, 3, 4, 5]).unwrap();
    let bytes = written(Format::Csv, std::slice::from_ref(&plain), LAYOUT);
    let mut reader = arrow::csv::ReaderBuilder::new(plain.schema())
        .with_header(true)
        .build(Cursor::new(bytes))
        .unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), plain);
}

#[test]
fn json_lines_read_back_to_the_same_values() {
    let bytes = written(Format::Jsonl, &two_batches(), LAYOUT);
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(text.lines().count(), 4);
    let second: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["text"], "");
    assert!(second["day"].is_null() && second.as_object().unwrap().len() == 7);
    assert!(
        text.contains("12345678901234567.89"),
        "decimals keep every digit: {text}"
    );
    let reader = arrow::json::ReaderBuilder::new(sample().schema())
        .build(Cursor::new(bytes))
        .unwrap();
    let back: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(
        arrow::compute::concat_batches(&sample().schema(), &back).unwrap(),
        sample()
    );
}

#[test]
fn json_and_parquet_number_repeated_names() {
    let schema = Schema::new(
        ["a", "a_2", "a"]
            .map(|name| Field::new(name, arrow::datatypes::DataType::Int64, true))
            .to_vec(),
    );
    let names: Vec<_> = distinct_names(&schema)
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, ["a", "a_2", "a_3"]);
}

#[test]
fn arrow_and_parquet_read_back_identical() {
    let bytes = written(Format::Arrow, &two_batches(), LAYOUT);
    let back: Vec<_> = StreamReader::try_new(Cursor::new(bytes), None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(back, two_batches());

    let bytes = written(Format::Parquet, &two_batches(), LAYOUT);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(reader.schema(), sample().schema());
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), [sample()]);
}

#[test]
fn a_file_appears_whole_or_not_at_all_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.arrow");
    let write = |keep: bool| {
        let mut sink = sink(
            Format::Arrow,
            sample().schema(),
            Destination::file(&path).unwrap(),
            LAYOUT,
        )
        .unwrap();
        sink.write(&sample()).unwrap();
        if keep {
            sink.finish().unwrap().keep().unwrap();
        }
    };
    write(false);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    write(true);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let back: Vec<_> = FileReader::try_new(std::fs::File::open(&path).unwrap(), None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(back, [sample()]);
}

#[test]
fn a_table_aligns_numbers_shows_null_and_disarms_control_characters() {
    let text = String::from_utf8(written(Format::Table, &two_batches(), LAYOUT)).unwrap();
    assert!(
        text.contains("│                  -1 ┆"),
        "numbers stand on the right:\n{text}"
    );
    assert!(
        text.contains("NULL") && text.contains("\\u{1b}[31m") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(text.contains("a,\"b\"\\nc"), "{text}");
    assert!(text.ends_with("(4 rows)\n"), "{text}");
}

#[test]
fn a_table_shows_its_first_rows_and_counts_the_others() {
    let batch = |from: i64| {
        let ids = Int64Array::from_iter_values(from..from + 700);
        RecordBatch::try_from_iter(vec![("id", Arc::new(ids) as ArrayRef)]).unwrap()
    };
    let batches = [batch(0), batch(700), batch(1400)];
    let text = String::from_utf8(written(Format::Table, &batches, LAYOUT)).unwrap();
    assert!(text.contains(" 999 ") && !text.contains(" 1000 "), "{text}");
    assert!(text.contains("(2,100 rows, 1,100 of them not shown"), "{text}");
    let all = Layout {
        max_rows: None,
        footer: false,
    };
    let text = String::from_utf8(written(Format::Table, &batches, all)).unwrap();
    assert!(text.contains(" 2099 ") && !text.contains("rows"), "{text}");
}

#[test]
fn an_empty_result_has_its_header() {
    let empty = sample().slice(0, 0);
    let text = |format| String::from_utf8(written(format, std::slice::from_ref(&empty), LAYOUT)).unwrap();
    assert_eq!(text(Format::Csv), "id,x,text,day,at,flag,amount\n");
    assert_eq!(text(Format::Jsonl), "");
    assert!(text(Format::Table).contains("amount") && text(Format::Table).ends_with("(0 rows)\n"));
}
