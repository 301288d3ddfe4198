//! One patient's course over the observed years: diseases, stays, death. What happens outside hospital follows from it
//! in [`care`](crate::care).

use crate::calendar::{Day, YEAR};
use crate::conditions::{self, Condition};
use crate::demography::{self, Person};
use crate::random::Random;
use crate::stays::{self, StayKind};

/// A disease and the day it was found, often before the observed years.
pub(crate) struct Illness {
    pub(crate) condition: &'static Condition,
    pub(crate) since: Day,
}

/// One stay.
pub(crate) struct Stay {
    pub(crate) kind: &'static StayKind,
    pub(crate) from: Day,
    pub(crate) to: Day,
    pub(crate) diagnosis: &'static str,
    pub(crate) died: bool,
    /// Rank of the hospital in the patient's département, from 1.
    pub(crate) hospital: u32,
    /// Number of the stay in that hospital.
    pub(crate) number: i64,
}

/// A death and its coded cause.
pub(crate) struct Death {
    pub(crate) day: Day,
    pub(crate) cause: &'static str,
}

/// What happens to one person between two days.
pub(crate) struct Life {
    pub(crate) person: Person,
    pub(crate) illnesses: Vec<Illness>,
    /// In order of time, none overlapping another.
    pub(crate) stays: Vec<Stay>,
    pub(crate) death: Option<Death>,
    /// First and last day on which the person is insured, alive and observed.
    pub(crate) from: Day,
    pub(crate) to: Day,
}

impl Life {
    /// Draws the course of a person's life over the days `from..=to`.
    pub(crate) fn draw(random: &mut Random, person: Person, from: Day, to: Day) -> Self {
        let from = from.max(person.born);
        let illnesses = draw_illnesses(random, &person, from, to);
        let mut life = Life {
            person,
            illnesses,
            stays: Vec::new(),
            death: None,
            from,
            to,
        };
        life.draw_natural_death(random);
        let planned = life.plan_stays(random);
        life.go_through_stays(random, planned);
        life.die_in_hospital_at_last(random);
        // As in the real tables, a stay appears with the year in which it ends.
        life.stays.retain(|stay| stay.to <= to);
        if let Some(death) = &life.death {
            life.to = death.day;
            let last = life.to;
            life.illnesses.retain(|illness| illness.since <= last);
        }
        life
    }

    /// Deaths that no stay announces; stays add theirs, hence the factor below one.
    fn draw_natural_death(&mut self, random: &mut Random) {
        let burden: f64 = self
            .illnesses
            .iter()
            .filter(|i| i.since <= self.from)
            .map(|i| i.condition.mortality - 1.0)
            .sum();
        let factor = 0.42 * (1.0 + burden.min(9.0));
        let day = demography::draw_death(random, &self.person, factor, self.from, self.to);
        self.death = day.map(|day| Death {
            day,
            cause: draw_cause(random, &self.illnesses, day),
        });
    }

    fn plan_stays(&self, random: &mut Random) -> Vec<(Day, &'static StayKind)> {
        let mut planned = Vec::new();
        if self.person.born == self.from {
            planned.push((self.from, &stays::BIRTH));
        }
        self.plan_acute_stays(random, &mut planned);
        for illness in &self.illnesses {
            for (kind, yearly) in illness.condition.stays {
                self.plan_chronic_stays(random, illness.since, kind, *yearly, &mut planned);
            }
        }
        planned.sort_by_key(|(day, _)| *day);
        planned
    }

    fn plan_acute_stays(&self, random: &mut Random, planned: &mut Vec<(Day, &'static StayKind)>) {
        let mut start = self.from;
        while start <= self.to {
            let decade = self.person.decade(start);
            for kind in stays::ACUTE {
                let sex = if self.person.sex.code() == 2 {
                    kind.women
                } else {
                    2.0 - kind.women
                };
                if random.happens(kind.rates[decade] / 1000.0 * stays::UNLISTED * sex * self.person.frailty) {
                    planned.push((start + random.between(0, 364), kind));
                }
            }
            start += 365;
        }
    }

    fn plan_chronic_stays(
        &self,
        random: &mut Random,
        since: Day,
        kind: &'static StayKind,
        yearly: f64,
        planned: &mut Vec<(Day, &'static StayKind)>,
    ) {
        let mean = YEAR / (yearly * self.person.frailty.clamp(0.4, 4.0));
        let mut day = since.max(self.from);
        // A first stay often reveals the disease.
        if since >= self.from && yearly > 0.1 && random.happens(0.35) {
            planned.push((since, kind));
        }
        loop {
            // Sessions come two or three days apart, other stays at any time.
            day += if yearly > 100.0 {
                random.between(2, 3)
            } else {
                random.exponential(mean) as Day + 1
            };
            if day > self.to {
                return;
            }
            planned.push((day, kind));
        }
    }

    fn go_through_stays(&mut self, random: &mut Random, mut planned: Vec<(Day, &'static StayKind)>) {
        let mut next = 0;
        while let Some((day, kind)) = planned.get(next).copied() {
            next += 1;
            if day > self.end() {
                return;
            }
            if self.stays.last().is_some_and(|last| day <= last.to) {
                continue;
            }
            self.stay(random, day, kind);
            if let Some(day) = self.draw_return(random) {
                let at = planned[next..].partition_point(|(other, _)| *other <= day) + next;
                planned.insert(at, (day, kind));
            }
        }
    }

    /// The last day that can still be observed, given what is known of the death.
    fn end(&self) -> Day {
        self.death.as_ref().map_or(self.to, |death| death.day)
    }

    fn stay(&mut self, random: &mut Random, from: Day, kind: &'static StayKind) {
        let Some(diagnosis) = random.ranked(kind.diagnoses).copied() else {
            return;
        };
        let nights = if kind.nights > 0.0 {
            (random.exponential(kind.nights) + random.unit()) as Day
        } else {
            0
        };
        let mut to = from + nights.min(180);
        let risk = age_factor(self.person.age(from));
        let mut died = random.happens(kind.dies * risk);
        let later = random
            .happens(kind.dies_after * risk)
            .then(|| to + 1 + random.exponential(100.0) as Day);
        if to >= self.end() && self.death.is_some() {
            (to, died) = (self.end(), true);
        }
        if died {
            self.death = Some(Death {
                day: to,
                cause: diagnosis,
            });
        } else if let Some(day) = later.filter(|day| *day < self.end()) {
            self.death = Some(Death { day, cause: diagnosis });
        }
        let (hospital, number) = draw_hospital(random);
        self.stays.push(Stay {
            kind,
            from,
            to,
            diagnosis,
            died,
            hospital,
            number,
        });
        self.remember(kind, to);
    }

    /// Some stays leave a chronic disease behind.
    fn remember(&mut self, kind: &StayKind, since: Day) {
        if let Some(condition) = kind.brings
            && !self
                .illnesses
                .iter()
                .any(|illness| std::ptr::eq(illness.condition, condition))
        {
            self.illnesses.push(Illness { condition, since });
        }
    }

    fn draw_return(&self, random: &mut Random) -> Option<Day> {
        let last = self.stays.last()?;
        let returns = !last.died && random.happens(last.kind.returns);
        returns.then(|| last.to + 2 + random.exponential(11.0) as Day)
    }

    /// About half of the people die in hospital: a last stay for some of those who have none at that moment.
    fn die_in_hospital_at_last(&mut self, random: &mut Random) {
        let Some(death) = self.death.as_ref().map(|death| death.day).filter(|day| *day <= self.to) else {
            self.death = None;
            return;
        };
        let free_from = self.stays.last().map_or(self.from, |stay| stay.to + 1);
        if free_from > death || !random.happens(0.4) {
            return;
        }
        let from = (death - random.exponential(8.0) as Day).max(free_from);
        let Some(kind) = random.ranked(stays::LAST).copied() else {
            return;
        };
        let Some(diagnosis) = random.ranked(kind.diagnoses).copied() else {
            return;
        };
        let (hospital, number) = draw_hospital(random);
        self.stays.push(Stay {
            kind,
            from,
            to: death,
            diagnosis,
            died: true,
            hospital,
            number,
        });
    }
}

fn draw_illnesses(random: &mut Random, person: &Person, from: Day, to: Day) -> Vec<Illness> {
    let morbidity = crate::territory::morbidity(crate::territory::DEPARTMENTS[person.department].0);
    // Frail people have more of everything, but not in proportion.
    let burden = morbidity * (0.75 + 0.25 * person.frailty.min(4.0));
    let mut illnesses = Vec::new();
    for condition in conditions::ALL {
        let prevalence = condition.prevalence(person.sex, person.decade(from)) * burden;
        let since = if random.happens(prevalence) {
            Some(from - 30 - random.exponential((f64::from(person.age(from) as u32) * 60.0).min(2200.0)) as Day)
        } else {
            draw_onset(random, person, condition, burden, from, to)
        };
        illnesses.extend(since.map(|since| Illness {
            condition,
            since: since.max(person.born),
        }));
    }
    illnesses
}

/// New cases come at a rate that keeps the prevalence about what it is.
fn draw_onset(
    random: &mut Random,
    person: &Person,
    condition: &Condition,
    burden: f64,
    from: Day,
    to: Day,
) -> Option<Day> {
    let middle = from + (to - from) / 2;
    let yearly = condition.prevalence(person.sex, person.decade(middle)) * burden * 0.085;
    if yearly <= 0.0 {
        return None;
    }
    let day = f64::from(from) + random.exponential(1.0) / yearly * YEAR;
    (day <= f64::from(to)).then_some(day as Day)
}

fn age_factor(age: usize) -> f64 {
    let relative = age as f64 / 75.0;
    (relative * relative).clamp(0.03, 1.6)
}

fn draw_hospital(random: &mut Random) -> (u32, i64) {
    const RANKS: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    (
        random.ranked(&RANKS).copied().unwrap_or(1),
        random.below(10_000_000_000) as i64,
    )
}

fn draw_cause(random: &mut Random, illnesses: &[Illness], day: Day) -> &'static str {
    const OTHER: [&str; 8] = ["R99", "I469", "R54", "C259", "C229", "C859", "K746", "C169"];
    let deadly = illnesses
        .iter()
        .filter(|illness| illness.since <= day && illness.condition.mortality > 1.2);
    let worst = deadly.max_by(|a, b| a.condition.mortality.total_cmp(&b.condition.mortality));
    let coded = worst.and_then(|illness| illness.condition.diagnoses.first().copied());
    match coded {
        Some(code) if random.happens(0.7) => code,
        _ => random.ranked(&OTHER).copied().unwrap_or("R99"),
    }
}

#[cfg(test)]
mod tests {
    use super::Life;
    use crate::demography::{draw_person, observed};
    use crate::pseudonym::Pseudonym;
    use crate::random::Random;

    #[test]
    fn a_life_is_in_order() {
        let (from, to) = observed(2018, 2023);
        let (mut stays, mut deaths, mut in_hospital) = (0, 0, 0);
        for number in 0..20_000 {
            let mut random = Random::of_patient(9, number);
            let person = draw_person(&mut random, Pseudonym::of_patient(9, number), from, to);
            let life = Life::draw(&mut random, person, from, to);
            assert!(life.from <= life.to && life.to <= to, "patient {number}");
            assert!(
                life.stays.iter().all(|s| life.from <= s.from && s.from <= s.to),
                "patient {number}"
            );
            assert!(
                life.stays.windows(2).all(|pair| pair[0].to < pair[1].from),
                "patient {number}"
            );
            if let Some(death) = &life.death {
                assert!(death.day >= life.person.born && life.stays.iter().all(|s| s.from <= death.day));
                deaths += 1;
                in_hospital += u32::from(life.stays.last().is_some_and(|s| s.died && s.to == death.day));
            }
            stays += life.stays.len();
        }
        let person_years = 20_000.0 * 6.0 * 0.97;
        let (stay_rate, death_rate) = (stays as f64 / person_years, f64::from(deaths) / person_years);
        assert!((0.13..0.25).contains(&stay_rate), "{stay_rate}");
        assert!((0.007..0.014).contains(&death_rate), "{death_rate}");
        assert!(
            (0.35..0.7).contains(&(f64::from(in_hospital) / f64::from(deaths))),
            "{in_hospital} of {deaths}"
        );
    }
}
