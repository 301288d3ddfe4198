//! Who people are when the observed years begin: age, sex, place, general health; and how long they would live by age
//! and sex alone. Figures are rounded from the public census and mortality tables of France.

use crate::calendar::{Day, YEAR, day};
use crate::pseudonym::Pseudonym;
use crate::random::Random;
use crate::territory;

/// Sex, coded as in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sex {
    Man,
    Woman,
}

impl Sex {
    /// 1 for men, 2 for women.
    pub(crate) fn code(self) -> i32 {
        match self {
            Sex::Man => 1,
            Sex::Woman => 2,
        }
    }
}

/// One insured person.
pub(crate) struct Person {
    pub(crate) pseudonym: Pseudonym,
    pub(crate) sex: Sex,
    pub(crate) born: Day,
    /// Index in [`territory::DEPARTMENTS`].
    pub(crate) department: usize,
    pub(crate) commune: Option<String>,
    /// How much care this person needs against the mean of their age and sex: mostly 0.25 to 2, rarely up to 40.
    pub(crate) frailty: f64,
}

impl Person {
    /// Age in whole years on a day, 0 before birth.
    pub(crate) fn age(&self, on: Day) -> usize {
        (f64::from((on - self.born).max(0)) / YEAR) as usize
    }

    /// Age group of ten years: 0 to 9, from 90 on together.
    pub(crate) fn decade(&self, on: Day) -> usize {
        (self.age(on) / 10).min(9)
    }
}

/// Thousands of men and women in France by five years of age; the last group is 95 and over.
const PYRAMID: [(u32, u32); 20] = [
    (1770, 1690),
    (2010, 1920),
    (2180, 2080),
    (2170, 2060),
    (1990, 1910),
    (1870, 1860),
    (1950, 2040),
    (2020, 2140),
    (2050, 2150),
    (2020, 2080),
    (2210, 2270),
    (2150, 2260),
    (2010, 2190),
    (1810, 2060),
    (1700, 2010),
    (1240, 1560),
    (770, 1110),
    (520, 930),
    (240, 580),
    (65, 240),
];

/// Births in a year, in thousands.
const BIRTHS: u32 = 700;

/// Draws a person of a population observed over the days `from..=to`: alive on the first day or born since.
pub(crate) fn draw_person(random: &mut Random, pseudonym: Pseudonym, from: Day, to: Day) -> Person {
    let (sex, born) = draw_birth(random, from, to);
    let department = territory::draw_department(random);
    let code = territory::DEPARTMENTS[department].0;
    let commune = territory::draw_commune(code, random);
    let commune = (!random.happens(0.006)).then_some(commune);
    Person {
        pseudonym,
        sex,
        born,
        department,
        commune,
        frailty: draw_frailty(random),
    }
}

fn draw_birth(random: &mut Random, from: Day, to: Day) -> (Sex, Day) {
    let years = f64::from(to - from + 1) / YEAR;
    let births = (f64::from(BIRTHS) * years) as u32;
    let total: u32 = PYRAMID.iter().map(|(men, women)| men + women).sum();
    let mut ticket = random.below(u64::from(total + births)) as u32;
    for (group, (men, women)) in PYRAMID.iter().enumerate() {
        for (sex, count) in [(Sex::Man, *men), (Sex::Woman, *women)] {
            if ticket < count {
                let age = group as f64 * 5.0 + random.unit() * 5.0;
                return (sex, from - (age * YEAR) as Day - 1);
            }
            ticket -= count;
        }
    }
    let sex = if random.happens(0.512) { Sex::Man } else { Sex::Woman };
    (sex, random.between(from, to))
}

fn draw_frailty(random: &mut Random) -> f64 {
    const DECILES: [f64; 10] = [0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.05, 1.3, 1.9];
    match random.below(10_000) {
        0..2 => 40.0,
        2..32 => 12.0,
        32..230 => 4.0,
        ticket => DECILES[ticket as usize % 10],
    }
}

/// Probability of dying within a year at an age, by sex alone. It doubles every seven to eight years of adult life.
pub(crate) fn yearly_mortality(sex: Sex, age: usize) -> f64 {
    let (at_sixty, growth, accidents): (f64, f64, f64) = match sex {
        Sex::Man => (0.0068, 1.098, 0.0003),
        Sex::Woman => (0.0030, 1.114, 0.00012),
    };
    let first_year: f64 = if age == 0 { 0.0033 } else { 0.0 };
    let step = if age >= 60 { growth } else { 1.0 / growth };
    let ageing = (0..age.abs_diff(60)).fold(at_sixty, |risk, _| risk * step);
    (first_year + accidents + ageing).min(0.6)
}

/// The day on which a person would die between two days by age and sex alone, or `None`. `factor` multiplies the risk
/// for the diseases a person has.
pub(crate) fn draw_death(random: &mut Random, person: &Person, factor: f64, from: Day, to: Day) -> Option<Day> {
    let mut start = from.max(person.born);
    while start <= to {
        let risk = yearly_mortality(person.sex, person.age(start)) * factor;
        let after = (random.exponential(1.0) / risk.min(0.9) * YEAR) as Day;
        if after < 365 {
            return Some(start + after).filter(|death| *death <= to);
        }
        start += 365;
    }
    None
}

/// The first days of the years, and the last of the last.
pub(crate) fn observed(first_year: i32, last_year: i32) -> (Day, Day) {
    (day(first_year, 1, 1), day(last_year, 12, 31))
}

#[cfg(test)]
mod tests {
    use super::{Sex, draw_person, observed, yearly_mortality};
    use crate::pseudonym::Pseudonym;
    use crate::random::Random;

    #[test]
    fn mortality_is_that_of_a_long_lived_country() {
        for (sex, age, low, high) in [
            (Sex::Man, 40, 0.0008, 0.0025),
            (Sex::Man, 70, 0.014, 0.022),
            (Sex::Man, 90, 0.10, 0.18),
            (Sex::Woman, 70, 0.007, 0.012),
            (Sex::Woman, 90, 0.06, 0.13),
        ] {
            let risk = yearly_mortality(sex, age);
            assert!((low..high).contains(&risk), "{sex:?} {age}: {risk}");
        }
    }

    #[test]
    fn the_population_has_the_ages_of_the_census() {
        let (from, to) = observed(2021, 2023);
        let mut random = Random::of_patient(1, 0);
        let people: Vec<_> = (0..50_000)
            .map(|n| draw_person(&mut random, Pseudonym::of_patient(1, n), from, to))
            .collect();
        let share = |wanted: &dyn Fn(&super::Person) -> bool| {
            people.iter().filter(|person| wanted(person)).count() as f64 / people.len() as f64
        };
        assert!((share(&|p| p.age(from) >= 65) - 0.21).abs() < 0.02);
        assert!((share(&|p| p.sex == Sex::Woman) - 0.52).abs() < 0.01);
        assert!((share(&|p| p.born > from) - 0.03).abs() < 0.005);
        let mean = people.iter().map(|p| p.frailty).sum::<f64>() / people.len() as f64;
        assert!((mean - 1.0).abs() < 0.12, "{mean}");
    }
}
