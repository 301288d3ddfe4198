//! Codes are looked at once. Columns of codes (ATC, ICD-10, NABM) are dictionaries in Parquet: some hundred values, and a
//! number a row. A condition such as `atc LIKE 'C10AA%'` is computed for the values of a dictionary, not for each of its
//! rows, and the texts of rows that it leaves out are never made.
//!
//! The scan asks for such a column as a dictionary ([`as_dictionaries`]); where a file is opened, [`OnCodes`] puts the
//! expressions over it under [`OnDictionary`], and whoever reads the scan gets texts as before.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, new_null_array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use parking_lot::Mutex;

use super::by_value::ByValue;
use super::conditions;

/// Functions that fail for no text, so that computing them for a value of no row does no harm.
const FUNCTIONS: [&str; 10] = [
    "btrim",
    "left",
    "lower",
    "ltrim",
    "right",
    "rtrim",
    "starts_with",
    "substr",
    "substring",
    "upper",
];

/// Operators that compare texts.
const COMPARING: [Operator; 8] = [
    Operator::Eq,
    Operator::NotEq,
    Operator::Lt,
    Operator::LtEq,
    Operator::Gt,
    Operator::GtEq,
    Operator::IsDistinctFrom,
    Operator::IsNotDistinctFrom,
];

/// The type in which codes are read.
pub(super) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The columns of texts over which some of these expressions computes something.
pub(super) fn code_columns(expressions: &[Arc<dyn PhysicalExpr>]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for expr in expressions {
        // Nothing here fails: the visitor is asked for a result, and gives the same one always.
        let _ = expr.apply(|node| {
            Ok(
                match only_column(node).filter(|_| computes(node) || node.is::<ByValue>()) {
                    Some(column) => {
                        found.insert(column.name().to_owned());
                        TreeNodeRecursion::Jump
                    }
                    None => TreeNodeRecursion::Continue,
                },
            )
        });
    }
    found
}

/// The schema under which a file is read: these columns, if they are texts, as dictionaries.
pub(super) fn as_dictionaries(schema: &Schema, columns: &BTreeSet<String>) -> Option<SchemaRef> {
    let is_code = |field: &Field| *field.data_type() == DataType::Utf8 && columns.contains(field.name());
    if !schema.fields().iter().any(|field| is_code(field)) {
        return None;
    }
    let fields = schema.fields().iter().map(|field| match is_code(field) {
        true => Arc::new(field.as_ref().clone().with_data_type(dictionary())),
        false => field.clone(),
    });
    Some(Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        schema.metadata().clone(),
    )))
}

/// Whether a node, with all below it, is of the kinds that can be computed for values that no row may have.
pub(super) fn computes(expr: &Arc<dyn PhysicalExpr>) -> bool {
    !expr.is::<Column>() && !expr.is::<CastExpr>() && !expr.is::<Literal>() && is_plain(expr)
}

fn is_plain(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let itself = match expr.downcast_ref::<ScalarFunctionExpr>() {
        Some(function) => FUNCTIONS.contains(&function.name()),
        None => {
            let operator = expr.downcast_ref::<BinaryExpr>().map(BinaryExpr::op);
            operator.is_some_and(|operator| operator.is_logic_operator() || COMPARING.contains(operator))
                || expr.is::<CaseExpr>()
                || expr.is::<InListExpr>()
                || expr.is::<IsNotNullExpr>()
                || expr.is::<IsNullExpr>()
                || expr.is::<LikeExpr>()
                || expr.is::<NotExpr>()
                || expr.is::<Literal>()
                || expr.is::<Column>()
                || is_read_as_text(expr)
        }
    };
    itself && expr.children().into_iter().all(is_plain)
}

/// Whether this is a column that is turned from a dictionary into texts.
pub(super) fn is_read_as_text(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let cast = expr.downcast_ref::<CastExpr>();
    cast.is_some_and(|cast| *cast.cast_type() == DataType::Utf8 && cast.expr().is::<Column>())
}

/// The one column that the expression reads, if it is one.
pub(super) fn only_column(expr: &Arc<dyn PhysicalExpr>) -> Option<Column> {
    let mut found: Option<Column> = None;
    let mut several = false;
    let _ = expr.apply(|node| {
        if let Some(column) = node.downcast_ref::<Column>() {
            several |= found.as_ref().is_some_and(|known| known != column);
            found = Some(column.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.filter(|_| !several)
}

/// Makes [`OnCodes`].
#[derive(Debug, Default)]
pub(super) struct OnCodesFactory;

impl PhysicalExprAdapterFactory for OnCodesFactory {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let engines = DefaultPhysicalExprAdapterFactory.create(table, file.clone())?;
        Ok(Arc::new(OnCodes { engines, file }))
    }
}

/// Fits expressions to a file as the engine does, and puts those over codes on their dictionaries.
#[derive(Debug)]
struct OnCodes {
    engines: Arc<dyn PhysicalExprAdapter>,
    file: SchemaRef,
}

impl PhysicalExprAdapter for OnCodes {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let fitted = self.engines.rewrite(expr)?;
        let moved = fitted.transform_down(|node| {
            let column = only_column(&node).filter(|_| computes(&node));
            let is_code = |column: &Column| {
                let field = self.file.fields().get(column.index());
                field.is_some_and(|field| *field.data_type() == dictionary())
            };
            match column.filter(is_code) {
                Some(column) => {
                    let on_values = OnDictionary::over(column, node, &self.file)?;
                    Ok(Transformed::new(
                        Arc::new(on_values) as _,
                        true,
                        TreeNodeRecursion::Jump,
                    ))
                }
                None => Ok(Transformed::no(node)),
            }
        })?;
        Ok(conditions::together(moved.data, &self.file))
    }
}

/// An expression over one column of codes, computed once for each value of its dictionary.
#[derive(Debug)]
pub(super) struct OnDictionary {
    /// The column of codes.
    codes: Arc<dyn PhysicalExpr>,
    /// What is computed, over a batch whose only column holds values.
    computed: Arc<dyn PhysicalExpr>,
    values: SchemaRef,
    field: FieldRef,
    /// The dictionary that was seen last, and what came out for its values and, behind them, for NULL. Batches of a row
    /// group share one.
    last: Mutex<Option<(ArrayRef, ArrayRef)>>,
}

impl OnDictionary {
    fn over(column: Column, expr: Arc<dyn PhysicalExpr>, file: &Schema) -> Result<Self> {
        let field = expr.return_field(file)?;
        let values = Arc::new(Schema::new(vec![Field::new(column.name(), DataType::Utf8, true)]));
        let value: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), 0));
        let computed = expr.transform_down(|node| {
            let is_value = node.is::<Column>() || is_read_as_text(&node);
            Ok(match is_value {
                true => Transformed::new(value.clone(), true, TreeNodeRecursion::Jump),
                false => Transformed::no(node),
            })
        })?;
        Ok(Self {
            codes: Arc::new(column),
            computed: computed.data,
            values,
            field,
            last: Mutex::default(),
        })
    }

    /// What comes out for each value, and behind them for NULL.
    fn for_values(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if let Some((known, result)) = self.last.lock().as_ref()
            && is_same_dictionary(known, values)
        {
            return Ok(result.clone());
        }
        let null = new_null_array(&DataType::Utf8, 1);
        let with_null = concat(&[values.as_ref(), null.as_ref()])?;
        let rows = with_null.len();
        let batch = RecordBatch::try_new(self.values.clone(), vec![with_null])?;
        let result = self.computed.evaluate(&batch)?.into_array(rows)?;
        *self.last.lock() = Some((values.clone(), result.clone()));
        Ok(result)
    }

    /// The rows' keys, and what comes out for each value and, behind them, for NULL.
    fn by_key(&self, batch: &RecordBatch) -> Result<(Int32Array, ArrayRef)> {
        let codes = self.codes.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(codes) = codes.as_dictionary_opt::<Int32Type>() else {
            return internal_err!("codes must come as a dictionary, not as {}", codes.data_type());
        };
        Ok((codes.keys().clone(), self.for_values(codes.values())?))
    }

    /// The texts that come out, as a dictionary; the same one in memory for batches whose codes have one dictionary.
    pub(super) fn texts(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let (keys, texts) = self.by_key(batch)?;
        let null = texts.len().saturating_sub(1);
        let keys = match texts.is_null(null) {
            true => keys,
            false => with_null_at(&keys, null),
        };
        Ok(Arc::new(DictionaryArray::try_new(keys, texts)?))
    }
}

/// The same keys, with this one for NULL.
fn with_null_at(keys: &Int32Array, null: usize) -> Int32Array {
    match keys.null_count() {
        0 => keys.clone(),
        _ => keys
            .iter()
            .map(|key| key.unwrap_or(null as i32))
            .collect::<Vec<_>>()
            .into(),
    }
}

impl PhysicalExpr for OnDictionary {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(self.field.clone())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let (keys, result) = self.by_key(batch)?;
        if let Some(answers) = result.as_boolean_opt() {
            return Ok(ColumnarValue::Array(Arc::new(answers_by_row(&keys, answers))));
        }
        let places = with_null_at(&keys, result.len().saturating_sub(1));
        Ok(ColumnarValue::Array(take(result.as_ref(), &places, None)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.codes]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let Ok([codes]) = <[Arc<dyn PhysicalExpr>; 1]>::try_from(children) else {
            return internal_err!("an expression over codes has one column");
        };
        Ok(Arc::new(Self {
            codes,
            computed: self.computed.clone(),
            values: self.values.clone(),
            field: self.field.clone(),
            last: Mutex::default(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.computed.fmt_sql(f)
    }
}

impl fmt::Display for OnDictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by value", self.computed)
    }
}

/// Whether two dictionaries are one in memory. Batches of a row group come with an array of their own each, over the same
/// buffers.
pub fn is_same_dictionary(one: &ArrayRef, other: &ArrayRef) -> bool {
    Arc::ptr_eq(one, other) || one.to_data().ptr_eq(&other.to_data())
}

/// The answer to each row from those to each value and, behind them, to NULL. What `take` does for any type, for a condition
/// that is asked of every row of a table, at a fraction of its price.
fn answers_by_row(keys: &Int32Array, answers: &BooleanArray) -> BooleanArray {
    let of_null = answers.len().saturating_sub(1);
    let null_is_null = answers.is_null(of_null);
    let by_row = |of: &BooleanBuffer| {
        let rows = looked_up(keys.values(), of);
        match keys.nulls() {
            // What stands at the place of a NULL does not matter where its answer is NULL.
            Some(valid) if !null_is_null && of.value(of_null) => &rows | &!valid.inner(),
            Some(valid) if !null_is_null => &rows & valid.inner(),
            _ => rows,
        }
    };
    let valid = match (answers.nulls(), answers.null_count()) {
        (None, _) | (_, 0) => None,
        (_, 1) if null_is_null => keys.nulls().cloned(),
        (Some(valid), _) => {
            let of_values = NullBuffer::new(by_row(valid.inner()));
            let of_keys = keys.nulls().filter(|_| null_is_null);
            NullBuffer::union(Some(&of_values), of_keys)
        }
    };
    BooleanArray::new(by_row(answers.values()), valid)
}

/// Most values for which a table of fixed size is filled, in which no place has to be checked.
const TABLE: usize = 4096;

/// The bit at each of these places.
fn looked_up(places: &[i32], bits: &BooleanBuffer) -> BooleanBuffer {
    let answers = bits.iter().map(u8::from);
    if bits.len() > TABLE {
        let table: Vec<u8> = answers.collect();
        return packed(places, |place| table.get(place as usize).copied().unwrap_or_default());
    }
    let mut table = [0; TABLE];
    table.iter_mut().zip(answers).for_each(|(answer, bit)| *answer = bit);
    packed(places, |place| table[place as usize % TABLE])
}

/// The bits (0 or 1) of these places, eight in a byte.
fn packed(places: &[i32], bit: impl Fn(i32) -> u8) -> BooleanBuffer {
    let byte = |eight: &[i32; 8]| (0..8).fold(0, |byte, n| byte | bit(eight[n]) << n);
    let (eights, rest) = places.as_chunks::<8>();
    let mut bytes = Vec::with_capacity(eights.len() + 1);
    bytes.extend(eights.iter().map(byte));
    bytes.push(rest.iter().rev().fold(0, |byte, place| byte << 1 | bit(*place)));
    BooleanBuffer::new(bytes.into(), 0, places.len())
}

impl PartialEq for OnDictionary {
    fn eq(&self, other: &Self) -> bool {
        self.codes.eq(&other.codes) && self.computed.eq(&other.computed)
    }
}

impl Eq for OnDictionary {}

impl Hash for OnDictionary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.codes.hash(state);
        self.computed.hash(state);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::UInt32Array;

    /// What `take` says, which is looked up otherwise.
    fn taken(keys: &Int32Array, answers: &BooleanArray) -> BooleanArray {
        let null = answers.len() as u32 - 1;
        let places: UInt32Array = keys
            .iter()
            .map(|key| Some(key.map_or(null, |key| key as u32)))
            .collect();
        take(answers, &places, None).unwrap().as_boolean().clone()
    }

    #[test]
    fn rows_are_answered_as_their_values_are() {
        let some = Int32Array::from(vec![Some(0), None, Some(2), Some(1), None, Some(0)]);
        let all = Int32Array::from(vec![2, 2, 1, 0, 1]);
        for last in [None, Some(true), Some(false)] {
            for second in [None, Some(true)] {
                let answers = BooleanArray::from(vec![Some(true), second, Some(false), last]);
                assert_eq!(answers_by_row(&some, &answers), taken(&some, &answers));
                assert_eq!(answers_by_row(&all, &answers), taken(&all, &answers));
            }
        }
    }

    #[test]
    fn rows_beyond_whole_bytes_are_answered() {
        for values in [300, 5_000] {
            let answers = (0..values).map(|value| Some(value % 3 == 0));
            let answers: BooleanArray = answers.chain([None]).collect();
            for rows in [1, 7, 8, 9, 63, 64, 65, 1000] {
                let keys: Int32Array = (0..rows)
                    .map(|row| (row % 11 != 4).then_some(row * 7 % values))
                    .collect();
                for keys in [keys.slice(1, keys.len() - 1), keys] {
                    assert_eq!(answers_by_row(&keys, &answers), taken(&keys, &answers));
                }
            }
        }
    }

    #[test]
    fn dictionaries_over_the_same_texts_are_one() {
        let values: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["a", "b"]));
        let again = arrow::array::make_array(values.to_data());
        let like: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["a", "b"]));
        assert!(is_same_dictionary(&values, &again));
        assert!(!is_same_dictionary(&values, &like));
    }

    #[test]
    fn a_dictionary_without_values_answers_null() {
        let nothing = Int32Array::from(vec![None, None]);
        let answers = BooleanArray::from(vec![None]);
        assert_eq!(answers_by_row(&nothing, &answers), BooleanArray::from(vec![None, None]));
    }
}
