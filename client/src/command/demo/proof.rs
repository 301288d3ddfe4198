//! What the demo shows rather than claims: each statement is measured on the files, processes and connections of this
//! run, and one that does not hold fails the demo.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::Serialize;

use super::cluster::{Cluster, metric};
use super::folder::Folder;
use super::keys::Rings;
use super::needles::Needles;
use super::steps::Steps;
use super::wire::{Seen, Wire};
use crate::exit::Failure;

/// Whether this is the build that writes in clear, of which the opposite of some claims must hold.
const PLAIN: bool = cfg!(feature = "measure-plain");

/// Everything that was shown.
#[derive(Debug, Serialize)]
pub struct Proof {
    /// About the files.
    pub files: Files,
    /// Who holds which keys.
    pub holders: Vec<Holder>,
    /// What passed between client and scheduler.
    pub client_wire: Seen,
    /// What passed between executors and scheduler.
    pub executor_wire: Seen,
    /// What passed between executors and the key daemon.
    pub key_wire: Seen,
}

/// What was found in the bytes of the tables.
#[derive(Debug, Default, Serialize)]
pub struct Files {
    /// Data files, all of which begin and end as Parquet with an encrypted footer does.
    pub data_files: usize,
    /// Their bytes.
    pub data_bytes: u64,
    /// Other files of the tables: key material, logs and versions.
    pub other_files: usize,
    /// Known values searched for.
    pub values: usize,
    /// The classes they belong to.
    pub classes: Vec<&'static str>,
    /// How many of them were found.
    pub found: usize,
    /// How many of them the same search finds in a plain copy.
    pub found_in_plain_copy: usize,
}

/// A process and the keys it can reach.
#[derive(Debug, Serialize)]
pub struct Holder {
    /// Its name.
    pub process: String,
    /// Its process id.
    pub id: u32,
    /// The keyring it was given, if any.
    pub keyring: Option<PathBuf>,
    /// Master keys in it.
    pub keys: Vec<String>,
    /// Data keys that it asked the key daemon for.
    pub asked: Option<u64>,
}

/// Measures everything.
pub async fn prove(
    folder: &Folder,
    cluster: &Cluster,
    wire: &Wire,
    rings: &Rings,
    steps: &Steps,
) -> Result<Proof, Failure> {
    let step = steps.begin("looking at files, processes and connections");
    let files = files(folder)?;
    let holders = holders(cluster, rings).await;
    let proof = Proof {
        files,
        holders,
        client_wire: wire.seen_of_client(),
        executor_wire: wire.seen_of_executors(),
        key_wire: wire.seen_of_keys(),
    };
    proof.check()?;
    step.end("Looked at files, processes and connections");
    Ok(proof)
}

impl Proof {
    fn check(&self) -> Result<(), Failure> {
        let wires = [self.client_wire, self.executor_wire, self.key_wire];
        let claims = [
            (self.files.data_files > 0, "there are no data files"),
            (
                self.files.values == self.files.found_in_plain_copy,
                "the search misses values in a plain copy",
            ),
            (
                (self.files.found == 0) != PLAIN,
                "values of patients are readable in the tables' files",
            ),
            (
                wires.iter().all(|seen| seen.strays == 0),
                "something other than TLS was on the wire",
            ),
            (
                wires.iter().all(|seen| seen.connections > 0),
                "the wire was not watched",
            ),
            (
                wires.iter().all(|seen| seen.tls13 == seen.connections),
                "a connection was not TLS 1.3",
            ),
        ];
        match claims.iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err(anyhow!("a claim does not hold: {broken}").into()),
            None => Ok(()),
        }
    }
}

fn files(folder: &Folder) -> Result<Files, Failure> {
    let needles = Needles::take(folder)?;
    let mut files = Files {
        values: needles.count(),
        classes: needles.classes().into_iter().collect(),
        found_in_plain_copy: needles.found_in_plain_copy(),
        ..Files::default()
    };
    visit(&folder.tables(), &mut |path| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if path.extension().is_some_and(|extension| extension == "parquet") && !in_log(path) {
            files.data_files += 1;
            files.data_bytes += bytes.len() as u64;
            files.found += needles.found_in(&bytes);
            ensure_encrypted(path, &bytes)
        } else {
            files.other_files += 1;
            files.found += needles.sensitive_found_in(&bytes);
            Ok(())
        }
    })?;
    Ok(files)
}

/// Checkpoints of a Delta log are Parquet files too, and hold no rows.
fn in_log(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "_delta_log")
}

/// An encrypted footer is announced by `PARE` at both ends, a plain one by `PAR1`.
fn ensure_encrypted(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    match (bytes.starts_with(b"PARE") && bytes.ends_with(b"PARE")) != PLAIN {
        true => Ok(()),
        false => Err(anyhow!("{} is not Parquet with an encrypted footer", path.display()).into()),
    }
}

fn visit(folder: &Path, each: &mut impl FnMut(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let unreadable = || format!("cannot list {}", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        match entry.file_type().with_context(unreadable)?.is_dir() {
            true => visit(&entry.path(), each)?,
            false => each(&entry.path())?,
        }
    }
    Ok(())
}

async fn holders(cluster: &Cluster, rings: &Rings) -> Vec<Holder> {
    let mut holders = Vec::new();
    // The key daemon comes first; nobody after it has a keyring.
    let mut keyrings = std::iter::once(Some(&rings.daemon));
    for process in cluster.processes() {
        let keyring = keyrings.next().flatten().cloned();
        holders.push(Holder {
            process: process.name.clone(),
            id: process.id,
            keys: if keyring.is_some() {
                rings.keys.clone()
            } else {
                Vec::new()
            },
            asked: metric(process.health, "parcours_executor_key_unwraps").await,
            keyring,
        });
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_parquet_is_told_from_encrypted() {
        let path = Path::new("x.parquet");
        assert!(ensure_encrypted(path, b"PARE....PARE").is_ok());
        assert!(ensure_encrypted(path, b"PAR1....PAR1").is_err());
        assert!(ensure_encrypted(path, b"PARE....PAR1").is_err());
    }
}
