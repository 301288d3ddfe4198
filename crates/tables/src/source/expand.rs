//! Source patterns to files. `*` and `?` stay within one folder, `**` crosses folders, `[ab]` is a choice. A pattern
//! that matches nothing is an error that names it, and a file that two patterns match is read once.

use std::collections::BTreeMap;

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
    case_sensitive: true,
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
    let mut found = Vec::new();
    for path in glob::glob_with(pattern, MATCHING).map_err(|error| refuse(error.to_string()))? {
        let path = path.map_err(|error| refuse(error.to_string()))?;
        if !path.is_file() {
            continue;
        }
        let url = Url::from_file_path(&path).map_err(|()| refuse("it is not an absolute path".to_owned()))?;
        let (store, location) = resolve(stores, &url)?;
        let meta = store.head(&location).await.map_err(|source| read_error(&url, source))?;
        found.push(SourceFile::new(url, &meta));
    }
    Ok(found)
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
        .filter(|meta| matcher.matches_with(meta.location.as_ref(), MATCHING));
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
