//! Key services in front of the keyring: one counts what it is asked and can be told to fail, one waits before it unwraps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use parcours_keys::{DataKey, KeyError, KeyService, MasterKeyId, MasterKeyName, WrappedKey};
use tokio::sync::watch;

#[derive(Debug)]
pub struct Counted {
    inner: Arc<dyn KeyService>,
    pub wraps: AtomicU64,
    pub unwraps: AtomicU64,
    /// Requests answered before the service goes away for good.
    left: AtomicUsize,
}

impl Counted {
    pub fn new(inner: &Arc<dyn KeyService>) -> Arc<Self> {
        Self::for_some(inner, usize::MAX)
    }

    /// Goes away after this many requests.
    pub fn for_some(inner: &Arc<dyn KeyService>, requests: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            wraps: AtomicU64::new(0),
            unwraps: AtomicU64::new(0),
            left: AtomicUsize::new(requests),
        })
    }

    fn answer(&self) -> Result<(), KeyError> {
        let take = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(KeyError::Unavailable {
                reason: "unplugged".to_string(),
            }),
        }
    }
}

#[async_trait]
impl KeyService for Counted {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        self.answer()?;
        self.wraps.fetch_add(1, Ordering::SeqCst);
        self.inner.wrap(name, key, aad).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        self.answer()?;
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        self.inner.unwrap(wrapped, aad).await
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.answer()?;
        self.inner.current(name).await
    }
}

/// Unwraps nothing until it is let go.
#[derive(Debug)]
pub struct Held {
    inner: Arc<dyn KeyService>,
    asked: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Held {
    pub fn new(inner: &Arc<dyn KeyService>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            asked: watch::Sender::new(false),
            open: watch::Sender::new(false),
        })
    }

    /// Waits until it is asked for the first time.
    pub async fn asked(&self) {
        self.asked.subscribe().wait_for(|asked| *asked).await.unwrap();
    }

    pub fn let_go(&self) {
        self.open.send_replace(true);
    }
}

#[async_trait]
impl KeyService for Held {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        self.inner.wrap(name, key, aad).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        self.asked.send_replace(true);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        self.inner.unwrap(wrapped, aad).await
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.inner.current(name).await
    }
}
