//! Rows in runs: where rows are ordered by patient, those of one patient follow each other, and who is who is told by looking
//! at neighbours, without a table of all.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, UInt64Array};
use arrow::compute::{cast, concat, filter, partition, take};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use parcours_tables::scan::is_same_dictionary;

/// The runs of a batch, and whether the first goes on with the last of the batch before.
pub(super) struct Runs {
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) goes_on: bool,
}

/// Tells runs of one key from the next, batch after batch.
#[derive(Default)]
pub(super) struct Neighbours {
    /// The key of the last row, alone in an array.
    last: Option<ArrayRef>,
}

impl Neighbours {
    /// The runs of a batch whose rows have these keys, or codes of them.
    pub(super) fn runs(&mut self, keys: &ArrayRef) -> Result<Runs> {
        let ranges = ranges_of(keys)?;
        if keys.is_empty() {
            return Ok(Runs { ranges, goes_on: false });
        }
        let goes_on = match &self.last {
            Some(last) => {
                let first = rows_of(keys, [0].into_iter())?;
                let both = concat(&[last.as_ref(), first.as_ref()])?;
                partition(&[both])?.len() == 1
            }
            None => false,
        };
        self.last = Some(rows_of(keys, [keys.len() - 1].into_iter())?);
        Ok(Runs { ranges, goes_on })
    }
}

fn ranges_of(keys: &ArrayRef) -> Result<Vec<Range<usize>>> {
    let Some(codes) = keys.as_dictionary_opt::<Int32Type>() else {
        return Ok(partition(std::slice::from_ref(keys))?.ranges());
    };
    let by_code = partition(&[Arc::new(codes.keys().clone())])?.ranges();
    // Two codes may be of one text, where dictionaries were put together.
    let texts = rows_of(keys, by_code.iter().map(|range| range.start))?;
    let by_text = partition(&[texts])?.ranges();
    let range = |of: &Range<usize>| by_code[of.start].start..by_code[of.end - 1].end;
    Ok(by_text.iter().map(range).collect())
}

/// The group of each row, where runs are groups that are numbered from `first` on.
pub(super) fn groups_of(first: usize, runs: &[Range<usize>]) -> Vec<usize> {
    let runs = (first..).zip(runs);
    runs.flat_map(|(group, rows)| std::iter::repeat_n(group, rows.len()))
        .collect()
}

/// These rows of an array, copied out of it, those of a dictionary as its values.
pub(super) fn rows_of(array: &ArrayRef, rows: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    let rows = UInt64Array::from_iter_values(rows.map(|row| row as u64));
    let rows = take(array, &rows, None)?;
    Ok(match rows.data_type() {
        DataType::Dictionary(_, of) => cast(&rows, of)?,
        _ => rows,
    })
}

/// More values than this are let go of when the next run begins.
const MANY_VALUES: usize = if cfg!(test) { 8 } else { 1 << 16 };

/// As many texts, of which a dictionary may have some that no row has.
const MANY_TEXTS: usize = 4 * MANY_VALUES;

/// Counts the values that are new to their run: a number for each value, and the run in which it was seen last.
pub(super) struct NewToRun {
    /// For each column that comes as a dictionary, its texts; in `values` stand their numbers.
    texts: Vec<Option<Texts>>,
    values: Box<dyn GroupValues>,
    ids: Vec<usize>,
    seen: Vec<u64>,
}

impl NewToRun {
    /// For columns of these types.
    pub(super) fn new(fields: Vec<Arc<Field>>) -> Result<Self> {
        let texts = fields.iter().map(|field| Texts::of(field).transpose());
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let numbered = fields.into_iter().zip(&texts).map(|(field, texts)| match texts {
            Some(_) => Arc::new(field.as_ref().clone().with_data_type(DataType::UInt32)),
            None => field,
        });
        Ok(Self {
            values: group_values(numbered.collect())?,
            texts,
            ids: Vec::new(),
            seen: Vec::new(),
        })
    }

    /// How many different values there are.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        let texts = self.texts.iter().flatten().map(Texts::size);
        self.values.size() + texts.sum::<usize>() + self.seen.capacity() * 8 + self.ids.capacity() * 8
    }

    /// The numbers of the rows that were numbered last.
    pub(super) fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// Numbers the rows of these columns by their values.
    pub(super) fn number(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let numbered = columns.iter().zip(&mut self.texts).map(|(column, texts)| match texts {
            Some(texts) => texts.number(column),
            None => Ok(Arc::clone(column)),
        });
        let numbered = numbered.collect::<Result<Vec<_>>>()?;
        self.values.intern(&numbered, &mut self.ids)?;
        self.seen.resize(self.values.len(), 0);
        Ok(())
    }

    /// Calls `new` with the number of each value of `rows` (of the columns numbered last) that is new to this run; runs are
    /// numbered from 1.
    pub(super) fn each_new(&mut self, rows: Range<usize>, run: u64, mut new: impl FnMut(usize, usize)) {
        for (row, id) in rows.clone().zip(&self.ids[rows]) {
            if self.seen[*id] != run {
                self.seen[*id] = run;
                new(row, *id);
            }
        }
    }

    /// The values in the order of their numbers, texts as texts. Those that this run has had are numbered anew, and not new to
    /// it; there are no others after that.
    pub(super) fn emit_but_keep(&mut self, run: u64) -> Result<Vec<ArrayRef>> {
        let in_run: BooleanArray = self.seen.iter().map(|seen| Some(*seen == run)).collect();
        let values = all_of(&mut self.values)?;
        let values = values
            .into_iter()
            .zip(&mut self.texts)
            .map(|(column, texts)| match texts {
                Some(texts) => texts.give(&column),
                None => Ok(column),
            });
        let values = values.collect::<Result<Vec<_>>>()?;
        self.seen.clear();
        let kept = values.iter().map(|values| filter(values, &in_run));
        let kept = kept.collect::<std::result::Result<Vec<_>, _>>()?;
        self.number(&kept)?;
        self.seen.fill(run);
        Ok(values)
    }

    /// Forgets values that this run has not had, should there be many.
    pub(super) fn forget_all_but(&mut self, run: u64) -> Result<()> {
        let texts = self.texts.iter().flatten().map(|texts| texts.values.len());
        if self.len() > MANY_VALUES || texts.max().is_some_and(|texts| texts > MANY_TEXTS) {
            self.emit_but_keep(run)?;
        }
        Ok(())
    }
}

/// Texts and their numbers. Those of a dictionary are looked up once for all batches that share it.
struct Texts {
    values: Box<dyn GroupValues>,
    /// The dictionary that was seen last, and the number of each of its values.
    last: Option<(ArrayRef, UInt32Array)>,
}

impl Texts {
    /// For a column of this type, if it is a dictionary.
    fn of(field: &Field) -> Option<Result<Self>> {
        let of = match field.data_type() {
            DataType::Dictionary(key, of) if **key == DataType::Int32 => of,
            _ => return None,
        };
        let texts = Arc::new(field.clone().with_data_type(of.as_ref().clone()));
        Some(group_values(vec![texts]).map(|values| Self { values, last: None }))
    }

    fn size(&self) -> usize {
        let last = self.last.as_ref();
        self.values.size() + last.map_or(0, |(_, numbers)| numbers.get_array_memory_size())
    }

    /// The number of each row's text, NULL for NULL.
    fn number(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let Some(codes) = column.as_dictionary_opt::<Int32Type>() else {
            return Ok(Arc::new(self.numbers(column)?));
        };
        let known = match &self.last {
            Some((last, numbers)) if is_same_dictionary(last, codes.values()) => numbers.clone(),
            _ => {
                let numbers = self.numbers(codes.values())?;
                self.last = Some((Arc::clone(codes.values()), numbers.clone()));
                numbers
            }
        };
        Ok(take(&known, codes.keys(), None)?)
    }

    fn numbers(&mut self, texts: &ArrayRef) -> Result<UInt32Array> {
        let mut numbers = Vec::new();
        self.values.intern(std::slice::from_ref(texts), &mut numbers)?;
        let numbers = numbers.into_iter().map(|number| number as u32).collect::<Vec<_>>();
        Ok(UInt32Array::new(numbers.into(), texts.nulls().cloned()))
    }

    /// The texts of these numbers; none has a number after that.
    fn give(&mut self, numbers: &ArrayRef) -> Result<ArrayRef> {
        self.last = None;
        let texts = all_of(&mut self.values)?;
        match texts.first() {
            Some(texts) => Ok(take(texts, numbers, None)?),
            None => internal_err!("texts have a column"),
        }
    }
}

fn group_values(fields: Vec<Arc<Field>>) -> Result<Box<dyn GroupValues>> {
    new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)
}

/// All values, which are gone after that.
fn all_of(values: &mut Box<dyn GroupValues>) -> Result<Vec<ArrayRef>> {
    let all = values.emit(EmitTo::All)?;
    // It gives its values out and goes on finding them, unless it is told not to.
    values.clear_shrink(0);
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{DictionaryArray, Int32Array, Int64Array, StringArray};

    fn codes(values: &[Option<&str>], keys: &[Option<i32>]) -> ArrayRef {
        let values = Arc::new(StringArray::from(values.to_vec()));
        Arc::new(DictionaryArray::new(Int32Array::from(keys.to_vec()), values))
    }

    #[test]
    fn texts_of_several_dictionaries_are_numbered_as_texts_are() {
        let first = codes(
            &[Some("a"), Some("b"), None, Some("a")],
            &[Some(3), None, Some(1), Some(2), Some(0)],
        );
        let second = codes(&[Some("c"), Some("b")], &[Some(1), Some(0), None]);
        let field = |of: &DataType| Arc::new(Field::new("value", of.clone(), true));
        let n = field(&DataType::Int64);
        let mut by_code = NewToRun::new(vec![field(first.data_type()), Arc::clone(&n)]).unwrap();
        let mut by_text = NewToRun::new(vec![field(&DataType::Utf8), n]).unwrap();
        for round in 0..2 {
            // The last rows of the first batch stand for those that lie in memory as the batch before did.
            for batch in [&first, &second, &first.slice(1, 4)] {
                let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..batch.len()).map(|n| n as i64 % 2)));
                let texts = cast(batch, &DataType::Utf8).unwrap();
                by_code.number(&[Arc::clone(batch), Arc::clone(&numbers)]).unwrap();
                by_text.number(&[texts, numbers]).unwrap();
                assert_eq!(by_code.ids(), by_text.ids(), "{round}");
                by_code.each_new(0..batch.len(), round + 1, |_, _| {});
                by_text.each_new(0..batch.len(), round + 1, |_, _| {});
            }
            let given = by_code.emit_but_keep(round).unwrap();
            assert_eq!(given, by_text.emit_but_keep(round).unwrap());
            assert!(!given[0].is_empty() && by_code.len() == 0);
        }
    }

    #[test]
    fn runs_of_codes_are_those_of_texts() {
        let (a, b) = (Some("a"), Some("b"));
        // The same text has two codes, and a run of it goes on in the next batch under a third.
        let batches = [
            codes(&[a, b, b], &[Some(0), Some(0), Some(1), Some(2), Some(2)]),
            codes(&[b, a], &[Some(0), Some(1), None, None]),
            codes(&[a], &[None, Some(0)]),
        ];
        let (mut by_code, mut by_text) = (Neighbours::default(), Neighbours::default());
        let mut goes_on = Vec::new();
        for batch in &batches {
            let codes = by_code.runs(batch).unwrap();
            let texts = by_text.runs(&cast(batch, &DataType::Utf8).unwrap()).unwrap();
            assert_eq!((&codes.ranges, codes.goes_on), (&texts.ranges, texts.goes_on));
            goes_on.push(codes.goes_on);
        }
        assert_eq!(goes_on, [false, true, true]);
    }
}
