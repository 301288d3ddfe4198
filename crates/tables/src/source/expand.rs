//! Source patterns to files. `*` and `?` stay within one folder, `**` crosses folders, `[ab]` is a choice, in whichever case;
//! a pattern that is the name of a file is that file. A pattern that matches nothing is an error that names it, and a file
//! that two patterns match is read once. Files and folders whose names begin with `.` or `_`, which writers leave beside their
//! data, are read where a pattern names them so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use super::error::SourceError;
use super::file::SourceFile;
use crate::spec::Table;
use crate::store::{StoreError, Stores};

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files of a table, in the order of their URLs.
pub async fn expand(stores: &Stores, table: &Table) -> Result<Vec<SourceFile>, SourceError> {
    let mut files = BTreeMap::new();
    for (pattern, written) in table.patterns.iter().zip(&table.sources) {
        let found = match pattern.starts_with("s3://") {
            true => remote(stores, pattern).await?,
            false => local(stores, pattern).await?,
        };
        if found.is_empty() {
            return Err(SourceError::NoMatch {
                table: table.name.clone(),
                pattern: written.clone(),
            });
        }
        files.extend(found.into_iter().map(|file| (file.url.to_string(), file)));
    }
    Ok(files.into_values().collect())
}

/// Files of the local file system.
async fn local(stores: &Stores, pattern: &str) -> Result<Vec<SourceFile>, SourceError> {
    let refuse = |reason: String| SourceError::Pattern {
        pattern: pattern.to_owned(),
        reason,
    };
    if std::path::Path::new(&unescaped(pattern)).is_dir() {
        return Err(refuse(
            "it is a folder: say which of its files, such as *.csv".to_owned(),
        ));
    }
    let mut found = Vec::new();
    for path in local_paths(pattern).map_err(&refuse)? {
        if path.is_dir() || is_left_beside(pattern, &path.to_string_lossy()) {
            continue;
        }
        if !path.is_file() {
            return Err(refuse(format!("{} is no file", path.display())));
        }
        let url = Url::from_file_path(&path).map_err(|()| refuse("it is not an absolute path".to_owned()))?;
        let (store, location) = resolve(stores, &url)?;
        let meta = store.head(&location).await.map_err(|source| read_error(&url, source))?;
        found.push(SourceFile::new(url, &meta));
    }
    Ok(found)
}

/// The paths that a pattern matches, folders too.
fn local_paths(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let named = [pattern.to_owned(), unescaped(pattern)];
    if let Some(path) = named.iter().find(|path| std::path::Path::new(path).exists()) {
        return Ok(vec![PathBuf::from(path)]);
    }
    let paths = glob::glob_with(pattern, MATCHING).map_err(|error| error.to_string())?;
    paths.map(|path| path.map_err(|error| error.to_string())).collect()
}

/// The path that a pattern is where nothing in it is meant to match: the description's folder is escaped in it.
fn unescaped(pattern: &str) -> String {
    let mut plain = pattern.to_owned();
    for special in ['[', '*', '?', ']'] {
        plain = plain.replace(&format!("[{special}]"), &special.to_string());
    }
    plain
}

/// Whether a file, or a folder that it lies in, is one that writers leave beside their data (`_SUCCESS`, `_temporary`,
/// `_delta_log`), and the pattern does not name it so.
fn is_left_beside(pattern: &str, path: &str) -> bool {
    let folder = literal_folder(pattern);
    let is_hidden = |of: &str| {
        let below = of.strip_prefix(folder).unwrap_or(of);
        below.split('/').any(|name| name.starts_with(['_', '.']))
    };
    is_hidden(path) && !is_hidden(pattern)
}

/// Whether a file at `path` would be a source of the table.
pub fn matches(table: &Table, path: &std::path::Path) -> bool {
    let absolute = std::path::absolute(path).ok();
    let real = absolute.as_deref().and_then(|path| {
        let folder = path.parent()?.canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    });
    let paths: Vec<PathBuf> = absolute.into_iter().chain(real).collect();
    let local = table.patterns.iter().filter(|pattern| !pattern.starts_with("s3://"));
    local.into_iter().any(|pattern| {
        let matcher = Pattern::new(pattern).ok();
        paths.iter().any(|path| {
            let named = path == std::path::Path::new(pattern);
            let matched = matcher
                .as_ref()
                .is_some_and(|matcher| matcher.matches_path_with(path, MATCHING));
            named || matched && !is_left_beside(pattern, &path.to_string_lossy())
        })
    })
}

/// Objects of a bucket, listed below the part of the pattern that is literal.
async fn remote(stores: &Stores, pattern: &str) -> Result<Vec<SourceFile>, SourceError> {
    let refuse = |reason: String| SourceError::Pattern {
        pattern: pattern.to_owned(),
        reason,
    };
    let (bucket, key) = pattern
        .trim_start_matches("s3://")
        .split_once('/')
        .unwrap_or((pattern, ""));
    let bucket = Url::parse(&format!("s3://{bucket}/")).map_err(|error| refuse(error.to_string()))?;
    let matcher = Pattern::new(key).map_err(|error| refuse(error.to_string()))?;
    let prefix = Path::parse(literal_folder(key)).map_err(|error| refuse(error.to_string()))?;
    let (store, _) = resolve(stores, &bucket)?;
    let listed: Vec<ObjectMeta> = store
        .list(Some(&prefix))
        .try_collect()
        .await
        .map_err(|source| read_error(&bucket, source))?;
    let matching = listed
        .into_iter()
        .filter(|meta| matcher.matches_with(meta.location.as_ref(), MATCHING) || meta.location.as_ref() == key)
        .filter(|meta| !is_left_beside(key, meta.location.as_ref()));
    Ok(matching
        .map(|meta| SourceFile::new(object_url(&bucket, &meta.location), &meta))
        .collect())
}

/// The folders of a pattern before its first glob character.
fn literal_folder(key: &str) -> &str {
    let literal = key.find(['*', '?', '[']).map_or(key, |at| &key[..at]);
    literal.rfind('/').map_or("", |at| &literal[..at])
}

fn object_url(bucket: &Url, location: &Path) -> Url {
    let mut url = bucket.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(location.as_ref().split('/'));
    }
    url
}

fn resolve(stores: &Stores, url: &Url) -> Result<(std::sync::Arc<dyn ObjectStore>, Path), SourceError> {
    let location = url.to_string();
    stores
        .resolve(url)
        .map_err(|source: StoreError| SourceError::Store { location, source })
}

fn read_error(url: &Url, source: object_store::Error) -> SourceError {
    SourceError::Read {
        file: url.to_string(),
        source,
    }
}
