//! How much the constants of one statement may take together. The scheduler computes them while it plans: one function gives
//! at most a mebibyte, and a statement has room for many calls.

use std::cell::Cell;

use datafusion::common::{Result, resources_err};

/// The most bytes of texts that are computed of constants while a statement is planned.
pub(super) const CONSTANTS: u64 = 16 << 20;

thread_local! {
    /// What is left to the statement that is planned on this thread; nothing where no statement is planned.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Does the planning of one statement, whose constants take so much together and no more.
pub fn within_budget<T>(work: impl FnOnce() -> T) -> T {
    let _restored = Restored(LEFT.replace(Some(CONSTANTS)));
    work()
}

/// Puts back what was left before, even if the work panics.
struct Restored(Option<u64>);

impl Drop for Restored {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

/// Takes a constant's bytes from what is left.
pub(super) fn take(bytes: u64) -> Result<()> {
    match LEFT.get().map(|left| left.checked_sub(bytes)) {
        None => Ok(()),
        Some(Some(left)) => {
            LEFT.set(Some(left));
            Ok(())
        }
        Some(None) => resources_err!(
            "the constants of the statement would take more than {} MiB, which is the limit",
            CONSTANTS >> 20
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_a_budget_and_other_work_has_none() {
        take(CONSTANTS + 1).unwrap();
        within_budget(|| {
            take(CONSTANTS - 1).unwrap();
            take(1).unwrap();
            assert!(take(1).unwrap_err().to_string().contains("16 MiB"));
            within_budget(|| take(CONSTANTS).unwrap());
            assert!(take(1).is_err());
        });
        take(CONSTANTS + 1).unwrap();
    }
}
