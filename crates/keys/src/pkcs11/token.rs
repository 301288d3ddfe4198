//! One token: found by its label, logged in to, used through a pool of sessions, and connected to anew when it was lost.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use parking_lot::Mutex;

use super::fault::Fault;
use super::module::{Module, Running};
use super::pin::Pin;
use crate::name::MasterKeyId;

/// A token that is connected to when it is first needed.
pub(super) struct Token {
    module: Arc<Module>,
    label: String,
    pin: Pin,
    connection: Mutex<Option<Arc<Connection>>>,
}

/// Sessions of one login.
struct Connection {
    slot: Slot,
    /// The module's initialization that the sessions belong to.
    epoch: u64,
    /// Keeps the login: it ends with the last session.
    anchor: Mutex<Option<Session>>,
    idle: Mutex<Vec<Session>>,
    handles: Handles,
    /// The sessions are of an earlier initialization: closing one would close whichever has its number now.
    void: AtomicBool,
}

/// Objects of known keys; more than one when two processes made the same version at once.
pub(super) type Handles = Mutex<HashMap<MasterKeyId, Vec<ObjectHandle>>>;

/// What a call has in its hands.
pub(super) struct Use<'a> {
    /// A session, logged in, that nobody else uses.
    pub session: &'a Session,
    /// The objects found before.
    pub handles: &'a Handles,
    library: &'a Pkcs11,
    slot: Slot,
}

impl Use<'_> {
    /// Whether the token still says who it is.
    pub fn is_there(&self) -> Result<(), Fault> {
        let token = self.library.get_token_info(self.slot);
        token.map(|_| ()).map_err(|error| match Fault::from(error).settled() {
            Fault::Refused(text) => Fault::Lost(text),
            other => other,
        })
    }

    /// A session that may make objects.
    pub fn writable(&self) -> Result<Session, Fault> {
        Ok(self.library.open_rw_session(self.slot)?)
    }
}

impl Token {
    pub fn new(module: Arc<Module>, label: &str, pin_file: &Path) -> Self {
        Self {
            module,
            label: label.to_owned(),
            pin: Pin::new(pin_file),
            connection: Mutex::new(None),
        }
    }

    /// Runs `call` on a session. A connection that was lost is made anew once, and once more after the module itself was
    /// initialized anew; objects that are gone are looked up once more.
    pub fn with<T>(&self, call: impl Fn(&Use) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.attempt(&call) {
            Err(Fault::Lost(_) | Fault::Void(_) | Fault::Stale) => {}
            answer => return answer,
        }
        let epoch = self.module.hold().epoch;
        match self.attempt(&call) {
            Err(Fault::Lost(_) | Fault::Void(_)) => {}
            answer => return answer,
        }
        self.module.restart(epoch)?;
        self.attempt(&call)
    }

    fn attempt<T>(&self, call: &impl Fn(&Use) -> Result<T, Fault>) -> Result<T, Fault> {
        let running = self.module.hold();
        let connection = self.connected(&running).map_err(Fault::settled)?;
        let answer = connection.session(&running.library).and_then(|session| {
            let answer = call(&Use {
                session: &session,
                handles: &connection.handles,
                library: &running.library,
                slot: connection.slot,
            });
            connection.idle.lock().push(session);
            answer
        });
        let answer = answer.map_err(Fault::settled);
        match &answer {
            Err(fault @ (Fault::Lost(reason) | Fault::Void(reason))) => {
                tracing::warn!(token = self.label, reason, "connection to the token is lost");
                let void = matches!(fault, Fault::Void(_));
                connection.void.fetch_or(void, Ordering::Relaxed);
                self.disconnect(&connection);
            }
            Err(Fault::Stale) => connection.handles.lock().clear(),
            _ => {}
        }
        answer
    }

    fn connected(&self, running: &Running) -> Result<Arc<Connection>, Fault> {
        let mut current = self.connection.lock();
        if let Some(connection) = current.as_ref() {
            if connection.epoch == running.epoch {
                return Ok(connection.clone());
            }
            connection.void.store(true, Ordering::Relaxed);
        }
        *current = None;
        let connection = Arc::new(self.connect(running)?);
        tracing::info!(token = self.label, module = %self.module.path().display(), "connected to the token");
        *current = Some(connection.clone());
        Ok(connection)
    }

    fn connect(&self, running: &Running) -> Result<Connection, Fault> {
        let slot = self.slot(&running.library)?;
        let session = running.library.open_ro_session(slot)?;
        let (pin, stamp) = self.pin.read()?;
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => {
                return Err(match error.into() {
                    Fault::Pin(answer) => self.pin.refuse(stamp, &answer),
                    other => other,
                });
            }
        }
        Ok(Connection {
            slot,
            epoch: running.epoch,
            anchor: Mutex::new(Some(session)),
            idle: Mutex::default(),
            handles: Handles::default(),
            void: AtomicBool::new(false),
        })
    }

    fn slot(&self, library: &Pkcs11) -> Result<Slot, Fault> {
        let has_label = |slot: &Slot| {
            let token = library.get_token_info(*slot);
            token.is_ok_and(|token| token.label().trim_end() == self.label)
        };
        let found = library.get_slots_with_token()?.into_iter().find(has_label);
        found.ok_or_else(|| {
            let module = self.module.path().display();
            Fault::Lost(format!("no slot of {module} has a token named {}", self.label))
        })
    }

    /// Closes what is left of a lost connection, unless another has taken its place.
    fn disconnect(&self, lost: &Arc<Connection>) {
        let mut current = self.connection.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, lost)) {
            *current = None;
        }
    }
}

impl Connection {
    fn session(&self, library: &Pkcs11) -> Result<Session, Fault> {
        if let Some(session) = self.idle.lock().pop() {
            return Ok(session);
        }
        Ok(library.open_ro_session(self.slot)?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.void.load(Ordering::Relaxed) {
            self.idle.get_mut().drain(..).for_each(std::mem::forget);
            std::mem::forget(self.anchor.get_mut().take());
        }
    }
}
