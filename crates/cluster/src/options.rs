//! The options that travel with every task: which query, for whom, under which grant.
//!
//! Written by hand rather than by `extensions_options!`: the macro's entries lose their prefix, and Ballista then drops
//! them on the wire without a word.

use std::any::Any;

use datafusion::common::{DataFusionError, Result};
use datafusion::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::prelude::SessionConfig;

use crate::grant::Grant;

/// What a task says of the query it belongs to.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    /// The query's id, as it stands in logs.
    pub query: String,
    /// The principal's URI name.
    pub principal: String,
    /// The grant in its wire form; see [`Grant`].
    pub grant: String,
}

impl TaskOptions {
    /// The options of a session; an error if they are missing, so that no task runs in nobody's name.
    pub fn of(config: &SessionConfig) -> Result<&Self> {
        config
            .options()
            .extensions
            .get::<Self>()
            .filter(|options| !options.query.is_empty() && !options.principal.is_empty())
            .ok_or_else(|| DataFusionError::Execution("the task names no query and no principal".to_owned()))
    }

    /// The grant, read.
    pub fn grant(&self) -> Result<Grant> {
        self.grant
            .parse()
            .map_err(|error: crate::grant::UnreadableGrant| DataFusionError::Execution(error.to_string()))
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
            "query" => self.query = value.to_owned(),
            "principal" => self.principal = value.to_owned(),
            "grant" => self.grant = value.to_owned(),
            _ => return Err(DataFusionError::Configuration(format!("unknown option parcours.{key}"))),
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        [
            ("query", &self.query),
            ("principal", &self.principal),
            ("grant", &self.grant),
        ]
        .into_iter()
        .map(|(key, value)| ConfigEntry {
            key: format!("{}.{key}", Self::PREFIX),
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
            query: "q1".into(),
            principal: "spiffe://t/user/a".into(),
            grant: "claims:plain".into(),
        };
        let sent = engine_config().with_option_extension(options).to_key_value_pairs();
        let received = engine_config().update_from_key_value_pair(&sent);
        let options = TaskOptions::of(&received).unwrap();
        assert_eq!(
            (options.query.as_str(), options.principal.as_str()),
            ("q1", "spiffe://t/user/a")
        );
        assert_eq!(options.grant().unwrap().datasets().collect::<Vec<_>>(), ["claims"]);
    }

    #[test]
    fn a_task_without_a_name_is_refused() {
        assert!(TaskOptions::of(&engine_config()).is_err());
        assert!(TaskOptions::of(&SessionConfig::new()).is_err());
    }
}
