//! What the server says of itself (`GetSqlInfo`): every key of the specification that has an answer, since JDBC, ODBC and
//! the tools above them ask for all and trip over absent ones. Ordinals are 64-bit and levels are bitmasks where JDBC and
//! ODBC read them so, whatever the specification's prose says.

use std::collections::{BTreeSet, HashMap};

use arrow::{
    compute::can_cast_types,
    datatypes::{DataType, IntervalUnit, TimeUnit},
};
use arrow_flight::{
    error::FlightError,
    sql::{
        SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedGroupBy, SqlSupportedResultSetConcurrency,
        SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
        SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
        metadata::{SqlInfoData, SqlInfoDataBuilder},
    },
};
use datafusion::sql::sqlparser::keywords::{
    RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_IDENTIFIER, RESERVED_FOR_TABLE_ALIAS,
};

use super::handle::LONGEST_STATEMENT;

/// Bit 0 of the levels of ANSI-92: the entry level.
const ANSI92_ENTRY: i32 = 1;
/// Bits 1 and 2 of the levels of outer joins: limited and full.
const OUTER_JOINS: i32 = 0b110;

/// The answers to all keys.
pub(super) fn sql_info() -> Result<SqlInfoData, FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    server(&mut info);
    identifiers(&mut info);
    vocabulary(&mut info);
    syntax(&mut info);
    limits(&mut info);
    transactions(&mut info);
    result_sets(&mut info);
    info.build()
}

fn server(info: &mut SqlInfoDataBuilder) {
    info.append(SqlInfo::FlightSqlServerName, "Parcours");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(
        SqlInfo::FlightSqlServerTransaction,
        SqlSupportedTransaction::None as i32,
    );
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
    for ddl in [SqlInfo::SqlDdlCatalog, SqlInfo::SqlDdlSchema, SqlInfo::SqlDdlTable] {
        info.append(ddl, false);
    }
}

fn identifiers(info: &mut SqlInfoDataBuilder) {
    info.append(
        SqlInfo::SqlIdentifierCase,
        i64::from(SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32),
    );
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // "Unknown" is what ODBC and JDBC read as case-sensitive.
    info.append(
        SqlInfo::SqlQuotedIdentifierCase,
        i64::from(SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32),
    );
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "");
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlProcedureTerm, "procedure");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.append(SqlInfo::SqlSchemasSupportedActions, 0);
    info.append(SqlInfo::SqlCatalogsSupportedActions, 0);
}

fn vocabulary(info: &mut SqlInfoDataBuilder) {
    info.append(SqlInfo::SqlKeywords, reserved_words());
    info.append(SqlInfo::SqlNumericFunctions, functions(&["Math Functions"]));
    info.append(
        SqlInfo::SqlStringFunctions,
        functions(&["String Functions", "Regular Expression Functions"]),
    );
    info.append(SqlInfo::SqlSystemFunctions, functions(&["Conditional Functions"]));
    info.append(SqlInfo::SqlDatetimeFunctions, functions(&["Time and Date Functions"]));
}

/// The words that have to be quoted to be a name.
fn reserved_words() -> Vec<String> {
    let words = [
        RESERVED_FOR_IDENTIFIER,
        RESERVED_FOR_TABLE_ALIAS,
        RESERVED_FOR_COLUMN_ALIAS,
    ]
    .concat();
    words
        .iter()
        .map(|word| format!("{word:?}"))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The names and aliases of the functions that the engine documents under these headings.
fn functions(sections: &[&str]) -> Vec<String> {
    let all = datafusion::functions::all_default_functions();
    let documented = all.iter().filter(|function| {
        function
            .documentation()
            .is_some_and(|document| sections.contains(&document.doc_section.label))
    });
    let names = documented
        .flat_map(|function| std::iter::once(function.name().to_owned()).chain(function.aliases().iter().cloned()));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn syntax(info: &mut SqlInfoDataBuilder) {
    use SqlInfo::{
        SqlAllTablesAreSelectable, SqlCorrelatedSubqueriesSupported, SqlNullPlusNullIsNull, SqlSupportsColumnAliasing,
        SqlSupportsDifferentTableCorrelationNames, SqlSupportsExpressionsInOrderBy,
        SqlSupportsIntegrityEnhancementFacility, SqlSupportsLikeEscapeClause, SqlSupportsNonNullableColumns,
        SqlSupportsOrderByUnrelated, SqlSupportsTableCorrelationNames,
    };
    for (key, has) in [
        (SqlAllTablesAreSelectable, true),
        (SqlSupportsColumnAliasing, true),
        (SqlNullPlusNullIsNull, true),
        (SqlSupportsTableCorrelationNames, true),
        (SqlSupportsDifferentTableCorrelationNames, false),
        (SqlSupportsExpressionsInOrderBy, true),
        (SqlSupportsOrderByUnrelated, true),
        // Only the backslash escapes.
        (SqlSupportsLikeEscapeClause, false),
        (SqlSupportsNonNullableColumns, true),
        (SqlSupportsIntegrityEnhancementFacility, false),
        (SqlCorrelatedSubqueriesSupported, true),
    ] {
        info.append(key, has);
    }
    info.append(
        SqlInfo::SqlNullOrdering,
        i64::from(SqlNullOrdering::SqlNullsSortedHigh as i32),
    );
    info.append(SqlInfo::SqlSupportsConvert, conversions());
    info.append(
        SqlInfo::SqlSupportedGroupBy,
        bits(&[
            SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
            SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
        ]),
    );
    info.append(
        SqlInfo::SqlSupportedGrammar,
        bits(&[
            SupportedSqlGrammar::SqlMinimumGrammar as i32,
            SupportedSqlGrammar::SqlCoreGrammar as i32,
        ]),
    );
    info.append(SqlInfo::SqlAnsi92SupportedLevel, ANSI92_ENTRY);
    info.append(SqlInfo::SqlOuterJoinsSupportLevel, OUTER_JOINS);
    info.append(
        SqlInfo::SqlSupportedSubqueries,
        bits(&[
            SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
            SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
            SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
        ]),
    );
    info.append(
        SqlInfo::SqlSupportedUnions,
        bits(&[
            SqlSupportedUnions::SqlUnion as i32,
            SqlSupportedUnions::SqlUnionAll as i32,
        ]),
    );
}

fn bits(ordinals: &[i32]) -> i32 {
    ordinals.iter().fold(0, |mask, ordinal| mask | 1 << ordinal)
}

/// From each type to the types that `CAST` turns it into.
fn conversions() -> HashMap<i32, Vec<i32>> {
    use SqlSupportsConvert::{
        SqlConvertBigint, SqlConvertBinary, SqlConvertBit, SqlConvertChar, SqlConvertDate, SqlConvertDecimal,
        SqlConvertFloat, SqlConvertInteger, SqlConvertIntervalDayTime, SqlConvertIntervalYearMonth,
        SqlConvertLongvarbinary, SqlConvertLongvarchar, SqlConvertNumeric, SqlConvertReal, SqlConvertSmallint,
        SqlConvertTime, SqlConvertTimestamp, SqlConvertTinyint, SqlConvertVarbinary, SqlConvertVarchar,
    };
    let types = [
        (SqlConvertBigint, DataType::Int64),
        (SqlConvertBinary, DataType::Binary),
        (SqlConvertBit, DataType::Boolean),
        (SqlConvertChar, DataType::Utf8),
        (SqlConvertDate, DataType::Date32),
        (SqlConvertDecimal, DataType::Decimal128(38, 10)),
        (SqlConvertFloat, DataType::Float64),
        (SqlConvertInteger, DataType::Int32),
        (SqlConvertIntervalDayTime, DataType::Interval(IntervalUnit::DayTime)),
        (SqlConvertIntervalYearMonth, DataType::Interval(IntervalUnit::YearMonth)),
        (SqlConvertLongvarbinary, DataType::Binary),
        (SqlConvertLongvarchar, DataType::Utf8),
        (SqlConvertNumeric, DataType::Decimal128(38, 10)),
        (SqlConvertReal, DataType::Float32),
        (SqlConvertSmallint, DataType::Int16),
        (SqlConvertTime, DataType::Time64(TimeUnit::Nanosecond)),
        (SqlConvertTimestamp, DataType::Timestamp(TimeUnit::Nanosecond, None)),
        (SqlConvertTinyint, DataType::Int8),
        (SqlConvertVarbinary, DataType::Binary),
        (SqlConvertVarchar, DataType::Utf8),
    ];
    let reachable = |from: &DataType| {
        types
            .iter()
            .filter(|(_, to)| can_cast_types(from, to))
            .map(|(code, _)| *code as i32)
            .collect::<Vec<_>>()
    };
    types
        .iter()
        .map(|(code, from)| (*code as i32, reachable(from)))
        .collect()
}

/// Zero is "no limit, or not known".
fn limits(info: &mut SqlInfoDataBuilder) {
    use SqlInfo::{
        SqlDbSchemaNameLength, SqlMaxBinaryLiteralLength, SqlMaxCatalogNameLength, SqlMaxCharLiteralLength,
        SqlMaxColumnNameLength, SqlMaxColumnsInGroupBy, SqlMaxColumnsInIndex, SqlMaxColumnsInOrderBy,
        SqlMaxColumnsInSelect, SqlMaxColumnsInTable, SqlMaxConnections, SqlMaxCursorNameLength, SqlMaxIndexLength,
        SqlMaxProcedureNameLength, SqlMaxRowSize, SqlMaxStatements, SqlMaxTableNameLength, SqlMaxTablesInSelect,
        SqlMaxUsernameLength,
    };
    for unlimited in [
        SqlMaxBinaryLiteralLength,
        SqlMaxCharLiteralLength,
        SqlMaxColumnNameLength,
        SqlMaxColumnsInGroupBy,
        SqlMaxColumnsInIndex,
        SqlMaxColumnsInOrderBy,
        SqlMaxColumnsInSelect,
        SqlMaxColumnsInTable,
        SqlMaxConnections,
        SqlMaxCursorNameLength,
        SqlMaxIndexLength,
        SqlDbSchemaNameLength,
        SqlMaxProcedureNameLength,
        SqlMaxCatalogNameLength,
        SqlMaxRowSize,
        SqlMaxStatements,
        SqlMaxTableNameLength,
        SqlMaxTablesInSelect,
        SqlMaxUsernameLength,
    ] {
        info.append(unlimited, 0_i64);
    }
    info.append(SqlInfo::SqlMaxStatementLength, LONGEST_STATEMENT as i64);
    info.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions(info: &mut SqlInfoDataBuilder) {
    let none = SqlTransactionIsolationLevel::SqlTransactionNone as i32;
    info.append(SqlInfo::SqlDefaultTransactionIsolation, i64::from(none));
    info.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, bits(&[none]));
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    info.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    info.append(SqlInfo::SqlSavepointsSupported, false);
}

fn result_sets(info: &mut SqlInfoDataBuilder) {
    let read_only = bits(&[SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32]);
    info.append(
        SqlInfo::SqlSupportedResultSetTypes,
        bits(&[SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32]),
    );
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, read_only);
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0);
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0);
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0);
    info.append(SqlInfo::SqlSupportedPositionedCommands, 0);
    for absent in [
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlStoredProceduresSupported,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
    ] {
        info.append(absent, false);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::{array::AsArray, datatypes::UInt32Type};

    use super::*;

    /// The keys of the specification: 0 to 11, 100, 101 and 500 to 576, but for the two Substrait versions, which are
    /// absent where Substrait is.
    #[test]
    fn every_key_of_the_specification_has_an_answer() {
        let expected = (0..=576).filter(|key| SqlInfo::try_from(*key).is_ok() && ![6, 7].contains(key));
        let batch = sql_info().unwrap().record_batch([]).unwrap();
        let keys = batch
            .column(0)
            .as_primitive::<UInt32Type>()
            .values()
            .iter()
            .map(|key| *key as i32);
        assert_eq!(keys.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn vocabulary_names_what_the_engine_has() {
        assert!(reserved_words().contains(&"SELECT".to_owned()));
        assert!(functions(&["Math Functions"]).contains(&"abs".to_owned()));
        assert!(functions(&["String Functions"]).contains(&"upper".to_owned()));
        assert!(functions(&["Time and Date Functions"]).contains(&"date_trunc".to_owned()));
        assert!(functions(&["Conditional Functions"]).contains(&"coalesce".to_owned()));
    }

    #[test]
    fn conversions_hold_the_usual_and_leave_out_the_absurd() {
        let conversions = conversions();
        let from = |code: SqlSupportsConvert| &conversions[&(code as i32)];
        let (text, date) = (
            SqlSupportsConvert::SqlConvertVarchar,
            SqlSupportsConvert::SqlConvertDate,
        );
        assert!(from(text).contains(&(date as i32)) && from(date).contains(&(text as i32)));
        assert!(!from(date).contains(&(SqlSupportsConvert::SqlConvertBit as i32)));
    }
}
