//! Texts of any of the engine's types, row by row, and what is read from them once for many rows.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};

/// A column of texts.
pub(super) struct Texts(StringArray);

impl Texts {
    /// Returns the texts of an array.
    pub fn of(values: &ArrayRef) -> Result<Self> {
        match cast(values, &DataType::Utf8)?.as_string_opt::<i32>() {
            Some(texts) => Ok(Self(texts.clone())),
            None => exec_err!("a text is wanted, not a value of type {}", values.data_type()),
        }
    }

    /// Returns how many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the text of a row, if it has one.
    pub fn get(&self, row: usize) -> Option<&str> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }

    /// Returns what is read from the text of a row, which `known` keeps with its text: most often all rows have one
    /// text.
    pub fn parsed<'k, T>(
        &self,
        row: usize,
        known: &'k mut Option<(String, T)>,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<&'k T>> {
        let Some(text) = self.get(row) else { return Ok(None) };
        if known.as_ref().is_none_or(|(of, _)| of != text) {
            *known = Some((text.to_owned(), parse(text)?));
        }
        Ok(known.as_ref().map(|(_, parsed)| parsed))
    }
}
