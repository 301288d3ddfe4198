//! What every column of a table demands of a value, worked out once before the first row.

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;

use super::error::SourceError;
use super::marks::Marks;
use super::parse::{self, DateReader, Notation};
use super::positions::Positions;
use crate::spec::{Column, ColumnType, DateBounds, DateFormat, Format, SpecFault, Table, Zone};

/// The demands of a table.
pub(super) struct Rules {
    /// The table's name.
    pub table: String,
    /// The schema of the batches: the table's, and the places of rows where they were asked for.
    pub schema: SchemaRef,
    pub columns: Vec<Rule>,
    /// Whether each row says where it stands.
    pub positions: bool,
}

/// The demands of a column.
pub(super) struct Rule {
    /// Position in the table.
    pub index: usize,
    pub name: String,
    pub column_type: ColumnType,
    pub nullable: bool,
    /// Whether this is the patient id of a sharded table.
    pub patient: bool,
    /// Texts of CSV fields that stand for NULL.
    pub null_texts: Vec<Vec<u8>>,
    /// Whether blanks around CSV fields are left out.
    pub trim: bool,
    /// Values that stand for NULL, as an array of the column's type.
    pub missing: Option<ArrayRef>,
    /// How texts are read as values.
    pub notation: Notation,
    pub bounds: DateBounds,
    /// The zone whose clock the column shows, where a source has instants.
    pub zone: Option<Zone>,
    /// Whether a day is taken of any time, not of midnight alone.
    pub any_time: bool,
}

impl Rules {
    /// The rules of `table` under a schema that is its own.
    pub(super) fn new(table: &Table, schema: SchemaRef) -> Result<Self, SourceError> {
        let mut columns = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let wrong = || SourceError::Schema {
                table: table.name.clone(),
                column: column.name.clone(),
            };
            let field = schema
                .fields()
                .get(index)
                .filter(|field| field.name() == &column.name)
                .ok_or_else(wrong)?;
            let column_type = ColumnType::of(field.data_type()).ok_or_else(wrong)?;
            let same = column.column_type.is_none_or(|declared| declared == column_type);
            if !same || column_type.data_type() != *field.data_type() || field.is_nullable() != column.nullable {
                return Err(wrong());
            }
            if column.column_type.is_none() && column_type.has_date() {
                column.check_format(column_type)?;
            }
            columns.push(Rule::new(table, index, column, column_type)?);
        }
        Ok(Self {
            table: table.name.clone(),
            schema,
            columns,
            positions: false,
        })
    }

    /// The same, and each row says where it stands, in two columns after the table's: see [`super::Positions`].
    pub(super) fn with_positions(self) -> Self {
        Self {
            schema: Positions::appended_to(&self.schema),
            positions: true,
            ..self
        }
    }
}

impl Rule {
    fn new(table: &Table, index: usize, column: &Column, column_type: ColumnType) -> Result<Self, SourceError> {
        let mut null_texts: Vec<Vec<u8>> = Vec::new();
        if table.format == Format::Csv {
            if !(table.csv.keep_empty && column_type == ColumnType::Utf8) {
                null_texts.push(Vec::new());
            }
            null_texts.extend(
                table
                    .csv
                    .null
                    .iter()
                    .chain(&column.missing)
                    .map(|text| text.as_bytes().to_vec()),
            );
        }
        Ok(Self {
            index,
            name: column.name.clone(),
            column_type,
            nullable: column.nullable,
            patient: table.patient == Some(index),
            null_texts,
            missing: missing(table.format, column, column_type)?,
            notation: Notation {
                dates: DateReader::new(&column.format, column.bounds, column.zone).taking(column.any_time),
                decimal: table.csv.decimal,
                thousands: table.csv.thousands,
                booleans: table.csv.booleans.clone(),
            },
            trim: table.format == Format::Csv && table.csv.trim,
            bounds: column.bounds,
            zone: column.zone,
            any_time: column.any_time,
        })
    }

    /// Whether the text of a CSV field stands for NULL.
    pub(super) fn is_null_text(&self, field: &[u8]) -> bool {
        self.null_texts.iter().any(|text| text == field)
    }
}

/// The missing values as an array. In CSV a missing value may also be a text that is no value of the type, such as
/// `99999999` for a date: [`Rule::null_texts`] holds it.
fn missing(format: Format, column: &Column, column_type: ColumnType) -> Result<Option<ArrayRef>, SourceError> {
    let canonical = Notation {
        dates: DateReader::new(&DateFormat::Iso, column.bounds, None),
        decimal: b'.',
        thousands: None,
        booleans: None,
    };
    let mut texts = Vec::new();
    for text in &column.missing {
        let mut marks = Marks::default();
        parse::column(&[text.as_bytes()][..], column_type, &canonical, 0, &mut marks);
        if marks.is_empty() {
            texts.push(text.as_bytes());
        } else if format == Format::Parquet {
            let fault = SpecFault::Missing {
                written: text.clone(),
                expected: column_type.to_string(),
            };
            return Err(SourceError::Spec(fault));
        }
    }
    let array =
        (!texts.is_empty()).then(|| parse::column(&texts[..], column_type, &canonical, 0, &mut Marks::default()));
    Ok(array)
}
