//! Chronic diseases: how common they are by age and sex, how they are coded, what they are treated with, and how much
//! they add to hospital stays and deaths. Orders of magnitude from public reports, rounded; nothing here is a result.

use crate::demography::Sex;
use crate::drugs::{self, Drug};
use crate::stays::{self, StayKind};

/// One chronic disease.
pub(crate) struct Condition {
    /// Share of men and of women who have it, in thousandths, by ten years of age (the last group is 90 and over).
    pub(crate) men: [f64; 10],
    pub(crate) women: [f64; 10],
    /// CIM-10 codes with which it is coded, the most usual first.
    pub(crate) diagnoses: &'static [&'static str],
    /// Probability that it is registered as a long-term illness (ALD).
    pub(crate) registered: f64,
    /// Factor on the risk of death.
    pub(crate) mortality: f64,
    /// Stays it causes, and how many a year.
    pub(crate) stays: &'static [(&'static StayKind, f64)],
    /// What it is treated with.
    pub(crate) treatments: &'static [Treatment],
}

impl Condition {
    /// Share of people of that sex and age group who have it.
    pub(crate) fn prevalence(&self, sex: Sex, decade: usize) -> f64 {
        match sex {
            Sex::Man => self.men[decade] / 1000.0,
            Sex::Woman => self.women[decade] / 1000.0,
        }
    }
}

/// One line of a long prescription.
pub(crate) struct Treatment {
    /// The drugs among which one is chosen, with weights.
    pub(crate) choices: &'static [(&'static Drug, u32)],
    /// Probability that a patient ever gets it.
    pub(crate) share: f64,
    /// Mean days from onset to first dispensing.
    pub(crate) delay: f64,
    /// Mean days from first dispensing to stopping.
    pub(crate) persistence: f64,
    /// Probability that it comes in packs for three months rather than one.
    pub(crate) quarterly: f64,
}

const fn treat(choices: &'static [(&'static Drug, u32)], share: f64, delay: f64, persistence: f64) -> Treatment {
    Treatment {
        choices,
        share,
        delay,
        persistence,
        quarterly: 0.07,
    }
}

const fn quarterly(treatment: Treatment, share: f64) -> Treatment {
    Treatment {
        quarterly: share,
        ..treatment
    }
}

const STATINS: &[(&Drug, u32)] = &[
    (&drugs::ATORVASTATIN, 46),
    (&drugs::ROSUVASTATIN, 24),
    (&drugs::PRAVASTATIN, 17),
    (&drugs::SIMVASTATIN, 13),
];
const RENIN: &[(&Drug, u32)] = &[
    (&drugs::RAMIPRIL, 24),
    (&drugs::PERINDOPRIL, 20),
    (&drugs::IRBESARTAN, 17),
    (&drugs::CANDESARTAN, 16),
    (&drugs::VALSARTAN, 13),
    (&drugs::LOSARTAN, 10),
];
const BETA_BLOCKERS: &[(&Drug, u32)] = &[
    (&drugs::BISOPROLOL, 75),
    (&drugs::ATENOLOL, 15),
    (&drugs::CARVEDILOL, 10),
];
const CALCIUM: &[(&Drug, u32)] = &[(&drugs::AMLODIPINE, 70), (&drugs::LERCANIDIPINE, 30)];
const ANTICOAGULANTS: &[(&Drug, u32)] = &[
    (&drugs::APIXABAN, 52),
    (&drugs::RIVAROXABAN, 30),
    (&drugs::WARFARIN, 11),
    (&drugs::DABIGATRAN, 7),
];
const INHALED: &[(&Drug, u32)] = &[
    (&drugs::FORMOTEROL_BUDESONIDE, 50),
    (&drugs::SALMETEROL_FLUTICASONE, 35),
    (&drugs::BECLOMETASONE, 15),
];
const ANTIDEPRESSANTS: &[(&Drug, u32)] = &[
    (&drugs::ESCITALOPRAM, 34),
    (&drugs::VENLAFAXINE, 22),
    (&drugs::SERTRALINE, 22),
    (&drugs::MIRTAZAPINE, 12),
    (&drugs::CITALOPRAM, 10),
];
const ANXIOLYTICS: &[(&Drug, u32)] = &[
    (&drugs::ALPRAZOLAM, 55),
    (&drugs::OXAZEPAM, 30),
    (&drugs::HYDROXYZINE, 15),
];
const HYPNOTICS: &[(&Drug, u32)] = &[(&drugs::ZOPICLONE, 58), (&drugs::ZOLPIDEM, 42)];
const ANTIPSYCHOTICS: &[(&Drug, u32)] = &[
    (&drugs::RISPERIDONE, 35),
    (&drugs::OLANZAPINE, 35),
    (&drugs::QUETIAPINE, 30),
];
const ACID_PUMP: &[(&Drug, u32)] = &[
    (&drugs::OMEPRAZOLE, 34),
    (&drugs::PANTOPRAZOLE, 28),
    (&drugs::ESOMEPRAZOLE, 26),
    (&drugs::LANSOPRAZOLE, 12),
];

const NONE: [f64; 10] = [0.0; 10];

/// The code of the one entry that is no disease.
pub(crate) const CONTRACEPTION_CODE: &str = "Z304";

/// Every disease of the generated population.
pub(crate) static ALL: &[&Condition] = &[
    // Type 2 diabetes: metformin first, then a second class, then insulin.
    &Condition {
        men: [0., 0., 2., 10., 32., 85., 160., 205., 190., 140.],
        women: [0., 0., 3., 12., 26., 58., 110., 145., 145., 110.],
        diagnoses: &["E119", "E114", "E112", "E115"],
        registered: 0.8,
        mortality: 1.3,
        stays: &[(&stays::DIABETES, 0.03)],
        treatments: &[
            treat(&[(&drugs::METFORMIN, 1)], 0.86, 70.0, 2600.0),
            treat(
                &[(&drugs::GLICLAZIDE, 60), (&drugs::GLIMEPIRIDE, 40)],
                0.36,
                1100.0,
                1500.0,
            ),
            treat(
                &[(&drugs::SITAGLIPTIN, 55), (&drugs::METFORMIN_SITAGLIPTIN, 45)],
                0.42,
                1300.0,
                1300.0,
            ),
            treat(&[(&drugs::INSULIN_GLARGINE, 1)], 0.24, 2400.0, 3500.0),
            treat(&[(&drugs::INSULIN_ASPART, 1)], 0.1, 2900.0, 3000.0),
            treat(STATINS, 0.45, 300.0, 2000.0),
        ],
    },
    // Hypertension, no longer registered since 2011.
    &Condition {
        men: [0., 0., 5., 30., 100., 220., 370., 480., 520., 470.],
        women: [0., 0., 5., 22., 80., 180., 310., 450., 560., 580.],
        diagnoses: &["I10"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[
            treat(RENIN, 0.8, 90.0, 3000.0),
            treat(CALCIUM, 0.45, 400.0, 2500.0),
            treat(&[(&drugs::HYDROCHLOROTHIAZIDE, 1)], 0.22, 700.0, 1500.0),
            treat(BETA_BLOCKERS, 0.27, 300.0, 2500.0),
        ],
    },
    // Dyslipidaemia.
    &Condition {
        men: [0., 0., 3., 20., 65., 150., 240., 290., 240., 120.],
        women: [0., 0., 2., 10., 35., 95., 185., 250., 220., 100.],
        diagnoses: &["E780", "E789"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[
            treat(STATINS, 0.85, 60.0, 1500.0),
            treat(&[(&drugs::EZETIMIBE, 1)], 0.14, 700.0, 1200.0),
        ],
    },
    &HEART_FAILURE,
    // Atrial fibrillation.
    &Condition {
        men: [0., 0., 0., 1., 4., 12., 40., 90., 150., 180.],
        women: [0., 0., 0., 0.5, 2., 6., 22., 60., 120., 160.],
        diagnoses: &["I489", "I480"],
        registered: 0.4,
        mortality: 1.3,
        stays: &[(&stays::ARRHYTHMIA, 0.07), (&stays::STROKE, 0.008)],
        treatments: &[
            treat(ANTICOAGULANTS, 0.78, 60.0, 2200.0),
            treat(BETA_BLOCKERS, 0.6, 40.0, 2200.0),
            treat(&[(&drugs::AMIODARONE, 1)], 0.22, 120.0, 900.0),
        ],
    },
    &CORONARY_DISEASE,
    &AFTER_STROKE,
    // Chronic obstructive pulmonary disease.
    &Condition {
        men: [0., 0., 0., 2., 12., 35., 70., 100., 100., 80.],
        women: [0., 0., 0., 1., 8., 22., 40., 50., 50., 40.],
        diagnoses: &["J449", "J448"],
        registered: 0.3,
        mortality: 1.7,
        stays: &[(&stays::COPD, 0.12), (&stays::PNEUMONIA, 0.03)],
        treatments: &[
            treat(&[(&drugs::TIOTROPIUM, 1)], 0.45, 200.0, 1000.0),
            treat(INHALED, 0.5, 300.0, 1000.0),
            treat(&[(&drugs::SALBUTAMOL, 1)], 0.55, 90.0, 900.0),
        ],
    },
    // Asthma.
    &Condition {
        men: [60., 60., 40., 35., 35., 35., 35., 30., 30., 20.],
        women: [40., 50., 50., 50., 50., 50., 50., 50., 40., 30.],
        diagnoses: &["J459"],
        registered: 0.05,
        mortality: 1.0,
        stays: &[(&stays::ASTHMA, 0.015)],
        treatments: &[
            treat(&[(&drugs::SALBUTAMOL, 1)], 0.7, 60.0, 700.0),
            treat(INHALED, 0.6, 150.0, 600.0),
            treat(&[(&drugs::MONTELUKAST, 1)], 0.15, 300.0, 500.0),
        ],
    },
    // Depression: treatments that are often stopped within months.
    &Condition {
        men: [0., 8., 30., 45., 55., 60., 50., 50., 70., 80.],
        women: [0., 18., 50., 75., 95., 110., 100., 100., 130., 140.],
        diagnoses: &["F329", "F322", "F330"],
        registered: 0.1,
        mortality: 1.1,
        stays: &[(&stays::OVERDOSE, 0.008)],
        treatments: &[
            treat(ANTIDEPRESSANTS, 0.85, 30.0, 420.0),
            treat(ANXIOLYTICS, 0.4, 40.0, 250.0),
            treat(HYPNOTICS, 0.25, 90.0, 250.0),
        ],
    },
    // Anxiety and sleeplessness.
    &Condition {
        men: [0., 3., 12., 20., 28., 36., 45., 55., 80., 95.],
        women: [0., 5., 20., 30., 45., 62., 85., 100., 140., 150.],
        diagnoses: &["F419", "F411"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[
            treat(ANXIOLYTICS, 0.6, 30.0, 300.0),
            treat(HYPNOTICS, 0.45, 60.0, 350.0),
        ],
    },
    // Hypothyroidism.
    &Condition {
        men: [0.3, 1., 2., 4., 7., 12., 18., 25., 32., 36.],
        women: [0.5, 3., 12., 28., 42., 62., 80., 92., 100., 100.],
        diagnoses: &["E039"],
        registered: 0.02,
        mortality: 1.0,
        stays: &[],
        treatments: &[treat(&[(&drugs::LEVOTHYROXINE, 1)], 0.96, 40.0, 9000.0)],
    },
    // Breast cancer.
    &Condition {
        men: NONE,
        women: [0., 0., 0.3, 3., 13., 30., 45., 55., 58., 55.],
        diagnoses: &["C509"],
        registered: 0.95,
        mortality: 1.8,
        stays: &[(&stays::BREAST_SURGERY, 0.05), (&stays::CHEMOTHERAPY, 0.06)],
        treatments: &[treat(
            &[(&drugs::ANASTROZOLE, 65), (&drugs::TAMOXIFEN, 35)],
            0.65,
            220.0,
            1500.0,
        )],
    },
    // Prostate cancer.
    &Condition {
        men: [0., 0., 0., 0., 0.5, 8., 40., 80., 98., 95.],
        women: NONE,
        diagnoses: &["C61"],
        registered: 0.9,
        mortality: 1.3,
        stays: &[(&stays::PROSTATE_SURGERY, 0.04), (&stays::CHEMOTHERAPY, 0.02)],
        treatments: &[quarterly(treat(&[(&drugs::LEUPRORELIN, 1)], 0.25, 200.0, 900.0), 0.95)],
    },
    // Colorectal cancer.
    &Condition {
        men: [0., 0., 0.1, 0.5, 1.2, 4.5, 10., 17., 22., 20.],
        women: [0., 0., 0.1, 0.5, 1.1, 3.5, 7., 12., 17., 18.],
        diagnoses: &["C189", "C20"],
        registered: 0.95,
        mortality: 2.6,
        stays: &[(&stays::COLECTOMY, 0.09), (&stays::CHEMOTHERAPY, 0.12)],
        treatments: &[treat(&[(&drugs::MORPHINE, 1)], 0.12, 500.0, 200.0)],
    },
    // Lung cancer.
    &Condition {
        men: [0., 0., 0., 0.1, 0.6, 2., 4., 4.2, 3.2, 2.],
        women: [0., 0., 0., 0.1, 0.5, 1.2, 1.8, 1.6, 1.1, 0.7],
        diagnoses: &["C349", "C341"],
        registered: 0.97,
        mortality: 11.0,
        stays: &[(&stays::LUNG_CANCER, 0.7), (&stays::CHEMOTHERAPY, 0.5)],
        treatments: &[
            treat(&[(&drugs::MORPHINE, 1)], 0.4, 150.0, 200.0),
            treat(&[(&drugs::PREDNISOLONE, 1)], 0.5, 90.0, 150.0),
        ],
    },
    // Chronic kidney disease; the few on dialysis are the heaviest patients of all.
    &Condition {
        men: [0.1, 0.2, 0.4, 1., 2., 5., 12., 25., 40., 50.],
        women: [0.1, 0.2, 0.3, 0.8, 1.5, 3.5, 8., 17., 30., 42.],
        diagnoses: &["N184", "N183", "N185"],
        registered: 0.5,
        mortality: 1.7,
        stays: &[(&stays::KIDNEY_FAILURE, 0.06)],
        treatments: &[
            treat(&[(&drugs::FUROSEMIDE, 1)], 0.5, 300.0, 1500.0),
            treat(&[(&drugs::COLECALCIFEROL, 1)], 0.5, 200.0, 1500.0),
            treat(&[(&drugs::SEVELAMER, 1)], 0.1, 600.0, 1500.0),
        ],
    },
    // End-stage kidney disease on haemodialysis: three sessions a week.
    &Condition {
        men: [0., 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.1, 1.4, 0.8],
        women: [0., 0.01, 0.03, 0.07, 0.12, 0.25, 0.4, 0.6, 0.7, 0.4],
        diagnoses: &["N185"],
        registered: 1.0,
        mortality: 3.0,
        stays: &[(&stays::DIALYSIS, 140.0)],
        treatments: &[
            treat(&[(&drugs::SEVELAMER, 1)], 0.8, 60.0, 2500.0),
            treat(&[(&drugs::COLECALCIFEROL, 1)], 0.8, 60.0, 2500.0),
            treat(CALCIUM, 0.6, 60.0, 2500.0),
        ],
    },
    // Epilepsy.
    &Condition {
        men: [4., 5., 6., 6., 7., 7., 8., 9., 10., 9.],
        women: [4., 5., 6., 6., 6., 6., 7., 8., 9., 8.],
        diagnoses: &["G409"],
        registered: 0.6,
        mortality: 1.3,
        stays: &[(&stays::SEIZURE, 0.06)],
        treatments: &[
            treat(
                &[
                    (&drugs::LEVETIRACETAM, 45),
                    (&drugs::LAMOTRIGINE, 35),
                    (&drugs::VALPROATE, 20),
                ],
                0.92,
                60.0,
                3000.0,
            ),
            treat(
                &[(&drugs::VALPROATE, 40), (&drugs::LEVETIRACETAM, 60)],
                0.25,
                900.0,
                2000.0,
            ),
        ],
    },
    // Psychosis.
    &Condition {
        men: [0., 1., 7., 10., 10., 9., 7., 5., 4., 3.],
        women: [0., 0.6, 4., 6., 7., 8., 7., 6., 5., 4.],
        diagnoses: &["F209", "F200"],
        registered: 0.8,
        mortality: 1.8,
        stays: &[(&stays::OVERDOSE, 0.02)],
        treatments: &[
            treat(ANTIPSYCHOTICS, 0.85, 40.0, 1200.0),
            treat(ANXIOLYTICS, 0.4, 90.0, 600.0),
        ],
    },
    // Parkinson's disease.
    &Condition {
        men: [0., 0., 0., 0.1, 0.3, 1., 4., 11., 24., 26.],
        women: [0., 0., 0., 0.1, 0.2, 0.7, 2.5, 7.5, 17., 19.],
        diagnoses: &["G20"],
        registered: 0.9,
        mortality: 1.6,
        stays: &[(&stays::FALL, 0.03)],
        treatments: &[treat(&[(&drugs::LEVODOPA, 1)], 0.95, 40.0, 5000.0)],
    },
    // Alzheimer's disease.
    &Condition {
        men: [0., 0., 0., 0., 0.1, 0.5, 3., 14., 65., 150.],
        women: [0., 0., 0., 0., 0.1, 0.5, 3., 17., 90., 210.],
        diagnoses: &["G309", "F009", "G301"],
        registered: 0.6,
        mortality: 2.0,
        stays: &[(&stays::FALL, 0.05), (&stays::PNEUMONIA, 0.03)],
        treatments: &[
            treat(&[(&drugs::DONEPEZIL, 1)], 0.12, 100.0, 600.0),
            treat(ANTIPSYCHOTICS, 0.12, 500.0, 400.0),
        ],
    },
    // Rheumatoid arthritis.
    &Condition {
        men: [0., 0.1, 0.4, 1., 2., 4., 6., 8., 8., 6.],
        women: [0., 0.3, 1., 3., 6., 10., 14., 17., 16., 12.],
        diagnoses: &["M059", "M069"],
        registered: 0.7,
        mortality: 1.2,
        stays: &[],
        treatments: &[
            treat(&[(&drugs::METHOTREXATE, 1)], 0.7, 90.0, 1500.0),
            treat(&[(&drugs::FOLIC_ACID, 1)], 0.6, 95.0, 1500.0),
            treat(
                &[(&drugs::PREDNISONE, 60), (&drugs::PREDNISOLONE, 40)],
                0.5,
                60.0,
                600.0,
            ),
        ],
    },
    // Gout.
    &Condition {
        men: [0., 0., 0.5, 3., 8., 18., 34., 50., 56., 45.],
        women: [0., 0., 0.1, 0.4, 1., 3., 8., 16., 26., 28.],
        diagnoses: &["M109"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[treat(&[(&drugs::ALLOPURINOL, 1)], 0.75, 150.0, 1500.0)],
    },
    // Glaucoma.
    &Condition {
        men: [0., 0., 0.5, 2., 6., 16., 34., 62., 92., 95.],
        women: [0., 0., 0.5, 2., 6., 15., 33., 64., 96., 100.],
        diagnoses: &["H409"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[
            treat(&[(&drugs::LATANOPROST, 1)], 0.7, 50.0, 3000.0),
            treat(&[(&drugs::TIMOLOL_COMBINED, 1)], 0.4, 400.0, 2500.0),
        ],
    },
    // Benign prostatic hyperplasia.
    &Condition {
        men: [0., 0., 0., 1., 8., 42., 120., 205., 230., 200.],
        women: NONE,
        diagnoses: &["N40"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[(&stays::PROSTATE_SURGERY, 0.012)],
        treatments: &[treat(
            &[(&drugs::TAMSULOSIN, 60), (&drugs::ALFUZOSIN, 40)],
            0.8,
            100.0,
            1500.0,
        )],
    },
    // Osteoporosis.
    &Condition {
        men: [0., 0., 0., 0., 1., 3., 8., 14., 20., 20.],
        women: [0., 0., 0., 1., 4., 20., 58., 95., 110., 90.],
        diagnoses: &["M809"],
        registered: 0.02,
        mortality: 1.0,
        stays: &[(&stays::HIP_FRACTURE, 0.008), (&stays::WRIST_FRACTURE, 0.006)],
        treatments: &[
            treat(&[(&drugs::ALENDRONATE, 1)], 0.35, 90.0, 700.0),
            treat(
                &[(&drugs::CALCIUM_COMBINED, 60), (&drugs::COLECALCIFEROL, 40)],
                0.7,
                60.0,
                900.0,
            ),
        ],
    },
    // Acid reflux.
    &Condition {
        men: [2., 5., 20., 35., 55., 80., 110., 140., 160., 150.],
        women: [2., 6., 22., 38., 60., 95., 130., 165., 190., 180.],
        diagnoses: &["K219"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[treat(ACID_PUMP, 0.95, 30.0, 800.0)],
    },
    // Chronic pain.
    &Condition {
        men: [0., 3., 12., 25., 45., 65., 80., 100., 130., 160.],
        women: [0., 5., 18., 36., 62., 92., 115., 150., 200., 240.],
        diagnoses: &["M545", "R522"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[
            treat(&[(&drugs::PARACETAMOL, 1)], 0.9, 20.0, 800.0),
            treat(
                &[(&drugs::TRAMADOL, 55), (&drugs::PARACETAMOL_COMBINED, 45)],
                0.35,
                90.0,
                220.0,
            ),
            treat(&[(&drugs::PREGABALIN, 1)], 0.14, 200.0, 400.0),
        ],
    },
    // Hormonal contraception: no disease, but the commonest long prescription of young women.
    &Condition {
        men: NONE,
        women: [0., 140., 270., 150., 70., 4., 0., 0., 0., 0.],
        diagnoses: &[CONTRACEPTION_CODE],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[quarterly(
            treat(&[(&drugs::LEVONORGESTREL, 1)], 0.95, 20.0, 1300.0),
            0.8,
        )],
    },
    // Allergies.
    &Condition {
        men: [25., 50., 45., 40., 35., 30., 25., 22., 20., 15.],
        women: [20., 48., 55., 52., 48., 42., 35., 30., 25., 20.],
        diagnoses: &["J304"],
        registered: 0.0,
        mortality: 1.0,
        stays: &[],
        treatments: &[
            treat(
                &[(&drugs::LEVOCETIRIZINE, 55), (&drugs::DESLORATADINE, 45)],
                0.85,
                20.0,
                150.0,
            ),
            treat(&[(&drugs::MOMETASONE, 1)], 0.35, 40.0, 120.0),
        ],
    },
];

/// Chronic heart failure; a first stay may also bring it.
pub(crate) static HEART_FAILURE: Condition = Condition {
    men: [0., 0., 0.2, 1., 4., 10., 25., 60., 120., 200.],
    women: [0., 0., 0.1, 0.5, 2., 5., 13., 35., 90., 180.],
    diagnoses: &["I500", "I501", "I509"],
    registered: 0.7,
    mortality: 2.2,
    stays: &[(&stays::HEART_FAILURE, 0.17)],
    treatments: &[
        treat(&[(&drugs::FUROSEMIDE, 1)], 0.86, 20.0, 2500.0),
        treat(BETA_BLOCKERS, 0.72, 30.0, 2500.0),
        treat(RENIN, 0.7, 30.0, 2000.0),
        treat(
            &[(&drugs::SPIRONOLACTONE, 65), (&drugs::EPLERENONE, 35)],
            0.32,
            200.0,
            1200.0,
        ),
    ],
};

/// Coronary disease; an infarction brings it.
pub(crate) static CORONARY_DISEASE: Condition = Condition {
    men: [0., 0., 0.1, 2., 12., 40., 85., 130., 160., 150.],
    women: [0., 0., 0.1, 0.5, 4., 12., 28., 50., 80., 90.],
    diagnoses: &["I251", "I259"],
    registered: 0.8,
    mortality: 1.4,
    stays: &[(&stays::INFARCTION, 0.012), (&stays::CORONARY, 0.04)],
    treatments: &[
        treat(&[(&drugs::ASPIRIN, 1)], 0.85, 15.0, 4000.0),
        treat(&[(&drugs::CLOPIDOGREL, 1)], 0.45, 15.0, 500.0),
        treat(STATINS, 0.85, 20.0, 2500.0),
        treat(BETA_BLOCKERS, 0.7, 20.0, 2500.0),
        treat(RENIN, 0.65, 30.0, 2500.0),
    ],
};

/// After a stroke; the stay brings it.
pub(crate) static AFTER_STROKE: Condition = Condition {
    men: [0., 0.1, 0.4, 1., 3., 9., 22., 40., 65., 80.],
    women: [0., 0.1, 0.4, 1., 2.5, 6., 13., 26., 50., 75.],
    diagnoses: &["I694", "I639"],
    registered: 0.75,
    mortality: 1.5,
    stays: &[(&stays::STROKE, 0.02)],
    treatments: &[
        treat(&[(&drugs::ASPIRIN, 60), (&drugs::CLOPIDOGREL, 40)], 0.8, 20.0, 3500.0),
        treat(STATINS, 0.7, 20.0, 2200.0),
        treat(RENIN, 0.5, 30.0, 2200.0),
    ],
};
