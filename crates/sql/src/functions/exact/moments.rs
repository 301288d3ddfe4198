//! Variances, covariances, correlations and regressions, exact until the last division: of n·Σxy − Σx·Σy, which small differences
//! of large values do not spoil.

use super::big::Big;
use super::products::Products;

/// What is computed of sums of values and of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Statistic {
    VarianceSample,
    VariancePopulation,
    DeviationSample,
    DeviationPopulation,
    CovarianceSample,
    CovariancePopulation,
    Correlation,
    /// The sum of the products of both distances from their means, or of the squares of one.
    Products,
    /// Of the straight line that gives the first variable for the second: its slope, where it begins, and the share of the
    /// variance that it explains.
    Slope,
    Intercept,
    Determination,
}

/// Sums of `V` variables and of `P` products of two: of the one by itself; of both; or of both, and each by itself.
#[derive(Debug, Clone)]
pub(in super::super) struct Moments<const V: usize, const P: usize> {
    count: u64,
    /// How many rows had a value that is no finite number: no statistic of them is a number.
    special: u64,
    sums: [Products; V],
    products: [Products; P],
}

impl<const V: usize, const P: usize> Default for Moments<V, P> {
    fn default() -> Self {
        Self {
            count: 0,
            special: 0,
            sums: std::array::from_fn(|_| Products::default()),
            products: std::array::from_fn(|_| Products::default()),
        }
    }
}

impl<const V: usize, const P: usize> Moments<V, P> {
    /// Adds a row, or takes one away.
    pub fn add(&mut self, row: [f64; V], taken: bool) {
        let step = |count: u64| {
            if taken {
                count.saturating_sub(1)
            } else {
                count.saturating_add(1)
            }
        };
        self.count = step(self.count);
        if row.iter().any(|value| !value.is_finite()) {
            self.special = step(self.special);
            return;
        }
        for (sum, value) in self.sums.iter_mut().zip(row) {
            sum.add(value, taken);
        }
        let (x, y) = (
            row.first().copied().unwrap_or_default(),
            row.last().copied().unwrap_or_default(),
        );
        for (product, (left, right)) in self.products.iter_mut().zip([(x, y), (x, x), (y, y)]) {
            product.add_product(left, right, taken);
        }
    }

    /// Returns the statistic; none if there are too few rows for it.
    pub fn value(&self, of: Statistic) -> Option<f64> {
        let sample = matches!(
            of,
            Statistic::VarianceSample | Statistic::DeviationSample | Statistic::CovarianceSample
        );
        if self.count <= u64::from(sample) {
            return None;
        }
        if self.special > 0 {
            return Some(f64::NAN);
        }
        match of {
            Statistic::Correlation => return self.correlation(),
            Statistic::Slope => return self.centred(0).quotient(&self.centred(2)),
            Statistic::Intercept => return self.intercept(),
            Statistic::Determination => return self.determination(),
            Statistic::Products => return Some(self.centred(0).divided(&[self.count])),
            _ => {}
        }
        let by = if sample { self.count - 1 } else { self.count };
        let squares = self.centred(0).divided(&[self.count, by]);
        Some(match of {
            Statistic::DeviationSample | Statistic::DeviationPopulation => squares.sqrt(),
            _ => squares,
        })
    }

    /// Returns n·Σab − Σa·Σb for a product.
    fn centred(&self, product: usize) -> Big {
        let (x, y) = (self.sums[0].total(), self.sums[V - 1].total());
        let of_sums = match product {
            0 => x.product(&y),
            1 => x.product(&x),
            _ => y.product(&y),
        };
        self.products[product].total().times(self.count).minus(&of_sums)
    }

    /// As PostgreSQL does, returns none if a variable does not vary.
    fn correlation(&self) -> Option<f64> {
        let (of_both, of_x, of_y) = (self.centred(0), self.centred(1), self.centred(2));
        let (varying, mut exponent) = of_x.product(&of_y).scaled()?;
        let (sign, of_both) = (if of_both.negative { -1.0 } else { 1.0 }, of_both.product(&of_both));
        let Some((together, of_together)) = of_both.scaled() else {
            return Some(0.0);
        };
        exponent = of_together - exponent;
        let squared = together / varying * 2_f64.powi(exponent.clamp(-1000, 1) as i32);
        Some(sign * squared.sqrt().min(1.0))
    }

    /// Returns the intercept, (Σy·n·Sxx − Σx·n·Sxy) / (n·n·Sxx); `None` if x does not vary.
    fn intercept(&self) -> Option<f64> {
        let (y, x) = (self.sums[0].total(), self.sums[V - 1].total());
        let (of_both, of_x) = (self.centred(0), self.centred(2));
        let above = y.product(&of_x).minus(&x.product(&of_both));
        above.quotient(&of_x.times(self.count))
    }

    /// Returns the coefficient of determination: as in PostgreSQL `None` if x does not vary, and 1 if only y does not.
    fn determination(&self) -> Option<f64> {
        let (of_both, of_y, of_x) = (self.centred(0), self.centred(1), self.centred(2));
        if of_y.is_zero() && !of_x.is_zero() {
            return Some(1.0);
        }
        let share = of_both.product(&of_both).quotient(&of_x.product(&of_y))?;
        Some(share.min(1.0))
    }

    /// Returns the sums as they travel.
    pub fn write(&self, state: &mut Vec<u8>) {
        state.extend(self.count.to_le_bytes());
        state.extend(self.special.to_le_bytes());
        self.sums.iter().chain(&self.products).for_each(|sum| sum.write(state));
    }

    /// Adds sums that travelled; none if they are not such.
    pub fn read(&mut self, state: &[u8]) -> Option<()> {
        let (count, state) = state.split_first_chunk::<8>()?;
        let (special, mut state) = state.split_first_chunk::<8>()?;
        self.count = self.count.checked_add(u64::from_le_bytes(*count))?;
        self.special = self.special.checked_add(u64::from_le_bytes(*special))?;
        for sum in self.sums.iter_mut().chain(&mut self.products) {
            state = sum.read(state)?;
        }
        state.is_empty().then_some(())
    }

    /// Returns how many bytes it takes beside its own.
    pub fn size(&self) -> usize {
        self.sums.iter().chain(&self.products).map(Products::size).sum()
    }
}
