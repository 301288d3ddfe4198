//! What a load has to do: which sources are new, whether the description still fits what was loaded before, and on which
//! version the new one is built. Reads sources only to digest them; writes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use sha2::{Digest, Sha256};
use url::Url;

use super::draft::{Draft, Drafts};
use super::flatten::FlattenPlan;
use super::options::Rejects;
use super::sources::Source;
use super::{LoadError, LoadOptions, Step, sample};
use crate::delta::{CLASS_METADATA, LoggedFile};
use crate::snapshot::{DatasetRoot, Snapshot, TableSnapshot, latest_version};
use crate::source::{self, SourceFile, SourcePrint};
use crate::spec::{Dataset, Reading, Table};
use crate::splits::{Splits, hex};
use crate::store::Stores;
use crate::version::{Origin, SourceRecord, TableVersion};
use crate::writing::shape::TableShape;

/// Everything that a load is going to do.
pub(super) struct LoadPlan {
    pub(super) dataset: String,
    pub(super) patient_id: String,
    pub(super) shards: usize,
    /// The version to build on; none at the first load.
    pub(super) base: Option<Snapshot>,
    pub(super) tables: Vec<TablePlan>,
}

/// What happens to one table.
pub(super) struct TablePlan {
    pub(super) spec: Table,
    /// The table as it is written.
    pub(super) shape: TableShape,
    /// What its sources are read as, classes in the fields' metadata; the same but for a flattened table.
    pub(super) source_schema: SchemaRef,
    /// How its rows get their patient, where the sources have none.
    pub(super) flatten: Option<FlattenPlan>,
    pub(super) new: Vec<Source>,
    pub(super) skipped: usize,
    /// How its sources are read.
    pub(super) reading: Reading,
    /// Where the rows of the version before come from that stay.
    pub(super) kept: Origin,
    /// Files of the version before that stay in the new one; where the table grows, its rows written anew.
    pub(super) kept_files: Vec<LoggedFile>,
    /// Sources that are no longer there and whose rows stay while others are built anew.
    pub(super) archived: Vec<String>,
    /// Whether it has other columns than before, under which the rows that stay are written anew.
    pub(super) grows: bool,
    /// The table as it was before.
    pub(super) before: Option<Arc<TableSnapshot>>,
    /// Whether rows of it are built anew.
    pub(super) replace: bool,
}

pub(super) async fn make(
    dataset: &Dataset,
    root: &DatasetRoot,
    into: &Url,
    stores: &Stores,
    options: &LoadOptions,
) -> Result<LoadPlan, LoadError> {
    let (base, drafts) = drafts(dataset, into, stores, options).await?;
    let plan = LoadPlan {
        dataset: dataset.name.clone(),
        patient_id: dataset.patient_id.clone(),
        shards: dataset.shards as usize,
        tables: Drafts::new(&dataset.patient_id, options, &drafts).plans()?,
        base,
    };
    plan.check_description(root)?;
    Ok(plan)
}

/// The version to build on, and what there is of each table of the description.
pub(super) async fn drafts<'a>(
    dataset: &'a Dataset,
    into: &Url,
    stores: &Stores,
    options: &LoadOptions,
) -> Result<(Option<Snapshot>, Vec<Draft<'a>>), LoadError> {
    let base = match latest_version(into, &dataset.name, stores).await? {
        Some(version) => Some(Snapshot::open(into, &dataset.name, Some(version), stores).await?),
        None => None,
    };
    check_sharding(dataset, base.as_ref())?;
    let mut found = Vec::new();
    for table in &dataset.tables {
        let files = source::expand(stores, table).await?;
        let schema = source::resolve_schema(stores, table, &files).await?;
        found.push((table, files, classed_schema(table, &schema)));
    }
    let schemas = found
        .iter()
        .map(|(table, _, schema)| (table.name.as_str(), schema.as_ref()));
    source::patient_type(dataset, schemas)?;
    let total = found.iter().flat_map(|(_, files, _)| files).map(|file| file.size).sum();
    options.progress.step(&Step::Digest { bytes: total });
    let mut drafts = Vec::new();
    let mut digested = 0;
    for (table, files, schema) in found {
        let known = base.as_ref().and_then(|base| base.record().tables.get(&table.name));
        drafts.push(Draft {
            table,
            schema,
            sources: digest(table, files, stores, options, &mut digested).await?,
            reading: Reading::of(table),
            known: known.map(TableVersion::origin).unwrap_or_default(),
            before: base.as_ref().and_then(|base| base.table(&table.name)).cloned(),
        });
    }
    Ok((base, drafts))
}

/// Refuses a table that was sharded and is not, or the other way round: where its rows lie is not changed by a load.
fn check_sharding(dataset: &Dataset, base: Option<&Snapshot>) -> Result<(), LoadError> {
    for table in &dataset.tables {
        let before = base.and_then(|base| base.table(&table.name));
        if before.is_some_and(|before| before.is_sharded() != table.sharded) {
            return Err(LoadError::OtherSharding {
                table: table.name.clone(),
                sharded: table.sharded,
            });
        }
    }
    Ok(())
}

async fn digest(
    table: &Table,
    files: Vec<SourceFile>,
    stores: &Stores,
    options: &LoadOptions,
    done: &mut u64,
) -> Result<Vec<Source>, LoadError> {
    let mut digests = Vec::with_capacity(files.len());
    for file in files {
        let print = SourcePrint::of(table, &file, stores).await?;
        *done += file.size;
        options.progress.read(*done);
        digests.push((file, print));
    }
    Ok(digests)
}

/// The schema with each column's class in its field's metadata: what files and logs carry.
fn classed_schema(table: &Table, schema: &Schema) -> SchemaRef {
    let class = |field: &Arc<Field>| {
        let class = table
            .column(field.name())
            .map(|column| column.class.as_str().to_string());
        let metadata = class
            .map(|class| (CLASS_METADATA.to_string(), class))
            .into_iter()
            .collect::<HashMap<_, _>>();
        field.as_ref().clone().with_metadata(metadata)
    };
    Arc::new(Schema::new(schema.fields().iter().map(class).collect::<Vec<_>>()))
}

impl TablePlan {
    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether files are written or removed: new sources, rows built anew or grown, or a table seen for the first time.
    pub(super) fn has_work(&self) -> bool {
        !self.new.is_empty() || self.replace || self.grows || self.before.is_none()
    }

    pub(super) fn new_bytes(&self) -> u64 {
        self.new.iter().map(|(file, _)| file.size).sum()
    }

    /// Where the rows of version `number` come from.
    pub(super) fn origin(&self, number: u64, rejects: &Rejects) -> Origin {
        let reading = self.reading.digest();
        let mut origin = self.kept.clone();
        let loaded = self.new.iter().map(|(file, print)| SourceRecord {
            path: file.url.to_string(),
            sha256: print.sha256.clone(),
            folders: print.folders.clone(),
            version: number,
            reading: Some(reading.clone()),
            rejected: rejects.of(file.url.as_str()),
        });
        origin.sources.extend(loaded);
        origin.readings.insert(reading, self.reading.to_json());
        origin
    }

    fn layout(&self) -> TableLayout<'_> {
        TableLayout {
            sharded: self.spec.sharded,
            sorted_by: self.shape.sorted_by().collect(),
            schema: &self.shape.schema,
        }
    }
}

impl LoadPlan {
    pub(super) fn is_empty(&self) -> bool {
        !self.tables.iter().any(TablePlan::has_work)
    }

    /// The dataset's split points: those of the version before, else those described, else chosen now and for good.
    pub(super) async fn splits(
        &self,
        dataset: &Dataset,
        stores: &Stores,
        options: &LoadOptions,
    ) -> Result<Splits, LoadError> {
        let schemas = self
            .tables
            .iter()
            .map(|table| (table.name(), table.shape.schema.as_ref()));
        let patient = source::patient_type(dataset, schemas)?;
        let described = dataset.split_points(patient).map_err(source::SourceError::from)?;
        let version = match &self.base {
            None => 1,
            Some(base) if !self.shards_anything() => return Ok(base.splits().clone()),
            // What was described while nothing was sharded binds nobody.
            Some(base) if !has_sharded_tables(base) => base.splits().version() + 1,
            // Points that were chosen where there was no patient would send all of them into one shard.
            Some(base) if described.is_none() && has_no_patients(base) => base.splits().version() + 1,
            Some(base) => return self.splits_before(base, &patient.data_type(), described),
        };
        let points = match described {
            Some(points) => points,
            None => sample::choose(self, &patient.data_type(), stores, options).await?,
        };
        let refuse = |source| LoadError::Splits {
            dataset: self.dataset.clone(),
            source,
        };
        Splits::try_new(version, patient.data_type(), points).map_err(refuse)
    }

    /// The split points of the version before, where the description says no others.
    fn splits_before(
        &self,
        base: &Snapshot,
        patient: &DataType,
        described: Option<Vec<ScalarValue>>,
    ) -> Result<Splits, LoadError> {
        let (dataset, splits) = (self.dataset.clone(), base.splits());
        if patient != splits.data_type() {
            let difference = format!("its patient id had type {}, and has {patient}", splits.data_type());
            return Err(LoadError::Description { dataset, difference });
        }
        if described.is_some_and(|points| points != splits.points()) {
            let version = splits.version();
            return Err(LoadError::OtherSplits { dataset, version });
        }
        Ok(splits.clone())
    }

    /// SHA-256 over every table's name, layout and columns, old tables that the description no longer has included.
    pub(super) fn schema_digest(&self) -> String {
        let mut layouts: BTreeMap<&str, TableLayout<'_>> = BTreeMap::new();
        for table in self.base.iter().flat_map(|base| base.tables()) {
            layouts.insert(table.name(), TableLayout::of(table));
        }
        for table in &self.tables {
            layouts.insert(table.name(), table.layout());
        }
        let mut hash = Sha256::new();
        for (name, layout) in layouts {
            hash.update(format!("{name}\n{layout}\n"));
        }
        hex(&hash.finalize())
    }

    /// Refuses a description that differs from what was loaded before in what all sharded tables have in common. Columns are
    /// looked at before, in [`Drafts`].
    fn check_description(&self, root: &DatasetRoot) -> Result<(), LoadError> {
        let Some(base) = &self.base else { return Ok(()) };
        let refuse = |difference: String| {
            Err(LoadError::Description {
                dataset: root.dataset.clone(),
                difference,
            })
        };
        if !has_sharded_tables(base) && self.shards_anything() {
            return Ok(());
        }
        if self.patient_id != base.patient_id() {
            return refuse(format!("its patient id was {}", base.patient_id()));
        }
        if self.shards != base.shards() {
            return Err(LoadError::OtherShards {
                dataset: root.dataset.clone(),
                described: self.shards,
                shards: base.shards(),
            });
        }
        Ok(())
    }

    fn shards_anything(&self) -> bool {
        self.tables.iter().any(|table| table.spec.sharded)
    }
}

fn has_sharded_tables(base: &Snapshot) -> bool {
    base.tables().any(|table| table.is_sharded())
}

fn has_no_patients(base: &Snapshot) -> bool {
    base.tables().all(|table| !table.is_sharded() || table.rows() == 0)
}

/// What readers rely on in a table.
struct TableLayout<'a> {
    sharded: bool,
    sorted_by: Vec<&'a str>,
    schema: &'a SchemaRef,
}

impl<'a> TableLayout<'a> {
    fn of(table: &'a TableSnapshot) -> Self {
        Self {
            sharded: table.is_sharded(),
            sorted_by: table.sorted_by().collect(),
            schema: table.schema(),
        }
    }
}

impl std::fmt::Display for TableLayout<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "sharded={} order={}", self.sharded, self.sorted_by.join(","))?;
        for field in self.schema.fields() {
            let class = field
                .metadata()
                .get(CLASS_METADATA)
                .map(String::as_str)
                .unwrap_or_default();
            writeln!(
                f,
                "{} {} {} {class}",
                field.name(),
                field.data_type(),
                field.is_nullable()
            )?;
        }
        Ok(())
    }
}
