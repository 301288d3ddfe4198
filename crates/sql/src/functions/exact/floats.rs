//! Exact sums of doubles, one for each group.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::EmitTo;

use super::Sums;
use super::pair::{Beyond, Pair, is_shrunk};

/// How many sums a whole array goes into at once, so that the processor need not wait for one.
const LANES: usize = 8;

/// Sums of doubles.
#[derive(Debug, Default)]
pub(in super::super) struct FloatSums {
    pairs: Vec<Pair>,
    /// Beside the pairs that did not suffice; shorter than `pairs`, and most often empty.
    beyond: Vec<Option<Box<Beyond>>>,
}

impl FloatSums {
    fn beyond(&mut self, group: usize) -> &mut Beyond {
        if self.beyond.len() <= group {
            self.beyond.resize(group + 1, None);
        }
        self.beyond[group].get_or_insert_default()
    }

    #[cold]
    fn add_beyond(&mut self, group: usize, value: f64) {
        let pair = self.pairs[group];
        self.pairs[group] = self.beyond(group).add(pair, value);
    }

    #[cold]
    fn subtract_beyond(&mut self, group: usize, value: f64) {
        let pair = self.pairs[group];
        self.pairs[group] = self.beyond(group).subtract(pair, value);
    }

    fn known_beyond(&self, group: usize) -> Option<&Beyond> {
        self.beyond.get(group).and_then(Option::as_deref)
    }

    fn add_parts(&mut self, group: usize, parts: &[f64]) {
        let parts = match is_shrunk(parts) {
            true => self.beyond(group).shrunk(parts),
            false => parts,
        };
        parts.iter().for_each(|part| self.add(group, *part));
    }
}

impl Sums for FloatSums {
    type Of = Float64Type;
    type Key = u64;

    fn empty(&self) -> Self {
        Self::default()
    }

    fn sum_type(&self) -> DataType {
        DataType::Float64
    }

    fn state_type(&self) -> DataType {
        DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn resize(&mut self, groups: usize) {
        self.pairs.resize(groups, Pair::default());
    }

    #[inline(always)]
    fn add(&mut self, group: usize, value: f64) {
        match self.pairs[group].with(value) {
            (pair, 0.0) => self.pairs[group] = pair,
            _ => self.add_beyond(group, value),
        }
    }

    #[inline(always)]
    fn subtract(&mut self, group: usize, value: f64) {
        match self.pairs[group].with(-value) {
            (pair, 0.0) => self.pairs[group] = pair,
            _ => self.subtract_beyond(group, value),
        }
    }

    fn add_all(&mut self, group: usize, values: &[f64]) {
        let mut lanes = [Pair::default(); LANES];
        let chunks = values.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            let mut next = lanes;
            let mut rests = [0.0; LANES];
            for (((next, rest), lane), value) in next.iter_mut().zip(&mut rests).zip(&lanes).zip(chunk) {
                (*next, *rest) = lane.with(*value);
            }
            // But for its sign, a zero has no bit.
            let any = rests.iter().fold(0, |any, rest| any | rest.to_bits() << 1);
            if any == 0 {
                lanes = next;
                continue;
            }
            chunk.iter().for_each(|value| self.add(group, *value));
        }
        rest.iter().for_each(|value| self.add(group, *value));
        for part in lanes.into_iter().filter(|lane| lane.is_some()).flat_map(Pair::parts) {
            self.add(group, part);
        }
    }

    fn take(&mut self, emit: EmitTo) -> Self {
        let pairs = emit.take_needed(&mut self.pairs);
        let known = pairs.len().min(self.beyond.len());
        let beyond = self.beyond.drain(..known).collect();
        Self { pairs, beyond }
    }

    fn sum(&self, group: usize) -> Result<Option<f64>> {
        let pair = self.pairs[group];
        let sum = match self.known_beyond(group) {
            None => pair.nearest(),
            Some(beyond) => match beyond.special.sum() {
                Some(sum) => sum,
                None => beyond.total(pair).rounded(false),
            },
        };
        Ok(pair.is_some().then_some(sum))
    }

    fn mean(&self, group: usize, count: u64) -> Result<Option<f64>> {
        let Some(sum) = self.sum(group)? else { return Ok(None) };
        // What rounding makes infinite need not be so when it is divided.
        let mean = match self.known_beyond(group) {
            Some(beyond) if sum.is_infinite() && beyond.special.sum().is_none() => {
                beyond.total(self.pairs[group]).divided(&[count])
            }
            _ => sum / count as f64,
        };
        Ok(Some(mean))
    }

    fn states(&self) -> Result<ArrayRef> {
        let mut parts: Vec<f64> = Vec::with_capacity(self.pairs.len());
        let mut lengths = Vec::with_capacity(self.pairs.len());
        for (group, pair) in self.pairs.iter().enumerate() {
            let before = parts.len();
            match self.known_beyond(group) {
                Some(beyond) => beyond.parts(*pair, &mut parts),
                None if pair.is_some() => match pair.parts() {
                    [sum, 0.0] => parts.push(sum),
                    both => parts.extend(both),
                },
                None => {}
            }
            lengths.push(parts.len() - before);
        }
        i32::try_from(parts.len()).map_err(|_| exec_datafusion_err!("sum has too many groups at once"))?;
        let known: NullBuffer = self.pairs.iter().map(|pair| pair.is_some()).collect();
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let parts = Arc::new(Float64Array::from(parts));
        Ok(Arc::new(ListArray::try_new(field, offsets, parts, Some(known))?))
    }

    fn merge(&mut self, states: &ArrayRef, group_of: impl Fn(usize) -> usize) -> Result<()> {
        let Some(states) = states.as_list_opt::<i32>() else {
            return exec_err!("sum received a state that is not its own");
        };
        let Some(parts) = states.values().as_primitive_opt::<Float64Type>() else {
            return exec_err!("sum received a state that is not its own");
        };
        for (row, range) in states.offsets().windows(2).enumerate() {
            let (from, to) = (range[0] as usize, range[1] as usize);
            if states.is_null(row) {
                continue;
            }
            if parts.null_count() == 0 {
                self.add_parts(group_of(row), &parts.values()[from..to]);
                continue;
            }
            let known: Vec<f64> = (from..to)
                .filter(|at| parts.is_valid(*at))
                .map(|at| parts.value(at))
                .collect();
            self.add_parts(group_of(row), &known);
        }
        Ok(())
    }

    fn key(value: f64) -> u64 {
        match value.is_nan() {
            true => f64::NAN.to_bits(),
            false => (value + 0.0).to_bits(),
        }
    }

    fn size(&self) -> usize {
        let boxes = self.beyond.iter().flatten().count() * size_of::<Beyond>();
        self.pairs.capacity() * size_of::<Pair>() + self.beyond.capacity() * size_of::<usize>() + boxes
    }
}
