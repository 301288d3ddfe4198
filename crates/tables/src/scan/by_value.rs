//! Texts that stay a dictionary. Who groups by them, or counts how many there are, looks at each value of a dictionary once
//! and at the number that a row has for it; the texts of rows are never made.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::CastExpr;

use super::codes::{OnDictionary, dictionary, is_read_as_text};

/// An expression that gives texts, and gives them as a dictionary.
#[derive(Debug, Eq)]
pub(super) struct ByValue(pub(super) Arc<dyn PhysicalExpr>);

// Derived, it would move out of what it compares.
impl PartialEq for ByValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Hash for ByValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PhysicalExpr for ByValue {
    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        let texts = self.0.return_field(input)?;
        Ok(Arc::new(texts.as_ref().clone().with_data_type(dictionary())))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if let Some(computed) = self.0.downcast_ref::<OnDictionary>() {
            return computed.texts(batch).map(ColumnarValue::Array);
        }
        // A column of codes that is only read; any other texts, where a file was not opened for it.
        let read = self.0.downcast_ref::<CastExpr>().filter(|_| is_read_as_text(&self.0));
        let texts = read.map_or(&self.0, CastExpr::expr).evaluate(batch)?;
        let texts = texts.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(match *texts.data_type() == dictionary() {
            true => texts,
            false => cast(&texts, &dictionary())?,
        }))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let Ok([texts]) = <[Arc<dyn PhysicalExpr>; 1]>::try_from(children) else {
            return internal_err!("texts by value are of one expression");
        };
        Ok(Arc::new(Self(texts)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

impl fmt::Display for ByValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as a dictionary", self.0)
    }
}
