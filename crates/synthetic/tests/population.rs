//! What a written population must be like: the same for the same seed, part of any larger one, and plausible.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Date32Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parcours_synthetic::{Population, Report, tables};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn write(patients: u64, seed: u64) -> (tempfile::TempDir, Report) {
    let dir = tempfile::tempdir().unwrap();
    let population = Population {
        patients,
        seed,
        years: 2021..=2023,
    };
    let report = population.write_parquet(dir.path(), |_| ()).unwrap();
    (dir, report)
}

fn files(dir: &Path, table: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join(table))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn batches(dir: &Path, table: &str) -> Vec<RecordBatch> {
    let open = |path| {
        ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
            .unwrap()
            .build()
            .unwrap()
    };
    files(dir, table)
        .into_iter()
        .flat_map(open)
        .map(Result::unwrap)
        .collect()
}

fn column(dir: &Path, table: &str, name: &str) -> Vec<ArrayRef> {
    batches(dir, table)
        .iter()
        .map(|batch| batch.column_by_name(name).unwrap().clone())
        .collect()
}

/// Every row as text.
fn lines(dir: &Path, table: &str) -> HashSet<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = HashSet::new();
    for batch in batches(dir, table) {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c, &options).unwrap())
            .collect();
        lines.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|c| format!("{}|", c.value(row))).collect::<String>()),
        );
    }
    lines
}

#[test]
fn a_seed_gives_the_same_files_and_another_seed_others() {
    let ((first, _), (second, _), (other, _)) = (write(300, 5), write(300, 5), write(300, 6));
    for table in tables() {
        let bytes = |dir: &Path| {
            files(dir, table.name)
                .iter()
                .map(|path| fs::read(path).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(bytes(first.path()), bytes(second.path()), "{}", table.name);
        assert_eq!(
            bytes(first.path()) == bytes(other.path()),
            !table.sharded,
            "{}",
            table.name
        );
    }
}

#[test]
fn a_larger_population_contains_the_smaller_one() {
    let ((small, _), (large, _)) = (write(150, 5), write(700, 5));
    for table in tables() {
        let (small, large) = (lines(small.path(), table.name), lines(large.path(), table.name));
        assert!(small.is_subset(&large), "{}", table.name);
    }
}

#[test]
fn files_hold_what_the_report_and_the_shapes_say() {
    let (dir, report) = write(8_000, 1);
    for (table, written) in tables().iter().zip(&report.tables) {
        assert_eq!(table.name, written.name);
        let batches = batches(dir.path(), table.name);
        assert_eq!(
            batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(),
            written.rows,
            "{}",
            table.name
        );
        assert!(
            batches.iter().all(|batch| batch.schema() == table.schema()),
            "{}",
            table.name
        );
        assert_eq!(written.files, if table.sharded { 4 } else { 1 });
        let nullable = table.columns.iter().filter(|column| column.nullable);
        for column in nullable {
            let nulls: usize = batches
                .iter()
                .map(|b| b.column_by_name(column.name).unwrap().null_count())
                .sum();
            assert!(
                nulls > 0 && (nulls as u64) < written.rows,
                "{}.{}: {nulls} NULLs",
                table.name,
                column.name
            );
        }
    }
}

#[test]
fn volumes_per_person_year_are_those_of_the_real_tables() {
    let (dir, report) = write(6_000, 3);
    let years = 6_000.0 * 3.0 * 0.97;
    let rate = |name: &str| report.tables.iter().find(|t| t.name == name).unwrap().rows as f64 / years;
    for (table, low, high) in [
        ("pharmacie", 15.0, 21.0),
        ("prestation", 6.0, 8.5),
        ("acte_ccam", 1.4, 3.0),
        ("sejour_mco", 0.14, 0.24),
    ] {
        assert!((low..high).contains(&rate(table)), "{table}: {}", rate(table));
    }
    heavy_patients_and_popular_codes(dir.path());
}

/// The heaviest hundredth of patients holds far more than a hundredth of the dispensings; the ten commonest packs of
/// some 500 hold a good part of them.
fn heavy_patients_and_popular_codes(dir: &Path) {
    let counts = |name: &str| {
        let mut counts = BTreeMap::<String, usize>::new();
        for array in column(dir, "pharmacie", name) {
            for value in array.as_string::<i32>().iter().flatten() {
                *counts.entry(value.to_owned()).or_default() += 1;
            }
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_by(|a, b| b.cmp(a));
        let total: usize = counts.iter().sum();
        (counts, total as f64)
    };
    let (patients, total) = counts("ben_idt_ano");
    assert!(
        patients.iter().take(60).sum::<usize>() as f64 / total > 0.05,
        "{:?}",
        &patients[..5]
    );
    let (packs, total) = counts("pha_prs_c13");
    assert!(
        packs.iter().take(10).sum::<usize>() as f64 / total > 0.15,
        "{:?}",
        &packs[..10]
    );
}

#[test]
fn nothing_happens_outside_the_observed_years_or_after_death() {
    let (dir, _) = write(2_000, 4);
    let deaths: BTreeMap<String, i32> = batches(dir.path(), "beneficiaire")
        .iter()
        .flat_map(|batch| {
            let ids = batch.column_by_name("ben_idt_ano").unwrap().as_string::<i32>().clone();
            let days = batch
                .column_by_name("ben_dcd_dte")
                .unwrap()
                .as_primitive::<Date32Type>()
                .clone();
            (0..ids.len())
                .filter(|row| days.is_valid(*row))
                .map(|row| (ids.value(row).to_owned(), days.value(row)))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(deaths.len() > 20);
    let (first, last) = (18_628, 19_722); // 2021-01-01 and 2023-12-31
    for table in ["prestation", "pharmacie", "acte_ccam", "sejour_mco"] {
        for batch in batches(dir.path(), table) {
            let ids = batch.column_by_name("ben_idt_ano").unwrap().as_string::<i32>();
            let days = batch
                .column_by_name("exe_soi_dtd")
                .unwrap()
                .as_primitive::<Date32Type>();
            for (id, day) in ids.iter().zip(days.values()) {
                let end = deaths.get(id.unwrap()).copied().unwrap_or(last);
                assert!(
                    (first..=end).contains(day),
                    "{table}: day {day} of a patient observed until {end}"
                );
            }
        }
    }
}
