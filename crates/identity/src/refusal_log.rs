//! Lines about refused connections, so many a minute for each reason: whoever knocks without end fills no disk, and what was
//! left out is counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long lines of a reason are counted together.
const PERIOD: Duration = Duration::from_secs(60);
/// Lines of a reason in that time.
const LINES: u64 = 10;
/// Reasons that are counted apart; further ones are counted as one.
const REASONS: usize = 64;

/// The lines of one listener.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<String, Period>>);

#[derive(Debug, Clone, Copy)]
struct Period {
    began: Instant,
    refusals: u64,
}

/// What is to be logged of a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A line, and how many refusals for this reason before it had none.
    Line {
        left_out: u64,
    },
    /// A line that says that there will be no more until the period is over.
    Last,
    Nothing,
}

impl RefusalLog {
    /// Counts a refusal at `now`.
    pub(crate) fn tell(&self, reason: &str, now: Instant) -> Told {
        let mut periods = self.0.lock();
        let reason = match periods.contains_key(reason) || periods.len() < REASONS {
            true => reason,
            false => "other",
        };
        let began = Period {
            began: now,
            refusals: 0,
        };
        let period = periods.entry(reason.to_owned()).or_insert(began);
        let mut left_out = 0;
        if now.duration_since(period.began) >= PERIOD {
            left_out = period.refusals.saturating_sub(LINES);
            *period = began;
        }
        period.refusals += 1;
        match period.refusals {
            refusals if refusals < LINES => Told::Line { left_out },
            LINES => Told::Last,
            _ => Told::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_so_many_lines_a_minute() {
        let (log, now) = (RefusalLog::default(), Instant::now());
        let told: Vec<Told> = (0..100).map(|_| log.tell("no certificate", now)).collect();
        assert!(told[..9].iter().all(|told| *told == Told::Line { left_out: 0 }));
        assert_eq!(told[9], Told::Last);
        assert!(told[10..].iter().all(|told| *told == Told::Nothing));
        assert_eq!(log.tell("wrong key", now), Told::Line { left_out: 0 });
        assert_eq!(log.tell("no certificate", now + PERIOD), Told::Line { left_out: 90 });
    }

    #[test]
    fn reasons_without_end_are_one() {
        let (log, now) = (RefusalLog::default(), Instant::now());
        let lines = (0..1000).filter(|number| log.tell(&number.to_string(), now) != Told::Nothing);
        assert_eq!(lines.count(), REASONS + LINES as usize);
        assert!(log.0.lock().len() <= REASONS + 1);
    }
}
