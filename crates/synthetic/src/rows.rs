//! Rows of the tables under way: appends what a patient's [`Life`] and [`Care`] hold, in the column order of
//! [`tables`](crate::shape::tables), and hands out Arrow batches.

use std::fmt::Write;

use arrow::array::{ArrayBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Int32Builder, Int64Builder};
use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use crate::care::{self, Care};
use crate::drugs;
use crate::life::{Life, Stay};
use crate::random::Random;
use crate::shape::{TABLES, TableShape};
use crate::territory::DEPARTMENTS;

/// One column under way.
enum Column {
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Decimal(Decimal128Builder),
    Int(Int32Builder),
    Long(Int64Builder),
    Text(StringBuilder),
}

/// One value of a row.
#[derive(Clone, Copy)]
enum Value<'a> {
    Null,
    Bool(bool),
    Date(i32),
    Cents(i64),
    Int(i32),
    Long(i64),
    Text(&'a str),
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::Null, Value::Text)
    }
}

impl Column {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Column::Bool(BooleanBuilder::new()),
            DataType::Date32 => Column::Date(Date32Builder::new()),
            DataType::Decimal128(..) => Column::Decimal(Decimal128Builder::new().with_data_type(data_type.clone())),
            DataType::Int32 => Column::Int(Int32Builder::new()),
            DataType::Int64 => Column::Long(Int64Builder::new()),
            _ => Column::Text(StringBuilder::new()),
        }
    }

    /// A value of another kind than the column's becomes a NULL, which the batch then refuses where none may be.
    fn append(&mut self, value: Value<'_>) {
        match (self, value) {
            (Column::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Column::Date(builder), Value::Date(day)) => builder.append_value(day),
            (Column::Int(builder), Value::Int(number)) => builder.append_value(number),
            (Column::Long(builder), Value::Long(number)) => builder.append_value(number),
            (Column::Bool(builder), Value::Bool(flag)) => builder.append_value(flag),
            (Column::Decimal(builder), Value::Cents(cents)) => builder.append_value(i128::from(cents)),
            (column, _) => column.append_null(),
        }
    }

    fn append_null(&mut self) {
        match self {
            Column::Bool(builder) => builder.append_null(),
            Column::Date(builder) => builder.append_null(),
            Column::Decimal(builder) => builder.append_null(),
            Column::Int(builder) => builder.append_null(),
            Column::Long(builder) => builder.append_null(),
            Column::Text(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Bool(builder) => ArrayBuilder::finish(builder),
            Column::Date(builder) => ArrayBuilder::finish(builder),
            Column::Decimal(builder) => ArrayBuilder::finish(builder),
            Column::Int(builder) => ArrayBuilder::finish(builder),
            Column::Long(builder) => ArrayBuilder::finish(builder),
            Column::Text(builder) => ArrayBuilder::finish(builder),
        }
    }
}

/// One table under way.
struct Rows {
    shape: &'static TableShape,
    columns: Vec<Column>,
    count: usize,
}

impl Rows {
    fn of(shape: &'static TableShape) -> Self {
        let columns = shape
            .columns
            .iter()
            .map(|column| Column::of(&column.data_type))
            .collect();
        Self {
            shape,
            columns,
            count: 0,
        }
    }

    fn push<const N: usize>(&mut self, values: [Value<'_>; N]) {
        debug_assert_eq!(self.columns.len(), N, "{}", self.shape.name);
        self.columns
            .iter_mut()
            .zip(values)
            .for_each(|(column, value)| column.append(value));
        self.count += 1;
    }

    fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.count = 0;
        RecordBatch::try_new(
            self.shape.schema(),
            self.columns.iter_mut().map(Column::finish).collect(),
        )
    }
}

/// The patient tables under way, in the order of [`TABLES`].
pub(crate) struct PatientRows {
    tables: Vec<Rows>,
    scratch: String,
}

const BENEFICIAIRE: usize = 0;
const PRESTATION: usize = 1;
const PHARMACIE: usize = 2;
const ACTE_CCAM: usize = 3;
const SEJOUR_MCO: usize = 4;
const DIAG_ASSOCIE: usize = 5;
const ACTE_MCO: usize = 6;
const ALD: usize = 7;
const DECES: usize = 8;

impl PatientRows {
    pub(crate) fn new() -> Self {
        let tables = TABLES.iter().filter(|shape| shape.sharded).map(Rows::of).collect();
        Self {
            tables,
            scratch: String::new(),
        }
    }

    /// The rows gathered since the last call, table by table; tables without any are left out.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (usize, Result<RecordBatch, ArrowError>)> {
        let filled = self.tables.iter_mut().enumerate().filter(|(_, rows)| rows.count > 0);
        filled.map(|(index, rows)| (index, rows.take()))
    }

    /// Appends every row of a patient.
    pub(crate) fn append(&mut self, random: &mut Random, life: &Life, care: &Care) {
        self.append_person(random, life);
        self.append_care(random, life, care);
        for stay in &life.stays {
            self.append_stay(random, life, stay);
        }
        self.append_registrations(random, life);
    }

    fn append_person(&mut self, random: &mut Random, life: &Life) {
        let person = &life.person;
        let id = Value::Text(person.pseudonym.as_str());
        let (year, month) = crate::calendar::year_month(person.born);
        let month = if random.happens(0.002) {
            Value::Null
        } else {
            Value::Int(month)
        };
        let death = life.death.as_ref();
        let died = death.map_or(Value::Null, |death| Value::Date(death.day));
        let department = Value::Text(DEPARTMENTS[person.department].0);
        let commune = Value::from(person.commune.as_deref());
        let sex = Value::Int(person.sex.code());
        self.tables[BENEFICIAIRE].push([id, sex, Value::Int(year), month, department, commune, died]);
        // The registry of causes does not know every death, nor the cause of each.
        if let Some(death) = death.filter(|_| random.happens(0.97)) {
            let cause = if random.happens(0.03) {
                Value::Null
            } else {
                Value::Text(death.cause)
            };
            self.tables[DECES].push([id, Value::Date(death.day), cause]);
        }
    }

    fn append_care(&mut self, random: &mut Random, life: &Life, care: &Care) {
        let id = Value::Text(life.person.pseudonym.as_str());
        for line in &care.services {
            self.tables[PRESTATION].push([
                id,
                Value::Date(line.day),
                Value::Date(line.flow),
                Value::Int(line.nature),
                line.specialty.map_or(Value::Null, Value::Int),
                Value::Int(line.quantity),
                Value::Cents(line.cents),
                Value::Int(line.qualifier),
            ]);
        }
        for line in &care.dispensings {
            // A few packs are missing from the nomenclature of the day.
            let atc = if random.happens(0.006) {
                Value::Null
            } else {
                Value::Text(line.drug.atc)
            };
            let (pack, quantity) = (Value::Text(line.pack), Value::Int(line.quantity));
            self.tables[PHARMACIE].push([id, Value::Date(line.day), pack, atc, quantity, Value::Bool(line.large)]);
        }
        for act in &care.acts {
            self.tables[ACTE_CCAM].push([id, Value::Date(act.day), Value::Text(act.code)]);
        }
    }

    fn append_stay(&mut self, random: &mut Random, life: &Life, stay: &Stay) {
        write_hospital(&mut self.scratch, DEPARTMENTS[life.person.department].0, stay.hospital);
        let hospital = self.scratch.len();
        write_ghm(&mut self.scratch, stay);
        let (hospital, ghm) = self.scratch.split_at(hospital);
        let id = Value::Text(life.person.pseudonym.as_str());
        let key = [id, Value::Text(hospital), Value::Long(stay.number)];
        append_stay_line(&mut self.tables[SEJOUR_MCO], random, key, stay, ghm);
        for code in draw_associated(random, life, stay) {
            self.tables[DIAG_ASSOCIE].push([key[0], key[1], key[2], Value::Text(code)]);
        }
        for (code, probability) in stay.kind.acts {
            if random.happens(*probability) {
                self.tables[ACTE_MCO].push([key[0], key[1], key[2], Value::Text(code)]);
            }
        }
    }

    fn append_registrations(&mut self, random: &mut Random, life: &Life) {
        let id = Value::Text(life.person.pseudonym.as_str());
        for registration in care::draw_registrations(random, life) {
            let to = registration.to.map_or(Value::Null, Value::Date);
            let (kind, code) = (Value::Int(registration.kind), Value::Text(registration.code));
            self.tables[ALD].push([id, Value::Date(registration.from), to, kind, code]);
        }
    }
}

fn append_stay_line(rows: &mut Rows, random: &mut Random, key: [Value<'_>; 3], stay: &Stay, ghm: &str) {
    let entry = *random.weighted(&[("8", 93), ("7", 4), ("6", 3)]).unwrap_or(&"8");
    let exit = *random.weighted(&[("8", 91), ("7", 5), ("6", 4)]).unwrap_or(&"8");
    let exit = if stay.died { "9" } else { exit };
    // A return code other than 0 says that the pseudonym of the stay cannot be trusted.
    let mut code = |wrong: f64| Value::Text(if random.happens(wrong) { "1" } else { "0" });
    let codes = [code(0.004), code(0.003), code(0.003), code(0.002), code(0.001)];
    rows.push([
        key[0],
        key[1],
        key[2],
        Value::Date(stay.from),
        Value::Date(stay.to),
        Value::Text(stay.diagnosis),
        Value::from(stay.kind.related),
        Value::Text(ghm),
        Value::Text(entry),
        Value::Text(exit),
        Value::Int(stay.to - stay.from),
        codes[0],
        codes[1],
        codes[2],
        codes[3],
        codes[4],
    ]);
}

/// Associated diagnoses: the patient's diseases, mostly, and some that go with the stay; each once.
fn draw_associated(random: &mut Random, life: &Life, stay: &Stay) -> Vec<&'static str> {
    let mut codes: Vec<_> = care::diagnoses_on(life, stay.from)
        .filter(|_| stay.kind.nights > 0.0 && random.happens(0.7))
        .collect();
    if stay.kind.nights > 0.0 {
        let age = life.person.age(stay.from) as f64;
        let more = random.poisson(0.3 + age / 35.0);
        codes.extend((0..more).filter_map(|_| random.ranked(stay.kind.associated).copied()));
    }
    codes.retain(|code| *code != stay.diagnosis);
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Nine characters shaped like a FINESS number: département, then a number inside it. Replaces `text`.
fn write_hospital(text: &mut String, department: &str, rank: u32) {
    text.clear();
    let digits = 9 - department.len();
    // Writing into a string cannot fail.
    let _ = write!(text, "{department}{:0digits$}", 781 * rank);
}

/// Six characters: the root of the GHM and, where the kind of stay does not fix it, the severity by length of stay.
fn write_ghm(text: &mut String, stay: &Stay) {
    text.push_str(stay.kind.ghm);
    if stay.kind.ghm.len() == 6 {
        return;
    }
    let surgical = stay.kind.ghm.as_bytes().get(2) == Some(&b'C');
    text.push(match stay.to - stay.from {
        0 if surgical => 'J',
        0 => 'T',
        1..=3 => '1',
        4..=8 => '2',
        9..=15 => '3',
        _ => '4',
    });
}

/// The reference table of drugs, one row per pack, in order.
pub(crate) fn drug_reference() -> Result<RecordBatch, ArrowError> {
    let mut packs: Vec<_> = drugs::ALL
        .iter()
        .flat_map(|drug| drug.packs.iter().map(move |pack| (*pack, *drug)))
        .collect();
    packs.sort_by_key(|(pack, _)| *pack);
    let mut rows = Rows::of(&TABLES[TABLES.len() - 1]);
    for (pack, drug) in packs {
        rows.push([Value::Text(pack), Value::Text(drug.atc), Value::Text(drug.name)]);
    }
    rows.take()
}

#[cfg(test)]
mod tests {
    use super::{PatientRows, drug_reference, write_hospital};
    use crate::care::Care;
    use crate::population::Population;

    #[test]
    fn batches_have_the_shape_of_their_tables() {
        let population = Population {
            patients: 2_000,
            ..Population::default()
        };
        let (mut rows, mut care) = (PatientRows::new(), Care::default());
        for number in 0..population.patients {
            let (life, mut random) = population.draw(number, &mut care);
            rows.append(&mut random, &life, &care);
        }
        // Building a batch checks types, lengths and that required columns have no NULL.
        let batches: Vec<_> = rows
            .take()
            .map(|(index, batch)| (index, batch.map(|b| b.num_rows())))
            .collect();
        assert_eq!(batches.len(), 9);
        assert!(batches.iter().all(|(_, rows)| matches!(rows, Ok(1..))), "{batches:?}");
        assert_eq!(rows.take().count(), 0);
    }

    #[test]
    fn the_reference_has_every_pack_once() {
        let Ok(batch) = drug_reference() else {
            unreachable!("the reference is constant")
        };
        assert!(batch.num_rows() > 400);
    }

    #[test]
    fn hospitals_have_nine_characters() {
        let mut text = String::new();
        for department in ["01", "2A", "974"] {
            write_hospital(&mut text, department, 12);
            assert!(text.len() == 9 && text.starts_with(department));
        }
    }
}
