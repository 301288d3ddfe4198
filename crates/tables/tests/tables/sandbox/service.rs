//! A key service that counts what it is asked, and can be told to fail: in front of the keyring.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use parcours_keys::{DataKey, KeyError, KeyService, MasterKeyId, MasterKeyName, WrappedKey};

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
