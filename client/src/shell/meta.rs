//! The shell's own commands, which begin with a backslash and never reach a cluster.

use clap::ValueEnum;

use crate::output::Format;

/// What `\?` prints.
pub const HELP: &str = "\
  statement;         run a statement; it may span lines and ends with a semicolon
  \\d                 list tables
  \\d TABLE           list the columns of a table
  \\timing [on|off]   show how long statements take
  \\format FORMAT     show results as table, csv or jsonl
  \\?                 this help
  \\q                 quit (or Ctrl-D); Ctrl-C cancels the running query
";

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub enum Meta {
    /// `\d`
    Tables,
    /// `\d table`
    Describe(String),
    /// `\timing`, which toggles, or `\timing on|off`
    Timing(Option<bool>),
    /// `\format`
    Format(Format),
    /// `\?`
    Help,
    /// `\q`
    Quit,
}

impl Meta {
    /// Reads what follows the backslash; a semicolon at the end is habit, and harmless.
    pub fn parse(command: &str) -> Result<Self, String> {
        let words: Vec<_> = command.trim_end_matches(';').split_whitespace().collect();
        match words.as_slice() {
            ["d"] => Ok(Meta::Tables),
            ["d", table] => Ok(Meta::Describe((*table).to_owned())),
            ["timing"] => Ok(Meta::Timing(None)),
            ["timing", "on"] => Ok(Meta::Timing(Some(true))),
            ["timing", "off"] => Ok(Meta::Timing(Some(false))),
            ["format", name] => match Format::from_str(name, true) {
                Ok(format) if !format.is_binary() => Ok(Meta::Format(format)),
                _ => Err("formats of the shell are table, csv and jsonl".to_owned()),
            },
            ["?" | "h" | "help"] => Ok(Meta::Help),
            ["q" | "quit"] => Ok(Meta::Quit),
            _ => Err("no such command, \\? lists them".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        for (text, command) in [
            ("d", Meta::Tables),
            ("d snds.pharmacie;", Meta::Describe("snds.pharmacie".to_owned())),
            ("timing", Meta::Timing(None)),
            ("timing off", Meta::Timing(Some(false))),
            ("format CSV", Meta::Format(Format::Csv)),
            ("?", Meta::Help),
            ("q", Meta::Quit),
        ] {
            assert_eq!(Meta::parse(text), Ok(command), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in ["", "x", "d a b", "timing maybe", "format", "format parquet", "q now"] {
            assert!(Meta::parse(text).is_err(), "{text}");
        }
    }
}
