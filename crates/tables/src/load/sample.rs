//! Chooses a dataset's split points at its first load, from a sample of the patient ids in its sources. How points follow
//! from the sample is told in `quantiles.rs`.

use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::plan::{LoadPlan, TablePlan};
use super::sort::{plain_schema, sort_error};
use super::{LoadError, LoadOptions, Step};
use crate::quantiles::{self, Sample};
use crate::source::{self, OnBad, ReadOptions};
use crate::store::Stores;

pub(super) async fn choose(
    plan: &LoadPlan,
    data_type: &DataType,
    stores: &Stores,
    options: &LoadOptions,
) -> Result<Vec<ScalarValue>, LoadError> {
    let has_ids = |table: &&TablePlan| table.shape.patient().is_some() && table.flatten.is_none();
    let by_patient = plan.tables.iter().filter(has_ids);
    let tables = quantiles::tables_to_read(by_patient, |table| (table.new_bytes(), table.name().to_owned()));
    options.progress.step(&Step::Sample {
        bytes: tables.iter().map(|table| table.new_bytes()).sum(),
    });
    let mut sample = Sample::default();
    let reading = ReadOptions {
        on_bad: OnBad::Skip,
        ..ReadOptions::default()
    };
    for table in tables {
        for (file, _) in &table.new {
            let rows = source::read(
                stores,
                &table.spec,
                plain_schema(&table.source_schema),
                file,
                reading.clone(),
            )?;
            sample_ids(rows, table, &mut sample).await?;
            options.progress.read(reading.bytes_read.load(Ordering::Relaxed));
        }
    }
    let refuse = |source| LoadError::Splits {
        dataset: plan.dataset.clone(),
        source,
    };
    quantiles::points(sample, data_type, plan.shards).map_err(refuse)
}

async fn sample_ids(
    mut rows: BoxStream<'static, Result<RecordBatch, source::SourceError>>,
    table: &TablePlan,
    sample: &mut Sample,
) -> Result<(), LoadError> {
    let Some(patient) = table.shape.patient() else {
        return Ok(());
    };
    while let Some(batch) = rows.try_next().await? {
        if let Some(ids) = batch.column_by_name(patient) {
            sample
                .add(ids)
                .map_err(|error| sort_error(table.name(), error.into()))?;
        }
    }
    Ok(())
}
