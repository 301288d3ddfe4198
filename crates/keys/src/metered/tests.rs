//! How uses are told apart and timed. What is told of each is tested in `tests/audit.rs`, in a process of its own.
#![allow(clippy::unwrap_used)]

use futures::FutureExt;

use super::*;

/// Answers nothing, or that it cannot.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl KeyService for Silent {
    async fn wrap(&self, _: &MasterKeyName, _: &DataKey, _: &[u8]) -> Result<WrappedKey, KeyError> {
        std::future::pending().await
    }

    async fn unwrap(&self, _: &WrappedKey, _: &[u8]) -> Result<DataKey, KeyError> {
        let reason = "it is away".to_owned();
        Err(KeyError::Unavailable { reason })
    }

    async fn current(&self, _: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let reason = "it is not to be used".to_owned();
        Err(KeyError::Refused { reason })
    }
}

#[tokio::test]
async fn outcomes_are_told_apart_and_timed() {
    let meters = Arc::new(KeyMeters::default());
    let keys = Metered::new(Arc::new(Silent), meters.clone());
    let master: MasterKeyId = "claims/health#1".parse().unwrap();
    let text = String::new();
    let wrapped = WrappedKey { master, text };
    keys.unwrap(&wrapped, b"").await.unwrap_err();
    keys.current(&wrapped.master.name).await.unwrap_err();
    // One that nobody waits for: polled once, and dropped.
    let data_key = DataKey::random().unwrap();
    assert!(keys.wrap(&wrapped.master.name, &data_key, b"").now_or_never().is_none());
    for (operation, outcome) in [
        (KeyOperation::Unwrap, KeyOutcome::Unavailable),
        (KeyOperation::Current, KeyOutcome::Failed),
        (KeyOperation::Wrap, KeyOutcome::Abandoned),
    ] {
        assert_eq!(meters.count(operation, outcome), 1, "{operation:?} {outcome:?}");
    }

    let meters = KeyMeters::default();
    for milliseconds in [0, 3, 3000] {
        meters.record(KeyOperation::Wrap, KeyOutcome::Ok, Duration::from_millis(milliseconds));
    }
    let [measure] = meters.measures().try_into().unwrap();
    assert_eq!((measure.count, measure.total), (3, Duration::from_millis(3003)));
    assert_eq!(measure.within, [1, 1, 2, 2, 2, 2, 2]);
}
