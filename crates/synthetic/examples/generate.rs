//! Writes a population into a folder: `generate DIR [PATIENTS] [SEED]`, and says how long it took.

use std::path::PathBuf;
use std::time::Instant;

use parcours_synthetic::Population;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: generate DIR [PATIENTS] [SEED]")?);
    let mut population = Population::default();
    if let Some(patients) = arguments.next() {
        population.patients = patients.parse()?;
    }
    if let Some(seed) = arguments.next() {
        population.seed = seed.parse()?;
    }
    let start = Instant::now();
    let report = population.write_parquet(&dir, |_| ())?;
    for table in &report.tables {
        println!(
            "{:<14} {:>12} rows {:>4} files {:>14} bytes",
            table.name, table.rows, table.files, table.bytes
        );
    }
    println!(
        "{} rows, {} bytes, {:.1} s",
        report.rows(),
        report.bytes(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
