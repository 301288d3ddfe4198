//! Configuration in layers: a TOML file, then the environment, then flags, each overriding the one before. Unknown keys
//! are refused wherever they come from, and the effective configuration can be printed with its secrets blanked.
//!
//! An environment variable names its key with double underscores: `PARCOURS_EXECUTOR__SCRATCH__DIR` is `scratch.dir`.
//! A flag names it with dots: `--set scratch.dir=/var/lib/parcours`.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::{Table, Value};

/// Why a configuration was not taken.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read configuration {path}: {source}")]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration {path} is not valid TOML: {source}")]
    Syntax {
        /// The file asked for.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A key is unknown, missing, or of the wrong type.
    #[error("configuration is not valid: {0}")]
    Invalid(String),
    /// A flag is not of the form `key=value`.
    #[error("`--set {0}` names no key and value, write --set key=value")]
    Flag(String),
    /// A key names something inside a value that holds nothing.
    #[error("configuration key `{0}` goes into a value that is not a table")]
    NotATable(String),
}

/// The layers of one component's configuration, lowest precedence first.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    effective: Table,
}

impl Layers {
    /// Reads the file, then lays over it every environment variable that starts with `prefix` and every `key=value` flag.
    pub fn read(
        file: Option<&Path>,
        prefix: &str,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, ConfigError> {
        let mut layers = Self {
            effective: file.map(read_file).transpose()?.unwrap_or_default(),
        };
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(prefix) {
                layers.lay_over(&key.to_lowercase().replace("__", "."), &value)?;
            }
        }
        for flag in flags {
            let (key, value) = flag.split_once('=').ok_or_else(|| ConfigError::Flag(flag.clone()))?;
            layers.lay_over(key.trim(), value.trim())?;
        }
        Ok(layers)
    }

    fn lay_over(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let mut table = &mut self.effective;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), parse_value(value));
                break;
            }
            table = table
                .entry(part.to_owned())
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut()
                .ok_or_else(|| ConfigError::NotATable(key.to_owned()))?;
        }
        Ok(())
    }

    /// The configuration as a component's own options struct, which refuses unknown keys.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        Value::Table(self.effective.clone())
            .try_into()
            .map_err(|error| ConfigError::Invalid(error.to_string().trim().to_owned()))
    }
}

/// A configuration as TOML, with the value of every key that may hold a secret blanked.
pub fn dump<T: serde::Serialize>(options: &T) -> Result<String, ConfigError> {
    let invalid = |error: toml::ser::Error| ConfigError::Invalid(error.to_string());
    let mut value = Value::try_from(options).map_err(invalid)?;
    blank_secrets(&mut value);
    toml::to_string_pretty(&value).map_err(invalid)
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    text.parse().map_err(|source| ConfigError::Syntax {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// Numbers, booleans and arrays are written as in TOML; whatever is not TOML is text.
fn parse_value(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn blank_secrets(value: &mut Value) {
    match value {
        Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                if is_secret(key) && !value.is_table() {
                    *value = Value::String("(secret)".to_owned());
                } else {
                    blank_secrets(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(blank_secrets),
        _ => {}
    }
}

fn is_secret(key: &str) -> bool {
    ["passphrase", "secret", "token", "password"]
        .iter()
        .any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Options {
        id: String,
        scratch: Scratch,
    }

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Scratch {
        dir: String,
        #[serde(default)]
        files: u32,
        secret_key: Option<String>,
    }

    fn layers(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Layers, ConfigError> {
        let dir = std::env::temp_dir().join(format!("parcours-config-{}-{}", std::process::id(), fastrand(file)));
        std::fs::write(&dir, file).unwrap();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        let layers = Layers::read(Some(&dir), "PARCOURS_TEST__", environment, &flags);
        std::fs::remove_file(&dir).unwrap();
        layers
    }

    fn fastrand(text: &str) -> usize {
        text.len() + std::thread::current().name().map_or(0, str::len)
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let file = "id = 'a'\n[scratch]\ndir = 'file'\nfiles = 1\n";
        let env = [
            ("PARCOURS_TEST__SCRATCH__DIR", "env"),
            ("PARCOURS_TEST__SCRATCH__FILES", "2"),
            ("OTHER", "x"),
        ];
        let options: Options = layers(file, &env, &["scratch.files=3"]).unwrap().parse().unwrap();
        assert_eq!((options.scratch.dir.as_str(), options.scratch.files), ("env", 3));
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = layers("id = 'a'\n[scratch]\ndir='d'\nbanana = 1\n", &[], &[])
            .unwrap()
            .parse::<Options>()
            .unwrap_err();
        assert!(error.to_string().contains("banana"), "{error}");
        let error = layers("id = 'a'\n[scratch]\ndir='d'\n", &[], &["scratch.kiwi=1"])
            .unwrap()
            .parse::<Options>();
        assert!(error.unwrap_err().to_string().contains("kiwi"));
    }

    #[test]
    fn a_flag_without_value_and_a_path_into_a_value_are_refused() {
        assert!(matches!(layers("id='a'", &[], &["id"]), Err(ConfigError::Flag(_))));
        assert!(matches!(
            layers("id='a'", &[], &["id.deeper=1"]),
            Err(ConfigError::NotATable(_))
        ));
    }

    #[test]
    fn secrets_are_blanked_in_the_dump() {
        let scratch = Scratch {
            dir: "d".into(),
            files: 1,
            secret_key: Some("hunter2".into()),
        };
        let text = dump(&Options {
            id: "a".into(),
            scratch,
        })
        .unwrap();
        assert!(text.contains("dir = \"d\"") && !text.contains("hunter2"), "{text}");
    }
}
