//! What a dataset is: one TOML file, read into values that are valid or not there at all. It owns the names, types,
//! classes, order and sources of every table; it opens no source (see [`crate::source`]) and touches no key or store.
//! A column without a class, an unknown key or a name that SQL would have to quote is refused here, with its line.
//!
//! ```toml
//! name = "claims"
//! patient_id = "desynpuf_id"
//! shards = 16
//!
//! [[tables]]
//! name = "dispensing"
//! sources = ["${PARCOURS_DATA}/claims/pde*.csv"]
//! order = ["srvc_dt"]
//! columns = [
//!   { name = "desynpuf_id", class = "identity", type = "utf8" },
//!   { name = "srvc_dt", class = "quasi", type = "date32", missing = ["1600-01-01"] },
//! ]
//! ```
//!
//! How a column finds its source column: `from` names it exactly, letter case included. Without `from`, the source
//! column of the same name is taken, or else the only one that differs by ASCII case alone; two such are refused as
//! ambiguous. This stays safe because every source column must be used once or listed under `ignore`.

mod column_type;
mod dataset;
mod dates;
mod digest;
mod document;
mod error;
mod patterns;
mod place;
mod split;
mod validate;
mod validate_column;
mod variables;

pub use column_type::ColumnType;
pub use dataset::{Column, CsvOptions, Dataset, Format, Table};
pub use dates::{DateBounds, DateFormat};
pub use error::{SpecError, SpecFault};
pub use place::Place;
