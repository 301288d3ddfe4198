//! Rows whose values cannot be mistaken: every text of a class ends in ten bytes that nothing else holds, and every fifth
//! patient carries a rare amount, a rare time and a rare day, looked for as they lie in Arrow's and Parquet's buffers. The
//! rest of each text is random, so that it compresses badly. The same rows are written as a CSV file for the loader, and as
//! record batches for writers that are known to write in clear.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use memchr::memmem;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::unpacked;

/// The dataset's name.
pub const DATASET: &str = "marked";
/// Rows of a patient; they lie together in every order by patient.
const ROWS_OF_PATIENT: usize = 8;
const RARE_AMOUNT: i64 = 0x5A17_C0DE_D00D_F331;
/// 2031-07-09 13:57:11.123457 in microseconds.
const RARE_TIME: i64 = 1_941_371_831_123_457;
/// 2031-11-17 in days.
const RARE_DAY: i32 = 22_600;

/// A value to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The class of its column, and what it is.
    pub name: &'static str,
    bytes: Vec<u8>,
}

const IDENTITY: &str = "~IdQzXw7#k";
const QUASI: &str = "~QuVbKj3!p";
const HEALTH: &str = "~HeLtMk9$w";
const PLAIN: &str = "~PlNsGt5%r";

/// Every marker. A day is looked for four times in a row: four bytes alone are anywhere in enough noise.
pub fn all() -> Vec<Marker> {
    let marker = |name, bytes: &[u8]| Marker {
        name,
        bytes: bytes.to_vec(),
    };
    vec![
        marker("identity text", IDENTITY.as_bytes()),
        marker("quasi text", QUASI.as_bytes()),
        marker("health text", HEALTH.as_bytes()),
        marker("plain text", PLAIN.as_bytes()),
        marker("health number", &RARE_AMOUNT.to_le_bytes()),
        marker("health number in digits", RARE_AMOUNT.to_string().as_bytes()),
        marker("quasi time", &RARE_TIME.to_le_bytes()),
        marker("quasi time in digits", b"57:11.123457"),
        marker("quasi days", &RARE_DAY.to_le_bytes().repeat(4)),
    ]
}

/// The markers that a text file of the rows holds.
pub fn in_text() -> BTreeSet<&'static str> {
    let names = all().into_iter().map(|marker| marker.name);
    names
        .filter(|name| name.ends_with("text") || name.ends_with("digits"))
        .collect()
}

/// The markers that record batches hold: all but those of text files.
pub fn in_arrow() -> BTreeSet<&'static str> {
    let names = all().into_iter().map(|marker| marker.name);
    names.filter(|name| !name.ends_with("digits")).collect()
}

/// The names of the markers in these bytes, as they are or compressed.
pub fn found_in(bytes: &[u8]) -> BTreeSet<&'static str> {
    let markers = all();
    let mut found = found_as_they_are(&markers, bytes);
    unpacked::each_frame(bytes, |content| found.extend(found_as_they_are(&markers, content)));
    found
}

fn found_as_they_are(markers: &[Marker], bytes: &[u8]) -> BTreeSet<&'static str> {
    let there = markers
        .iter()
        .filter(|marker| memmem::find(bytes, &marker.bytes).is_some());
    there.map(|marker| marker.name).collect()
}

/// One row: patient, commune, time, day, code, amount, site.
struct Row {
    patient: String,
    commune: String,
    time: i64,
    day: i32,
    code: String,
    amount: i64,
    site: String,
}

/// The rows, each time the same. Patients come in no order, their rows together.
fn rows(count: usize) -> impl Iterator<Item = Row> {
    let mut random = StdRng::seed_from_u64(6);
    let mut patient = String::new();
    (0..count).map(move |number| {
        if number.is_multiple_of(ROWS_OF_PATIENT) {
            patient = text(&mut random, 20, IDENTITY);
        }
        let rare = (number / ROWS_OF_PATIENT).is_multiple_of(5);
        let (day, amount) = (random.random_range(14_000..20_000), random.random_range(1..100_000));
        Row {
            patient: patient.clone(),
            commune: format!("{:05}{QUASI}", random.random_range(0..2000)),
            time: if rare {
                RARE_TIME
            } else {
                i64::from(day) * 86_400_000_000
            },
            day: if rare { RARE_DAY } else { day },
            code: text(&mut random, 20, HEALTH),
            amount: if rare { RARE_AMOUNT } else { amount },
            site: format!("{:03}{PLAIN}", random.random_range(0..500)),
        }
    })
}

fn text(random: &mut StdRng, length: usize, mark: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = (0..length).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]));
    letters.chain(mark.chars()).collect()
}

/// Writes `count` rows as CSV and the description by which `parcours load` reads them, which is returned.
pub fn write_csv(dir: &Path, count: usize, shards: usize) -> Result<std::path::PathBuf> {
    let source = dir.join("visits.csv");
    let mut csv = BufWriter::new(File::create(&source)?);
    writeln!(csv, "patient,commune,seen,day,code,amount,site")?;
    for row in rows(count) {
        let seen = match row.time {
            RARE_TIME => "2031-07-09T13:57:11.123457".to_owned(),
            time => format!("{}T00:00:00", date((time / 86_400_000_000) as i32)),
        };
        let (patient, commune, day, code) = (row.patient, row.commune, date(row.day), row.code);
        writeln!(
            csv,
            "{patient},{commune},{seen},{day},{code},{},{}",
            row.amount, row.site
        )?;
    }
    csv.flush()?;
    let description = dir.join("marked.toml");
    let text = format!(
        r#"name = "{DATASET}"
patient_id = "patient"
shards = {shards}
[[tables]]
name = "visits"
sources = [{source:?}]
order = ["day", "code"]
date_min = "2000-01-01"
date_max = "2040-12-31"
columns = [
  {{ name = "patient", class = "identity", type = "utf8" }},
  {{ name = "commune", class = "quasi", type = "utf8" }},
  {{ name = "seen", class = "quasi", type = "timestamp(us)" }},
  {{ name = "day", class = "quasi", type = "date32" }},
  {{ name = "code", class = "health", type = "utf8" }},
  {{ name = "amount", class = "health", type = "int64" }},
  {{ name = "site", class = "plain", type = "utf8" }},
]
"#
    );
    std::fs::write(&description, text)?;
    Ok(description)
}

/// A day since 1970 as people write it (the usual conversion of days to the civil calendar).
fn date(days: i32) -> String {
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i32::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `count` rows as record batches of 8192.
pub fn batches(count: usize) -> Result<Vec<RecordBatch>> {
    let rows: Vec<Row> = rows(count).collect();
    let batch = |rows: &[Row]| -> Result<RecordBatch> {
        let texts = |of: fn(&Row) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
        let columns: [(&str, ArrayRef); 7] = [
            ("patient", texts(|row| &row.patient)),
            ("commune", texts(|row| &row.commune)),
            (
                "seen",
                Arc::new(TimestampMicrosecondArray::from_iter_values(
                    rows.iter().map(|row| row.time),
                )),
            ),
            (
                "day",
                Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.day))),
            ),
            ("code", texts(|row| &row.code)),
            (
                "amount",
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.amount))),
            ),
            ("site", texts(|row| &row.site)),
        ];
        Ok(RecordBatch::try_from_iter(columns)?)
    };
    rows.chunks(8192).map(batch).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_the_calendar_has_them() {
        // From GNU date.
        assert_eq!((date(0), date(22_600)), ("1970-01-01".into(), "2031-11-17".into()));
        assert_eq!((date(11_016), date(14_303)), ("2000-02-29".into(), "2009-02-28".into()));
    }

    #[test]
    fn the_search_finds_every_marker_in_a_file_that_is_known_to_hold_it() {
        let dir = tempfile::tempdir().unwrap();
        write_csv(dir.path(), 1000, 4).unwrap();
        let csv = std::fs::read(dir.path().join("visits.csv")).unwrap();
        assert_eq!(found_in(&csv), in_text());
        let packed = zstd::encode_all(csv.as_slice(), 3).unwrap();
        assert_eq!(found_in(&packed), in_text(), "compression does not hide them");

        let batches = batches(1000).unwrap();
        let mut stream = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| stream.write(batch).unwrap());
        assert_eq!(found_in(&stream.into_inner().unwrap()), in_arrow());
    }

    #[test]
    fn noise_holds_none() {
        use rand::Rng;
        let mut noise = vec![0; 16 << 20];
        StdRng::seed_from_u64(7).fill_bytes(&mut noise);
        assert!(found_in(&noise).is_empty());
    }
}
