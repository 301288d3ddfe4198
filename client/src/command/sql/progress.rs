//! A spinner with the time gone by and the rows received, on standard error when a person is there to see it, and only
//! for what takes a while. It goes away without a trace.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

/// What is done sooner than this needs no spinner.
const PATIENCE: Duration = Duration::from_millis(300);

/// The spinner; dropped, it is cleared.
pub struct Progress {
    bar: ProgressBar,
    showing: Option<JoinHandle<()>>,
}

impl Progress {
    /// A spinner, shown after a moment, if `wanted` and standard error is a terminal.
    pub fn start(wanted: bool, doing: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(doing);
        let seen = wanted && std::io::stderr().is_terminal();
        let showing = seen.then(|| tokio::spawn(show_later(bar.clone())));
        Self { bar, showing }
    }

    /// Says how many rows have come.
    pub fn rows(&self, rows: usize) {
        self.bar.set_message(format!("{rows} rows"));
    }

    /// Makes way for what is to be written on the same terminal.
    pub fn clear(&self) {
        if let Some(showing) = &self.showing {
            showing.abort();
        }
        self.bar.finish_and_clear();
    }
}

async fn show_later(bar: ProgressBar) {
    tokio::time::sleep(PATIENCE).await;
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(120));
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
