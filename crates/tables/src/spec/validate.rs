//! Turns a document into a [`Dataset`], or says the first fault and its line. Checks that concern one column stand in
//! [`super::validate_column`]; those of a table and of the whole dataset stand here.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::column_type::ColumnType;
use super::dataset::{CsvOptions, Dataset, Format, Table};
use super::document::{CsvDocument, DatasetDocument, TableDocument, plain_text};
use super::error::{SpecError, SpecFault};
use super::place::Place;
use super::validate_column::{self, TableContext};
use super::{flatten, patterns, split, variables};

/// The most shards a dataset may have: more would be files too small to read well.
pub(crate) const MAX_SHARDS: u64 = 16_384;

/// A fault and the bytes of the text it concerns.
pub(super) type Located = (Range<usize>, SpecFault);

/// Reads and checks a specification.
pub(super) fn dataset(
    text: &str,
    file: Option<&Path>,
    folder: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Dataset, SpecError> {
    let place = |span| Place::of(file, text, span);
    let document: DatasetDocument = toml::from_str(text).map_err(|error| SpecError::Syntax {
        place: place(error.span().unwrap_or(0..0)),
        message: error
            .message()
            .replace("unknown field", "unknown key")
            .replace("missing field", "missing key"),
    })?;
    check(document, folder, lookup).map_err(|(span, fault)| SpecError::Invalid {
        place: place(span),
        fault,
    })
}

fn check(
    document: DatasetDocument,
    folder: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Dataset, Located> {
    check_patients(&document)?;
    let patient_id = document.patient_id.as_ref().map(identifier).transpose()?;
    let mut dataset = Dataset {
        name: identifier(&document.name)?,
        patient_id: patient_id.unwrap_or_default(),
        shards: document.shards.as_ref().map_or(Ok(1), shards)?,
        splits: document
            .splits
            .as_ref()
            .map(|splits| splits.get_ref().iter().map(plain_text).collect()),
        tables: Vec::with_capacity(document.tables.len()),
    };
    let mut patient_type = None;
    for table in &document.tables {
        let checked = check_table(table, &dataset, folder, lookup)?;
        one_patient_type(&checked, &mut patient_type).map_err(|fault| (table.span(), fault))?;
        dataset.tables.push(checked);
    }
    flatten::check(&dataset, &document)?;
    check_splits(&dataset, &document, patient_type)?;
    Ok(dataset)
}

/// Something is described; and where some of it is sharded, by what and how often.
fn check_patients(document: &DatasetDocument) -> Result<(), Located> {
    let at_name = |fault| Err((document.name.span(), fault));
    let missing = [
        ("patient_id", document.patient_id.is_none()),
        ("shards", document.shards.is_none()),
    ];
    let missing = missing.into_iter().find(|(_, is_missing)| *is_missing);
    match missing {
        _ if document.tables.is_empty() => at_name(SpecFault::NoTables),
        Some((key, _)) if document.tables.iter().any(|table| table.get_ref().sharded) => {
            at_name(SpecFault::MissingKey { key })
        }
        _ => Ok(()),
    }
}

/// Split points are checked at once when the specification says the patient id's type; otherwise when files have said it.
fn check_splits(
    dataset: &Dataset,
    document: &DatasetDocument,
    patient_type: Option<ColumnType>,
) -> Result<(), Located> {
    let (Some(written), Some(splits)) = (&document.splits, &dataset.splits) else {
        return Ok(());
    };
    let patient_type = patient_type.unwrap_or(ColumnType::Utf8);
    let checked = match split::parse(splits, dataset.shards, patient_type) {
        Err(SpecFault::SplitOrder { .. }) if patient_type_is_open(dataset) => Ok(()),
        other => other.map(|_| ()),
    };
    checked.map_err(|fault| (written.span(), fault))
}

/// Whether no table says the patient id's type, so that the order of split points cannot be judged yet.
fn patient_type_is_open(dataset: &Dataset) -> bool {
    dataset
        .tables
        .iter()
        .filter_map(Table::patient_column)
        .all(|column| column.column_type.is_none())
}

/// All tables that say the patient id's type say the same.
fn one_patient_type(table: &Table, known: &mut Option<ColumnType>) -> Result<(), SpecFault> {
    let Some(found) = table.patient_column().and_then(|column| column.column_type) else {
        return Ok(());
    };
    match known.replace(found) {
        Some(expected) if expected != found => Err(SpecFault::PatientIdTypes {
            table: table.name.clone(),
            found: found.to_string(),
            expected: expected.to_string(),
        }),
        _ => Ok(()),
    }
}

fn shards(written: &Spanned<u64>) -> Result<u32, Located> {
    let shards = *written.get_ref();
    let refuse = || (written.span(), SpecFault::Shards { shards });
    if (1..=MAX_SHARDS).contains(&shards) {
        u32::try_from(shards).map_err(|_| refuse())
    } else {
        Err(refuse())
    }
}

/// A name that SQL reads without quotes, and that is safe as a folder.
pub(super) fn identifier(written: &Spanned<String>) -> Result<String, Located> {
    let name = written.get_ref();
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if first && rest && name.len() <= 63 {
        Ok(name.clone())
    } else {
        Err((written.span(), SpecFault::Name { name: name.clone() }))
    }
}

fn check_table(
    spanned: &Spanned<TableDocument>,
    dataset: &Dataset,
    folder: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Table, Located> {
    let document = spanned.get_ref();
    let name = identifier(&document.name)?;
    let at_name = |fault| (document.name.span(), fault);
    if dataset.table(&name).is_some() {
        return Err(at_name(SpecFault::DuplicateTable { table: name }));
    }
    let sources: Vec<String> = document.sources.iter().map(|source| source.get_ref().clone()).collect();
    let format = match document.format {
        Some(_) if sources.is_empty() => return Err(at_name(SpecFault::NoSources { table: name })),
        Some(format) => format,
        None => patterns::format(&name, &sources).map_err(at_name)?,
    };
    let context = TableContext::new(&name, document, format, dataset)?;
    let columns = validate_column::columns(&context, document)?;
    let flatten = flatten::read(document, &name, &dataset.patient_id)?;
    let patient = match flatten {
        Some(_) => None,
        None => patient_position(&context, &columns).map_err(at_name)?,
    };
    Ok(Table {
        patterns: source_patterns(document, folder, lookup)?,
        csv: csv_options(document, format, &name)?,
        order: order(document, &name, &dataset.patient_id, &columns)?,
        flatten,
        ignore: ignore(document, &name, &columns)?,
        sharded: document.sharded,
        name,
        sources,
        format,
        columns,
        patient,
    })
}

/// The patient id's position: there is one in a sharded table and none in a reference table.
fn patient_position(
    context: &TableContext<'_>,
    columns: &[super::dataset::Column],
) -> Result<Option<usize>, SpecFault> {
    let column = context.patient_id.to_owned();
    let position = columns.iter().position(|described| described.name == column);
    match (context.sharded, position) {
        (true, None) => Err(SpecFault::NoPatientId {
            table: context.table.to_owned(),
            column,
        }),
        (false, Some(_)) => Err(SpecFault::PatientIdUnsharded {
            table: context.table.to_owned(),
            column,
        }),
        (_, position) => Ok(position),
    }
}

fn source_patterns(
    document: &TableDocument,
    folder: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Located> {
    let resolve = |source: &Spanned<String>| {
        let expanded = variables::expand(source.get_ref(), lookup);
        expanded
            .and_then(|text| patterns::absolute(&text, folder))
            .map_err(|fault| (source.span(), fault))
    };
    document.sources.iter().map(resolve).collect()
}

/// The order; that of a flattened table is judged when its main table is known.
fn order(
    document: &TableDocument,
    table: &str,
    patient_id: &str,
    columns: &[super::dataset::Column],
) -> Result<Vec<String>, Located> {
    if document.flatten.is_none() {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        check_order(document, table, patient_id, &names)?;
    }
    Ok(document.order.iter().map(|written| written.get_ref().clone()).collect())
}

/// Every column of the order is one of the table, named once, and not the patient id.
pub(super) fn check_order(
    document: &TableDocument,
    table: &str,
    patient_id: &str,
    columns: &[&str],
) -> Result<(), Located> {
    let mut seen = HashSet::new();
    for written in &document.order {
        let (table, column) = (table.to_owned(), written.get_ref().clone());
        let fault = if column == patient_id {
            SpecFault::OrderPatientId { table }
        } else if !columns.contains(&column.as_str()) {
            SpecFault::OrderColumn { table, column }
        } else if !seen.insert(written.get_ref()) {
            SpecFault::OrderTwice { table, column }
        } else {
            continue;
        };
        return Err((written.span(), fault));
    }
    Ok(())
}

fn ignore(document: &TableDocument, table: &str, columns: &[super::dataset::Column]) -> Result<Vec<String>, Located> {
    for written in &document.ignore {
        let column = written.get_ref();
        let mut read = columns.iter().filter(|known| !known.is_of_path());
        if read.any(|known| known.from.as_ref().unwrap_or(&known.name) == column) {
            let fault = SpecFault::IgnoredAndRead {
                table: table.to_owned(),
                column: column.clone(),
            };
            return Err((written.span(), fault));
        }
    }
    Ok(document
        .ignore
        .iter()
        .map(|written| written.get_ref().clone())
        .collect())
}

fn csv_options(document: &TableDocument, format: Format, table: &str) -> Result<CsvOptions, Located> {
    let mut default = CsvOptions::default();
    let sources: Vec<String> = document.sources.iter().map(|source| source.get_ref().clone()).collect();
    if format == Format::Csv && patterns::are_tabbed(&sources) {
        default.delimiter = b'\t';
    }
    let Some(spanned) = &document.csv else {
        return Ok(default);
    };
    let at = |fault| (spanned.span(), fault);
    if format == Format::Parquet {
        return Err(at(SpecFault::CsvOnParquet {
            table: table.to_owned(),
        }));
    }
    let options = csv_characters(spanned.get_ref(), default).map_err(at)?;
    let named = document.columns.iter().any(|column| column.get_ref().from.is_some()) || !document.ignore.is_empty();
    if !options.header && named {
        return Err(at(SpecFault::FromWithoutHeader {
            table: table.to_owned(),
        }));
    }
    Ok(options)
}

fn csv_characters(document: &CsvDocument, default: CsvOptions) -> Result<CsvOptions, SpecFault> {
    let options = CsvOptions {
        delimiter: character("delimiter", document.delimiter.as_deref())?.unwrap_or(default.delimiter),
        quote: match document.quote.as_deref() {
            Some("") => None,
            written => character("quote", written)?.or(default.quote),
        },
        header: document.header.unwrap_or(default.header),
        null: document.null.clone().unwrap_or(default.null),
        decimal: character("decimal", document.decimal.as_deref())?.unwrap_or(default.decimal),
        encoding: document.encoding,
        skip_lines: document.skip_lines,
        multiline: document.multiline,
        stray_quotes: document.stray_quotes,
        escape: character("escape", document.escape.as_deref())?,
        trailing_delimiter: document.trailing_delimiter,
        short_rows: document.short_rows,
        trim: document.trim,
        keep_empty: document.keep_empty,
        thousands: thousands(document.thousands.as_deref())?,
        booleans: document.booleans.clone(),
    };
    let clash = options
        .quote
        .is_some_and(|quote| quote == options.delimiter || quote == options.decimal);
    let groups = options
        .thousands
        .is_some_and(|thousands| thousands == char::from(options.decimal));
    let escaped = options
        .escape
        .is_some_and(|escape| Some(escape) == options.quote || escape == options.delimiter);
    let both = options.booleans.as_ref().is_some_and(|booleans| {
        booleans.yes.is_empty() || booleans.no.is_empty() || booleans.yes.iter().any(|text| booleans.no.contains(text))
    });
    match () {
        () if clash || groups || escaped => Err(SpecFault::CsvAmbiguous),
        () if both => Err(SpecFault::CsvBooleans),
        () => Ok(options),
    }
}

/// One character that is no part of a number.
fn thousands(written: Option<&str>) -> Result<Option<char>, SpecFault> {
    let Some(written) = written else { return Ok(None) };
    let mut characters = written.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if !one.is_ascii_alphanumeric() && !matches!(one, '-' | '+' | '\n' | '\r') => Ok(Some(one)),
        _ => Err(SpecFault::CsvThousands),
    }
}

/// One ASCII character that ends no line.
fn character(option: &'static str, written: Option<&str>) -> Result<Option<u8>, SpecFault> {
    match written.map(str::as_bytes) {
        None => Ok(None),
        Some(&[byte]) if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(Some(byte)),
        Some(_) => Err(SpecFault::CsvCharacter { option }),
    }
}
