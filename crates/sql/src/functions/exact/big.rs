//! Whole numbers of any length, and how they become doubles: to the nearest, halves to the even one, as IEEE 754 has
//! it.

use std::cmp::Ordering;

/// ±`limbs` · 2^`exponent`. The limbs begin with the least significant one; none of the last ones is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Big {
    pub negative: bool,
    pub limbs: Vec<u64>,
    pub exponent: i64,
}

impl Big {
    /// Returns a number without the zeros at either end of its limbs.
    pub fn new(negative: bool, mut limbs: Vec<u64>, mut exponent: i64) -> Self {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        let zeros = limbs.iter().take_while(|limb| **limb == 0).count();
        limbs.drain(..zeros);
        exponent += 64 * zeros as i64;
        Self {
            negative,
            limbs,
            exponent,
        }
    }

    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Returns this number times a small one.
    pub fn times(&self, factor: u64) -> Self {
        self.product(&Self::new(false, vec![factor], 0))
    }

    /// Returns the product of two numbers.
    pub fn product(&self, other: &Self) -> Self {
        let mut limbs = vec![0_u64; self.limbs.len() + other.limbs.len() + 1];
        for (at, left) in self.limbs.iter().enumerate() {
            let mut carry = 0_u64;
            for (at, right) in (at..).zip(&other.limbs) {
                let sum = u128::from(*left) * u128::from(*right) + u128::from(limbs[at]) + u128::from(carry);
                limbs[at] = sum as u64;
                carry = (sum >> 64) as u64;
            }
            limbs[at + other.limbs.len()] = carry;
        }
        Self::new(self.negative != other.negative, limbs, self.exponent + other.exponent)
    }

    /// Returns the difference of two numbers.
    pub fn minus(&self, other: &Self) -> Self {
        if other.is_zero() {
            return self.clone();
        }
        if self.is_zero() {
            return Self {
                negative: !other.negative,
                ..other.clone()
            };
        }
        let exponent = self.exponent.min(other.exponent);
        let (left, right) = (self.aligned(exponent), other.aligned(exponent));
        if self.negative != other.negative {
            return Self::new(self.negative, sum(&left, &right), exponent);
        }
        match compare(&left, &right) {
            Ordering::Less => Self::new(!self.negative, difference(&right, &left), exponent),
            _ => Self::new(self.negative, difference(&left, &right), exponent),
        }
    }

    /// Returns the limbs that this number has at a lower exponent, which is less by whole limbs or any number of bits.
    fn aligned(&self, exponent: i64) -> Vec<u64> {
        let shift = usize::try_from(self.exponent - exponent).unwrap_or_default();
        let (limbs, bits) = (shift / 64, shift % 64);
        let mut aligned = vec![0; limbs];
        let mut carry = 0;
        for limb in &self.limbs {
            let shifted = u128::from(*limb) << bits;
            aligned.push(shifted as u64 | carry);
            carry = (shifted >> 64) as u64;
        }
        aligned.push(carry);
        aligned
    }

    /// Returns the double that is nearest to this number divided by all of these.
    pub fn divided(&self, divisors: &[u64]) -> f64 {
        // What is left out below the last bit that a double could have decides only between halves.
        const ROOM: usize = 4;
        let mut limbs = vec![0; ROOM];
        limbs.extend(&self.limbs);
        let mut inexact = false;
        for divisor in divisors {
            inexact |= divide(&mut limbs, *divisor);
        }
        let quotient = Self::new(self.negative, limbs, self.exponent - 64 * ROOM as i64);
        quotient.rounded(inexact)
    }

    /// Returns the double that is nearest to this number, and a little more away from zero if `inexact`.
    pub fn rounded(&self, inexact: bool) -> f64 {
        let Some(last) = self.limbs.last() else {
            return 0.0;
        };
        let bits = 64 * self.limbs.len() as i64 - i64::from(last.leading_zeros());
        let top = self.exponent + bits - 1;
        if top > 1023 {
            return signed(self.negative, f64::INFINITY);
        }
        // The last bit that the double has.
        let lowest = (top - 52).max(-1074);
        let dropped = lowest - self.exponent;
        if dropped <= 0 {
            let kept = self.limbs.first().copied().unwrap_or_default() << -dropped;
            return signed(self.negative, composed(kept, lowest));
        }
        let mut kept = self.bits_from(dropped);
        let half = self.bits_from(dropped - 1) & 1 == 1;
        if half && (kept & 1 == 1 || inexact || self.any_below(dropped - 1)) {
            kept += 1;
        }
        signed(self.negative, composed(kept, lowest))
    }

    /// Returns the magnitude as a double from 1 to 2 and the exponent of the power of two that it is times; none for
    /// zero.
    pub fn scaled(&self) -> Option<(f64, i64)> {
        let last = self.limbs.last()?;
        let top = self.exponent + 64 * self.limbs.len() as i64 - i64::from(last.leading_zeros()) - 1;
        let scaled = Self {
            negative: false,
            exponent: self.exponent - top,
            ..self.clone()
        };
        Some((scaled.rounded(false), top))
    }

    /// Returns this number divided by another as a double, correct to the last two bits; `None` if the divisor is zero.
    pub fn quotient(&self, divisor: &Self) -> Option<f64> {
        let (below, of_below) = divisor.scaled()?;
        let Some((above, of_above)) = self.scaled() else {
            return Some(0.0);
        };
        let exponent = (of_above - of_below).clamp(-1200, 1200) as i32;
        // No power of two alone goes as far.
        let (half, rest) = (exponent / 2, exponent - exponent / 2);
        let quotient = above / below * 2_f64.powi(half) * 2_f64.powi(rest);
        Some(signed(self.negative != divisor.negative, quotient))
    }

    /// Returns up to 64 bits from this one on.
    fn bits_from(&self, bit: i64) -> u64 {
        let Ok(bit) = usize::try_from(bit) else { return 0 };
        let (at, shift) = (bit / 64, bit % 64);
        let limb = |at: usize| u128::from(self.limbs.get(at).copied().unwrap_or_default());
        ((limb(at) | limb(at + 1) << 64) >> shift) as u64
    }

    /// Whether any bit below this one is set.
    fn any_below(&self, bit: i64) -> bool {
        let Ok(bit) = usize::try_from(bit) else { return false };
        let (at, shift) = (bit / 64, bit % 64);
        let whole = self.limbs.iter().take(at).any(|limb| *limb != 0);
        whole || self.limbs.get(at).is_some_and(|limb| limb & ((1 << shift) - 1) != 0)
    }
}

fn signed(negative: bool, value: f64) -> f64 {
    if negative { -value } else { value }
}

/// Returns `kept` · 2^`lowest`: at most 2^53, and below 2^52 only where doubles have no lower bit. The exponent that
/// a double stores goes up by itself where `kept` has a bit more.
fn composed(kept: u64, lowest: i64) -> f64 {
    let stored = (lowest + 1074).unsigned_abs() << 52;
    f64::from_bits(stored.saturating_add(kept).min(f64::INFINITY.to_bits()))
}

/// Divides in place and returns whether anything is left.
fn divide(limbs: &mut [u64], divisor: u64) -> bool {
    let divisor = u128::from(divisor.max(1));
    let mut rest = 0_u128;
    for limb in limbs.iter_mut().rev() {
        let from = rest << 64 | u128::from(*limb);
        *limb = (from / divisor) as u64;
        rest = from % divisor;
    }
    rest != 0
}

fn compare(left: &[u64], right: &[u64]) -> Ordering {
    let length = left.len().max(right.len());
    let limb = |of: &[u64], at: usize| of.get(at).copied().unwrap_or_default();
    let unequal = (0..length).rev().find(|at| limb(left, *at) != limb(right, *at));
    unequal.map_or(Ordering::Equal, |at| limb(left, at).cmp(&limb(right, at)))
}

fn sum(left: &[u64], right: &[u64]) -> Vec<u64> {
    let length = left.len().max(right.len());
    let mut carry = 0;
    let mut sum = Vec::with_capacity(length + 1);
    for at in 0..length {
        let of = |limbs: &[u64]| u128::from(limbs.get(at).copied().unwrap_or_default());
        let limb = of(left) + of(right) + carry;
        sum.push(limb as u64);
        carry = limb >> 64;
    }
    sum.push(carry as u64);
    sum
}

/// Returns the difference, of which the first is not the lesser.
fn difference(left: &[u64], right: &[u64]) -> Vec<u64> {
    let mut borrow = false;
    let limb = |of: &[u64], at: usize| of.get(at).copied().unwrap_or_default();
    let length = left.len().max(right.len());
    let limbs = (0..length).map(|at| {
        let (less, first) = limb(left, at).overflowing_sub(limb(right, at));
        let (less, second) = less.overflowing_sub(u64::from(borrow));
        borrow = first || second;
        less
    });
    limbs.collect()
}

#[cfg(test)]
mod tests {
    use super::Big;

    fn big(value: i128) -> Big {
        let limbs = value.unsigned_abs();
        Big::new(value < 0, vec![limbs as u64, (limbs >> 64) as u64], 0)
    }

    #[test]
    fn numbers_round_as_the_processor_rounds_them() {
        let mut of = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834_u128;
        for shift in 0..2000_u32 {
            of = of.wrapping_mul(0xDA94_2042_E4DD_58B5).rotate_left(17) | 1;
            let value = (of >> (shift % 127)) as i128;
            assert_eq!(big(value).rounded(false), value as f64);
        }
        let halves = [(1_i128 << 53) + 1, (1 << 53) + 3, (1 << 54) + 2, -(1 << 53) - 1];
        for value in halves {
            assert_eq!(big(value).rounded(false), value as f64);
        }
    }

    #[test]
    fn the_smallest_and_the_largest_doubles_are_reached() {
        let one = |exponent| Big::new(false, vec![1], exponent);
        assert_eq!(one(-1074).rounded(false), f64::from_bits(1));
        assert_eq!(one(-1075).rounded(false), 0.0);
        assert_eq!(one(-1075).rounded(true), f64::from_bits(1));
        assert_eq!(one(1023).rounded(false), 2_f64.powi(1023));
        assert_eq!(one(1024).rounded(false), f64::INFINITY);
        let below = Big::new(true, vec![u64::MAX], 960);
        assert_eq!(below.rounded(false), f64::NEG_INFINITY);
        let most = Big::new(true, vec![(1 << 53) - 1], 971);
        assert_eq!(most.rounded(false), f64::MIN);
        let least_normal = Big::new(false, vec![(1 << 53) - 1], -1075);
        assert_eq!(least_normal.rounded(false), f64::MIN_POSITIVE);
    }

    #[test]
    fn the_four_rules_hold() {
        let (a, b) = (0x1234_5678_9ABC_DEF0_1122_i128, -0x0FED_CBA9_8765_i128);
        assert_eq!(big(a).minus(&big(b)), big(a - b));
        assert_eq!(big(b).minus(&big(a)), big(b - a));
        assert_eq!(big(a).minus(&big(a)).rounded(false), 0.0);
        assert_eq!(big(7 << 70).minus(&big(5)), big((7 << 70) - 5));
        assert_eq!(big(a >> 20).product(&big(b)), big((a >> 20) * b));
        assert_eq!(big(1).divided(&[3]), 1.0 / 3.0);
        assert_eq!(big(-10).divided(&[4, 5]), -0.5);
        assert_eq!(
            big(i128::from(u64::MAX)).divided(&[u64::MAX, u64::MAX]),
            1.0 / u64::MAX as f64
        );
    }
}
