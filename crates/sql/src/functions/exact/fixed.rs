//! Sums of doubles as one long number in units of the least one: any such sum is a whole number of them. Neither the
//! order of what is added matters nor how large it is, and what was added can be taken away again.

use super::big::Big;

/// How many limbs a sum of doubles needs: from 2^-1074 to 2^1024, a sign, and room for 2^77 of the largest.
pub(super) const OF_DOUBLES: usize = 34;

/// The exponent of the least double.
pub(super) const LEAST: i64 = -1074;

/// A number in two's complement. The limbs begin with the least significant one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fixed<const LIMBS: usize>([u64; LIMBS]);

impl<const LIMBS: usize> Default for Fixed<LIMBS> {
    fn default() -> Self {
        Self([0; LIMBS])
    }
}

/// A finite double as ±`mantissa` · 2^(`shift` - 1074).
pub(super) struct Parts {
    pub negative: bool,
    pub mantissa: u64,
    pub shift: usize,
}

impl Parts {
    pub fn of(value: f64) -> Self {
        let bits = value.to_bits();
        let (stored, fraction) = (bits >> 52 & 0x7FF, bits & ((1 << 52) - 1));
        let (mantissa, shift) = match stored {
            0 => (fraction, 0),
            _ => (fraction | 1 << 52, stored - 1),
        };
        Self {
            negative: value.is_sign_negative(),
            mantissa,
            shift: shift as usize,
        }
    }
}

/// Adds ±`mantissa` · 2^`shift` to a number in two's complement.
pub(super) fn add_units(limbs: &mut [u64], negative: bool, mantissa: u128, shift: usize) {
    let (from, bits) = (shift / 64, shift % 64);
    let low = u128::from(mantissa as u64) << bits;
    let high = (mantissa >> 64) << bits;
    let mut parts = [low as u64, (low >> 64) as u64 | high as u64, (high >> 64) as u64].into_iter();
    let mut carry = false;
    for limb in limbs.iter_mut().skip(from) {
        let part = parts.next();
        if part.is_none() && !carry {
            return;
        }
        let (part, carried) = (part.unwrap_or_default(), u64::from(carry));
        let (sum, first) = match negative {
            false => limb.overflowing_add(part),
            true => limb.overflowing_sub(part),
        };
        let (sum, second) = match negative {
            false => sum.overflowing_add(carried),
            true => sum.overflowing_sub(carried),
        };
        *limb = sum;
        carry = first || second;
    }
}

/// Whether a number in two's complement is below zero.
pub(super) fn is_negative(limbs: &[u64]) -> bool {
    limbs.last().is_some_and(|limb| limb >> 63 == 1)
}

/// Returns a number in two's complement, in units of 2^`exponent`.
pub(super) fn big(limbs: &[u64], exponent: i64) -> Big {
    let negative = is_negative(limbs);
    let mut carry = negative;
    let magnitude = limbs.iter().map(|limb| {
        if !negative {
            return *limb;
        }
        let (limb, carried) = (!limb).overflowing_add(u64::from(carry));
        carry = carried;
        limb
    });
    Big::new(negative, magnitude.collect(), exponent)
}

impl Fixed<OF_DOUBLES> {
    /// Adds a finite double.
    pub fn add(&mut self, value: f64) {
        self.add_times(value, 0);
    }

    /// Adds a finite double times 2^`power`.
    pub fn add_times(&mut self, value: f64, power: usize) {
        let of = Parts::of(value);
        add_units(&mut self.0, of.negative, u128::from(of.mantissa), of.shift + power);
    }

    pub fn total(&self) -> Big {
        big(&self.0, LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fixed, OF_DOUBLES};

    #[test]
    fn what_is_added_and_taken_away_leaves_nothing() {
        let values = [f64::MAX, 1.0, -1e-300, f64::from_bits(1), -f64::MAX, 3.5e200, 0.1];
        let mut sum = Fixed::<OF_DOUBLES>::default();
        values.iter().for_each(|value| sum.add(*value));
        assert_eq!(sum.total().rounded(false), 3.5e200);
        values.iter().rev().for_each(|value| sum.add(-value));
        assert_eq!(sum, Fixed::default());
    }

    #[test]
    fn sums_past_the_largest_double_come_back() {
        let mut sum = Fixed::<OF_DOUBLES>::default();
        (0..1000).for_each(|_| sum.add(f64::MAX));
        assert_eq!(sum.total().rounded(false), f64::INFINITY);
        assert_eq!(sum.total().divided(&[1000]), f64::MAX);
        (0..1001).for_each(|_| sum.add(f64::MIN));
        assert_eq!(sum.total().rounded(false), f64::MIN);
    }
}
