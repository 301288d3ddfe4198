//! Split points: the values of the patient id at which one shard ends and the next begins. Shard 0 holds ids below
//! the first point, shard `i` those from point `i - 1` up to but not including point `i`.

use datafusion::common::ScalarValue;

use super::column_type::ColumnType;
use super::dataset::Dataset;
use super::error::SpecFault;

impl Dataset {
    /// The split points as values of the patient id's type, ascending; `None` when the specification leaves them out.
    pub fn split_points(&self, patient_id: ColumnType) -> Result<Option<Vec<ScalarValue>>, SpecFault> {
        self.splits
            .as_deref()
            .map(|splits| parse(splits, self.shards, patient_id))
            .transpose()
    }
}

/// Reads and checks split points for `shards` shards.
pub(super) fn parse(splits: &[String], shards: u32, patient_id: ColumnType) -> Result<Vec<ScalarValue>, SpecFault> {
    let expected = shards as usize - 1;
    if splits.len() != expected {
        return Err(SpecFault::SplitCount {
            found: splits.len(),
            shards,
            expected,
        });
    }
    let values = splits
        .iter()
        .enumerate()
        .map(|(at, text)| value(at + 1, text, patient_id));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    match values.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(at) => Err(SpecFault::SplitOrder { position: at + 2 }),
        None => Ok(values),
    }
}

/// One split point.
fn value(position: usize, text: &str, patient_id: ColumnType) -> Result<ScalarValue, SpecFault> {
    let wrong = || SpecFault::SplitType {
        position,
        expected: patient_id.to_string(),
    };
    match patient_id {
        ColumnType::Utf8 => Ok(ScalarValue::Utf8(Some(text.to_owned()))),
        integer if integer.is_integer() => {
            ScalarValue::try_from_string(text.to_owned(), &integer.data_type()).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}
