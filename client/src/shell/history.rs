//! The shell's history. It is kept in memory alone unless the profile says `history = true`: statements hold literals,
//! and literals can be values of patients. On disk it is `$XDG_STATE_HOME/parcours/history`, mode 0600.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use parcours::NamedProfile;
use rustyline::history::DefaultHistory;
use rustyline::{Editor, Helper};

use crate::exit::Failure;

/// Where statements are kept, if anywhere.
#[derive(Debug)]
pub struct History {
    file: Option<PathBuf>,
}

impl History {
    /// The history this profile allows.
    pub fn of(profile: &NamedProfile) -> Result<Self, Failure> {
        if !profile.history {
            return Ok(Self { file: None });
        }
        let no_place = "history = true needs XDG_STATE_HOME or HOME";
        let folder = state_folder().ok_or_else(|| Failure::usage(no_place))?;
        let unwritable = || format!("cannot make the history's folder {}", folder.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(unwritable)?;
        Ok(Self {
            file: Some(folder.join("history")),
        })
    }

    /// Reads what earlier shells kept.
    pub fn load<H: Helper>(&self, editor: &mut Editor<H, DefaultHistory>) -> Result<(), Failure> {
        match &self.file {
            Some(file) if file.exists() => Ok(editor.load_history(file).with_context(|| unusable(file))?),
            _ => Ok(()),
        }
    }

    /// Remembers an input; one that begins with a blank is never kept.
    pub fn add<H: Helper>(&self, editor: &mut Editor<H, DefaultHistory>, input: &str) -> Result<(), Failure> {
        let added = editor.add_history_entry(input).context("cannot add to the history")?;
        match &self.file {
            Some(file) if added => Ok(editor.append_history(file).with_context(|| unusable(file))?),
            _ => Ok(()),
        }
    }
}

fn unusable(file: &Path) -> String {
    format!("cannot use the history {}", file.display())
}

fn state_folder() -> Option<PathBuf> {
    let absolute = |variable| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("parcours"))
}
