//! The options that travel with every task: the terms of its query, and the grant that the scheduler signed over them.
//!
//! Written by hand rather than by `extensions_options!`: the macro's entries lose their prefix, and Ballista then drops
//! them on the wire without a word.

use std::any::Any;

use datafusion::common::{DataFusionError, Result};
use datafusion::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::prelude::SessionConfig;

/// The option that holds [`TaskOptions::terms`], in full.
pub const TERMS: &str = "parcours.terms";
/// The option that holds [`TaskOptions::grant`], in full.
pub const GRANT: &str = "parcours.grant";

/// What a task says of the query it belongs to.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    /// The query's terms ([`Terms`](crate::task_grant::Terms)) inside the scheduler. They never leave it: whoever hands
    /// out a task puts the grant in their place.
    pub terms: String,
    /// The signed grant ([`TaskGrant`](crate::task_grant::TaskGrant)), on its way to an executor and there.
    pub grant: String,
}

impl TaskOptions {
    /// The options of a session; an error if there are none, so that no task runs in nobody's name.
    pub fn of(config: &SessionConfig) -> Result<&Self> {
        let options = config.options().extensions.get::<Self>();
        options.ok_or_else(|| DataFusionError::Execution("the task names no query and no principal".to_owned()))
    }
}

impl ConfigExtension for TaskOptions {
    const PREFIX: &'static str = "parcours";
}

impl ExtensionOptions for TaskOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "terms" => self.terms = value.to_owned(),
            "grant" => self.grant = value.to_owned(),
            _ => return Err(DataFusionError::Configuration(format!("unknown option parcours.{key}"))),
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        [(TERMS, &self.terms), (GRANT, &self.grant)]
            .into_iter()
            .map(|(key, value)| ConfigEntry {
                key: key.to_owned(),
                value: Some(value.clone()),
                description: "travels with every task",
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::session::engine_config;
    use ballista_core::extension::SessionConfigHelperExt;

    #[test]
    fn the_options_survive_ballistas_wire_form() {
        let options = TaskOptions {
            terms: "{\"query\":\"q1\"}".into(),
            grant: "a.b.c".into(),
        };
        let sent = engine_config().with_option_extension(options).to_key_value_pairs();
        let received = engine_config().update_from_key_value_pair(&sent);
        let options = TaskOptions::of(&received).unwrap();
        assert_eq!(
            (options.terms.as_str(), options.grant.as_str()),
            ("{\"query\":\"q1\"}", "a.b.c")
        );
    }

    #[test]
    fn a_session_that_is_not_ours_is_refused() {
        assert!(TaskOptions::of(&SessionConfig::new()).is_err());
    }
}
