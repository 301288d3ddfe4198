//! What the demo says while it goes: numbered steps with the time each took, and bars on a terminal. Standard output
//! belongs to the report; with `--json` that is one JSON document, and all the rest goes to standard error.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The voice of the demo.
pub struct Steps {
    json: bool,
    number: Cell<usize>,
    bar: RefCell<Option<ProgressBar>>,
}

/// A step under way.
pub struct Step<'a> {
    steps: &'a Steps,
    started: Instant,
    bar: ProgressBar,
}

impl Steps {
    pub fn new(json: bool) -> Self {
        Self {
            json,
            number: Cell::new(0),
            bar: RefCell::new(None),
        }
    }

    /// Whether standard output is for JSON alone.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of the report. A reader that has gone is no reason to stop: the cluster may be what is wanted.
    pub fn say(&self, text: &str) {
        let _ = match self.json {
            true => writeln!(std::io::stderr(), "{text}"),
            false => writeln!(std::io::stdout(), "{text}"),
        };
    }

    /// A heading.
    pub fn title(&self, text: &str) {
        self.say(&format!("\n{text}\n{}", "─".repeat(text.chars().count())));
    }

    /// Begins a step of unknown length.
    pub fn begin(&self, doing: &str) -> Step<'_> {
        self.step(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}", doing)
    }

    /// Begins a step of so many units.
    pub fn begin_counted(&self, doing: &str, total: u64, unit: &str) -> Step<'_> {
        let template = format!("{{spinner}} {{msg}} [{{bar:30}}] {{human_pos}}/{{human_len}} {unit} {{elapsed}}");
        self.step(ProgressBar::new(total), &template, doing)
    }

    fn step(&self, bar: ProgressBar, template: &str, doing: &str) -> Step<'_> {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(doing.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar.replace(Some(bar.clone()));
        Step {
            steps: self,
            started: Instant::now(),
            bar,
        }
    }

    /// Removes a bar that an interruption left.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Step<'_> {
    /// The bar, to be moved from wherever the work is.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Ends the step with what it came to; returns the seconds it took.
    pub fn end(self, outcome: &str) -> f64 {
        let seconds = self.started.elapsed().as_secs_f64();
        self.steps.clear();
        let number = self.steps.number.get() + 1;
        self.steps.number.set(number);
        self.steps.say(&format!("{number:>2}. {outcome} ({seconds:.1} s)"));
        seconds
    }
}
