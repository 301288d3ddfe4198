//! Sums of doubles without rounding. Nearly every sum is exactly a pair of doubles, which costs little more to keep
//! up than one; what a pair cannot hold goes into a long number (`fixed.rs`), and infinities and NaNs are counted.

use super::big::Big;
use super::fixed::{Fixed, OF_DOUBLES};

/// Returns the nearest double to a sum, and what that leaves out (Knuth). NaN if the sum is none, or past the largest.
#[inline(always)]
pub(super) fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let of_right = sum - left;
    let of_left = sum - of_right;
    (sum, (left - of_left) + (right - of_right))
}

/// The exact sum of two doubles. −0.0 stands for no value at all: no sum comes to it, since a negative zero counts as
/// a zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    high: f64,
    low: f64,
}

impl Default for Pair {
    fn default() -> Self {
        Self { high: -0.0, low: 0.0 }
    }
}

impl Pair {
    /// Whether anything was added.
    pub fn is_some(self) -> bool {
        self.high.to_bits() != (-0.0_f64).to_bits()
    }

    /// Returns the pair with one value more, and zero; or anything else than zero if no pair is their sum.
    #[inline(always)]
    pub fn with(self, value: f64) -> (Self, f64) {
        let (high, rest) = two_sum(self.high, value + 0.0);
        let (low, rest) = two_sum(self.low, rest);
        (Self { high, low }, rest)
    }

    /// Returns the nearest double.
    pub fn nearest(self) -> f64 {
        self.high + self.low
    }

    /// Returns the nearest double, and the rest.
    pub fn parts(self) -> [f64; 2] {
        let (nearest, rest) = two_sum(self.high, self.low);
        [nearest, rest]
    }
}

/// What a sum has beside its pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beyond {
    fixed: Fixed<OF_DOUBLES>,
    pub special: Special,
}

/// How many values were no finite numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Special {
    nan: i64,
    infinite: i64,
    negative_infinite: i64,
}

impl Special {
    /// Adds a value that is not finite, or takes one away.
    pub fn count(&mut self, value: f64, by: i64) {
        let counted = match (value.is_nan(), value > 0.0) {
            (true, _) => &mut self.nan,
            (_, true) => &mut self.infinite,
            _ => &mut self.negative_infinite,
        };
        *counted = counted.saturating_add(by);
    }

    /// Returns what the sum is on their account, if there are any.
    pub fn sum(self) -> Option<f64> {
        match (self.nan != 0, self.infinite != 0, self.negative_infinite != 0) {
            (false, false, false) => None,
            (false, true, false) => Some(f64::INFINITY),
            (false, false, true) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }
}

/// By how much a part of a state was made smaller, as a power of two, because it is larger than any double.
const SHRUNK: usize = 128;

impl Beyond {
    /// Adds a value that its pair cannot take, and returns what the pair is then.
    #[cold]
    pub fn add(&mut self, pair: Pair, value: f64) -> Pair {
        if !value.is_finite() {
            self.special.count(value, 1);
            return self.seen(pair);
        }
        self.add_low(pair, value)
    }

    /// Takes away a value that its pair cannot give, and returns what the pair is then.
    #[cold]
    pub fn subtract(&mut self, pair: Pair, value: f64) -> Pair {
        if !value.is_finite() {
            self.special.count(value, -1);
            return self.seen(pair);
        }
        self.add_low(pair, -value)
    }

    fn seen(&self, pair: Pair) -> Pair {
        Pair {
            high: pair.high + 0.0,
            ..pair
        }
    }

    /// The lower half makes room, so that the next value of the same size finds some.
    fn add_low(&mut self, pair: Pair, value: f64) -> Pair {
        self.fixed.add(pair.low);
        let (high, low) = two_sum(pair.high, value + 0.0);
        if low.is_finite() {
            return Pair { high, low };
        }
        self.fixed.add(pair.high);
        self.fixed.add(value);
        Pair { high: 0.0, low: 0.0 }
    }

    /// Returns the whole sum, where it is a number.
    pub fn total(&self, pair: Pair) -> Big {
        self.whole(pair).total()
    }

    fn whole(&self, pair: Pair) -> Fixed<OF_DOUBLES> {
        let mut whole = self.fixed.clone();
        whole.add(pair.high);
        whole.add(pair.low);
        whole
    }

    /// Appends doubles whose sum is exactly this one. A NaN before two others, at least, says that those two are to
    /// be taken times 2^128, for sums past the largest double.
    pub fn parts(&self, pair: Pair, parts: &mut Vec<f64>) {
        if let Some(sum) = self.special.sum() {
            parts.push(sum);
            return;
        }
        let mut whole = self.whole(pair);
        if whole.total().rounded(false).is_infinite() {
            parts.push(f64::NAN);
            for _ in 0..2 {
                let total = whole.total();
                let smaller = Big {
                    exponent: total.exponent - SHRUNK as i64,
                    ..total
                };
                let part = match total_fits(&whole) {
                    true => 0.0,
                    false => smaller.rounded(false),
                };
                whole.add_times(-part, SHRUNK);
                parts.push(part);
            }
        }
        loop {
            let part = whole.total().rounded(false);
            parts.push(part);
            if part == 0.0 || !part.is_finite() {
                return;
            }
            whole.add(-part);
            if whole.total().is_zero() {
                return;
            }
        }
    }

    /// Adds what [`Self::parts`] gives, if it needs telling apart from values; returns what is left to be added as
    /// values.
    pub fn shrunk<'a>(&mut self, parts: &'a [f64]) -> &'a [f64] {
        match parts {
            [mark, first, second, rest @ ..] if mark.is_nan() && first.is_finite() && second.is_finite() => {
                self.fixed.add_times(*first, SHRUNK);
                self.fixed.add_times(*second, SHRUNK);
                rest
            }
            _ => parts,
        }
    }
}

fn total_fits(whole: &Fixed<OF_DOUBLES>) -> bool {
    whole.total().rounded(false).is_finite()
}

/// Whether the parts of a state begin with some that were made smaller.
pub(super) fn is_shrunk(parts: &[f64]) -> bool {
    parts.len() > 2 && parts.first().is_some_and(|first| first.is_nan())
}

#[cfg(test)]
mod tests {
    use super::{Beyond, Pair, is_shrunk};

    fn sum_of(values: &[f64]) -> (Pair, Beyond) {
        let (mut pair, mut beyond) = (Pair::default(), Beyond::default());
        for value in values {
            match pair.with(*value) {
                (with, 0.0) => pair = with,
                _ => pair = beyond.add(pair, *value),
            }
        }
        (pair, beyond)
    }

    #[test]
    fn parts_say_what_the_sum_is() {
        let sums: [&[f64]; 4] = [
            &[f64::MAX, f64::MAX, 1e-300, f64::from_bits(1), 3.0],
            &[f64::MIN, f64::MIN, f64::MIN, 1.0],
            &[1e300, 1.0, 1e-300],
            &[1e300, 1.0, -1e300],
        ];
        for values in sums {
            let (pair, beyond) = sum_of(values);
            let mut parts = Vec::new();
            beyond.parts(pair, &mut parts);
            let (mut again, mut known) = (Pair::default(), Beyond::default());
            assert_eq!(is_shrunk(&parts), parts[0].is_nan());
            for part in known.shrunk(&parts) {
                again = known.add(again, *part);
            }
            assert_eq!(known.total(again), beyond.total(pair));
        }
    }

    #[test]
    fn zeros_have_no_sign_and_count() {
        assert!(!Pair::default().is_some());
        let (pair, rest) = Pair::default().with(-0.0);
        assert!(pair.is_some() && rest == 0.0);
        assert_eq!(pair.nearest().to_bits(), 0.0_f64.to_bits());
        let (pair, _) = pair.with(3.0).0.with(-3.0);
        assert!(pair.is_some());
        assert_eq!(pair.nearest().to_bits(), 0.0_f64.to_bits());
    }
}
