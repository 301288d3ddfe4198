//! The queries that every way into Parcours must answer as DuckDB does: one file each under `tests/queries/<set>`, where
//! a set is a dataset's name, or `faults` for those that run long enough to be interrupted.
//! A file's first comment says what it asks; a comment line `-- order: total` says that the order of rows is part of the
//! answer (its ORDER BY leaves no ties). They use only what both dialects mean alike.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::place;
use crate::rows::Order;

/// One query.
#[derive(Debug, Clone)]
pub struct Query {
    /// The file's name without `.sql`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub sql: String,
    /// Whether rows come in one order only.
    pub order: Order,
}

/// The folder of a dataset's queries.
pub fn folder(dataset: &str) -> PathBuf {
    place::tests().join("queries").join(dataset)
}

/// All queries of a dataset, by name.
pub fn all(dataset: &str) -> Result<Vec<Query>> {
    let folder = folder(dataset);
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            queries.push(read(path)?);
        }
    }
    ensure!(!queries.is_empty(), "{} holds no query", folder.display());
    queries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(queries)
}

fn read(path: PathBuf) -> Result<Query> {
    let sql = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .context("a query's file name is not text")?
        .to_owned();
    let total = sql.lines().any(|line| line.trim() == "-- order: total");
    ensure!(
        sql.starts_with("-- "),
        "{} does not begin with a comment that says what it asks",
        path.display()
    );
    Ok(Query {
        name,
        path,
        sql,
        order: if total { Order::Total } else { Order::Any },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_queries_and_each_says_what_it_asks() {
        assert!(all("claims").unwrap().len() >= 12);
        assert!(all("omop").unwrap().len() >= 4);
        assert!(all("no such dataset").is_err());
    }
}
