//! The real claims and OMOP files through their dataset descriptions, against what DuckDB and pyarrow say of the same
//! files (`source_oracle.csv`, made by `source_oracle.py`).

use std::collections::BTreeMap;
use std::path::Path;

use crate::source_support::{data, joined};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use futures::TryStreamExt;
use parcours_tables::source::{self, ReadOptions};
use parcours_tables::spec::Dataset;
use parcours_tables::store::Stores;

type Columns = BTreeMap<(String, String), (usize, usize, i128)>;

#[tokio::test]
async fn claims_hold_what_duckdb_finds_in_them() {
    compare("claims").await;
}

#[tokio::test]
async fn omop_tables_hold_what_pyarrow_finds_in_them() {
    compare("omop").await;
}

async fn compare(name: &str) {
    let Some(folder) = data() else { return };
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/datasets/{name}.toml"));
    let variables = |variable: &str| (variable == "PARCOURS_DATA").then(|| folder.to_str().unwrap().to_owned());
    let dataset = Dataset::from_file_with(spec, &variables).unwrap();
    let expected = oracle(name);
    for chunk_bytes in [100_003, 4 << 20] {
        let mut found = Columns::new();
        for table in &dataset.tables {
            let batches = read(&dataset, &table.name, chunk_bytes).await;
            let whole = joined(&batches);
            for (field, array) in whole.schema().fields().iter().zip(whole.columns()) {
                found.insert((table.name.clone(), field.name().clone()), summary(array));
            }
        }
        assert_eq!(found, expected);
    }
}

async fn read(dataset: &Dataset, table: &str, chunk_bytes: usize) -> Vec<RecordBatch> {
    let (stores, table) = (Stores::default(), dataset.table(table).unwrap());
    let files = source::expand(&stores, table).await.unwrap();
    let schema = source::resolve_schema(&stores, table, &files).await.unwrap();
    let options = ReadOptions {
        chunk_bytes,
        ..ReadOptions::default()
    };
    source::read(&stores, table, schema, &files[0], options)
        .unwrap()
        .try_collect()
        .await
        .unwrap()
}

/// Rows, values and the weighted sum of a column, as `source_oracle.py` defines them.
fn summary(array: &ArrayRef) -> (usize, usize, i128) {
    let weighted = (0..array.len())
        .filter(|row| array.is_valid(*row))
        .map(|row| (row as i128 + 1) * whole(array, row));
    (array.len(), array.len() - array.null_count(), weighted.sum())
}

fn whole(array: &ArrayRef, row: usize) -> i128 {
    match array.data_type() {
        DataType::Utf8 => {
            let text = array.as_string::<i32>().value(row).as_bytes();
            text.len() as i128 * 256 + text.first().copied().map_or(0, i128::from)
        }
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value(row),
        DataType::Date32 => cast(&cast(&array.slice(row, 1), &DataType::Int32).unwrap(), &DataType::Int64)
            .map(|days| i128::from(days.as_primitive::<Int64Type>().value(0)))
            .unwrap(),
        _ => {
            let value = cast(&array.slice(row, 1), &DataType::Int64).unwrap();
            i128::from(value.as_primitive::<Int64Type>().value(0))
        }
    }
}

fn oracle(dataset: &str) -> Columns {
    let text = include_str!("source_oracle.csv");
    let lines = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let own = lines.filter(|fields| fields[0] == dataset);
    own.map(|f| {
        (
            (f[1].to_owned(), f[2].to_owned()),
            (f[3].parse().unwrap(), f[4].parse().unwrap(), f[5].parse().unwrap()),
        )
    })
    .collect()
}
