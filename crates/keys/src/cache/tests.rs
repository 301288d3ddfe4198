//! Tests of the unwrap cache: what it joins, keeps, forgets and repeats.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, AtomicUsize};

use async_trait::async_trait;

use super::*;
use crate::name::MasterKeyId;

/// A service that takes time, counts, and can be told to fail.
#[derive(Debug, Default)]
struct Slow {
    asked: AtomicUsize,
    delay: Duration,
    denied: AtomicBool,
    down: AtomicBool,
}

#[async_trait]
impl KeyService for Slow {
    async fn wrap(&self, name: &MasterKeyName, _: &DataKey, _: &[u8]) -> Result<WrappedKey, KeyError> {
        Ok(wrapped(name.as_str(), "text"))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, _: &[u8]) -> Result<DataKey, KeyError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if self.denied.load(Ordering::SeqCst) {
            return Err(KeyError::Denied {
                key: wrapped.master.name.clone(),
                reason: "not today".to_owned(),
            });
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(KeyError::Unavailable {
                reason: "unplugged".to_owned(),
            });
        }
        DataKey::random()
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        Ok(MasterKeyId {
            name: name.clone(),
            version: 1,
        })
    }
}

fn wrapped(name: &str, text: &str) -> WrappedKey {
    let master = MasterKeyId {
        name: MasterKeyName::new(name).unwrap(),
        version: 1,
    };
    WrappedKey {
        master,
        text: text.to_owned(),
    }
}

fn cache(service: Slow, options: CacheOptions) -> (Arc<Slow>, Arc<UnwrapCache>) {
    let service = Arc::new(service);
    (Arc::clone(&service), UnwrapCache::new(service, options))
}

fn asked(service: &Slow) -> usize {
    service.asked.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_warm_key_is_not_asked_for_and_aad_is_part_of_it() {
    let (service, cache) = cache(Slow::default(), CacheOptions::default());
    let health = wrapped("claims/health", "one");
    let first = cache.unwrap(&health, b"file a").await.unwrap();
    let second = cache.unwrap(&health, b"file a").await.unwrap();
    assert_eq!(first.expose(), second.expose());
    assert_eq!(asked(&service), 1);
    // A key cached for one file must not open another one.
    cache.unwrap(&health, b"file b").await.unwrap();
    assert_eq!(asked(&service), 2);
    assert_eq!(
        cache.counters(),
        CacheCounters {
            hits: 1,
            misses: 2,
            unwraps: 2,
            denials: 0
        }
    );
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_is_not_joined() {
    let slow = Slow {
        delay: Duration::from_millis(50),
        ..Slow::default()
    };
    let (service, cache) = cache(slow, CacheOptions::default());
    let health = wrapped("claims/health", "one");
    let given_up = tokio::time::timeout(Duration::from_millis(5), cache.unwrap(&health, b"")).await;
    assert!(given_up.is_err());
    cache.unwrap(&health, b"").await.unwrap();
    assert_eq!(asked(&service), 2);
}

#[tokio::test]
async fn concurrent_requests_are_one() {
    let slow = Slow {
        delay: Duration::from_millis(50),
        ..Slow::default()
    };
    let (service, cache) = cache(slow, CacheOptions::default());
    let health = wrapped("claims/health", "one");
    let keys = futures::future::join_all((0..50).map(|_| cache.unwrap(&health, b""))).await;
    assert!(
        keys.iter()
            .all(|key| key.as_ref().unwrap().expose() == keys[0].as_ref().unwrap().expose())
    );
    assert_eq!(asked(&service), 1);
}

#[tokio::test]
async fn a_given_up_request_does_not_block_the_next() {
    let slow = Slow {
        delay: Duration::from_millis(100),
        ..Slow::default()
    };
    let (_service, cache) = cache(slow, CacheOptions::default());
    let health = wrapped("claims/health", "one");
    let given_up = tokio::time::timeout(Duration::from_millis(10), cache.unwrap(&health, b"")).await;
    assert!(given_up.is_err());
    tokio::time::timeout(Duration::from_secs(5), cache.unwrap(&health, b""))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn number_and_time_are_bounded() {
    let options = CacheOptions {
        capacity: 2,
        ttl: Duration::from_millis(60),
        ..CacheOptions::default()
    };
    let (service, cache) = cache(Slow::default(), options);
    let [one, two, three] = ["one", "two", "three"].map(|text| wrapped("claims/health", text));
    for key in [&one, &two, &one, &three] {
        cache.unwrap(key, b"").await.unwrap();
    }
    assert_eq!((cache.len(), asked(&service)), (2, 3));
    cache.unwrap(&one, b"").await.unwrap();
    assert_eq!(asked(&service), 3, "the recently used one stays");
    cache.unwrap(&two, b"").await.unwrap();
    assert_eq!(asked(&service), 4, "the least recently used one went");
    tokio::time::sleep(Duration::from_millis(80)).await;
    cache.unwrap(&two, b"").await.unwrap();
    assert_eq!(asked(&service), 5, "an old one is asked for again");
}

#[tokio::test]
async fn forgetting_is_by_name_and_reaches_requests_under_way() {
    let slow = Slow {
        delay: Duration::from_millis(40),
        ..Slow::default()
    };
    let (service, cache) = cache(slow, CacheOptions::default());
    let (health, quasi) = (wrapped("claims/health", "h"), wrapped("claims/quasi", "q"));
    cache.unwrap(&health, b"").await.unwrap();
    cache.unwrap(&quasi, b"").await.unwrap();
    cache.forget(&health.master.name);
    assert_eq!(cache.len(), 1);
    cache.unwrap(&quasi, b"").await.unwrap();
    assert_eq!(asked(&service), 2);

    let under_way = cache.unwrap(&health, b"");
    let forgetting = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        cache.forget(&health.master.name);
    };
    let (answer, ()) = futures::future::join(under_way, forgetting).await;
    answer.unwrap();
    assert_eq!(cache.len(), 1, "an answer from before the forgetting is not kept");
    cache.forget_all();
    assert!(cache.is_empty());
}

#[tokio::test]
async fn denials_are_remembered_for_moments_and_faults_not_at_all() {
    let options = CacheOptions {
        denial_ttl: Duration::from_millis(50),
        ..CacheOptions::default()
    };
    let (service, cache) = cache(Slow::default(), options);
    let health = wrapped("claims/health", "one");
    service.down.store(true, Ordering::SeqCst);
    assert!(cache.unwrap(&health, b"").await.unwrap_err().is_passing());
    assert!(cache.unwrap(&health, b"").await.unwrap_err().is_passing());
    assert_eq!(asked(&service), 2);

    service.down.store(false, Ordering::SeqCst);
    service.denied.store(true, Ordering::SeqCst);
    assert!(cache.unwrap(&health, b"").await.unwrap_err().is_denial());
    service.denied.store(false, Ordering::SeqCst);
    assert!(cache.unwrap(&health, b"").await.unwrap_err().is_denial());
    assert_eq!((asked(&service), cache.counters().denials), (3, 2));
    tokio::time::sleep(Duration::from_millis(70)).await;
    cache.unwrap(&health, b"").await.unwrap();
}

#[test]
fn waiting_needs_a_runtime_with_several_threads() {
    let health = wrapped("claims/health", "one");
    let slow = || Slow {
        delay: Duration::from_millis(5),
        ..Slow::default()
    };
    let (_, patient) = cache(slow(), CacheOptions::default());
    let many = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    many.block_on(async {
        let asking = Arc::clone(&patient);
        let (key, health) = (health.clone(), health.clone());
        tokio::spawn(async move { asking.unwrap_now(&key, b"") })
            .await
            .unwrap()
            .unwrap();
        let asking = Arc::clone(&patient);
        tokio::task::spawn_blocking(move || asking.unwrap_now(&health, b"blocking"))
            .await
            .unwrap()
            .unwrap();
    });

    let (_, stuck) = cache(slow(), CacheOptions::default());
    let single = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcome = single.block_on(async { stuck.unwrap_now(&health, b"") });
    assert_eq!(outcome.unwrap_err(), KeyError::NoRuntime);

    let (_, immediate) = cache(Slow::default(), CacheOptions::default());
    immediate.unwrap_now(&health, b"").unwrap();
}

#[test]
fn many_threads_without_a_runtime_get_their_keys() {
    let (_, cache) = cache(Slow::default(), CacheOptions::default());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let cache = &cache;
            scope.spawn(move || {
                for number in 0..500 {
                    let key = wrapped("claims/health", &format!("{}", number % 40));
                    cache
                        .unwrap_now(&key, b"")
                        .unwrap_or_else(|error| panic!("thread {thread}: {error}"));
                }
            });
        }
    });
}
