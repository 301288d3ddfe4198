//! Parquet files that are damaged, hold what nobody knows here, or could not be read back: each is refused by name.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::sandbox::python;
use crate::source_support::Fixture;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parcours_tables::source::ReadOptions;
use parquet::arrow::ArrowWriter;
use parquet::data_type::{ByteArrayType, FixedLenByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const VALUE: &str = "{ name = \"v\", class = \"plain\", type = \"int32\" }";
const TEXT: &str = "{ name = \"v\", class = \"plain\", type = \"utf8\" }";

/// A file with patient p and a UUID.
fn uuid() -> Vec<u8> {
    let schema = "message m { required binary id (UTF8); required fixed_len_byte_array(16) v (UUID); }";
    let mut content = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(&mut content, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let ids = column.typed::<ByteArrayType>();
    ids.write_batch(&["p".into()], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let bytes: Vec<u8> = (0..16).collect();
    let uuids = column.typed::<FixedLenByteArrayType>();
    uuids.write_batch(&[bytes.into()], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    content
}

/// The same, and the bytes have a meaning that Parquet has not defined yet: Thrift's field 14 becomes field 100.
fn bytes_of_unknown_meaning() -> Vec<u8> {
    let mut content = uuid();
    let length = content.len() - 8;
    let footer = u32::from_le_bytes(content[length..length + 4].try_into().unwrap());
    let begin = length - footer as usize;
    let meaning = content[begin..].windows(3).position(|bytes| bytes == [0xec, 0, 0]);
    let at = begin + meaning.unwrap();
    content.splice(at..=at, [0x0c, 0xc8, 0x01]);
    content[length + 2..length + 6].copy_from_slice(&(footer + 2).to_le_bytes());
    content
}

#[tokio::test]
async fn a_column_of_an_unknown_type_is_named() {
    let fixture = Fixture::of("t.parquet", uuid(), TEXT, "");
    let rows = fixture.rows(ReadOptions::default()).await.unwrap();
    assert_eq!(rows, [["p", "00010203-0405-0607-0809-0a0b0c0d0e0f"]]);
    let error = Fixture::of("t.parquet", bytes_of_unknown_meaning(), TEXT, "")
        .error()
        .await;
    let named = "t.parquet has columns of parquet types that are not known here: v:";
    assert!(error.starts_with(named), "{error}");
}

#[tokio::test]
async fn a_page_that_differs_from_its_checksum_stops_the_load() {
    let Some(python) = python("pyarrow") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    write_with_checksums(&python, &path);
    let mut content = std::fs::read(&path).unwrap();
    let fixture = Fixture::of("t.parquet", &content, VALUE, "");
    assert_eq!(fixture.rows(ReadOptions::default()).await.unwrap().len(), 3);
    let value = 1_234_567_i32.to_le_bytes();
    let at = content.windows(4).position(|bytes| bytes == value).unwrap();
    content[at] ^= 1;
    let error = Fixture::of("t.parquet", content, VALUE, "").error().await;
    assert!(error.contains("t.parquet") && error.contains("checksum"), "{error}");
}

fn write_with_checksums(python: &str, path: &Path) {
    let program = "import pyarrow, pyarrow.parquet, sys\n\
                   table = pyarrow.table({'id': ['a', 'b', 'c'], 'v': pyarrow.array([1, 1234567, 3], 'int32')})\n\
                   pyarrow.parquet.write_table(table, sys.argv[1], write_page_checksum=True, compression='none', \
                   use_dictionary=False, write_statistics=False)";
    let made = Command::new(python).args(["-c", program]).arg(path).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn a_row_that_no_message_holds_is_a_bad_row() {
    let half = "x".repeat(5 << 20);
    let column = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("id", column(["p1", "p2"])),
        ("v", column([&half, &half])),
        ("w", column(["", &half])),
    ])
    .unwrap();
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let columns = "{ name = \"v\", class = \"plain\" }, { name = \"w\", class = \"plain\" }";
    let error = Fixture::of("t.parquet", content, columns, "").error().await;
    assert_eq!(error, "t.parquet row 2, column w: a row of more than 8 MiB");
}

/// The index that pandas writes beside a frame's columns may be meant, or not.
#[tokio::test]
async fn an_index_of_pandas_is_described_or_ignored() {
    let column = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("id", column(&["p"])),
        ("v", column(&["x"])),
        ("__index_level_0__", column(&["7"])),
    ])
    .unwrap();
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = Fixture::of("t.parquet", &content, TEXT, "").error().await;
    assert!(
        error.contains("__index_level_0__: describe them, or list them under ignore"),
        "{error}"
    );
    let ignoring = Fixture::of("t.parquet", &content, TEXT, "ignore = [\"__index_level_0__\"]");
    assert_eq!(ignoring.rows(ReadOptions::default()).await.unwrap(), [["p", "x"]]);
}
