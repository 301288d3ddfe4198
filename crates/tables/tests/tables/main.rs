//! The tests of tables as one program, because each that links the engine costs half a minute.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compact;
mod flatten;
mod layouts;
mod load_again;
mod load_faults;
mod load_growth;
mod load_rejects;
mod load_report;
mod load_roundtrip;
mod reshard;
mod rewrap;
mod rewrap_faults;
mod rewrap_thousand;
mod sandbox;
mod scan_keys;
mod scan_material;
mod scan_pruning;
mod scan_shared;
mod source_csv;
mod source_files;
mod source_folders;
mod source_fuzz;
mod source_globs;
mod source_parquet;
mod source_parquet_faults;
mod source_real;
mod source_support;
mod spec_faults;
mod verify;

/// Cargo takes this folder for one test: a file in it that is no module would never run.
#[test]
fn every_file_of_this_folder_is_a_module() {
    let (program, folder) = (
        include_str!("main.rs"),
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tables"),
    );
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            files += 1;
            let is_module = name == "main" || program.lines().any(|line| line == format!("mod {name};"));
            assert!(is_module, "{} is in no test program", path.display());
        }
    }
    assert!(files > 10, "only {files} files were looked at");
}
