//! The tests of tables as one program, because each that links the engine costs half a minute.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compact;
mod flatten;
mod load_again;
mod load_faults;
mod load_roundtrip;
mod reshard;
mod rewrap;
mod rewrap_faults;
mod rewrap_thousand;
mod sandbox;
mod scan_keys;
mod scan_material;
mod scan_shared;
mod source_csv;
mod source_globs;
mod source_parquet;
mod source_real;
mod source_support;
mod spec_faults;
mod verify;
