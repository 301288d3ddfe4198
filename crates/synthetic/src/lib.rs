//! Synthetic care pathways in the shape of the SNDS: a seeded generator that writes Parquet files, the dataset file
//! that loads them, and the research queries of the demo. No row stems from a real person; rates are orders of
//! magnitude, not results. Start at [`Population`]; tables are in [`tables`], queries in [`queries`].

mod calendar;
mod care;
mod conditions;
mod dataset;
mod demography;
mod drugs;
mod files;
mod life;
mod population;
mod pseudonym;
pub mod queries;
mod random;
mod rows;
mod shape;
mod stays;
mod territory;

pub use dataset::dataset_toml;
pub use files::{Progress, Report, TableReport};
pub use population::{GenerateError, Population};
pub use pseudonym::PSEUDONYM_LENGTH;
pub use shape::{Class, ColumnShape, PATIENT_ID, TableShape, tables};
