//! What the new rows of a table look like, for the report of a load: where NULL is, the least and the greatest value of
//! columns of class `plain`, and how many rows are there more than once. Of other classes a least or greatest value would be
//! the value of one patient.
//!
//! Rows come in the table's order, so that equal ones share its columns, and only rows that do are kept at a time, as 128
//! bits each. A table without an order is kept whole in this way.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{partition, take_record_batch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::util::display::array_value_to_string;
use datafusion::common::hash_utils::{QualityRandomState, create_hashes};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use futures::future::ready;
use parcours_keys::ColumnClass;
use parking_lot::Mutex;

use super::report::ColumnReport;
use crate::snapshot::class_of;
use crate::writing::shape::TableShape;

/// Rows of each source that were read and not set aside, by its URL.
pub(super) type RowsRead = Mutex<BTreeMap<String, u64>>;

/// What was seen of a table's new rows.
pub(super) struct Profile {
    columns: Vec<ColumnProfile>,
    order: Vec<usize>,
    together: Together,
    repeated: u64,
}

struct ColumnProfile {
    name: String,
    data_type: DataType,
    class: Option<ColumnClass>,
    nulls: u64,
    bounds: Option<(MinAccumulator, MaxAccumulator)>,
}

/// Rows that share the columns of the order with the last one.
#[derive(Default)]
struct Together {
    /// Those columns of the last row.
    last: Option<RecordBatch>,
    seen: HashSet<Bits>,
}

impl Profile {
    pub(super) fn new(table: &TableShape) -> Result<Self> {
        let columns = table.schema.fields().iter().map(|field| ColumnProfile::new(field));
        let order = table.sorted_by().map(|name| table.schema.index_of(name));
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
            order: order.collect::<std::result::Result<_, _>>()?,
            together: Together::default(),
            repeated: 0,
        })
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        for (column, values) in self.columns.iter_mut().zip(rows.columns()) {
            column.add(values)?;
        }
        self.add_repeated(rows)
    }

    /// Counts the rows that were there before among those that share the order's columns.
    fn add_repeated(&mut self, rows: &RecordBatch) -> Result<()> {
        if self.order.is_empty() {
            return self.add_group(rows, 0..rows.num_rows());
        }
        let keys = rows.project(&self.order)?;
        let groups = partition(keys.columns())?.ranges();
        let goes_on = self.together.last.as_ref() == Some(&keys.slice(0, 1));
        for group in groups {
            let (first, last) = (group.start == 0, group.end == rows.num_rows());
            if !(first && goes_on) {
                self.together.seen.clear();
            }
            // A row that shares them with no other is there once.
            if group.len() > 1 || last || (first && goes_on) {
                self.add_group(rows, group)?;
            }
        }
        // Not a slice, which would hold on to the whole batch.
        let last = UInt64Array::from(vec![rows.num_rows() as u64 - 1]);
        self.together.last = Some(take_record_batch(&keys, &last)?);
        Ok(())
    }

    fn add_group(&mut self, rows: &RecordBatch, group: Range<usize>) -> Result<()> {
        for bits in bits_of(rows.slice(group.start, group.len()).columns())? {
            self.repeated += u64::from(!self.together.seen.insert(bits));
        }
        Ok(())
    }

    /// Rows that are there again after they were there once.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    pub(super) fn columns(&mut self) -> Result<Vec<ColumnReport>> {
        self.columns.iter_mut().map(ColumnProfile::report).collect()
    }
}

/// 128 bits of a row that tell it apart from others: of a thousand million rows, two have the same by a chance of less than
/// one in 10^18.
pub(super) type Bits = [u64; 2];

/// Returns the bits of each row of these columns, whatever they hold.
pub(super) fn bits_of(columns: &[ArrayRef]) -> Result<impl Iterator<Item = Bits>> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut bits = [vec![0; rows], vec![0; rows]];
    for (seed, bits) in (0..).zip(&mut bits) {
        create_hashes(columns, &QualityRandomState::with_seed(seed), bits)?;
    }
    let [a, b] = bits;
    Ok(a.into_iter().zip(b).map(|(a, b)| [a, b]))
}

impl ColumnProfile {
    fn new(field: &Field) -> Result<Self> {
        let (class, data_type) = (class_of(field), field.data_type());
        let bounds = match class {
            Some(ColumnClass::Plain) => {
                Some((MinAccumulator::try_new(data_type)?, MaxAccumulator::try_new(data_type)?))
            }
            _ => None,
        };
        Ok(Self {
            name: field.name().clone(),
            data_type: data_type.clone(),
            class,
            nulls: 0,
            bounds,
        })
    }

    fn add(&mut self, values: &ArrayRef) -> Result<()> {
        self.nulls += values.logical_null_count() as u64;
        if let Some((least, greatest)) = &mut self.bounds {
            least.update_batch(std::slice::from_ref(values))?;
            greatest.update_batch(std::slice::from_ref(values))?;
        }
        Ok(())
    }

    fn report(&mut self) -> Result<ColumnReport> {
        let shown = |bound: &mut dyn Accumulator| -> Result<Option<String>> {
            let value = bound.evaluate()?;
            Ok(match value.is_null() {
                true => None,
                false => Some(array_value_to_string(&value.to_array()?, 0)?),
            })
        };
        let (least, greatest) = match &mut self.bounds {
            Some((least, greatest)) => (shown(least)?, shown(greatest)?),
            None => (None, None),
        };
        Ok(ColumnReport {
            name: self.name.clone(),
            class: self.class.map(|class| class.to_string()).unwrap_or_default(),
            data_type: self.data_type.to_string(),
            nulls: self.nulls,
            least,
            greatest,
        })
    }
}

/// The same rows, seen by a profile on their way.
pub(super) fn seen(rows: SendableRecordBatchStream, profile: &Arc<Mutex<Profile>>) -> SendableRecordBatchStream {
    let (schema, profile): (SchemaRef, _) = (rows.schema(), Arc::clone(profile));
    let rows = rows.and_then(move |batch| ready(profile.lock().add(&batch).map(|()| batch)));
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}
