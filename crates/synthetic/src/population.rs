//! The population to generate: how many patients, which seed, which years. Everything else follows from these three
//! numbers; [`files`](crate::files) writes it down.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::calendar::Day;
use crate::care::Care;
use crate::demography::{draw_person, observed};
use crate::files::{self, Progress, Report};
use crate::life::Life;
use crate::pseudonym::Pseudonym;
use crate::random::Random;

/// A population of synthetic patients, observed over whole years.
///
/// A patient's rows depend on `seed`, `years` and the patient's number alone: a population of twice as many patients
/// contains the smaller one, and any division of the work gives the same rows. 100,000 patients over three years are
/// about 8 million rows and 33 MB of Parquet, written in a few seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Population {
    /// Number of patients, numbered from 0.
    pub patients: u64,
    /// Seed of everything, pseudonyms included.
    pub seed: u64,
    /// First and last observed year. The demo's [queries](crate::queries) need 2021 to 2023.
    pub years: RangeInclusive<i32>,
}

impl Default for Population {
    /// What the demo shows: 100,000 patients over 2021 to 2023.
    fn default() -> Self {
        Self {
            patients: 100_000,
            seed: 2,
            years: 2021..=2023,
        }
    }
}

/// Why a population could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The years are none or not between 1950 and 2100.
    #[error("years {0} to {1} cannot be generated, choose a range between 1950 and 2100")]
    Years(i32, i32),
    /// A folder or file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Rows could not be encoded.
    #[error("cannot encode rows for {path}: {source}")]
    Encode {
        /// The file that was being written.
        path: PathBuf,
        /// What the encoder answered.
        source: parquet::errors::ParquetError,
    },
}

impl Population {
    /// Writes every table into `dir` as `<table>/part-00000.parquet` and so on: plain Parquet, zstd, one file per
    /// 25,000 patients (at least four when there are as many patients), rows of a patient together but patients in
    /// no order. Memory is bounded by the threads (at most 8) and not by the number of patients: about 100 MB each.
    ///
    /// `progress` is called from the writing threads about every 500 patients. Existing files of the same names are
    /// replaced, others left alone. After an error or a crash the folder must be written again.
    pub fn write_parquet(&self, dir: &Path, progress: impl Fn(Progress) + Sync) -> Result<Report, GenerateError> {
        let (first, last) = (*self.years.start(), *self.years.end());
        if first > last || first < 1950 || last > 2100 {
            return Err(GenerateError::Years(first, last));
        }
        files::write(self, dir, &progress)
    }

    /// First and last observed day.
    pub(crate) fn window(&self) -> (Day, Day) {
        observed(*self.years.start(), *self.years.end())
    }

    /// Draws one patient; `care` is overwritten.
    pub(crate) fn draw(&self, number: u64, care: &mut Care) -> (Life, Random) {
        let (from, to) = self.window();
        let mut random = Random::of_patient(self.seed, number);
        let person = draw_person(&mut random, Pseudonym::of_patient(self.seed, number), from, to);
        let life = Life::draw(&mut random, person, from, to);
        care.redraw(&mut random, &life);
        (life, random)
    }
}
