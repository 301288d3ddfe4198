//! How many bad rows of a source may be set aside: so many, a share of its rows, or at most both.

use std::fmt;
use std::str::FromStr;

/// How many bad rows of a source may be set aside: a description that fits no row is a fault of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RejectLimit {
    /// So many.
    Rows(u64),
    /// This share of its rows, between 0 and 1.
    Share(f64),
    /// So many, and this share of its rows: both hold.
    Both {
        /// The number.
        rows: u64,
        /// The share, between 0 and 1.
        share: f64,
    },
}

/// Rows of a source that were read, and how many of them were bad.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) bad: u64,
}

impl Default for RejectLimit {
    /// One row of a hundred.
    fn default() -> Self {
        Self::Share(0.01)
    }
}

impl RejectLimit {
    /// Rows after which a source that is being read is judged by what was read of it.
    const ENOUGH: u64 = 100_000;

    /// Whether a source may have so many bad rows.
    pub(super) fn allows(self, counts: Counts) -> bool {
        self.allows_number(counts) && self.allows_share(counts)
    }

    /// Whether more of a source can be read: a share is not judged by its first rows.
    pub(super) fn allows_more(self, counts: Counts) -> bool {
        self.allows_number(counts) && (counts.rows < Self::ENOUGH || self.allows_share(counts))
    }

    fn allows_number(self, counts: Counts) -> bool {
        match self {
            Self::Rows(rows) | Self::Both { rows, .. } => counts.bad <= rows,
            Self::Share(_) => true,
        }
    }

    fn allows_share(self, counts: Counts) -> bool {
        match self {
            Self::Share(share) | Self::Both { share, .. } => counts.bad as f64 <= share * counts.rows as f64,
            Self::Rows(_) => true,
        }
    }
}

impl FromStr for RejectLimit {
    type Err = String;

    /// `1000`, or `0.5%`, or `0.5%,1000`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "{text} is no limit: say a number of rows, such as 1000, a share, such as 0.5%, or both, such as 0.5%,1000"
            )
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        match parts.as_slice() {
            [one] => part(one).ok_or_else(refuse),
            [one, other] => match (part(one), part(other)) {
                (Some(Self::Rows(rows)), Some(Self::Share(share)))
                | (Some(Self::Share(share)), Some(Self::Rows(rows))) => Ok(Self::Both { rows, share }),
                _ => Err(refuse()),
            },
            _ => Err(refuse()),
        }
    }
}

/// A number of rows, or a share of them.
fn part(text: &str) -> Option<RejectLimit> {
    let Some(percent) = text.strip_suffix('%') else {
        return text.parse().ok().map(RejectLimit::Rows);
    };
    let percent: f64 = percent.trim().parse().ok()?;
    (0.0..=100.0)
        .contains(&percent)
        .then_some(RejectLimit::Share(percent / 100.0))
}

impl fmt::Display for RejectLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows} rows"),
            Self::Share(share) => write!(f, "{} %", share * 100.0),
            Self::Both { rows, share } => write!(f, "{} % or {rows} rows", share * 100.0),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allows(limit: &str, bad: u64, rows: u64) -> bool {
        limit.parse::<RejectLimit>().unwrap().allows(Counts { rows, bad })
    }

    #[test]
    fn a_share_and_a_number_both_hold() {
        for limit in ["1%,5", "5, 1 %"] {
            assert!(allows(limit, 5, 500) && allows(limit, 1, 100));
            assert!(!allows(limit, 6, 600), "more than the number");
            assert!(!allows(limit, 2, 100), "more than the share");
        }
        assert_eq!(
            "0.5%,10".parse::<RejectLimit>().unwrap().to_string(),
            "0.5 % or 10 rows"
        );
    }

    #[test]
    fn a_number_is_judged_at_once_and_a_share_later() {
        let limit: RejectLimit = "1%,5".parse().unwrap();
        assert!(limit.allows_more(Counts { rows: 10, bad: 5 }));
        assert!(!limit.allows_more(Counts {
            rows: 1_000_000,
            bad: 6
        }));
        assert!(!"1%".parse::<RejectLimit>().unwrap().allows_more(Counts {
            rows: 100_000,
            bad: 1_001
        }));
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in ["", "1%,2%", "1,2", "101%", "-1", "1%,2,3", "x", ",", "NaN%"] {
            assert!(text.parse::<RejectLimit>().is_err(), "{text}");
        }
    }
}
