//! The dataset file with which `parcours load` reads the generated files. Its text follows from [`tables`] alone, so
//! that no column can be generated without a class.

use std::fmt::Write;
use std::path::Path;

use crate::shape::{PATIENT_ID, TableShape, tables};

/// The dataset file (TOML) for sources that [`Population::write_parquet`](crate::Population::write_parquet) wrote into
/// `dir`, to be loaded in `shards` shards. `dir` is written into the file as it is: give an absolute path, or one
/// relative to where the dataset file will lie.
pub fn dataset_toml(shards: u32, dir: &Path) -> String {
    let mut text = format!(
        "name = \"snds\"\npatient_id = {}\nshards = {shards}\n",
        quoted(PATIENT_ID)
    );
    let _ = writeln!(text, "splits = [{}]", split_points(shards).join(", "));
    for table in tables() {
        describe(&mut text, table, dir);
    }
    text
}

/// Equal widths make equal shards, because pseudonyms are spread evenly; their first eight digits are enough.
fn split_points(shards: u32) -> Vec<String> {
    let point = |shard: u32| (u64::from(shard) << 32) / u64::from(shards);
    (1..shards)
        .map(|shard| quoted(&format!("{:08x}", point(shard))))
        .collect()
}

/// Writing into a string cannot fail, hence the results that are let go.
fn describe(text: &mut String, table: &TableShape, dir: &Path) {
    let sources = dir.join(table.name).join("*.parquet");
    let order: Vec<_> = table
        .order
        .iter()
        .filter(|name| **name != PATIENT_ID)
        .map(|name| quoted(name))
        .collect();
    let _ = writeln!(text, "\n[[tables]]\nname = {}", quoted(table.name));
    let _ = writeln!(text, "sources = [{}]", quoted(&sources.to_string_lossy()));
    if !table.sharded {
        let _ = writeln!(text, "sharded = false");
    }
    let _ = writeln!(text, "order = [{}]\ncolumns = [", order.join(", "));
    for column in table.columns {
        let nulls = if column.nullable { "" } else { ", nullable = false" };
        let (name, class) = (quoted(column.name), quoted(column.class.as_str()));
        let _ = writeln!(text, "  {{ name = {name}, class = {class}{nulls} }},");
    }
    let _ = writeln!(text, "]");
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.extend(format!("\\u{:04X}", u32::from(control)).chars()),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{dataset_toml, quoted, split_points};
    use crate::shape::tables;

    #[test]
    fn every_column_has_its_class() {
        let text = dataset_toml(8, Path::new("/data/source"));
        let columns: usize = tables().iter().map(|table| table.columns.len()).sum();
        assert_eq!(text.matches("class = ").count(), columns);
        assert_eq!(text.matches("[[tables]]").count(), tables().len());
        assert!(text.contains("sources = [\"/data/source/pharmacie/*.parquet\"]"));
        assert!(text.contains("{ name = \"atc\", class = \"health\" }"));
    }

    #[test]
    fn shards_have_equal_widths() {
        assert_eq!(split_points(4), ["\"40000000\"", "\"80000000\"", "\"c0000000\""]);
        assert!(split_points(1).is_empty());
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000A\"");
    }
}
