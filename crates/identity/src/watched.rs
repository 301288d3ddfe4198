//! A value loaded from files that are looked at again whenever it is asked for: a changed file is loaded anew, a broken
//! one is logged and leaves the last good value in force. It knows nothing of what the files mean.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::IdentityError;

/// How long after a failed load the same files are tried again: another file may have been the cause.
const RETRY: Duration = Duration::from_secs(1);

/// Loads a value; given the value now in force, to compare with.
type Load<T> = Box<dyn Fn(Option<&T>) -> Result<T, IdentityError> + Send + Sync>;

/// A value and the files it comes from.
pub(crate) struct Watched<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    load: Load<T>,
    state: Mutex<State<T>>,
}

/// The value in force, and how many times it has been replaced.
pub(crate) struct Current<T> {
    pub value: Arc<T>,
    pub generation: u64,
}

struct State<T> {
    value: Arc<T>,
    generation: u64,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
    failing: Option<Failing>,
}

struct Failing {
    message: String,
    since: Instant,
}

/// What tells one version of a file from another without reading it: device, inode, length, mtime, ctime. The change
/// time cannot be set back, so an edit in place of the same length is seen too.
#[derive(PartialEq, Eq)]
struct Stamp(u64, u64, u64, (i64, i64), (i64, i64));

impl<T> Watched<T> {
    /// Loads the value for the first time; then an error is the caller's.
    pub fn open(what: &'static str, files: Vec<PathBuf>, load: Load<T>) -> Result<Self, IdentityError> {
        // Stamped before reading: a change during the load is seen at the next look.
        let stamps = stamps(&files);
        let value = Arc::new(load(None)?);
        let state = State {
            value,
            generation: 0,
            stamps,
            looked: Instant::now(),
            failing: None,
        };
        Ok(Self {
            what,
            files,
            load,
            state: Mutex::new(state),
        })
    }

    /// The value as of now.
    pub fn current(&self) -> Current<T> {
        self.current_within(Duration::ZERO)
    }

    /// The value as of at most `age` ago.
    pub fn current_within(&self, age: Duration) -> Current<T> {
        let mut state = self.state.lock();
        if age.is_zero() || state.looked.elapsed() >= age {
            self.look(&mut state);
        }
        Current {
            value: state.value.clone(),
            generation: state.generation,
        }
    }

    fn look(&self, state: &mut State<T>) {
        state.looked = Instant::now();
        let stamps = stamps(&self.files);
        let retry = state
            .failing
            .as_ref()
            .is_some_and(|failing| failing.since.elapsed() >= RETRY);
        if stamps == state.stamps && !retry {
            return;
        }
        state.stamps = stamps;
        match (self.load)(Some(&state.value)) {
            Ok(value) => self.replace(state, value),
            Err(error) => self.keep(state, &error),
        }
    }

    fn replace(&self, state: &mut State<T>, value: T) {
        state.value = Arc::new(value);
        state.generation += 1;
        state.failing = None;
        tracing::info!(
            what = self.what,
            generation = state.generation,
            "changed files are in use"
        );
    }

    fn keep(&self, state: &mut State<T>, error: &IdentityError) {
        let message = error.to_string();
        if state.failing.as_ref().is_none_or(|failing| failing.message != message) {
            tracing::error!(what = self.what, error = %message, "changed files cannot be used: the last good ones stay in force");
        }
        state.failing = Some(Failing {
            message,
            since: Instant::now(),
        });
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| fs::metadata(file).ok().map(|meta| Stamp::of(&meta));
    files.iter().map(stamp).collect()
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
        Self(meta.dev(), meta.ino(), meta.len(), modified, changed)
    }
}
