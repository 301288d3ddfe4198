//! Conditions looked at in one pass. Parquet's reader computes each part of `a AND b AND c` for itself, and after each one
//! makes a selection of rows for the next. That pays where rows that pass lie together, so that pages are skipped; rows in
//! the order of patients lie scattered, and every page is read whatever was selected. So parts over columns that cost
//! little to decode, numbers, dates and codes, are one condition; others stay behind it, and read what it leaves.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, lit};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{conjunction, split_conjunction};

/// The same condition, with parts over cheap columns as one that is not taken apart again.
pub(super) fn together(condition: Arc<dyn PhysicalExpr>, file: &Schema) -> Arc<dyn PhysicalExpr> {
    let parts = split_conjunction(&condition).into_iter().cloned();
    let (cheap, others): (Vec<_>, Vec<_>) = parts.partition(|part| is_cheap(part, file));
    if cheap.len() < 2 {
        return condition;
    }
    // A disjunction is not taken apart, and statistics are held against it as against what is in it.
    let whole = Arc::new(BinaryExpr::new(conjunction(cheap), Operator::Or, lit(false)));
    conjunction(std::iter::once(whole as Arc<dyn PhysicalExpr>).chain(others))
}

fn is_cheap(part: &Arc<dyn PhysicalExpr>, file: &Schema) -> bool {
    let fixed = |data_type: &DataType| {
        data_type.is_primitive() || matches!(data_type, DataType::Boolean | DataType::Dictionary(..))
    };
    let mut columns = collect_columns(part).into_iter();
    columns.all(|column| {
        file.fields()
            .get(column.index())
            .is_some_and(|field| fixed(field.data_type()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::physical_expr::expressions::{binary, col};

    fn schema() -> Schema {
        let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let fields = [
            ("n", DataType::Int64),
            ("d", DataType::Date32),
            ("c", codes),
            ("t", DataType::Utf8),
        ];
        Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec())
    }

    fn present(name: &str) -> Arc<dyn PhysicalExpr> {
        datafusion::physical_expr::expressions::is_not_null(col(name, &schema()).unwrap()).unwrap()
    }

    fn parts(names: &[&str]) -> Vec<String> {
        let condition = conjunction(names.iter().map(|name| present(name)));
        let fitted = together(condition, &schema());
        split_conjunction(&fitted)
            .into_iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn cheap_parts_become_one() {
        let one = "n@0 IS NOT NULL AND d@1 IS NOT NULL AND c@2 IS NOT NULL OR false";
        assert_eq!(parts(&["n", "d", "c"]), [one]);
        assert_eq!(parts(&["n", "t", "d", "c"]), [one, "t@3 IS NOT NULL"]);
    }

    #[test]
    fn a_single_part_stays_as_it_is() {
        assert_eq!(parts(&["n"]), ["n@0 IS NOT NULL"]);
        assert_eq!(parts(&["t", "n"]), ["t@3 IS NOT NULL", "n@0 IS NOT NULL"]);
        let schema = schema();
        let sum = binary(col("n", &schema).unwrap(), Operator::Plus, lit(1i64), &schema).unwrap();
        assert_eq!(together(sum, &schema).to_string(), "n@0 + 1");
    }
}
