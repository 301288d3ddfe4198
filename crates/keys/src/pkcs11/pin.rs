//! The PIN: read from its file at each login, so that a new one is taken without a restart, and never tried twice once the
//! token has refused it, because tokens lock themselves after a few wrong ones.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::types::AuthPin;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::fault::Fault;

/// Longest PIN read, in bytes.
const LONGEST: u64 = 256;

/// A PIN's file, and the last PIN that was refused.
pub(super) struct Pin {
    file: PathBuf,
    refused: Mutex<Option<Stamp>>,
}

/// One content of the file as of one moment; whoever writes the same PIN again wants it tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    digest: [u8; 32],
    modified: (i64, i64),
}

impl Pin {
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            refused: Mutex::new(None),
        }
    }

    /// The PIN, unless it is the one that was refused.
    pub fn read(&self) -> Result<(AuthPin, Stamp), Fault> {
        let (text, modified) = self.contents()?;
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let stamp = Stamp { digest: sum, modified };
        if *self.refused.lock() == Some(stamp) {
            return Err(Fault::Pin(self.remedy("was refused before and is not tried again")));
        }
        Ok((AuthPin::from(text.as_str()), stamp))
    }

    /// Remembers that the token refused this one; what to tell about it.
    pub fn refuse(&self, stamp: Stamp, answer: &str) -> Fault {
        *self.refused.lock() = Some(stamp);
        tracing::error!(file = %self.file.display(), answer, "the token refuses the PIN");
        Fault::Pin(self.remedy(&format!("is refused by the token ({answer})")))
    }

    fn remedy(&self, what: &str) -> String {
        format!("the PIN in {} {what}, put the right one there", self.file.display())
    }

    fn contents(&self) -> Result<(Zeroizing<String>, (i64, i64)), Fault> {
        let unusable = |what: &str| Fault::Pin(format!("the PIN file {} {what}", self.file.display()));
        let file = File::open(&self.file).map_err(|error| unusable(&format!("cannot be read: {}", error.kind())))?;
        let about = file.metadata().map_err(|_| unusable("cannot be read"))?;
        if about.mode() & 0o077 != 0 {
            return Err(unusable("is open to others, make its mode 0600"));
        }
        let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize));
        file.take(LONGEST)
            .read_to_string(&mut text)
            .map_err(|_| unusable("holds no text"))?;
        let trimmed = Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned());
        if trimmed.is_empty() {
            return Err(unusable("is empty"));
        }
        Ok((trimmed, (about.mtime(), about.mtime_nsec())))
    }
}
