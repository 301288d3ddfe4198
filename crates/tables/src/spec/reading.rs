//! How a table's sources are read: everything of its description that decides which values come out of a file. A load
//! records it with each source, so that a later one is not mixed with rows that were read otherwise.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::dataset::Table;

/// What a description says of the values of a table's sources, as JSON with its keys in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading(Value);

impl Reading {
    /// How the sources of `table` are read.
    pub fn of(table: &Table) -> Self {
        let json = |part: Result<Value, serde_json::Error>| part.unwrap_or_default();
        let named = |column: &super::dataset::Column| (column.name.clone(), json(serde_json::to_value(column)));
        let columns: Map<String, Value> = table.columns.iter().map(named).collect();
        let reading = ReadingParts {
            format: json(serde_json::to_value(table.format)),
            csv: json(serde_json::to_value(&table.csv)),
            flatten: json(serde_json::to_value(&table.flatten)),
            columns,
        };
        Self(json(serde_json::to_value(reading)))
    }

    /// SHA-256 of it, as 64 hexadecimal digits.
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(self.0.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        self.0.clone()
    }

    /// The keys whose values are others than in an earlier one, such as `csv.null` or `columns.born.format`. Which columns
    /// there are, their types and classes, and where NULL may be, is seen by the table that they make.
    pub(crate) fn changes_from(&self, before: &Value) -> Vec<String> {
        let mut changes = Vec::new();
        differences("", before, &self.0, &mut changes);
        changes.retain(|change| !is_of_the_table(change));
        changes.extend(
            ["folder", "file"]
                .into_iter()
                .flat_map(|key| self.of_path_beside(key, before)),
        );
        changes
    }

    /// The columns that come from folders, or from files' names, and are new: rows that were loaded before have values in
    /// them, too.
    fn of_path_beside(&self, key: &str, before: &Value) -> Vec<String> {
        let columns = self.0["columns"].as_object().into_iter().flatten();
        let new = columns.filter(|(name, column)| !column[key].is_null() && before["columns"][*name].is_null());
        new.map(|(name, _)| format!("columns.{name}.{key}")).collect()
    }
}

/// Whether a change is one of the table that a description makes.
fn is_of_the_table(change: &str) -> bool {
    match change.split('.').collect::<Vec<_>>().as_slice() {
        ["columns", _] => true,
        ["columns", _, key] => ["class", "type", "nullable", "optional"].contains(key),
        _ => false,
    }
}

#[derive(Serialize)]
struct ReadingParts {
    format: Value,
    csv: Value,
    flatten: Value,
    columns: Map<String, Value>,
}

fn differences(at: &str, before: &Value, now: &Value, changes: &mut Vec<String>) {
    match (before, now) {
        (before, now) if before == now => {}
        (Value::Object(before), Value::Object(now)) => {
            let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for key in keys {
                let at = if at.is_empty() {
                    key.clone()
                } else {
                    format!("{at}.{key}")
                };
                let of = |object: &Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                differences(&at, &of(before), &of(now), changes);
            }
        }
        _ => changes.push(at.to_owned()),
    }
}
