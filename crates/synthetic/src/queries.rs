//! Twelve research questions and the SQL that answers them: the demo asks the first six, the benches time all. Each
//! statement is plain SQL over the tables of [`tables`](crate::tables) for the years 2021 to 2023, joins by patient,
//! and orders its rows completely, so that any two right engines give the same answer in the same order.

/// A research question and its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Short name, fit for a file or a key: lower case and underscores.
    pub name: &'static str,
    /// Title of a table of its rows.
    pub title: &'static str,
    /// The question in plain English.
    pub question: &'static str,
    /// What a row of the answer is, and how many there are.
    pub shape: &'static str,
    /// Names of the columns of the answer, in order.
    pub columns: &'static [&'static str],
    /// The statement, without a semicolon.
    pub sql: &'static str,
}

/// All queries, the demo's first.
pub fn all() -> &'static [Query] {
    &QUERIES
}

/// The six queries of the demo, in its order.
pub fn demo() -> &'static [Query] {
    &QUERIES[..6]
}

static QUERIES: [Query; 12] = [
    Query {
        name: "prevalence",
        title: "Prevalence by département",
        question: "How many people were treated for diabetes in 2023, in each département?",
        shape: "one row per département (101), with a 95 % interval",
        columns: &[
            "departement",
            "persons",
            "treated",
            "percent",
            "percent_low",
            "percent_high",
        ],
        sql: include_str!("queries/prevalence.sql"),
    },
    Query {
        name: "new_users",
        title: "New users with washout",
        question: "Who started a statin in 2023 after a year without any?",
        shape: "one row per month (12)",
        columns: &["month", "new_users", "women", "mean_age"],
        sql: include_str!("queries/new_users.sql"),
    },
    Query {
        name: "readmission",
        title: "Readmission within 30 days",
        question: "After which diagnoses do patients come back to hospital within 30 days of going home?",
        shape: "one row per diagnosis, the 20 commonest",
        columns: &["diagnosis", "stays", "readmitted", "percent", "mean_nights"],
        sql: include_str!("queries/readmission.sql"),
    },
    Query {
        name: "incidence",
        title: "Incidence per person-years",
        question: "How often does a first stay for heart failure happen, by age and sex, counting time until death?",
        shape: "one row per age group and sex (10), with a 95 % interval where there are events",
        columns: &[
            "age_band",
            "sex",
            "persons",
            "person_years",
            "events",
            "per_1000",
            "per_1000_low",
            "per_1000_high",
        ],
        sql: include_str!("queries/incidence.sql"),
    },
    Query {
        name: "co_prescription",
        title: "Co-prescription",
        question: "How many users of an oral anticoagulant were dispensed an NSAID while it covered them?",
        shape: "one row per anticoagulant (4)",
        columns: &[
            "anticoagulant",
            "users",
            "dispensings",
            "exposed",
            "percent",
            "overlaps",
            "mean_soonest_day",
        ],
        sql: include_str!("queries/co_prescription.sql"),
    },
    Query {
        name: "survival",
        title: "Survival after a stay",
        question: "How many patients are alive 30, 90 and 365 days after being admitted, by reason?",
        shape: "one row per reason (6)",
        columns: &[
            "reason",
            "patients",
            "mean_age",
            "deaths_30",
            "deaths_90",
            "deaths_365",
            "alive_30",
            "alive_90",
            "alive_365",
        ],
        sql: include_str!("queries/survival.sql"),
    },
    Query {
        name: "adherence",
        title: "Adherence (PDC) by age",
        question: "How many days of the year after a first dispensing of metformin were covered, by age?",
        shape: "one row per age group (4)",
        columns: &["age_band", "patients", "mean_pdc", "adherent", "percent_adherent"],
        sql: include_str!("queries/adherence.sql"),
    },
    Query {
        name: "sequences",
        title: "Treatment sequences",
        question: "In which order do patients first get the classes of glucose-lowering drugs?",
        shape: "one row per sequence of three classes",
        columns: &["first_class", "second_class", "third_class", "patients"],
        sql: include_str!("queries/sequences.sql"),
    },
    Query {
        name: "comorbidity",
        title: "Comorbidity score",
        question: "How heavy are the diseases that stays and registrations tell of, and how many died?",
        shape: "one row per score, 10 and above together",
        columns: &["score", "patients", "mean_age", "deaths"],
        sql: include_str!("queries/comorbidity.sql"),
    },
    Query {
        name: "distinct_counts",
        title: "Distinct patients by class and month",
        question: "How many patients were dispensed each class of drugs in each month?",
        shape: "one row per class and month of three years",
        columns: &["class", "year", "month", "patients", "dispensings"],
        sql: include_str!("queries/distinct_counts.sql"),
    },
    Query {
        name: "attrition",
        title: "Attrition of a cohort",
        question: "How many patients are left after each criterion of a cohort?",
        shape: "one row",
        columns: &[
            "everybody",
            "adults",
            "alive",
            "treated",
            "free_of_event",
            "seen",
            "cohort",
        ],
        sql: include_str!("queries/attrition.sql"),
    },
    Query {
        name: "features",
        title: "Wide features per patient",
        question: "What of 2022 sets those apart who were admitted in 2023, by age?",
        shape: "one row per age group and outcome (10)",
        columns: &[
            "age_band",
            "admitted",
            "patients",
            "dispensings",
            "classes",
            "psychotropic",
            "antibiotic",
            "general_practice",
            "specialists",
            "nursing",
            "euros",
            "acts",
            "stays",
            "nights",
            "illnesses",
        ],
        sql: include_str!("queries/features.sql"),
    },
];
