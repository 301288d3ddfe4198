//! Which source column each table column reads. Every source column is read once or ignored by name, so a file whose
//! columns were renamed, added or doubled is refused rather than guessed at. The rule of names is in [`crate::spec`].

use std::collections::{HashMap, HashSet};

use super::error::SourceError;
use crate::spec::{Column, Table};

/// For every column of the table, its position among the source's column names; none for one that comes from a folder or
/// a file's name, and for an optional one that is not there.
pub(super) fn positions(table: &Table, file: &str, source: &[String]) -> Result<Vec<Option<usize>>, SourceError> {
    check_unique(file, source)?;
    let (mut positions, mut missing) = (Vec::with_capacity(table.columns.len()), Vec::new());
    for column in &table.columns {
        if column.is_of_path() {
            positions.push(None);
            continue;
        }
        match find(table, file, source, column)? {
            None if column.optional => positions.push(None),
            Some(position) => positions.push(Some(position)),
            None => missing.push(column.from.clone().unwrap_or_else(|| column.name.clone())),
        }
    }
    if !missing.is_empty() {
        return Err(SourceError::MissingColumns {
            file: file.to_owned(),
            table: table.name.clone(),
            columns: missing,
        });
    }
    check_shared(table, file, &positions)?;
    check_unknown(table, file, source, &positions)?;
    Ok(positions)
}

/// The same for a source without names, whose columns are those of the table in its order.
pub(super) fn in_order(table: &Table) -> Vec<Option<usize>> {
    let mut next = 0..;
    let columns = table.columns.iter();
    columns
        .map(|column| if column.is_of_path() { None } else { next.next() })
        .collect()
}

fn check_unique(file: &str, source: &[String]) -> Result<(), SourceError> {
    let mut seen = HashSet::new();
    match source.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(SourceError::DuplicateColumn {
            file: file.to_owned(),
            column: name.clone(),
        }),
        None => Ok(()),
    }
}

/// `from` exactly; otherwise the same name, or the only one that differs by ASCII case.
fn find(table: &Table, file: &str, source: &[String], column: &Column) -> Result<Option<usize>, SourceError> {
    let wanted = column.from.as_ref().unwrap_or(&column.name);
    if let Some(exact) = source.iter().position(|name| name == wanted) {
        return Ok(Some(exact));
    }
    if column.from.is_some() {
        return Ok(None);
    }
    let mut alike = source
        .iter()
        .enumerate()
        .filter(|(_, name)| name.eq_ignore_ascii_case(wanted));
    match (alike.next(), alike.next()) {
        (Some(_), Some(_)) => Err(SourceError::AmbiguousColumn {
            file: file.to_owned(),
            table: table.name.clone(),
            column: column.name.clone(),
        }),
        (first, _) => Ok(first.map(|(position, _)| position)),
    }
}

fn check_shared(table: &Table, file: &str, positions: &[Option<usize>]) -> Result<(), SourceError> {
    let mut readers = HashMap::new();
    for (column, position) in table.columns.iter().zip(positions) {
        let Some(position) = position else { continue };
        if let Some(first) = readers.insert(position, &column.name) {
            return Err(SourceError::SharedColumn {
                file: file.to_owned(),
                table: table.name.clone(),
                first: first.clone(),
                second: column.name.clone(),
            });
        }
    }
    Ok(())
}

fn check_unknown(table: &Table, file: &str, source: &[String], positions: &[Option<usize>]) -> Result<(), SourceError> {
    let ignored = |name: &String| table.ignore.iter().any(|ignored| ignored == name);
    let unknown = source
        .iter()
        .enumerate()
        .filter(|(at, name)| !positions.contains(&Some(*at)) && !ignored(name));
    let columns: Vec<String> = unknown.map(|(_, name)| name.clone()).collect();
    if columns.is_empty() {
        return Ok(());
    }
    Err(SourceError::UnknownColumns {
        file: file.to_owned(),
        table: table.name.clone(),
        columns,
    })
}
