//! Care outside hospital, drawn from a [`Life`]: long prescriptions dispensed month after month with their gaps,
//! short ones, consultations, examinations and technical acts.

use crate::calendar::{Day, YEAR, first_of_month_after, open_day};
use crate::conditions::{self, Treatment};
use crate::drugs::{self, Drug};
use crate::life::Life;
use crate::random::Random;

/// One line of a dispensing.
pub(crate) struct Dispensing {
    pub(crate) day: Day,
    pub(crate) drug: &'static Drug,
    pub(crate) pack: &'static str,
    pub(crate) quantity: i32,
    /// A pack for three months.
    pub(crate) large: bool,
}

/// One line of a care sheet other than a drug.
pub(crate) struct Service {
    pub(crate) day: Day,
    /// First day of the month in which it reached the insurer.
    pub(crate) flow: Day,
    pub(crate) nature: i32,
    /// Specialty of the prescriber or provider, when a physician.
    pub(crate) specialty: Option<i32>,
    pub(crate) quantity: i32,
    pub(crate) cents: i64,
    /// 0, or 71 on lines that analyses must leave out.
    pub(crate) qualifier: i32,
}

/// One technical act (CCAM).
pub(crate) struct Act {
    pub(crate) day: Day,
    pub(crate) code: &'static str,
}

/// All of one patient's care outside hospital, each list in order of date.
#[derive(Default)]
pub(crate) struct Care {
    pub(crate) dispensings: Vec<Dispensing>,
    pub(crate) services: Vec<Service>,
    pub(crate) acts: Vec<Act>,
}

impl Care {
    /// Replaces the lists by those of another patient. They are kept between patients to spare allocations.
    pub(crate) fn redraw(&mut self, random: &mut Random, life: &Life) {
        self.dispensings.clear();
        self.services.clear();
        self.acts.clear();
        self.follow_treatments(random, life);
        self.fall_ill(random, life);
        self.see_others(random, life);
        self.undergo_acts(random, life);
        self.dispensings.sort_by_key(|line| (line.day, line.pack));
        self.services.sort_by_key(|line| (line.day, line.nature, line.cents));
        self.acts.sort_by_key(|act| (act.day, act.code));
    }

    /// Long prescriptions: the patient goes to the pharmacy every four weeks or so, and to a physician every third time.
    fn follow_treatments(&mut self, random: &mut Random, life: &Life) {
        let mut courses = draw_courses(random, life);
        let Some(first) = courses.iter().map(|course| course.from).min() else {
            return;
        };
        let mut visit = first.max(life.from) + random.between(0, 27);
        let mut count = 0;
        while visit <= life.to {
            let day = open_day(visit);
            let dispensed = courses.iter_mut().filter_map(|course| course.dispense(random, day));
            let before = self.dispensings.len();
            self.dispensings.extend(dispensed.filter(|line| line.day <= life.to));
            if count % 3 == 0 && self.dispensings.len() > before {
                let seen = day - random.between(0, 2);
                self.serve(random, life, seen, &GENERAL_PRACTICE);
            }
            count += 1;
            visit += if random.happens(0.04) {
                random.between(35, 60)
            } else {
                random.between(28, 30)
            };
        }
    }

    /// Short illnesses: a consultation and what it prescribes, more in winter.
    fn fall_ill(&mut self, random: &mut Random, life: &Life) {
        const YEARLY: [f64; 10] = [3.2, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 2.9, 2.9, 2.8];
        let sex = if life.person.sex.code() == 2 { 1.15 } else { 0.85 };
        for day in draw_days(random, life, |decade| YEARLY[decade] * sex * life.person.frailty) {
            let (_, month) = crate::calendar::year_month(day);
            if (5..=9).contains(&month) && random.happens(0.35) {
                continue;
            }
            self.serve(random, life, day, &GENERAL_PRACTICE);
            self.take_prescription(random, life, day);
        }
    }

    fn take_prescription(&mut self, random: &mut Random, life: &Life, day: Day) {
        let bought = open_day(day + random.between(0, 1));
        let lines = (1 + random.poisson(3.4)).min(12);
        for _ in 0..lines {
            let list = if life.person.age(day) < 12 {
                FOR_CHILDREN
            } else {
                FOR_ADULTS
            };
            let Some(drug) = random.ranked(list).copied() else {
                return;
            };
            let repeated = self
                .dispensings
                .iter()
                .rev()
                .take(9)
                .any(|line| line.day == bought && line.drug == drug);
            if let Some(pack) = random
                .ranked(drug.packs)
                .copied()
                .filter(|_| bought <= life.to && !repeated)
            {
                let quantity = if random.happens(0.25) { random.between(2, 4) } else { 1 };
                self.dispensings.push(Dispensing {
                    day: bought,
                    drug,
                    pack,
                    quantity,
                    large: false,
                });
            }
        }
    }

    /// Other providers, by age.
    fn see_others(&mut self, random: &mut Random, life: &Life) {
        for (provider, yearly) in PROVIDERS {
            for day in draw_days(random, life, |decade| yearly[decade] * life.person.frailty) {
                self.serve(random, life, day, provider);
            }
        }
    }

    fn undergo_acts(&mut self, random: &mut Random, life: &Life) {
        const YEARLY: [f64; 10] = [0.7, 1.6, 1.5, 1.7, 2.0, 2.4, 2.8, 3.1, 2.6, 1.7];
        for day in draw_days(random, life, |decade| YEARLY[decade] * life.person.frailty.min(8.0)) {
            let Some(code) = random.ranked(ACTS).copied() else {
                return;
            };
            let day = open_day(day);
            if day <= life.to {
                self.serve(random, life, day, &TECHNICAL);
                self.acts.push(Act { day, code });
            }
        }
    }

    fn serve(&mut self, random: &mut Random, life: &Life, day: Day, provider: &Provider) {
        let day = open_day(day);
        if !(life.from..=life.to).contains(&day) {
            return;
        }
        let specialty = random.ranked(provider.specialties).copied();
        let nature = random.ranked(provider.natures).copied().unwrap_or_default();
        let cents = provider.cents + 50 * random.poisson(provider.extra) as i64;
        let qualifier = if random.happens(0.003) { 71 } else { 0 };
        let (flow, quantity) = (draw_flow(random, day), 1 + i32::from(random.happens(provider.double)));
        self.services.push(Service {
            day,
            flow,
            nature,
            specialty,
            quantity,
            cents,
            qualifier,
        });
    }
}

/// One treatment of one patient: a drug, and the days on which it starts and stops.
struct Course {
    choices: &'static [(&'static Drug, u32)],
    drug: &'static Drug,
    pack: &'static str,
    from: Day,
    to: Day,
    /// Probability that a due renewal is dispensed.
    adherence: f64,
    large: bool,
    due: Day,
}

impl Course {
    /// What is dispensed of it at a visit to the pharmacy, if it is due and not forgotten.
    fn dispense(&mut self, random: &mut Random, day: Day) -> Option<Dispensing> {
        if day < self.from || day > self.to || day < self.due || !random.happens(self.adherence) {
            return None;
        }
        self.due = day + if self.large { 80 } else { 20 };
        let quantity = if random.happens(0.08) { 2 } else { 1 };
        Some(Dispensing {
            day,
            drug: self.drug,
            pack: self.pack,
            quantity,
            large: self.large,
        })
    }
}

/// The treatments of all of a patient's diseases; a class that two diseases call for is taken once.
fn draw_courses(random: &mut Random, life: &Life) -> Vec<Course> {
    let mut courses: Vec<Course> = Vec::new();
    let habit = 0.78 + 0.22 * random.unit();
    for illness in &life.illnesses {
        for treatment in illness.condition.treatments {
            let given = random.happens(treatment.share);
            if given && !courses.iter().any(|course| course.choices == treatment.choices) {
                draw_episodes(random, life, treatment, illness.since, habit, &mut courses);
            }
        }
    }
    courses
}

/// Periods of treatment: each lasts, stops, and often starts again after some months.
fn draw_episodes(
    random: &mut Random,
    life: &Life,
    treatment: &'static Treatment,
    since: Day,
    adherence: f64,
    courses: &mut Vec<Course>,
) {
    let Some(mut drug) = random.weighted(treatment.choices).copied() else {
        return;
    };
    let mut from = since + random.exponential(treatment.delay) as Day;
    let large = random.happens(treatment.quarterly);
    while from <= life.to {
        let to = from + 25 + random.exponential(treatment.persistence) as Day;
        if let Some(pack) = random.ranked(drug.packs).copied().filter(|_| to >= life.from) {
            let choices = treatment.choices;
            courses.push(Course {
                choices,
                drug,
                pack,
                from,
                to,
                adherence,
                large,
                due: from,
            });
        }
        if !random.happens(0.92) {
            return;
        }
        from = to + 30 + random.exponential(110.0) as Day;
        // A treatment that starts again is often another drug of the class.
        if random.happens(0.3) {
            drug = random.weighted(treatment.choices).copied().unwrap_or(drug);
        }
    }
}

/// The days of a process whose yearly rate depends on the age group.
fn draw_days(random: &mut Random, life: &Life, yearly: impl Fn(usize) -> f64) -> Vec<Day> {
    let mut days = Vec::new();
    let mut clock = f64::from(life.from);
    loop {
        let rate = yearly(life.person.decade(clock as Day));
        if rate <= 0.0 {
            return days;
        }
        clock += random.exponential(YEAR / rate);
        if clock as Day > life.to {
            return days;
        }
        days.push(clock as Day);
    }
}

/// Most lines arrive within two months, a few after more than two years.
fn draw_flow(random: &mut Random, day: Day) -> Day {
    let months = match random.below(1000) {
        0..620 => 0,
        620..900 => 1,
        900..975 => random.between(2, 5),
        975..998 => random.between(6, 12),
        _ => random.between(13, 27),
    };
    first_of_month_after(day, months)
}

/// Who provides a service: natures (`prs_nat_ref`), specialties (`pse_spe_cod`), price.
struct Provider {
    natures: &'static [i32],
    specialties: &'static [i32],
    cents: i64,
    /// Mean number of half euros on top.
    extra: f64,
    /// Probability of two in one line.
    double: f64,
}

const GENERAL_PRACTICE: Provider = Provider {
    natures: &[1111, 1211],
    specialties: &[1, 22, 23],
    cents: 2500,
    extra: 1.2,
    double: 0.0,
};
const TECHNICAL: Provider = Provider {
    natures: &[1351, 1352, 1321],
    specialties: &[6, 3, 15, 8, 7],
    cents: 2400,
    extra: 40.0,
    double: 0.02,
};

const PROVIDERS: &[(&Provider, [f64; 10])] = &[
    (
        &Provider {
            natures: &[1112],
            specialties: &[15, 7, 3, 33, 5, 8, 12, 4, 11],
            cents: 3000,
            extra: 24.0,
            double: 0.0,
        },
        [0.4, 0.4, 0.5, 0.6, 0.6, 0.7, 0.8, 0.9, 0.7, 0.5],
    ),
    // Laboratory.
    (
        &Provider {
            natures: &[3211],
            specialties: &[],
            cents: 1200,
            extra: 34.0,
            double: 0.0,
        },
        [0.1, 0.2, 0.35, 0.4, 0.4, 0.6, 0.9, 1.2, 1.5, 1.6],
    ),
    // Nurses.
    (
        &Provider {
            natures: &[3112],
            specialties: &[],
            cents: 630,
            extra: 10.0,
            double: 0.3,
        },
        [0.1, 0.1, 0.15, 0.15, 0.2, 0.3, 0.5, 1.4, 4.0, 6.5],
    ),
    // Physiotherapists.
    (
        &Provider {
            natures: &[3122],
            specialties: &[],
            cents: 1613,
            extra: 4.0,
            double: 0.0,
        },
        [0.1, 0.1, 0.2, 0.3, 0.35, 0.4, 0.6, 0.7, 0.8, 0.9],
    ),
];

const FOR_ADULTS: &[&Drug] = &[
    &drugs::PARACETAMOL,
    &drugs::IBUPROFEN,
    &drugs::AMOXICILLIN,
    &drugs::OMEPRAZOLE,
    &drugs::COLECALCIFEROL,
    &drugs::PREDNISOLONE,
    &drugs::ESOMEPRAZOLE,
    &drugs::KETOPROFEN,
    &drugs::TRAMADOL,
    &drugs::AMOXICILLIN_CLAVULANATE,
    &drugs::PARACETAMOL_COMBINED,
    &drugs::LEVOCETIRIZINE,
    &drugs::DICLOFENAC,
    &drugs::AZITHROMYCIN,
    &drugs::ACETYLCYSTEINE,
    &drugs::DOMPERIDONE,
    &drugs::PANTOPRAZOLE,
    &drugs::BETAMETHASONE,
    &drugs::FERROUS_SULFATE,
    &drugs::LOPERAMIDE,
    &drugs::FOSFOMYCIN,
    &drugs::SALBUTAMOL,
    &drugs::HYDROXYZINE,
    &drugs::ALPRAZOLAM,
    &drugs::NAPROXEN,
    &drugs::CIPROFLOXACIN,
    &drugs::OFLOXACIN,
    &drugs::METOCLOPRAMIDE,
    &drugs::CEFIXIME,
    &drugs::PREDNISONE,
    &drugs::DESLORATADINE,
    &drugs::ZOPICLONE,
];

const FOR_CHILDREN: &[&Drug] = &[
    &drugs::PARACETAMOL,
    &drugs::AMOXICILLIN,
    &drugs::IBUPROFEN,
    &drugs::COLECALCIFEROL,
    &drugs::SALBUTAMOL,
    &drugs::PREDNISOLONE,
    &drugs::AMOXICILLIN_CLAVULANATE,
    &drugs::DESLORATADINE,
    &drugs::BETAMETHASONE,
    &drugs::AZITHROMYCIN,
    &drugs::DOMPERIDONE,
    &drugs::CEFIXIME,
];

/// Technical acts, the commonest first.
const ACTS: &[&str] = &[
    "HBJD001", "DEQP003", "HBMD050", "ZBQK002", "HBLD038", "BGQP002", "HBQK389", "QEQK004", "ZCQM008", "NFQK001",
    "HBGD036", "DZQM006", "HBQK002", "BJQP002", "MDQK001", "PCQM001", "QZNP004", "QEQM001", "KCQM001", "BZQK001",
    "LDQK001", "NEQK010", "PAQK007", "HBMD038", "EBQM001", "CDQP010", "ACQN001", "GLQP012", "ZCQH001", "JQQM010",
    "EDQM001", "DEQP005", "BLQP004", "HEQE002", "JAQM003", "ZBQH001", "ACQK001", "ALQP003", "DKRP004", "HBBD003",
];

/// Codes of the long-term illnesses of a life, with the day of registration and its end.
pub(crate) fn draw_registrations(random: &mut Random, life: &Life) -> Vec<Registration> {
    let mut registrations = Vec::new();
    for illness in &life.illnesses {
        if !random.happens(illness.condition.registered) {
            continue;
        }
        let from = illness.since + random.between(10, 120);
        let Some(code) = random.ranked(illness.condition.diagnoses).copied() else {
            continue;
        };
        let kind = *random.weighted(&[(41, 95), (43, 3), (45, 2)]).unwrap_or(&41);
        let years = if random.happens(0.3) { 5 } else { 10 };
        let to = (!random.happens(0.1)).then_some(from + years * 365);
        if from <= life.to {
            registrations.push(Registration { from, to, kind, code });
        }
    }
    registrations.sort_by_key(|registration| (registration.from, registration.code));
    registrations
}

/// One long-term illness (ALD) as registered with the insurer.
pub(crate) struct Registration {
    pub(crate) from: Day,
    /// `None` where the end was never entered.
    pub(crate) to: Option<Day>,
    /// 41 on the list of thirty, 43 outside it, 45 several diseases together.
    pub(crate) kind: i32,
    pub(crate) code: &'static str,
}

/// The chronic diseases of a life on a day, as stays code them beside their main diagnosis.
pub(crate) fn diagnoses_on(life: &Life, day: Day) -> impl Iterator<Item = &'static str> {
    let contraception = conditions::CONTRACEPTION_CODE;
    let known = life.illnesses.iter().filter(move |illness| illness.since <= day);
    known
        .filter_map(|illness| illness.condition.diagnoses.first().copied())
        .filter(move |code| *code != contraception)
}
