//! The checks of one column: its name, class, type, missing values, date format and bounds, and what a patient id owes.

use std::collections::HashSet;

use chrono::NaiveDate;
use parcours_keys::{ColumnClass, KeyError};
use toml::{Spanned, Value};

use super::column_type::ColumnType;
use super::dataset::{Column, Dataset, Format};
use super::dates::{DateBounds, DateFormat, Zone};
use super::document::{ColumnDocument, TableDocument, plain_text};
use super::error::SpecFault;
use super::file_name::FileName;
use super::validate::{Located, identifier};

/// What the checks of a column need to know of its table.
pub(super) struct TableContext<'a> {
    pub table: &'a str,
    pub patient_id: &'a str,
    pub sharded: bool,
    format: Format,
    dates: DateFormat,
    bounds: DateBounds,
    zone: Option<Zone>,
}

impl<'a> TableContext<'a> {
    pub(super) fn new(
        table: &'a str,
        document: &TableDocument,
        format: Format,
        dataset: &'a Dataset,
    ) -> Result<Self, Located> {
        let written = document.csv.as_ref().and_then(|csv| csv.get_ref().date_format.as_ref());
        Ok(Self {
            table,
            patient_id: &dataset.patient_id,
            sharded: document.sharded,
            format,
            dates: date_format(written)?.unwrap_or(DateFormat::Iso),
            bounds: bounds(DateBounds::default(), &document.date_min, &document.date_max)?,
            zone: zone(document.zone.as_ref())?,
        })
    }

    fn named(&self, column: &str) -> (String, String) {
        (self.table.to_owned(), column.to_owned())
    }
}

/// The columns of a table.
pub(super) fn columns(context: &TableContext<'_>, document: &TableDocument) -> Result<Vec<Column>, Located> {
    if document.columns.is_empty() {
        return Err((
            document.name.span(),
            SpecFault::NoColumns {
                table: context.table.to_owned(),
            },
        ));
    }
    let (mut names, mut froms) = (HashSet::new(), HashSet::new());
    let mut columns = Vec::with_capacity(document.columns.len());
    for spanned in &document.columns {
        let column = column(context, spanned)?;
        let (table, name) = context.named(&column.name);
        if !names.insert(column.name.clone()) {
            return Err((spanned.span(), SpecFault::DuplicateColumn { table, column: name }));
        }
        let from = column.from.clone().unwrap_or(name);
        if !column.is_of_path() && !froms.insert(from.clone()) {
            return Err((spanned.span(), SpecFault::DuplicateFrom { table, from }));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn column(context: &TableContext<'_>, spanned: &Spanned<ColumnDocument>) -> Result<Column, Located> {
    let document = spanned.get_ref();
    let name = identifier(&document.name)?;
    if name == "shard" {
        return Err((document.name.span(), SpecFault::ReservedName));
    }
    let column_type = column_type(context, document, &name)?;
    let patient = context.sharded && name == context.patient_id;
    let column = Column {
        class: class(context, document, &name)?,
        column_type,
        from: document.from.as_ref().map(|from| from.get_ref().clone()),
        folder: document.folder.as_ref().map(|folder| folder.get_ref().clone()),
        file: document.file.as_ref().map(file_name).transpose()?,
        nullable: document.nullable.unwrap_or(!patient),
        optional: document.optional,
        missing: document
            .missing
            .iter()
            .map(|value| plain_text(value.get_ref()))
            .collect(),
        format: date_format(document.format.as_ref())?.unwrap_or_else(|| context.dates.clone()),
        bounds: bounds(context.bounds, &document.date_min, &document.date_max)?,
        zone: zone(document.zone.as_ref())?.or(context.zone),
        any_time: document.any_time.as_ref().is_some_and(|any_time| *any_time.get_ref()),
        name,
    };
    if column.optional && !column.nullable {
        let (table, column) = context.named(&column.name);
        return Err((document.name.span(), SpecFault::OptionalNotNullable { table, column }));
    }
    check_folder(context, document, &column)?;
    check_file(context, document, &column)?;
    check_dates(context, document, &column)?;
    if patient {
        check_patient(context, &column).map_err(|fault| (spanned.span(), fault))?;
    }
    Ok(column)
}

/// What a patient id owes: a class, a value in every row, a type with a clear order.
fn check_patient(context: &TableContext<'_>, described: &Column) -> Result<(), SpecFault> {
    let (table, column) = context.named(&described.name);
    match described.column_type {
        _ if described.class != ColumnClass::Identity => Err(SpecFault::PatientIdClass { table, column }),
        _ if described.nullable => Err(SpecFault::PatientIdNullable { table, column }),
        Some(found) if !found.is_patient_id() => Err(SpecFault::PatientIdType {
            table,
            column,
            found: found.to_string(),
        }),
        _ => Ok(()),
    }
}

/// A value of a folder has a type of its own, and is no patient id: all rows of a file have it.
fn check_folder(context: &TableContext<'_>, document: &ColumnDocument, described: &Column) -> Result<(), Located> {
    let Some(written) = &document.folder else { return Ok(()) };
    let (table, column) = context.named(&described.name);
    let fault = match (&document.from, described.column_type) {
        (Some(_), _) => SpecFault::FolderAndFrom { table, column },
        _ if written.get_ref().is_empty() || written.get_ref().contains(['/', '=']) => {
            SpecFault::FolderName { table, column }
        }
        _ if described.name == context.patient_id => SpecFault::FolderPatientId { table, column },
        (None, None) => SpecFault::FolderType { table, column },
        (None, Some(_)) => return Ok(()),
    };
    Err((written.span(), fault))
}

/// The same holds for a value of a file's name.
fn check_file(context: &TableContext<'_>, document: &ColumnDocument, described: &Column) -> Result<(), Located> {
    let Some(written) = &document.file else { return Ok(()) };
    let (table, column) = context.named(&described.name);
    let fault = match described.column_type {
        _ if document.from.is_some() || document.folder.is_some() => SpecFault::FileAndOther { table, column },
        _ if described.name == context.patient_id => SpecFault::FolderPatientId { table, column },
        None => SpecFault::FolderType { table, column },
        Some(_) => return Ok(()),
    };
    Err((written.span(), fault))
}

fn file_name(written: &Spanned<String>) -> Result<FileName, Located> {
    FileName::parse(written.get_ref()).map_err(|reason| {
        let fault = SpecFault::FileName {
            written: written.get_ref().clone(),
            reason,
        };
        (written.span(), fault)
    })
}

/// Formats, bounds and zones stand on dates only, and a format reads the whole of a value.
fn check_dates(context: &TableContext<'_>, document: &ColumnDocument, described: &Column) -> Result<(), Located> {
    let (table, column) = context.named(&described.name);
    match (&document.zone, &document.any_time, described.column_type) {
        (Some(written), _, Some(found)) if !found.has_date() => {
            return Err((written.span(), SpecFault::ZoneOnOther { table, column }));
        }
        (_, Some(written), found) if found != Some(ColumnType::Date32) => {
            return Err((written.span(), SpecFault::AnyTimeOnOther { table, column }));
        }
        _ => {}
    }
    match described.column_type {
        None => return Ok(()),
        Some(found) if found.has_date() => {
            let span = document.format.as_ref().map_or(document.name.span(), Spanned::span);
            return described.check_format(found).map_err(|fault| (span, fault));
        }
        Some(_) => {}
    }
    if let Some(written) = &document.format {
        return Err((written.span(), SpecFault::FormatOnOther { table, column }));
    }
    match document.date_min.as_ref().or(document.date_max.as_ref()) {
        Some(written) => Err((written.span(), SpecFault::BoundsOnOther { table, column })),
        None => Ok(()),
    }
}

fn class(context: &TableContext<'_>, document: &ColumnDocument, name: &str) -> Result<ColumnClass, Located> {
    let (table, column) = context.named(name);
    let Some(written) = &document.class else {
        return Err((document.name.span(), SpecFault::NoClass { table, column }));
    };
    let unknown = |_| SpecFault::UnknownClass {
        table,
        column,
        written: written.get_ref().clone(),
    };
    written
        .get_ref()
        .parse()
        .map_err(|error: KeyError| (written.span(), unknown(error)))
}

fn column_type(
    context: &TableContext<'_>,
    document: &ColumnDocument,
    name: &str,
) -> Result<Option<ColumnType>, Located> {
    match &document.column_type {
        Some(written) => written
            .get_ref()
            .parse()
            .map(Some)
            .map_err(|fault| (written.span(), fault)),
        None if context.format == Format::Parquet => Ok(None),
        None => {
            let (table, column) = context.named(name);
            Err((document.name.span(), SpecFault::NoType { table, column }))
        }
    }
}

fn date_format(written: Option<&Spanned<String>>) -> Result<Option<DateFormat>, Located> {
    let parse =
        |pattern: &Spanned<String>| DateFormat::parse(pattern.get_ref()).map_err(|fault| (pattern.span(), fault));
    written.map(parse).transpose()
}

fn zone(written: Option<&Spanned<String>>) -> Result<Option<Zone>, Located> {
    let parse = |name: &Spanned<String>| name.get_ref().parse().map_err(|fault| (name.span(), fault));
    written.map(parse).transpose()
}

fn bounds(
    default: DateBounds,
    min: &Option<Spanned<Value>>,
    max: &Option<Spanned<Value>>,
) -> Result<DateBounds, Located> {
    let day = |written: &Option<Spanned<Value>>| written.as_ref().map(date).transpose();
    let bounds = DateBounds {
        min: day(min)?.unwrap_or(default.min),
        max: day(max)?.unwrap_or(default.max),
    };
    match min.as_ref().or(max.as_ref()) {
        Some(written) if bounds.min > bounds.max => Err((written.span(), SpecFault::BoundsOrder)),
        _ => Ok(bounds),
    }
}

fn date(written: &Spanned<Value>) -> Result<NaiveDate, Located> {
    let text = plain_text(written.get_ref());
    let parsed = NaiveDate::parse_from_str(&text, "%Y-%m-%d");
    parsed.map_err(|_| (written.span(), SpecFault::Date { written: text }))
}
