//! A vendor's PKCS#11 library, loaded and initialized once in a process and shared by all who name its path.
//!
//! A call holds the module; [`Module::restart`] waits for all of them, then finalizes the library and initializes it anew,
//! which is what some libraries need to see a token that came back. Sessions of the time before are void by then: their
//! numbers may be given out again, so they are forgotten, never closed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::fault::Fault;

/// The library is not initialized anew more often than this.
const PAUSE: Duration = Duration::from_secs(1);

static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A loaded library.
pub(super) struct Module {
    path: PathBuf,
    running: RwLock<Running>,
}

/// The library between two restarts.
pub(super) struct Running {
    /// The library.
    pub library: Pkcs11,
    /// Which initialization this is; grows with each restart.
    pub epoch: u64,
    since: Instant,
}

impl Module {
    /// The module of this path, loaded if it is not yet.
    pub fn of(path: &Path) -> Result<Arc<Self>, Fault> {
        let mut modules = MODULES.lock();
        if let Some(module) = modules.get(path) {
            return Ok(module.clone());
        }
        let library = Pkcs11::new(path)
            .map_err(|_| Fault::Refused(format!("{} is no PKCS#11 module that loads here", path.display())))?;
        initialize(&library)?;
        let module = Arc::new(Self {
            path: path.to_owned(),
            running: RwLock::new(Running {
                library,
                epoch: 0,
                since: Instant::now(),
            }),
        });
        modules.insert(path.to_owned(), module.clone());
        Ok(module)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Holds the library for a call.
    pub fn hold(&self) -> RwLockReadGuard<'_, Running> {
        self.running.read()
    }

    /// Initializes the library anew, unless someone has done so since `epoch`. One that was finalized behind our back is
    /// initialized at once; one that works is left alone if it was initialized a moment ago.
    pub fn restart(&self, epoch: u64) -> Result<(), Fault> {
        let mut running = self.running.write();
        if running.epoch != epoch {
            return Ok(());
        }
        if running.since.elapsed() >= PAUSE {
            // One that is not initialized any more says so here, which is as well.
            let _ = running.library.clone().finalize();
        }
        if initialize(&running.library)? {
            running.epoch += 1;
            running.since = Instant::now();
            tracing::warn!(module = %self.path.display(), "PKCS#11 module is initialized anew");
        }
        Ok(())
    }
}

/// Whether the library was not initialized before.
fn initialize(library: &Pkcs11) -> Result<bool, Fault> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(true),
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
