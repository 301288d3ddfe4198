//! `array_has(list, x)`: whether a list has a value that is not NULL. The engine says so of a constant, and NULL of a column's
//! value that is not in a list with a NULL. `array_has_any` and `array_has_all`, which `&&`, `@>` and `<@` are written for:
//! NULL is in no list, as in PostgreSQL, where the engine takes two NULLs for equal.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, GenericListArray, OffsetSizeTrait};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{filter, is_not_null};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_nested::array_has::{array_has_all_udf, array_has_any_udf, array_has_udf};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};

/// The functions.
pub(super) fn contains() -> [ScalarUDF; 3] {
    [
        (array_has_udf(), Found::Value),
        (array_has_any_udf(), Found::Values),
        (array_has_all_udf(), Found::Values),
    ]
    .map(|(of, found)| ScalarUDF::from(Contains { of, found }))
}

/// What is looked for in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Found {
    Value,
    /// Those of another list.
    Values,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Contains {
    of: Arc<ScalarUDF>,
    found: Found,
}

impl ScalarUDFImpl for Contains {
    types_of_the_engines!();

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.found == Found::Values
            && let Some(list) = args.args.first_mut()
        {
            *list = without_nulls(list)?;
        }
        let rows = args.number_rows;
        let arrays = args
            .args
            .iter()
            .map(|arg| arg.to_array(rows))
            .collect::<Result<Vec<_>>>()?;
        Ok(match self.of.invoke_with_args(args)? {
            ColumnarValue::Array(found) => ColumnarValue::Array(decided(&found, &arrays)),
            ColumnarValue::Scalar(found) => {
                let found = decided(&found.to_array_of_size(rows)?, &arrays);
                match rows {
                    0 => ColumnarValue::Array(found),
                    _ => ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?),
                }
            }
        })
    }
}

/// Says whether something was found where both the list and what is looked for are known, and NULL elsewhere.
fn decided(found: &ArrayRef, arrays: &[ArrayRef]) -> ArrayRef {
    let known = |row| {
        arrays
            .iter()
            .all(|array| !array.data_type().is_null() && array.is_valid(row))
    };
    let found = found.as_boolean().iter().enumerate();
    let found: BooleanArray = found
        .map(|(row, found)| known(row).then_some(found == Some(true)))
        .collect();
    Arc::new(found)
}

/// The lists without their values that are NULL.
fn without_nulls(lists: &ColumnarValue) -> Result<ColumnarValue> {
    Ok(match lists {
        ColumnarValue::Array(lists) => ColumnarValue::Array(known(lists)?),
        ColumnarValue::Scalar(list) => {
            let list = known(&list.to_array()?)?;
            ColumnarValue::Scalar(ScalarValue::try_from_array(&list, 0)?)
        }
    })
}

fn known(lists: &ArrayRef) -> Result<ArrayRef> {
    match lists.data_type() {
        DataType::List(item) => known_of::<i32>(lists.as_list(), item),
        DataType::LargeList(item) => known_of::<i64>(lists.as_list(), item),
        _ => Ok(Arc::clone(lists)),
    }
}

fn known_of<O: OffsetSizeTrait>(lists: &GenericListArray<O>, item: &Arc<Field>) -> Result<ArrayRef> {
    let values = lists.values();
    if values.null_count() == 0 {
        return Ok(Arc::new(lists.clone()));
    }
    let keep = is_not_null(values)?;
    // How many values are kept before each.
    let mut before = Vec::with_capacity(values.len() + 1);
    before.push(0);
    let mut kept = 0;
    before.extend(keep.values().iter().map(|keep| {
        kept += usize::from(keep);
        kept
    }));
    let offsets = lists.value_offsets().iter();
    let offsets = offsets.filter_map(|offset| before.get(offset.as_usize()).map(|at| O::usize_as(*at)));
    let offsets = OffsetBuffer::new(offsets.collect());
    let values = filter(values, &keep)?;
    let lists = GenericListArray::<O>::try_new(Arc::clone(item), offsets, values, lists.nulls().cloned())?;
    Ok(Arc::new(lists))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, session};

    #[tokio::test]
    async fn a_value_is_in_a_list_or_not() {
        answers(
            "SELECT array_has([3, NULL, 1], 5), list_contains([3, NULL, 1], 3), array_has(NULL, 1)",
            "false,true,NULL",
        )
        .await;
        let sql = "SELECT array_has([3, NULL, x], k), array_has([3, NULL, 1], k) FROM (VALUES (1, 5), (2, 3), (7, 7), (1, NULL)) t(x, k)";
        let rows = found(&session(2), sql).await;
        assert_eq!(rows[..3], ["false,false", "true,true", "true,false"].map(str::to_owned));
    }

    #[tokio::test]
    async fn null_is_in_no_list() {
        answers(
            "SELECT array_has_all([3, NULL, 1], [3, NULL]), array_has_all([3, NULL, 1], [1]), array_has_all([NULL, 1], [1]), array_has_any([NULL, 2], [NULL, 3]), \
             array_has_any([NULL, 2], [2, NULL]), array_has_all([1], CAST(NULL AS BIGINT[])) AS n",
            "false,true,true,false,true,NULL",
        )
        .await;
        let sql = "SELECT array_has_all([x, y], [y]), array_has_any([x, y], [y, 9]) FROM (VALUES (1, 5), (2, NULL), (NULL, 7)) t(x, y)";
        let rows = found(&session(1), sql).await;
        assert_eq!(rows, ["true,true", "false,false", "true,true"]);
        let sql = "SELECT array_has_all([1], CASE WHEN x = 1 THEN [1] END), array_has_all(CASE WHEN x = 1 THEN [1] END, [1]) FROM (VALUES (1), (2)) t(x)";
        let rows = found(&session(1), sql).await;
        assert_eq!(rows, ["true,true", "NULL,NULL"]);
    }
}
