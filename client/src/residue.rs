//! What a process of ours leaves behind when it dies: no image of its memory, which may hold keys and rows.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Turns core dumps off, also those that a handler would be piped, and closes the process's memory to other processes of
/// its user.
pub fn leave_none() -> std::io::Result<()> {
    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, nothing)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
