//! Writes a population to Parquet files: chunks of patients spread over threads, a few hundred patients in memory at a
//! time. Which rows a file holds depends on the population alone, never on the number of threads.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::care::Care;
use crate::population::{GenerateError, Population};
use crate::rows::{PatientRows, drug_reference};
use crate::shape::{TABLES, TableShape};

/// Patients per file.
const PATIENTS_PER_FILE: u64 = 25_000;
/// Fewest files per table, so that readers in parallel have something to share.
const FEWEST_FILES: u64 = 4;
/// Patients drawn before their rows are encoded.
const PATIENTS_PER_BATCH: u64 = 500;
/// Most threads that write at a time; each holds the encoded row groups of nine files.
const MOST_THREADS: usize = 8;

/// How far the generation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Patients written.
    pub done: u64,
    /// Patients to write.
    pub total: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each table, in the order of [`tables`](crate::tables).
    pub tables: Vec<TableReport>,
}

impl Report {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}

/// What was written of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableReport {
    /// Its name.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
    /// Its files.
    pub files: u64,
    /// The bytes of its files.
    pub bytes: u64,
}

/// Writes every table of `population` into `dir`.
pub(crate) fn write(
    population: &Population,
    dir: &Path,
    progress: &(impl Fn(Progress) + Sync),
) -> Result<Report, GenerateError> {
    for shape in &TABLES {
        let folder = dir.join(shape.name);
        fs::create_dir_all(&folder).map_err(|source| GenerateError::Write { path: folder, source })?;
    }
    let work = Work {
        population,
        dir,
        files: population
            .patients
            .div_ceil(PATIENTS_PER_FILE)
            .max(FEWEST_FILES.min(population.patients))
            .max(1),
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        report: Mutex::new(
            TABLES
                .iter()
                .map(|shape| TableReport {
                    name: shape.name,
                    ..TableReport::default()
                })
                .collect(),
        ),
    };
    work.write_reference()?;
    work.write_patients(progress)?;
    Ok(Report {
        tables: work
            .report
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner()),
    })
}

/// What the threads share.
struct Work<'a> {
    population: &'a Population,
    dir: &'a Path,
    files: u64,
    next: AtomicU64,
    done: AtomicU64,
    report: Mutex<Vec<TableReport>>,
}

impl Work<'_> {
    fn write_reference(&self) -> Result<(), GenerateError> {
        let index = TABLES.len() - 1;
        let mut file = TableFile::create(self.dir, &TABLES[index], 0)?;
        let batch = drug_reference().map_err(|error| file.encode_error(error.into()))?;
        file.write(&batch)?;
        self.add(index, file.close()?);
        Ok(())
    }

    fn write_patients(&self, progress: &(impl Fn(Progress) + Sync)) -> Result<(), GenerateError> {
        let available = thread::available_parallelism().map_or(1, |count| count.get());
        let threads = available.min(MOST_THREADS).min(self.files as usize);
        thread::scope(|scope| {
            let handles: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| self.write_files(progress)))
                .collect();
            // A panicking thread brings this one down with it.
            handles
                .into_iter()
                .try_for_each(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// Takes one file's worth of patients after the other until none is left or one has failed.
    fn write_files(&self, progress: &(impl Fn(Progress) + Sync)) -> Result<(), GenerateError> {
        loop {
            let file = self.next.fetch_add(1, Ordering::Relaxed);
            if file >= self.files {
                return Ok(());
            }
            if let Err(error) = self.write_file(file, progress) {
                self.next.store(self.files, Ordering::Relaxed);
                return Err(error);
            }
        }
    }

    fn write_file(&self, file: u64, progress: &(impl Fn(Progress) + Sync)) -> Result<(), GenerateError> {
        let total = self.population.patients;
        let bound = |file: u64| (u128::from(total) * u128::from(file) / u128::from(self.files)) as u64;
        let patient_tables = TABLES.iter().filter(|shape| shape.sharded);
        let mut files = patient_tables
            .map(|shape| TableFile::create(self.dir, shape, file))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut rows, mut care, mut number) = (PatientRows::new(), Care::default(), bound(file));
        while number < bound(file + 1) {
            let end = (number + PATIENTS_PER_BATCH).min(bound(file + 1));
            self.draw(number..end, &mut rows, &mut care);
            for (index, batch) in rows.take() {
                let batch = batch.map_err(|error| files[index].encode_error(error.into()))?;
                files[index].write(&batch)?;
            }
            let done = self.done.fetch_add(end - number, Ordering::Relaxed) + end - number;
            progress(Progress { done, total });
            number = end;
        }
        for (index, file) in files.into_iter().enumerate() {
            self.add(index, file.close()?);
        }
        Ok(())
    }

    fn draw(&self, numbers: std::ops::Range<u64>, rows: &mut PatientRows, care: &mut Care) {
        for number in numbers {
            let (life, mut random) = self.population.draw(number, care);
            rows.append(&mut random, &life, care);
        }
    }

    fn add(&self, index: usize, (rows, bytes): (u64, u64)) {
        let mut tables = self.report.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let table = &mut tables[index];
        table.rows += rows;
        table.bytes += bytes;
        table.files += 1;
    }
}

/// One Parquet file under way.
struct TableFile {
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
}

impl TableFile {
    fn create(dir: &Path, shape: &TableShape, number: u64) -> Result<Self, GenerateError> {
        let path = dir.join(shape.name).join(format!("part-{number:05}.parquet"));
        let file = File::create(&path).map_err(|source| GenerateError::Write {
            path: path.clone(),
            source,
        })?;
        let writer = ArrowWriter::try_new(file, shape.schema(), Some(properties()));
        let writer = writer.map_err(|source| GenerateError::Encode {
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, writer, rows: 0 })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), GenerateError> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|source| self.encode_error(source))
    }

    fn encode_error(&self, source: ParquetError) -> GenerateError {
        GenerateError::Encode {
            path: self.path.clone(),
            source,
        }
    }

    /// Rows and bytes of the finished file.
    fn close(self) -> Result<(u64, u64), GenerateError> {
        let Self { path, writer, rows } = self;
        writer.close().map_err(|source| GenerateError::Encode {
            path: path.clone(),
            source,
        })?;
        let bytes = fs::metadata(&path)
            .map_err(|source| GenerateError::Write { path, source })?
            .len();
        Ok((rows, bytes))
    }
}

/// As the tables are written: engines that read these files beside ours have the same to decompress.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_data_page_row_count_limit(65_536)
        .set_max_row_group_row_count(Some(262_144))
        .build()
}
