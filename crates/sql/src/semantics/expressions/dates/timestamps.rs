//! Which type a statement means by TIMESTAMP.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::common::datatype::DataTypeExt;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

use super::MICROSECONDS;

/// Plans TIMESTAMP without a precision as one of microseconds, which reach from year 1 to 9999 and are what tables have.
/// TIMESTAMP(9) stays one of nanoseconds.
#[derive(Debug, Default)]
pub(in super::super) struct Microseconds;

impl TypePlanner for Microseconds {
    fn plan_type_field(&self, of: &SqlType) -> Result<Option<FieldRef>> {
        let local = matches!(
            of,
            SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) | SqlType::Datetime(None)
        );
        let planned: Option<DataType> = local.then_some(MICROSECONDS);
        Ok(planned.map(DataTypeExt::into_nullable_field_ref))
    }
}
