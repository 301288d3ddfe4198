//! Kinds of hospital stay (MCO): diagnosis, GHM, length, acts, how often they happen by age, how often people die of
//! them or come back. Public codes; orders of magnitude of our own.

use crate::conditions::{self, Condition};

/// One kind of stay.
pub(crate) struct StayKind {
    /// Main diagnoses (CIM-10), the most usual first.
    pub(crate) diagnoses: &'static [&'static str],
    /// Related diagnosis, where the coding rules want one.
    pub(crate) related: Option<&'static str>,
    /// GHM: six characters, or the five of its root, to which the severity is added.
    pub(crate) ghm: &'static str,
    /// Mean nights; 0 for a day case.
    pub(crate) nights: f64,
    /// Probability of dying in hospital and, after leaving, within about a year, at 75 years of age.
    pub(crate) dies: f64,
    pub(crate) dies_after: f64,
    /// Probability of an unplanned stay within weeks of leaving.
    pub(crate) returns: f64,
    /// Acts (CCAM) and how often each is made.
    pub(crate) acts: &'static [(&'static str, f64)],
    /// Associated diagnoses that go with it.
    pub(crate) associated: &'static [&'static str],
    /// Stays a year per 1,000 people by ten years of age, outside any chronic disease.
    pub(crate) rates: [f64; 10],
    /// Factor on the rates of women; of men, 2 minus it.
    pub(crate) women: f64,
    /// The disease that stays when the patient has left.
    pub(crate) brings: Option<&'static Condition>,
}

/// A stay of a chronic disease only, from which few die; the rest is added by struct update.
const PLAIN: StayKind = StayKind {
    diagnoses: &[],
    related: None,
    ghm: "",
    nights: 0.0,
    dies: 0.0,
    dies_after: 0.0,
    returns: 0.02,
    acts: &[],
    associated: AGEING,
    rates: [0.0; 10],
    women: 1.0,
    brings: None,
};

/// Associated diagnoses of older patients.
const AGEING: &[&str] = &[
    "I10", "E119", "I489", "N183", "I501", "Z921", "E46", "F058", "E876", "D649", "R296", "Z740",
];
/// Associated diagnoses of younger ones.
const FEW: &[&str] = &["E669", "F171", "J459", "D509", "F329", "Z867"];

const LABS_AND_X_RAY: &[(&str, f64)] = &[("ZBQK002", 0.7), ("DEQP003", 0.5), ("GLLD003", 0.1)];

pub(crate) static DIABETES: StayKind = StayKind {
    diagnoses: &["E1190", "E1150", "E1140", "E1100"],
    ghm: "10M02",
    nights: 5.5,
    dies: 0.015,
    dies_after: 0.08,
    returns: 0.09,
    acts: &[("BGQP002", 0.3), ("EDQM001", 0.4), ("DEQP003", 0.6)],
    ..PLAIN
};

pub(crate) static HEART_FAILURE: StayKind = StayKind {
    diagnoses: &["I500", "I501", "I509"],
    ghm: "05M09",
    nights: 9.5,
    dies: 0.08,
    dies_after: 0.26,
    returns: 0.19,
    acts: &[("DZQM006", 0.7), ("DEQP003", 0.9), ("ZBQK002", 0.8)],
    associated: &[
        "I489", "N183", "N179", "J90", "J960", "E876", "I340", "D649", "I10", "E119",
    ],
    rates: [0., 0., 0., 0.05, 0.1, 0.3, 0.8, 2., 7., 15.],
    brings: Some(&conditions::HEART_FAILURE),
    ..PLAIN
};

pub(crate) static INFARCTION: StayKind = StayKind {
    diagnoses: &["I214", "I210", "I211", "I219"],
    ghm: "05K06",
    nights: 5.0,
    dies: 0.055,
    dies_after: 0.08,
    returns: 0.1,
    acts: &[("DDAF006", 0.7), ("DDQH009", 0.6), ("DZQM006", 0.8), ("DEQP003", 1.0)],
    associated: &["I10", "E780", "E119", "F171", "I501", "Z955", "E669"],
    rates: [0., 0., 0.03, 0.3, 1., 2.2, 3., 4., 5.5, 7.],
    women: 0.6,
    brings: Some(&conditions::CORONARY_DISEASE),
    ..PLAIN
};

pub(crate) static CORONARY: StayKind = StayKind {
    diagnoses: &["I251", "I200"],
    ghm: "05K10",
    nights: 2.2,
    dies: 0.006,
    dies_after: 0.04,
    returns: 0.05,
    acts: &[("DDQH009", 0.7), ("DDAF006", 0.4), ("DEQP003", 0.9)],
    ..PLAIN
};

pub(crate) static STROKE: StayKind = StayKind {
    diagnoses: &["I639", "I634", "I633", "I619"],
    ghm: "01M30",
    nights: 10.0,
    dies: 0.12,
    dies_after: 0.15,
    returns: 0.09,
    acts: &[("ACQN001", 0.7), ("ACQK001", 0.7), ("EBQM003", 0.6), ("DEQP005", 0.5)],
    associated: &["I489", "I10", "E119", "R33", "F058", "E876", "I652", "Z921"],
    rates: [0.02, 0.02, 0.06, 0.2, 0.6, 1.3, 2.5, 5., 10., 14.],
    women: 0.88,
    brings: Some(&conditions::AFTER_STROKE),
    ..PLAIN
};

pub(crate) static ARRHYTHMIA: StayKind = StayKind {
    diagnoses: &["I489", "I480", "I482"],
    ghm: "05M08",
    nights: 3.5,
    dies: 0.01,
    dies_after: 0.06,
    returns: 0.09,
    acts: &[("DERP003", 0.3), ("DZQM006", 0.5), ("DEPF033", 0.2), ("DELF007", 0.1)],
    rates: [0., 0.05, 0.1, 0.2, 0.5, 1., 2., 3., 4., 4.],
    ..PLAIN
};

pub(crate) static COPD: StayKind = StayKind {
    diagnoses: &["J441", "J440", "J449"],
    ghm: "04M08",
    nights: 8.5,
    dies: 0.06,
    dies_after: 0.17,
    returns: 0.17,
    acts: &[("ZBQK002", 0.9), ("GLLD003", 0.3), ("GLQP012", 0.4)],
    associated: &["J960", "J961", "F171", "I501", "E43", "E119", "I10"],
    rates: [0., 0., 0., 0.05, 0.1, 0.3, 0.6, 1., 1.2, 1.2],
    women: 0.8,
    ..PLAIN
};

pub(crate) static ASTHMA: StayKind = StayKind {
    diagnoses: &["J459", "J46"],
    ghm: "04M03",
    nights: 3.2,
    dies: 0.003,
    dies_after: 0.01,
    returns: 0.06,
    acts: LABS_AND_X_RAY,
    associated: FEW,
    rates: [1.5, 0.4, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
    ..PLAIN
};

pub(crate) static PNEUMONIA: StayKind = StayKind {
    diagnoses: &["J189", "J180", "J158", "J155"],
    ghm: "04M05",
    nights: 9.0,
    dies: 0.11,
    dies_after: 0.2,
    returns: 0.13,
    acts: LABS_AND_X_RAY,
    associated: &["J960", "J90", "I501", "E46", "E876", "F058", "I489", "A419", "D649"],
    rates: [2., 0.5, 0.5, 0.8, 1., 2., 4., 9., 22., 40.],
    ..PLAIN
};

pub(crate) static OVERDOSE: StayKind = StayKind {
    diagnoses: &["T424"],
    ghm: "21M10",
    nights: 1.2,
    dies: 0.006,
    dies_after: 0.02,
    returns: 0.12,
    acts: &[("DEQP003", 0.8)],
    associated: &["F329", "F100", "F609", "F411"],
    rates: [0., 2.2, 1.6, 1.3, 1.6, 1.2, 0.6, 0.4, 0.4, 0.3],
    women: 1.25,
    ..PLAIN
};

pub(crate) static BREAST_SURGERY: StayKind = StayKind {
    diagnoses: &["C509"],
    ghm: "09C04",
    nights: 1.6,
    dies_after: 0.02,
    acts: &[("QEFA004", 0.5), ("QEFA017", 0.4)],
    ..PLAIN
};

pub(crate) static PROSTATE_SURGERY: StayKind = StayKind {
    diagnoses: &["N40", "C61"],
    ghm: "12C04",
    nights: 3.4,
    dies: 0.002,
    dies_after: 0.02,
    returns: 0.08,
    acts: &[("JGFA015", 0.7)],
    ..PLAIN
};

pub(crate) static COLECTOMY: StayKind = StayKind {
    diagnoses: &["C189", "C20"],
    ghm: "06C04",
    nights: 10.0,
    dies: 0.03,
    dies_after: 0.14,
    returns: 0.1,
    acts: &[("HHFA009", 0.45), ("HHFC040", 0.35), ("ZCQH001", 0.6)],
    associated: &["C787", "D62", "E46", "K566", "I10", "K650"],
    ..PLAIN
};

pub(crate) static LUNG_CANCER: StayKind = StayKind {
    diagnoses: &["C349", "C341"],
    ghm: "04M09",
    nights: 8.0,
    dies: 0.14,
    dies_after: 0.5,
    returns: 0.22,
    acts: &[("GEQE007", 0.5), ("ZBQH001", 0.8)],
    associated: &["C787", "C795", "C780", "J90", "E43", "F171", "Z515"],
    ..PLAIN
};

pub(crate) static CHEMOTHERAPY: StayKind = StayKind {
    diagnoses: &["Z511"],
    related: Some("C509"),
    ghm: "28Z07Z",
    returns: 0.75,
    associated: &["C787", "C795", "D649", "E46"],
    ..PLAIN
};

pub(crate) static DIALYSIS: StayKind = StayKind {
    diagnoses: &["Z491"],
    related: Some("N185"),
    ghm: "28Z04Z",
    returns: 0.0,
    acts: &[("JVJF004", 0.75), ("JVJF008", 0.25)],
    associated: &[],
    ..PLAIN
};

pub(crate) static KIDNEY_FAILURE: StayKind = StayKind {
    diagnoses: &["N185", "N184", "N179"],
    ghm: "11M06",
    nights: 7.0,
    dies: 0.06,
    dies_after: 0.16,
    returns: 0.14,
    acts: &[("JAQM003", 0.6)],
    rates: [0., 0., 0.02, 0.05, 0.1, 0.3, 0.6, 1.3, 3., 5.],
    ..PLAIN
};

pub(crate) static SEIZURE: StayKind = StayKind {
    diagnoses: &["G409", "R568"],
    ghm: "01M25",
    nights: 3.0,
    dies: 0.01,
    dies_after: 0.07,
    returns: 0.08,
    acts: &[("ACQK001", 0.6), ("ACQN001", 0.3)],
    associated: FEW,
    rates: [1.2, 0.4, 0.4, 0.4, 0.5, 0.6, 0.7, 1., 1.8, 2.],
    ..PLAIN
};

pub(crate) static FALL: StayKind = StayKind {
    diagnoses: &["R296", "R53", "S060"],
    ghm: "23M20",
    nights: 7.5,
    dies: 0.03,
    dies_after: 0.2,
    returns: 0.12,
    acts: &[("ACQK001", 0.5), ("DEQP003", 0.5)],
    rates: [0., 0., 0., 0.1, 0.2, 0.3, 0.6, 2.2, 9., 18.],
    ..PLAIN
};

pub(crate) static HIP_FRACTURE: StayKind = StayKind {
    diagnoses: &["S7200", "S7210"],
    ghm: "08C49",
    nights: 10.0,
    dies: 0.035,
    dies_after: 0.19,
    returns: 0.1,
    acts: &[("NBCA010", 0.5), ("NEKA018", 0.3), ("NEKA011", 0.2), ("FELF011", 0.2)],
    associated: &["D62", "F058", "G309", "M809", "I10", "E46", "R33", "L891", "I489"],
    rates: [0., 0., 0., 0.05, 0.1, 0.3, 0.8, 3., 12., 28.],
    women: 1.4,
    ..PLAIN
};

pub(crate) static WRIST_FRACTURE: StayKind = StayKind {
    diagnoses: &["S5250"],
    ghm: "08C52",
    nights: 0.6,
    dies_after: 0.01,
    acts: &[("MCCB004", 0.6), ("MCEP001", 0.4)],
    associated: FEW,
    rates: [2., 1., 0.5, 0.4, 0.5, 1., 1.5, 2., 2.5, 2.5],
    women: 1.1,
    ..PLAIN
};

/// The stay of being born.
pub(crate) static BIRTH: StayKind = StayKind {
    diagnoses: &["Z380"],
    ghm: "15M05",
    nights: 3.4,
    returns: 0.01,
    associated: &["P599"],
    ..PLAIN
};

/// A stay for palliative care.
static PALLIATIVE: StayKind = StayKind {
    diagnoses: &["Z515"],
    related: Some("C349"),
    ghm: "23Z02Z",
    nights: 9.0,
    associated: &["C787", "C795", "J960", "E43", "L891"],
    ..PLAIN
};

/// Sepsis.
static SEPSIS: StayKind = StayKind {
    diagnoses: &["A419", "A415"],
    ghm: "18M07",
    nights: 11.0,
    dies: 0.2,
    dies_after: 0.2,
    returns: 0.12,
    acts: &[("EBLA003", 0.3), ("GLLD015", 0.2)],
    associated: &["J960", "N179", "E876", "D649", "B962"],
    rates: [0.3, 0.05, 0.1, 0.1, 0.3, 0.6, 1.2, 2., 3.5, 4.5],
    ..PLAIN
};

/// The kinds of stay in which people die whom no other stay has brought to hospital, the most usual first.
pub(crate) static LAST: &[&StayKind] = &[
    &PALLIATIVE,
    &SEPSIS,
    &KIDNEY_FAILURE,
    &PNEUMONIA,
    &FALL,
    &LUNG_CANCER,
    &COLECTOMY,
    &HEART_FAILURE,
    &STROKE,
];

/// The kinds below are the commonest of some two thousand: their rates are raised so that they stand for all stays.
pub(crate) const UNLISTED: f64 = 1.3;

/// Every kind that happens outside a chronic disease, as well as the ones above that have a rate.
pub(crate) static ACUTE: &[&StayKind] = &[
    &HEART_FAILURE,
    &INFARCTION,
    &STROKE,
    &ARRHYTHMIA,
    &COPD,
    &ASTHMA,
    &PNEUMONIA,
    &OVERDOSE,
    &KIDNEY_FAILURE,
    &SEIZURE,
    &SEPSIS,
    &FALL,
    &HIP_FRACTURE,
    &WRIST_FRACTURE,
    // Childbirth: the rates are those of women, doubled by no one else's.
    &StayKind {
        diagnoses: &["O800", "O809", "O701"],
        ghm: "14Z14",
        nights: 3.3,
        acts: &[("JQGD010", 0.8)],
        associated: &["Z370"],
        rates: [0., 1.5, 26., 33., 3., 0., 0., 0., 0., 0.],
        women: 2.0,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["O821", "O820"],
        ghm: "14C08",
        nights: 4.6,
        acts: &[("JQGA004", 0.5), ("JQGA002", 0.5)],
        associated: &["Z370", "D62"],
        rates: [0., 0.3, 6.5, 9.5, 1.2, 0., 0., 0., 0., 0.],
        women: 2.0,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["K358", "K353", "K359"],
        ghm: "06C09",
        nights: 2.4,
        acts: &[("HHFA016", 0.8), ("HHFA011", 0.2)],
        associated: FEW,
        rates: [1., 2.5, 1.5, 1., 0.8, 0.6, 0.5, 0.4, 0.3, 0.2],
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["K802", "K800"],
        ghm: "07C14",
        nights: 1.9,
        dies: 0.004,
        dies_after: 0.02,
        returns: 0.04,
        acts: &[("HMFC004", 0.9), ("HMFA007", 0.1)],
        associated: FEW,
        rates: [0., 0.3, 1.5, 2., 2., 2.5, 3., 3., 2.5, 1.5],
        women: 1.25,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["J219", "J210"],
        ghm: "04M18",
        nights: 3.0,
        returns: 0.05,
        acts: &[("GLLD003", 0.2)],
        associated: &["J960"],
        rates: [6., 0., 0., 0., 0., 0., 0., 0., 0., 0.],
        women: 0.85,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["A099", "A080", "K529"],
        ghm: "06M03",
        nights: 2.8,
        dies: 0.006,
        dies_after: 0.04,
        returns: 0.05,
        associated: &["E86", "E876"],
        rates: [4., 0.5, 0.4, 0.3, 0.4, 0.5, 0.7, 1.2, 2.4, 3.],
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["N10", "N390", "A419"],
        ghm: "11M04",
        nights: 5.6,
        dies: 0.03,
        dies_after: 0.12,
        returns: 0.1,
        acts: &[("JAQM003", 0.6)],
        associated: &["B962", "A419", "N179", "E119", "R33"],
        rates: [0.5, 0.8, 1.2, 1.2, 1.2, 1.5, 2.5, 5., 9., 12.],
        women: 1.3,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["S060"],
        ghm: "01M23",
        nights: 1.1,
        dies: 0.01,
        dies_after: 0.06,
        acts: &[("ACQK001", 0.8)],
        associated: FEW,
        rates: [3., 1.5, 1., 0.6, 0.5, 0.6, 0.8, 1.5, 4., 6.],
        women: 0.8,
        ..PLAIN
    },
    // Cataract surgery, nearly always without a night.
    &StayKind {
        diagnoses: &["H251", "H250", "H259"],
        ghm: "02C05J",
        acts: &[("BFGA427", 1.0)],
        rates: [0., 0., 0.1, 0.3, 1., 6., 25., 55., 45., 15.],
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["M171", "M170", "M179"],
        ghm: "08C24",
        nights: 5.0,
        dies: 0.001,
        dies_after: 0.015,
        returns: 0.03,
        acts: &[("NFKA007", 0.6), ("NFKA008", 0.4)],
        rates: [0., 0., 0., 0., 0.3, 1.5, 5., 6., 3., 0.3],
        women: 1.2,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["M161", "M160", "M169"],
        ghm: "08C48",
        nights: 4.6,
        dies: 0.001,
        dies_after: 0.015,
        returns: 0.03,
        acts: &[("NEKA020", 0.95)],
        rates: [0., 0., 0., 0.1, 0.4, 1.8, 4.5, 6., 4., 0.6],
        ..PLAIN
    },
    // Colonoscopy under anaesthesia.
    &StayKind {
        diagnoses: &["K635", "Z121", "K573", "D125"],
        ghm: "06K04J",
        acts: &[("HHQE005", 0.6), ("HHQE002", 0.4), ("HEQE002", 0.3)],
        associated: FEW,
        rates: [0., 0.5, 2., 4., 9., 20., 25., 22., 8., 2.],
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["K409"],
        ghm: "06C12",
        nights: 0.7,
        dies_after: 0.01,
        acts: &[("LMMC002", 0.6), ("LMMA012", 0.4)],
        associated: FEW,
        rates: [3., 0.5, 0.6, 1., 2., 3.5, 5., 6., 5., 2.],
        women: 0.25,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["R55"],
        ghm: "05M10",
        nights: 3.4,
        dies: 0.006,
        dies_after: 0.07,
        returns: 0.07,
        acts: &[("DEQP003", 1.0), ("DEQP005", 0.4), ("DZQM006", 0.4)],
        rates: [0.3, 0.6, 0.6, 0.6, 0.8, 1.3, 2.5, 5., 11., 15.],
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["R074"],
        ghm: "05M16",
        nights: 1.4,
        dies_after: 0.02,
        returns: 0.05,
        acts: &[("DEQP003", 1.0), ("DKRP004", 0.2)],
        rates: [0.1, 0.3, 0.6, 1.2, 2.5, 3.5, 4., 4., 4., 3.],
        women: 0.85,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["I269"],
        ghm: "04M12",
        nights: 6.5,
        dies: 0.05,
        dies_after: 0.13,
        returns: 0.08,
        acts: &[("ZBQH001", 0.9), ("DZQM006", 0.6)],
        associated: &["I802", "J960", "Z921", "E669"],
        rates: [0., 0.05, 0.2, 0.3, 0.4, 0.7, 1.2, 2., 3., 3.],
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["K922"],
        ghm: "06M07",
        nights: 5.5,
        dies: 0.05,
        dies_after: 0.16,
        returns: 0.11,
        acts: &[("HEQE002", 0.7), ("HHQE002", 0.3), ("FELF011", 0.4)],
        associated: &["D62", "Z921", "I489", "K746"],
        rates: [0.1, 0.1, 0.2, 0.3, 0.6, 1., 1.5, 2.5, 6., 9.],
        women: 0.9,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["F100"],
        ghm: "20Z05",
        nights: 1.0,
        dies: 0.002,
        dies_after: 0.06,
        returns: 0.14,
        associated: &["F329", "S060", "K703"],
        rates: [0., 0.6, 1.2, 1.5, 2.2, 2., 1., 0.4, 0.1, 0.],
        women: 0.5,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["N201"],
        ghm: "11M03",
        nights: 1.7,
        returns: 0.12,
        acts: &[("JAQM003", 0.5), ("JANM002", 0.3)],
        associated: FEW,
        rates: [0., 0.3, 1., 1.6, 1.8, 2., 1.6, 1.2, 0.6, 0.4],
        women: 0.7,
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["J353", "J350"],
        ghm: "03C14",
        nights: 0.5,
        acts: &[("FAFA015", 0.6), ("FAFA008", 0.4)],
        associated: &[],
        rates: [6., 1.2, 0.5, 0.2, 0., 0., 0., 0., 0., 0.],
        ..PLAIN
    },
    &StayKind {
        diagnoses: &["K010", "K011"],
        ghm: "03K02J",
        acts: &[("HBGD038", 0.7), ("HBGD025", 0.3)],
        associated: &[],
        rates: [0., 7., 5., 0.6, 0.2, 0.1, 0., 0., 0., 0.],
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::ACUTE;

    #[test]
    fn codes_have_the_shape_of_their_nomenclature() {
        for kind in ACUTE {
            assert!(
                !kind.diagnoses.is_empty() && matches!(kind.ghm.len(), 5 | 6),
                "{}",
                kind.ghm
            );
            for code in kind.diagnoses.iter().chain(kind.associated).chain(kind.related.iter()) {
                assert!(
                    (3..=6).contains(&code.len()) && code.as_bytes()[0].is_ascii_uppercase(),
                    "{code}"
                );
            }
            for (code, probability) in kind.acts {
                assert!(code.len() == 7 && (0.0..=1.0).contains(probability), "{code}");
            }
        }
    }
}
