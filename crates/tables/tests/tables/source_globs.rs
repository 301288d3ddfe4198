//! Where sources are: globs over a local folder and over a bucket, and the fingerprints of what they match.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parcours_tables::source::{self, ReadOptions};
use parcours_tables::spec::Dataset;
use parcours_tables::store::Stores;
use sha2::{Digest, Sha256};
use url::Url;

fn dataset(folder: &Path, sources: &str) -> Dataset {
    let text = format!(
        "name = \"d\"\npatient_id = \"id\"\nshards = 1\n[[tables]]\nname = \"t\"\nsources = [{sources}]\n\
         columns = [{{ name = \"id\", class = \"identity\", type = \"utf8\" }}]"
    );
    Dataset::parse(&text, folder, &|name| {
        (name == "HERE").then(|| folder.to_str().unwrap().to_owned())
    })
    .unwrap()
}

async fn names(stores: &Stores, folder: &Path, sources: &str) -> Result<Vec<String>, String> {
    let files = source::expand(stores, &dataset(folder, sources).tables[0])
        .await
        .map_err(|error| error.to_string())?;
    let last = |url: &Url| url.path_segments().unwrap().next_back().unwrap().to_owned();
    Ok(files.iter().map(|file| last(&file.url)).collect())
}

#[tokio::test]
async fn local_globs() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("odd [name] *");
    std::fs::create_dir_all(folder.join("2009")).unwrap();
    std::fs::create_dir_all(folder.join("dir.csv")).unwrap();
    for name in ["a1.csv", "a2.csv", "b.csv", ".a3.csv", "2009/a4.csv", "a é%20.csv"] {
        std::fs::write(folder.join(name), "id\n1\n").unwrap();
    }
    let stores = Stores::default();
    let found = async |sources: &str| names(&stores, &folder, sources).await;
    assert_eq!(found("\"a?.csv\"").await.unwrap(), ["a1.csv", "a2.csv"]);
    assert_eq!(found("\"[ab][0-9]*.csv\"").await.unwrap(), ["a1.csv", "a2.csv"]);
    assert_eq!(
        found("\"b.csv\", \"*.csv\"").await.unwrap(),
        ["a%20%C3%A9%2520.csv", "a1.csv", "a2.csv", "b.csv"]
    );
    assert_eq!(found("\"${HERE}/**/a4.csv\"").await.unwrap(), ["a4.csv"]);
    let error = found("\"a1.csv\", \"c*.csv\"").await.unwrap_err();
    assert_eq!(error, "table t: source c*.csv matches no file");
    assert!(found("\"dir.csv\"").await.is_err(), "a folder is no file");
    assert!(found("\"a***.csv\"").await.unwrap_err().contains("is not usable"));
}

#[tokio::test]
async fn bucket_globs_and_rows() {
    let (folder, bucket) = (Path::new("/nowhere"), Url::parse("s3://bucket/").unwrap());
    let store = Arc::new(InMemory::new());
    for key in [
        "claims/2010/a.csv",
        "claims/2010/b é.csv",
        "claims/2011/c.csv",
        "claims/2010/deep/d.csv",
        "x.csv",
    ] {
        store
            .put(
                &object_store::path::Path::parse(key).unwrap(),
                format!("id\n{key}\n").into(),
            )
            .await
            .unwrap();
    }
    let stores = Stores::default().with_store(&bucket, store as Arc<dyn ObjectStore>);
    let found = async |sources: &str| names(&stores, folder, sources).await;
    assert_eq!(
        found("\"s3://bucket/claims/2010/*.csv\"").await.unwrap(),
        ["a.csv", "b%20%C3%A9.csv"]
    );
    assert_eq!(
        found("\"s3://bucket/claims/*/?.csv\"").await.unwrap(),
        ["a.csv", "c.csv"]
    );
    assert_eq!(found("\"s3://bucket/claims/**/*.csv\"").await.unwrap().len(), 4);
    assert_eq!(found("\"s3://bucket/x.csv\"").await.unwrap(), ["x.csv"]);
    let error = found("\"s3://bucket/claims/2012/*.csv\"").await.unwrap_err();
    assert_eq!(error, "table t: source s3://bucket/claims/2012/*.csv matches no file");

    let dataset = dataset(folder, "\"s3://bucket/claims/2010/b*.csv\"");
    let table = &dataset.tables[0];
    let files = source::expand(&stores, table).await.unwrap();
    let options = ReadOptions {
        chunk_bytes: 16,
        ..ReadOptions::default()
    };
    let bytes_read = options.bytes_read.clone();
    let stream = source::read(&stores, table, table.schema().unwrap(), &files[0], options).unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    assert_eq!(bytes_read.load(Ordering::Relaxed), files[0].size);
}

#[tokio::test]
async fn a_fingerprint_is_of_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let content = "id\n".to_owned() + &"patient\n".repeat(1_000_000);
    std::fs::write(folder.path().join("a.csv"), &content).unwrap();
    std::fs::write(folder.path().join("b.csv"), &content).unwrap();
    std::fs::write(folder.path().join("c.csv"), "").unwrap();
    let stores = Stores::default();
    let files = source::expand(&stores, &dataset(folder.path(), "\"*.csv\"").tables[0])
        .await
        .unwrap();
    let mut prints = Vec::new();
    for file in &files {
        prints.push(file.fingerprint(&stores).await.unwrap());
    }
    let expected = |content: &str| {
        Sha256::digest(content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(
        (prints[0].sha256.clone(), prints[0].size),
        (expected(&content), content.len() as u64)
    );
    assert_eq!(prints[0], prints[1]);
    assert_eq!(prints[2].sha256, expected(""));
}
