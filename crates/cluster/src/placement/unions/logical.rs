//! The union in a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, Union, UserDefinedLogicalNodeCore};

/// A union of which it is said how its parts lie once they are planned.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlacedUnion {
    parts: Vec<LogicalPlan>,
    schema: DFSchemaRef,
}

impl PlacedUnion {
    /// In the place of `union`.
    pub(crate) fn of(union: Union) -> Self {
        let parts = union.inputs.into_iter().map(Arc::unwrap_or_clone);
        Self {
            parts: parts.collect(),
            schema: union.schema,
        }
    }
}

impl PartialOrd for PlacedUnion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.parts
            .partial_cmp(&other.parts)
            .filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for PlacedUnion {
    fn name(&self) -> &str {
        "PlacedUnion"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.parts.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlacedUnion")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        if !exprs.is_empty() || inputs.len() != self.parts.len() {
            return internal_err!("a union has as many parts as before and no expression");
        }
        let union = Union::try_new_with_loose_types(inputs.into_iter().map(Into::into).collect())?;
        Ok(Self::of(union))
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec(); self.parts.len()])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{LogicalPlanBuilder, lit};

    use super::*;

    fn part() -> LogicalPlan {
        let values = LogicalPlanBuilder::values(vec![vec![lit(1), lit("a")]]);
        values.and_then(LogicalPlanBuilder::build).unwrap()
    }

    fn union(parts: usize) -> PlacedUnion {
        let schema = Arc::new(DFSchema::clone(part().schema()));
        let inputs = (0..parts).map(|_| Arc::new(part())).collect();
        PlacedUnion::of(Union { inputs, schema })
    }

    #[test]
    fn a_union_is_made_again_of_as_many_parts() {
        let again = |exprs, parts: usize| union(2).with_exprs_and_inputs(exprs, vec![part(); parts]);
        assert_eq!(again(vec![], 2).unwrap().inputs().len(), 2);
        assert!(again(vec![], 1).is_err() && again(vec![], 3).is_err());
        assert!(again(vec![lit(1)], 2).is_err() && again(vec![lit(1)], 3).is_err());
    }

    #[test]
    fn each_part_is_asked_for_the_columns_that_are_read() {
        assert_eq!(union(3).necessary_children_exprs(&[1]), Some(vec![vec![1]; 3]));
        assert!(union(3).expressions().is_empty());
    }
}
