//! Memory for keys: pages locked in RAM, so that no key is ever swapped out, and slots of 32 bytes in them, wiped when they
//! are given back. Pages are kept for good and their slots used again: unlocking one key's page would unlock its
//! neighbours', because locks do not nest.

use std::fmt;
use std::sync::OnceLock;

use parking_lot::Mutex;
use zeroize::Zeroize;

/// Bytes of a key.
const KEY: usize = 32;
const PAGE: usize = 4096;

#[repr(align(4096))]
struct Page([[u8; KEY]; PAGE / KEY]);

#[derive(Default)]
struct Arena {
    free: Vec<&'static mut [u8; KEY]>,
    usage: LockedMemory,
}

static ARENA: OnceLock<Mutex<Arena>> = OnceLock::new();

/// How many pages of 4 KiB hold keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockedMemory {
    /// Pages that are locked in RAM.
    pub locked: usize,
    /// Pages that the system refused to lock, as it does beyond `RLIMIT_MEMLOCK`. They may be swapped out.
    pub refused: usize,
}

impl LockedMemory {
    /// What this process uses now.
    pub fn now() -> Self {
        arena().lock().usage
    }
}

/// One key's bytes, in a locked page if the system allows; wiped when dropped. It is `None` only while it is dropped.
pub(crate) struct LockedBytes(Option<&'static mut [u8; KEY]>);

impl LockedBytes {
    /// Zeros, to be filled in place.
    pub fn zero() -> Self {
        Self(Some(arena().lock().take()))
    }

    pub fn get(&self) -> &[u8; KEY] {
        const NOTHING: &[u8; KEY] = &[0; KEY];
        self.0.as_deref().unwrap_or(NOTHING)
    }

    /// The bytes, to be filled.
    pub fn fill<E>(&mut self, fill: impl FnOnce(&mut [u8; KEY]) -> Result<(), E>) -> Result<(), E> {
        self.0.as_mut().map_or(Ok(()), |bytes| fill(bytes))
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        if let Some(bytes) = self.0.take() {
            bytes.zeroize();
            arena().lock().free.push(bytes);
        }
    }
}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedBytes")
    }
}

fn arena() -> &'static Mutex<Arena> {
    ARENA.get_or_init(Mutex::default)
}

impl Arena {
    fn take(&mut self) -> &'static mut [u8; KEY] {
        loop {
            if let Some(slot) = self.free.pop() {
                return slot;
            }
            self.grow();
        }
    }

    fn grow(&mut self) {
        let page: &'static mut Page = Box::leak(Box::new(Page([[0; KEY]; PAGE / KEY])));
        match region::lock(page.0.as_ptr(), PAGE) {
            Ok(guard) => {
                // Dropping the guard would unlock the page.
                std::mem::forget(guard);
                self.usage.locked += 1;
            }
            Err(error) => {
                if self.usage.refused == 0 {
                    tracing::warn!(%error, "memory for keys cannot be locked, raise RLIMIT_MEMLOCK or turn swap off");
                }
                self.usage.refused += 1;
            }
        }
        self.free.extend(page.0.iter_mut());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_wiped_and_used_again() {
        let held: Vec<_> = (0..300)
            .map(|number| {
                let mut bytes = LockedBytes::zero();
                bytes
                    .fill(|slot| {
                        slot.fill(number as u8 | 1);
                        Ok::<_, ()>(())
                    })
                    .unwrap();
                bytes
            })
            .collect();
        assert!(
            held.iter()
                .enumerate()
                .all(|(number, bytes)| *bytes.get() == [number as u8 | 1; KEY])
        );
        let usage = LockedMemory::now();
        assert!(usage.locked + usage.refused >= 3, "{usage:?}");
        drop(held);
        let again: Vec<_> = (0..300).map(|_| LockedBytes::zero()).collect();
        assert!(again.iter().all(|bytes| *bytes.get() == [0; KEY]));
    }
}
