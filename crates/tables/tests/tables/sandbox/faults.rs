//! An object store that fails on demand: at the n-th request, before or after doing it, once or for good.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All is well.
    None,
    /// Request n fails and nothing is done; later ones succeed.
    FailsOnce(usize),
    /// Request n is done and its answer is lost; later ones succeed.
    AnswerLost(usize),
    /// The process dies at request n: nothing is done from there on.
    Dies(usize),
    /// As `Dies`, but request n itself still arrives.
    DiesAfter(usize),
}

#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<InMemory>,
    fault: Mutex<Fault>,
    requests: AtomicUsize,
}

enum Turn {
    Do,
    Refuse,
    DoAndLose,
}

impl FaultyStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::default(),
            fault: Mutex::new(Fault::None),
            requests: AtomicUsize::new(0),
        })
    }

    /// Counts from 0 again, with another fault.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock() = fault;
        self.requests.store(0, Ordering::SeqCst);
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub async fn paths(&self) -> Vec<String> {
        self.inner
            .list(None)
            .map(|meta| meta.unwrap().location.to_string())
            .collect()
            .await
    }

    /// Every object with its bytes, whatever the fault.
    pub async fn contents(&self) -> BTreeMap<String, Bytes> {
        let mut contents = BTreeMap::new();
        for path in self.paths().await {
            let found = self.inner.get(&Path::from(path.as_str())).await.unwrap();
            contents.insert(path, found.bytes().await.unwrap());
        }
        contents
    }

    fn turn(&self) -> Turn {
        let now = self.requests.fetch_add(1, Ordering::SeqCst);
        match *self.fault.lock() {
            Fault::FailsOnce(n) if now == n => Turn::Refuse,
            Fault::Dies(n) if now >= n => Turn::Refuse,
            Fault::AnswerLost(n) | Fault::DiesAfter(n) if now == n => Turn::DoAndLose,
            Fault::DiesAfter(n) if now > n => Turn::Refuse,
            _ => Turn::Do,
        }
    }

    async fn answer<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        match self.turn() {
            Turn::Do => request.await,
            Turn::Refuse => Err(lost()),
            Turn::DoAndLose => {
                let _ = request.await;
                Err(lost())
            }
        }
    }
}

fn lost() -> Error {
    Error::Generic {
        store: "faulty",
        source: "connection lost".into(),
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.answer(self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.answer(self.inner.put_multipart_opts(location, opts)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.answer(self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.turn() {
            Turn::Do => self.inner.delete_stream(locations),
            Turn::Refuse => stream::once(async { Err(lost()) }).boxed(),
            Turn::DoAndLose => self.inner.delete_stream(locations).map(|_| Err(lost())).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.turn() {
            Turn::Do => self.inner.list(prefix),
            _ => stream::once(async { Err(lost()) }).boxed(),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.turn() {
            Turn::Do => self.inner.list_with_offset(prefix, offset),
            _ => stream::once(async { Err(lost()) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.answer(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.answer(self.inner.copy_opts(from, to, options)).await
    }
}
