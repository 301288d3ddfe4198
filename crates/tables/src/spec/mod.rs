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
//! A table with `sharded = false` has no patient and is held whole. Where all are such, `patient_id` and `shards` may be left
//! out.
//!
//! A table whose sources carry no patient id but the keys of a row of a main table, as the satellite tables of the SNDS do, is
//! **flattened** with it: each of its rows gets the patient id of the main table's row with the same keys, and the columns
//! asked for, and the table is sharded like any other. Keys are described in both tables; `keep_keys = false` leaves them out
//! of the flattened table. A row without such a row of the main table is a bad row.
//!
//! ```toml
//! [[tables]]
//! name = "er_pha_f"
//! sources = ["${PARCOURS_DATA}/ER_PHA_F_*.csv"]
//! order = ["exe_soi_dtd"]
//! flatten = { with = "er_prs_f", columns = ["exe_soi_dtd"], on = [
//!   "dct_ord_num", "flx_dis_dtd", "flx_emt_num", "flx_emt_ord", "flx_emt_typ", "flx_trt_dtd", "org_cle_num", "prs_ord_num",
//!   "rem_typ_aff",
//! ] }
//! columns = [
//!   { name = "dct_ord_num", class = "quasi", type = "int32" },
//!   # … the other eight keys, as in er_prs_f
//!   { name = "pha_prs_c13", class = "health", type = "utf8" },
//! ]
//! ```
//!
//! How a column finds its source column: `from` names it exactly, letter case included. Without `from`, the source
//! column of the same name is taken, or else the only one that differs by ASCII case alone; two such are refused as
//! ambiguous. This stays safe because every source column must be used once or listed under `ignore`.

mod column_type;
mod dataset;
mod date_pattern;
mod dates;
mod digest;
mod document;
mod error;
mod file_name;
mod flatten;
mod patterns;
mod place;
mod reading;
mod split;
mod validate;
mod validate_column;
mod variables;

pub use column_type::ColumnType;
pub use dataset::{Booleans, Column, CsvOptions, Dataset, Encoding, Flatten, Format, Table};
pub use date_pattern::DatePattern;
pub(crate) use date_pattern::{Digits, Field, Part};
pub use dates::{DateBounds, DateFormat, Zone};
pub use error::{SpecError, SpecFault};
pub use file_name::FileName;
pub use place::Place;
pub use reading::Reading;
pub(crate) use validate::MAX_SHARDS;
