//! Logs of a node: one line per event on standard error, our own events only. The engines' logs are off unless an operator
//! asks for them by name, since they print plans, and plans hold the literals of people's queries.

use tracing_subscriber::EnvFilter;

/// What is logged unless `PARCOURS_LOG` says otherwise.
pub const DEFAULT_FILTER: &str = "off,parcours=info,parcours_scheduler=info,parcours_executor=info,parcours_cluster=info,\
parcours_identity=info,parcours_keys=info,parcours_tables=info,parcours_sealed=info";

/// Starts logging; a second call does nothing.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_env("PARCOURS_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let started = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
