//! Split points that make shards even: quantiles of a sample of distinct patient ids, the same for the same rows whatever
//! their order. A point is the shortest text, or the roundest number, that separates two neighbours of the sample, so that
//! plans and version files name no patient where it can be helped.
//!
//! The sample keeps the [`SAMPLE`] distinct ids with the smallest digests. Who chooses points reads tables from the smallest
//! up, whole, until [`ENOUGH_BYTES`] were read: the ids of any large table are spread like those of the dataset.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::cmp;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;

use crate::splits::SplitError;

/// Most ids kept in the sample; some 10 MB.
const SAMPLE: usize = 100_000;
/// Tables are read until this much was; the smallest always is.
const ENOUGH_BYTES: u64 = 1 << 30;
/// Above every text that a source can hold, so that surplus shards stay empty.
const BEYOND: char = '\u{10FFFF}';

/// The tables to sample, smallest first, as many as [`ENOUGH_BYTES`] needs; `size` tells a table's bytes and its name.
pub(crate) fn tables_to_read<'a, T>(
    tables: impl Iterator<Item = &'a T>,
    size: impl Fn(&T) -> (u64, String),
) -> Vec<&'a T> {
    let mut tables: Vec<&T> = tables.collect();
    tables.sort_by_key(|table| size(table));
    let mut bytes = 0;
    tables.retain(|table| {
        let wanted = bytes < ENOUGH_BYTES;
        bytes += size(table).0;
        wanted
    });
    tables
}

/// A sample of distinct ids: those with the smallest digests.
#[derive(Default)]
pub(crate) struct Sample {
    ids: BTreeMap<u64, ScalarValue>,
}

impl Sample {
    /// Looks at more ids. Where equal ones follow each other, as in a table's files, each is looked at once.
    pub(crate) fn add(&mut self, ids: &ArrayRef) -> Result<(), ArrowError> {
        let later = ids.len().saturating_sub(1);
        let differs = cmp::distinct(&ids.slice(ids.len() - later, later), &ids.slice(0, later))?;
        let is_first = |row: &usize| *row == 0 || differs.value(row - 1);
        for row in (0..ids.len()).filter(|row| ids.is_valid(*row)).filter(is_first) {
            let Ok(id) = ScalarValue::try_from_array(ids, row) else {
                continue;
            };
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            self.keep(hasher.finish(), id);
        }
        Ok(())
    }

    fn keep(&mut self, digest: u64, id: ScalarValue) {
        let full = self.ids.len() >= SAMPLE;
        if full && self.ids.last_key_value().is_some_and(|(largest, _)| digest > *largest) {
            return;
        }
        if self.ids.insert(digest, id).is_none() && full {
            self.ids.pop_last();
        }
    }

    fn sorted(self) -> Vec<ScalarValue> {
        let mut ids: Vec<ScalarValue> = self.ids.into_values().collect();
        ids.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        ids.dedup();
        ids
    }
}

/// `shards - 1` strictly ascending points. Where there are fewer ids than shards, the surplus lies beyond them all.
pub(crate) fn points(sample: Sample, data_type: &DataType, shards: usize) -> Result<Vec<ScalarValue>, SplitError> {
    let ids = sample.sorted();
    let window = ids.len() / (shards * 20);
    let mut points: Vec<ScalarValue> = Vec::with_capacity(shards - 1);
    for shard in 1..shards {
        let middle = shard * ids.len() / shards;
        let near = middle.saturating_sub(window).max(1)..=(middle + window).min(ids.len().saturating_sub(1));
        let candidates = near.filter_map(|at| {
            let point = separator(&ids[at - 1], &ids[at])?;
            Some(((weight(&point), at.abs_diff(middle)), point))
        });
        let best = candidates.min_by_key(|(rank, _)| *rank).map(|(_, point)| point);
        if let Some(point) = best
            && points
                .last()
                .is_none_or(|last| last.partial_cmp(&point) == Some(std::cmp::Ordering::Less))
        {
            points.push(point);
        }
    }
    let missing = shards - 1 - points.len();
    points.extend(surplus(points.last().or(ids.last()), data_type, missing)?);
    Ok(points)
}

/// The least telling value `s` with `before < s <= from`.
fn separator(before: &ScalarValue, from: &ScalarValue) -> Option<ScalarValue> {
    match (before, from) {
        (ScalarValue::Utf8(Some(before)), ScalarValue::Utf8(Some(from))) => {
            Some(ScalarValue::Utf8(Some(shortest_above(before, from))))
        }
        _ => {
            let round = roundest(integer(before)?, integer(from)?);
            ScalarValue::try_from_string(round.to_string(), &from.data_type()).ok()
        }
    }
}

/// The shortest prefix of `from` that is greater than `before`.
fn shortest_above(before: &str, from: &str) -> String {
    let ends = from.char_indices().map(|(start, c)| start + c.len_utf8());
    let prefix = ends.map(|end| &from[..end]).find(|prefix| *prefix > before);
    prefix.unwrap_or(from).to_string()
}

/// The number in `(before, from]` with the most trailing zeros.
fn roundest(before: i128, from: i128) -> i128 {
    let tens = (0..=19).rev().map(|power| 10_i128.pow(power));
    let round = tens
        .map(|ten| from - from.rem_euclid(ten))
        .find(|round| *round > before);
    round.unwrap_or(from)
}

/// How much a point tells: the length of a text, the digits of a number without trailing zeros.
fn weight(point: &ScalarValue) -> usize {
    match point {
        ScalarValue::Utf8(Some(text)) => text.len(),
        other => other.to_string().trim_end_matches('0').len(),
    }
}

/// `count` points above `last`, or below everything if there is no room above.
fn surplus(last: Option<&ScalarValue>, data_type: &DataType, count: usize) -> Result<Vec<ScalarValue>, SplitError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if *data_type == DataType::Utf8 {
        let text = |n| ScalarValue::Utf8(Some(format!("{BEYOND}{n:05}")));
        return Ok((0..count).map(text).collect());
    }
    let start = last.and_then(integer).unwrap_or(0);
    let number = |n: usize| {
        let text = (start + 1 + n as i128).to_string();
        let fault = || SplitError::Value {
            index: n,
            data_type: data_type.clone(),
        };
        ScalarValue::try_from_string(text, data_type).map_err(|_| fault())
    };
    (0..count).map(number).collect()
}

fn integer(value: &ScalarValue) -> Option<i128> {
    value.to_string().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn text_points(ids: Vec<String>, shards: usize) -> Vec<String> {
        let mut sample = Sample::default();
        sample.add(&(Arc::new(StringArray::from(ids)) as ArrayRef)).unwrap();
        let points = points(sample, &DataType::Utf8, shards).unwrap();
        points.iter().map(|p| p.to_string()).collect()
    }

    fn scattered(count: u64) -> Vec<String> {
        (0..count)
            .map(|n| format!("{:016X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect()
    }

    #[test]
    fn shards_are_even_and_points_are_no_ids() {
        let ids = scattered(20_000);
        let points = text_points(ids.clone(), 16);
        assert_eq!(points.len(), 15);
        for shard in 0..16 {
            let low = if shard == 0 { "" } else { points[shard - 1].as_str() };
            let inside = |id: &&String| id.as_str() >= low && points.get(shard).is_none_or(|high| *id < high);
            let count = ids.iter().filter(inside).count();
            assert!((1000..1500).contains(&count), "shard {shard} has {count} of 20000");
        }
        assert!(points.iter().all(|point| point.len() <= 3), "{points:?}");
    }

    #[test]
    fn order_and_repetition_of_rows_change_nothing() {
        let ids = scattered(5_000);
        let mut shuffled: Vec<String> = ids.iter().rev().cloned().collect();
        shuffled.extend(ids.iter().take(2_000).cloned());
        assert_eq!(text_points(ids, 8), text_points(shuffled, 8));
    }

    #[test]
    fn more_shards_than_ids_gives_empty_shards() {
        let points = text_points(vec!["a".to_string(), "b".to_string()], 6);
        assert_eq!(points.len(), 5);
        assert!(points.windows(2).all(|pair| pair[0] < pair[1]), "{points:?}");
        assert_eq!(text_points(vec![], 3).len(), 2);
    }

    #[test]
    fn numbers_are_cut_at_round_ones() {
        let mut sample = Sample::default();
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..1000).map(|n| n * 7919)));
        sample.add(&ids).unwrap();
        let points = points(sample, &DataType::Int64, 4).unwrap();
        let digits: Vec<usize> = points.iter().map(weight).collect();
        assert!(digits.iter().all(|digits| *digits <= 3), "{points:?}");
        assert_eq!(roundest(-15, -3), -10);
        assert_eq!(roundest(4, 5), 5);
    }
}
