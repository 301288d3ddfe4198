//! The random numbers of one patient. The generator and the logarithm are written out with integer and IEEE basic
//! operations only, so that a seed gives the same rows on every platform and with every version of every library;
//! nothing here is fit for secrets.

/// xoshiro256++ (Blackman and Vigna), seeded through SplitMix64 from a population's seed and a patient's number.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of one patient: independent of every other patient's, whatever the order or the thread.
    pub(crate) fn of_patient(seed: u64, number: u64) -> Self {
        let mut mixer = seed.wrapping_mul(0xd134_2543_de82_ef95) ^ number.wrapping_mul(0xa24b_aed4_963e_e407);
        Self {
            state: std::array::from_fn(|_| split_mix(&mut mixer)),
        }
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `[0, 1)`, with 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with the given probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0. The bias (below `bound / 2^64`) does not show in any table.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform between two days or counts, both included.
    pub(crate) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1).max(1) as u64) as i32
    }

    /// Exponential with the given mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -natural_log(1.0 - self.unit()) * mean
    }

    /// Poisson with the given mean: the arrivals of a unit process before `mean`.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let mut arrivals = 0;
        let mut clock = self.exponential(1.0);
        while clock < mean {
            arrivals += 1;
            clock += self.exponential(1.0);
        }
        arrivals
    }

    /// One of `items`, each as likely as its weight says.
    pub(crate) fn weighted<'a, T>(&mut self, items: &'a [(T, u32)]) -> Option<&'a T> {
        let total: u32 = items.iter().map(|(_, weight)| weight).sum();
        let mut ticket = self.below(u64::from(total)) as u32;
        items
            .iter()
            .find_map(|(item, weight)| match ticket.checked_sub(*weight) {
                Some(rest) => {
                    ticket = rest;
                    None
                }
                None => Some(item),
            })
    }

    /// One of `items` by rank: the first is the commonest and the frequency of the others falls as 1 / rank (Zipf).
    /// Only the first [`MOST_RANKS`] of a longer list are ever drawn.
    pub(crate) fn ranked<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let ranks = &HARMONIC[..items.len().min(MOST_RANKS)];
        let ticket = self.unit() * ranks.last()?;
        items.get(ranks.partition_point(|sum| *sum <= ticket))
    }
}

/// The longest list that is drawn from by rank.
const MOST_RANKS: usize = 64;

/// Harmonic numbers 1, 1 + 1/2, 1 + 1/2 + 1/3, …
static HARMONIC: [f64; MOST_RANKS] = harmonic();

const fn harmonic() -> [f64; MOST_RANKS] {
    let mut sums = [1.0; MOST_RANKS];
    let mut rank = 1;
    while rank < MOST_RANKS {
        sums[rank] = sums[rank - 1] + 1.0 / (rank + 1) as f64;
        rank += 1;
    }
    sums
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Natural logarithm of a positive normal number, to about 1e-9: exponent and mantissa apart, then the series of
/// atanh. The standard library's depends on the platform's mathematical library in the last bits.
fn natural_log(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023u64 << 52));
    let t = (mantissa - std::f64::consts::SQRT_2) / (mantissa + std::f64::consts::SQRT_2);
    let t2 = t * t;
    let series = 1.0 + t2 * (1.0 / 3.0 + t2 * (1.0 / 5.0 + t2 * (1.0 / 7.0 + t2 * (1.0 / 9.0 + t2 / 11.0))));
    (exponent as f64 + 0.5) * std::f64::consts::LN_2 + 2.0 * t * series
}

#[cfg(test)]
mod tests {
    use super::{Random, natural_log};

    #[test]
    fn the_first_numbers_of_a_stream_never_change() {
        let mut random = Random { state: [1, 2, 3, 4] };
        // From the reference implementation in C by the authors of the generator.
        assert_eq!(
            [random.bits(), random.bits(), random.bits()],
            [41_943_041, 58_720_359, 3_588_806_011_781_223]
        );
    }

    #[test]
    fn the_logarithm_agrees_with_the_standard_one() {
        for x in [1e-12, 0.001, 0.3, 0.999_999, 1.0, 1.5, 2.0, 1e6] {
            assert!((natural_log(x) - x.ln()).abs() < 1e-8, "{x}");
        }
    }

    #[test]
    fn means_are_as_asked() {
        let mut random = Random::of_patient(7, 42);
        let n = 100_000;
        let exponential = (0..n).map(|_| random.exponential(30.0)).sum::<f64>() / f64::from(n);
        let poisson = (0..n).map(|_| f64::from(random.poisson(2.5))).sum::<f64>() / f64::from(n);
        let heads = (0..n).filter(|_| random.happens(0.2)).count();
        assert!((exponential - 30.0).abs() < 0.5 && (poisson - 2.5).abs() < 0.03 && heads.abs_diff(20_000) < 500);
    }

    #[test]
    fn weights_and_ranks_are_respected() {
        let mut random = Random::of_patient(1, 1);
        let draws: Vec<_> = (0..30_000)
            .filter_map(|_| random.weighted(&[("a", 1), ("b", 0), ("c", 2)]))
            .collect();
        let of = |name| draws.iter().filter(|draw| ***draw == name).count();
        assert!(of("b") == 0 && of("a").abs_diff(10_000) < 500 && of("c").abs_diff(20_000) < 500);
        let first = (0..11_000).filter(|_| random.ranked(&[1, 2, 3]) == Some(&1)).count();
        assert!(first.abs_diff(6_000) < 300, "{first}");
    }
}
