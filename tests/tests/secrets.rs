//! What is written anywhere is searched for values of patients: tables, scratch files and logs of a cluster that has just
//! answered every query hold none. The same search finds them in the published files.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use parcours_tests::sandbox::{Plan, files_below};
use parcours_tests::{place, query};

use crate::cluster::loaded;

/// Columns whose values are long enough to mean something where they are found, one or more of each class.
const COLUMNS: [(&str, &str, &str); 6] = [
    ("identity", "pde", "DESYNPUF_ID"),
    ("identity", "pde", "PDE_ID"),
    ("identity", "inpatient", "CLM_ID"),
    ("quasi", "inpatient", "AT_PHYSN_NPI"),
    ("health", "pde", "PROD_SRVC_ID"),
    ("quasi", "carrier", "PRF_PHYSN_NPI_1"),
];

/// Known values by their length, to be looked for at every place of a file.
struct Known(Vec<(usize, HashSet<Vec<u8>>)>);

impl Known {
    fn of(data: &Path, file: &str, column: &str) -> Result<Self> {
        let text = std::fs::read_to_string(data.join(format!("claims/{file}.csv")))?;
        let mut lines = text.lines();
        let at = lines
            .next()
            .and_then(|header| header.split(',').position(|name| name == column));
        let at = at.with_context(|| format!("{file} has no column {column}"))?;
        let mut lengths: Vec<(usize, HashSet<Vec<u8>>)> = Vec::new();
        for value in lines
            .filter_map(|line| line.split(',').nth(at))
            .filter(|value| value.len() >= 9)
        {
            match lengths.iter_mut().find(|(length, _)| *length == value.len()) {
                Some((_, values)) => _ = values.insert(value.as_bytes().to_vec()),
                None => lengths.push((value.len(), HashSet::from([value.as_bytes().to_vec()]))),
            }
        }
        ensure!(!lengths.is_empty(), "{column} has no value to look for");
        Ok(Self(lengths))
    }

    fn found_in(&self, bytes: &[u8]) -> usize {
        self.0
            .iter()
            .map(|(length, values)| bytes.windows(*length).filter(|place| values.contains(*place)).count())
            .sum()
    }
}

#[test]
fn no_value_of_a_patient_is_written_in_clear() -> Result<()> {
    let Some(data) = place::data()? else { return Ok(()) };
    let mut cluster = loaded(Plan::default())?;
    cluster.explain(|cluster| {
        for query in query::all("claims")? {
            cluster.answer(&query).map(drop)?;
        }
        cluster.refused(
            "alice",
            "SELECT no_such_column FROM claims.beneficiary WHERE desynpuf_id = '001115EAB83B19BB'",
        )?;
        let folder = cluster.folder();
        let scratch = ["scratch-executor-1", "scratch-executor-2"].map(|name| files_below(&folder.at(name)));
        let mut written: Vec<_> = scratch.into_iter().flatten().collect();
        written.extend(files_below(&folder.at("tables")));
        written.extend(files_below(&folder.at("logs")));
        ensure!(written.len() > 20, "little was written: {written:?}");
        for (class, file, column) in COLUMNS {
            let known = Known::of(&data, file, column)?;
            let published = std::fs::read(data.join(format!("claims/{file}.csv")))?;
            ensure!(
                known.found_in(&published) > 100,
                "the search does not find {column} where it is"
            );
            for path in &written {
                // A scratch file may be gone by now.
                let Ok(bytes) = std::fs::read(path) else { continue };
                ensure!(
                    known.found_in(&bytes) == 0,
                    "{} holds a value of class {class}",
                    path.display()
                );
            }
        }
        Ok(())
    })
}
