//! Exact sums of doubles and of products of two doubles, for variances. Nearly all of them fit into a few limbs
//! around the first value; what does not, gets as many as any product needs.

use super::big::Big;
use super::fixed::{LEAST, Parts, add_units, big, is_negative};

/// How many limbs a sum of products of two doubles needs: from 2^-2148 to 2^2048, a sign, and room for 2^90 of the
/// largest.
const ALL: usize = 67;

/// How many it has at first.
const FEW: usize = 6;

/// The exponent of the least product.
const LEAST_PRODUCT: i64 = 2 * LEAST;

/// A sum of products. Its limbs begin with the least significant one.
#[derive(Debug, Clone, Default)]
pub(super) struct Products {
    /// The place of the first of the few limbs among all; none before the first value.
    base: Option<u8>,
    few: [u64; FEW],
    /// All limbs, once the few do not suffice.
    all: Option<Box<[u64; ALL]>>,
}

impl Products {
    /// Adds a finite double.
    pub fn add(&mut self, value: f64, taken: bool) {
        let of = Parts::of(value);
        let shift = of.shift + LEAST.unsigned_abs() as usize;
        self.add_units(of.negative != taken, of.mantissa.into(), shift);
    }

    /// Adds the product of two finite doubles.
    pub fn add_product(&mut self, left: f64, right: f64, taken: bool) {
        let (left, right) = (Parts::of(left), Parts::of(right));
        let mantissa = u128::from(left.mantissa) * u128::from(right.mantissa);
        let negative = (left.negative != right.negative) != taken;
        self.add_units(negative, mantissa, left.shift + right.shift);
    }

    fn add_units(&mut self, negative: bool, mantissa: u128, shift: usize) {
        if mantissa == 0 {
            return;
        }
        if let Some(all) = &mut self.all {
            add_units(all.as_mut_slice(), negative, mantissa, shift);
            return;
        }
        let from = shift / 64;
        // One limb is left below, for smaller values, and two above.
        let first = from.saturating_sub(1).min(ALL - FEW) as u8;
        let base = usize::from(*self.base.get_or_insert(first));
        if from < base || from + 3 > base + FEW {
            add_units(self.widened().as_mut_slice(), negative, mantissa, shift);
            return;
        }
        add_units(&mut self.few, negative, mantissa, shift - 64 * base);
        let top = self.few[FEW - 1] as i64;
        if top.unsigned_abs() >> 61 != 0 {
            self.widened();
        }
    }

    #[cold]
    fn widened(&mut self) -> &mut [u64; ALL] {
        let base = usize::from(self.base.unwrap_or_default());
        let mut all = Box::new([0; ALL]);
        let above = if is_negative(&self.few) { u64::MAX } else { 0 };
        let known = self.few.iter().copied().chain(std::iter::repeat(above));
        all.iter_mut()
            .skip(base)
            .zip(known)
            .for_each(|(limb, known)| *limb = known);
        self.all.insert(all)
    }

    /// Returns the sum.
    pub fn total(&self) -> Big {
        match &self.all {
            Some(all) => big(all.as_slice(), LEAST_PRODUCT),
            None => big(&self.few, LEAST_PRODUCT + 64 * i64::from(self.base.unwrap_or_default())),
        }
    }

    /// Appends the sum as it travels: how many limbs there are and whether it is below zero, its exponent, its limbs.
    pub fn write(&self, state: &mut Vec<u8>) {
        let total = self.total();
        let head = (total.limbs.len() as i64) << 1 | i64::from(total.negative);
        state.extend(head.to_le_bytes());
        state.extend(total.exponent.to_le_bytes());
        total.limbs.iter().for_each(|limb| state.extend(limb.to_le_bytes()));
    }

    /// Adds a sum that travelled, and returns what follows it; none if it is not one.
    pub fn read<'a>(&mut self, state: &'a [u8]) -> Option<&'a [u8]> {
        let (head, state) = state.split_first_chunk::<8>()?;
        let (exponent, mut state) = state.split_first_chunk::<8>()?;
        let head = i64::from_le_bytes(*head);
        let shift = i64::from_le_bytes(*exponent).checked_sub(LEAST_PRODUCT)?;
        let shift = usize::try_from(shift).ok().filter(|shift| *shift < 64 * ALL)?;
        let count = usize::try_from(head >> 1).ok().filter(|count| *count <= ALL)?;
        for at in 0..count {
            let (limb, rest) = state.split_first_chunk::<8>()?;
            self.add_units(head & 1 == 1, u64::from_le_bytes(*limb).into(), shift + 64 * at);
            state = rest;
        }
        Some(state)
    }

    /// Returns how many bytes it takes beside its own.
    pub fn size(&self) -> usize {
        self.all.as_ref().map_or(0, |all| size_of_val(all.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::Products;

    #[test]
    fn products_are_whole() {
        let (least, most) = (f64::from_bits(1), f64::MAX);
        let mut sum = Products::default();
        sum.add_product(least, least, false);
        sum.add_product(most, -most, false);
        sum.add_product(most, most, false);
        assert!(!sum.total().is_zero());
        assert_eq!(sum.total().rounded(false), 0.0);
        sum.add_product(-1.5, 3.0, false);
        assert_eq!(sum.total().rounded(false), -4.5);
        sum.add(-4.5, true);
        sum.add_product(least, least, true);
        assert!(sum.total().is_zero());
    }

    #[test]
    fn few_limbs_and_all_say_the_same() {
        let values = [0.1, -12.34, 1e9, 3e-7, 1e30, -1e-30, 7.0, 1e200];
        let mut whole = Products::default();
        let mut merged = Products::default();
        for value in values {
            let mut part = Products::default();
            for sum in [&mut whole, &mut part] {
                sum.add_product(value, value, false);
                sum.add(-value, false);
            }
            let mut state = Vec::new();
            part.write(&mut state);
            assert_eq!(merged.read(&state), Some([].as_slice()));
            assert_eq!(merged.read(&state[1..]), None);
        }
        assert_eq!(whole.total(), merged.total());
        for value in values {
            whole.add_product(value, value, true);
            whole.add(-value, true);
        }
        assert!(whole.total().is_zero());
    }

    #[test]
    fn many_of_one_sign_do_not_run_over() {
        for value in [1.0, -1.0] {
            let mut sum = Products::default();
            let mut state = Vec::new();
            sum.add_product(value, f64::MAX, false);
            for _ in 0..200 {
                state.clear();
                sum.write(&mut state);
                if sum.total().exponent + 64 * sum.total().limbs.len() as i64 > 2048 {
                    break;
                }
                assert_eq!(sum.read(&state), Some([].as_slice()));
                assert_eq!(sum.total().negative, value < 0.0);
            }
        }
    }
}
