//! What the doctor found: one line a check, how bad it is, and what to do.

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Weaker than it could be, or could not be looked at.
    Warning,
    /// Something of a patient may be left in clear, or a key be read by others.
    Problem,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub check: &'static str,
    /// What was seen.
    pub seen: String,
    /// What to do; empty when there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            check,
            seen: seen.into(),
            remedy: String::new(),
        }
    }

    /// Something could be better, and how.
    pub fn warning(check: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            check,
            seen: seen.into(),
            remedy: remedy.into(),
        }
    }

    /// Something is wrong, and what to do.
    pub fn problem(check: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Problem,
            check,
            seen: seen.into(),
            remedy: remedy.into(),
        }
    }

    /// The line that a person reads.
    pub fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        };
        let remedy = match self.remedy.as_str() {
            "" => String::new(),
            remedy => format!("; {remedy}"),
        };
        format!("{level:8} {:20} {}{remedy}", self.check, self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_level_check_and_remedy() {
        let line = Finding::problem("swap", "2 MiB are swapped out", "turn swap off").line();
        assert!(
            line.starts_with("problem  swap  ") && line.ends_with("swapped out; turn swap off"),
            "{line}"
        );
        assert!(Level::Ok < Level::Warning && Level::Warning < Level::Problem);
    }
}
