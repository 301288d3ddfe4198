//! What a process can say of the traces that it would leave if it died. The command line turns core dumps off before
//! anything else; this only reports, for the metrics that `parcours doctor` reads.

use rustix::process::{DumpableBehavior, dumpable_behavior};

/// Whether the system would write this process's memory into a core dump, or let processes of its user read it. What
/// cannot be found out counts as yes.
pub fn is_dumpable() -> bool {
    !matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable))
}
