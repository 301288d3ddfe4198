//! Where a table's sources are: patterns made absolute, and the format that their extensions say.

use std::path::{Component, Path, PathBuf};

use glob::Pattern;

use super::dataset::Format;
use super::error::SpecFault;

/// The absolute pattern of a source: a path below `folder`, a path of its own, or an `s3://` URL as it is.
pub(super) fn absolute(expanded: &str, folder: &Path) -> Result<String, SpecFault> {
    let refuse = |reason: &str| SpecFault::Source {
        written: expanded.to_owned(),
        reason: reason.to_owned(),
    };
    if expanded.is_empty() {
        return Err(refuse("it is empty"));
    }
    match expanded.split_once("://") {
        Some(("s3", rest)) if rest.split('/').next().is_some_and(is_bucket) => Ok(expanded.to_owned()),
        Some(("s3", _)) => Err(refuse("name one bucket, without *, ? or [")),
        Some(("file", path)) if path.starts_with('/') => Ok(path.to_owned()),
        Some(_) => Err(refuse("say a local path or s3://bucket/path")),
        None => {
            let folder = folder.to_str().ok_or_else(|| refuse("its folder is not utf-8"))?;
            Ok(upwards(&Path::new(&Pattern::escape(folder)).join(expanded))
                .display()
                .to_string())
        }
    }
}

/// The path without the `..` that follow a folder.
fn upwards(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        let ends_in_folder = matches!(plain.components().next_back(), Some(Component::Normal(_)));
        match component {
            Component::ParentDir if ends_in_folder => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Whether a bucket is named plainly.
fn is_bucket(name: &str) -> bool {
    !name.is_empty() && !name.contains(['*', '?', '['])
}

/// Extensions of files that are not read, and what to do with them. A crate that reads those of SAS well is not there yet.
const OTHER_FORMATS: [(&str, &str); 7] = [
    (".sas7bdat", "export it as csv or parquet"),
    (".xpt", "export it as csv or parquet"),
    (".xls", "save it as csv"),
    (".xlsx", "save it as csv"),
    (".ods", "save it as csv"),
    (
        ".zip",
        "unpack it, or compress the file itself with gzip, zstd or bzip2",
    ),
    (".rds", "export it as csv or parquet"),
];

/// Whether all `sources` are named as files whose fields are delimited by tabs.
pub(super) fn are_tabbed(sources: &[String]) -> bool {
    sources
        .iter()
        .all(|source| without_compression(source).ends_with(".tsv"))
}

/// The name of a source in small letters, without the extension of a compression.
fn without_compression(source: &str) -> String {
    let lower = source.to_ascii_lowercase();
    let mut compressed = [".gz", ".zst", ".bz2"].iter();
    let plain = compressed
        .find_map(|extension| lower.strip_suffix(extension))
        .map(str::to_owned);
    plain.unwrap_or(lower)
}

/// The format of all `sources`, by their extensions.
pub(super) fn format(table: &str, sources: &[String]) -> Result<Format, SpecFault> {
    let formats = sources
        .iter()
        .map(|source| by_extension(source))
        .collect::<Result<Vec<_>, _>>()?;
    match formats.first() {
        Some(first) if formats.iter().all(|other| other == first) => Ok(*first),
        Some(_) => Err(SpecFault::MixedFormats {
            table: table.to_owned(),
        }),
        None => Err(SpecFault::NoSources {
            table: table.to_owned(),
        }),
    }
}

/// The format of one source.
fn by_extension(source: &str) -> Result<Format, SpecFault> {
    let lower = without_compression(source);
    let ends = |extensions: &[&str]| extensions.iter().any(|extension| lower.ends_with(extension));
    if ends(&[".csv", ".tsv", ".txt"]) {
        Ok(Format::Csv)
    } else if ends(&[".parquet", ".pq"]) {
        Ok(Format::Parquet)
    } else if let Some((_, remedy)) = OTHER_FORMATS.iter().find(|(extension, _)| lower.ends_with(extension)) {
        Err(SpecFault::OtherFormat {
            written: source.to_owned(),
            remedy,
        })
    } else {
        Err(SpecFault::NoFormat {
            written: source.to_owned(),
        })
    }
}
