//! DuckDB as the oracle: it runs a query on the original files (CSV as published, Parquet as published) and its answer
//! is what Parcours is held to. `tests/python/oracle.py` declares the files' types by itself, without reading any
//! dataset description of ours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};

use crate::query::Query;
use crate::rows::Rows;
use crate::{place, python, query};

/// The right answers to a dataset's queries.
#[derive(Debug, Clone)]
pub struct Oracle {
    answers: PathBuf,
}

impl Oracle {
    /// Lets DuckDB answer all queries of `dataset`, once a test process. `None` (reported) without Python or data.
    pub fn of(dataset: &str) -> Result<Option<Self>> {
        Self::over(dataset, dataset)
    }

    /// Lets DuckDB answer the queries of the folder `set` over `dataset`, once a test process.
    pub fn over(dataset: &str, set: &str) -> Result<Option<Self>> {
        static ASKED: OnceLock<Mutex<HashMap<String, Oracle>>> = OnceLock::new();
        let (Some(data), Some(_)) = (place::data()?, python::interpreter()?) else {
            return Ok(None);
        };
        let mut asked = ASKED
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(oracle) = asked.get(set) {
            return Ok(Some(oracle.clone()));
        }
        let answers = place::scratch(&format!("oracle-{}", std::process::id()))?.join(set);
        ask(dataset, &data, &query::folder(set), &answers)?;
        let oracle = Self { answers };
        asked.insert(set.to_owned(), oracle.clone());
        Ok(Some(oracle))
    }

    /// What DuckDB answered to one of the dataset's queries.
    pub fn answer(&self, query: &Query) -> Result<Rows> {
        Rows::read(&self.answers.join(format!("{}.arrow", query.name)))
    }

    /// Compares an answer, read from an Arrow IPC file, with DuckDB's.
    pub fn check(&self, query: &Query, answer: &Path) -> Result<()> {
        let compared = Rows::read(answer).and_then(|actual| self.answer(query)?.compare(&actual, query.order));
        compared.with_context(|| format!("{} is not answered as DuckDB does", query.name))
    }
}

fn ask(dataset: &str, data: &Path, queries: &Path, answers: &Path) -> Result<()> {
    let arguments = [
        dataset.as_ref(),
        data.as_os_str(),
        queries.as_os_str(),
        answers.as_os_str(),
    ];
    python::run("oracle.py", &arguments).map(drop)
}
