//! A small dataset that was loaded as any other is, and people who see parts of it: what tests of planning and admission
//! stand on. Nothing is read of it but its log.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use parcours_cluster::grant::Grant;
use parcours_cluster::task_grant::{DatasetTerms, Opened};
use parcours_identity::Principal;
use parcours_keys::{ColumnClass, KeyService, Keyring, Unlock, create_key_file, ensure_dataset_keys};
use parcours_tables::Stores;
use parcours_tables::load::{LoadOptions, load};
use parcours_tables::spec::Dataset;
use tempfile::TempDir;
use url::Url;

use super::session::{Sessions, View};
use crate::datasets::Datasets;

/// Shards of the dataset's tables.
pub(crate) const SHARDS: usize = 2;

/// The person of this name.
pub(crate) fn person(name: &str) -> Principal {
    Principal::user("hospital.example", name).unwrap()
}

/// A grant of these classes of the dataset.
pub(crate) fn granted(classes: impl IntoIterator<Item = ColumnClass>) -> Grant {
    let mut grant = Grant::default();
    grant.allow("claims", classes);
    grant
}

/// What a query may open that reads one class of the dataset.
pub(crate) fn reading(class: ColumnClass) -> Opened {
    let terms = DatasetTerms {
        version: 1,
        tables: [("dispensing".to_owned(), [class].into())].into(),
    };
    Opened([("claims".to_owned(), terms)].into())
}

/// All classes but one.
pub(crate) fn all_but(class: ColumnClass) -> impl Iterator<Item = ColumnClass> {
    ColumnClass::ALL.into_iter().filter(move |other| *other != class)
}

/// The dataset `claims`: a sharded table `dispensing` with a column of each class, and two of health, and a table `label`.
pub(crate) struct Claims {
    folder: TempDir,
    /// Sessions that see it.
    pub(crate) sessions: Arc<Sessions>,
}

impl Claims {
    /// Loads it and looks it up.
    pub(crate) async fn load() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let rows = (0..40).map(|n| format!("p{n:02},2020-01-{:02},c{},{n},s{}\n", 1 + n % 28, n % 5, n % 3));
        let rows = rows.collect::<String>();
        std::fs::write(at("dispensing.csv"), format!("patient,day,code,quantity,site\n{rows}")).unwrap();
        std::fs::write(at("label.csv"), "code,label\nc0,nothing\nc1,something\n").unwrap();
        create_key_file(at("key")).unwrap();
        let keys = Keyring::create(at("keyring"), Unlock::key_file(at("key"))).unwrap();
        ensure_dataset_keys(&keys, "claims").await.unwrap();
        let keys: Arc<dyn KeyService> = Arc::new(keys);
        let dataset = Dataset::parse(&description(&folder), folder.path(), &|_| None).unwrap();
        let (into, stores) = (Url::from_file_path(at("tables")).unwrap(), Arc::new(Stores::default()));
        let options = LoadOptions {
            spill_dir: at("spill"),
            ..LoadOptions::default()
        };
        load(&dataset, &into, &stores, &keys, &options).await.unwrap();
        let datasets = Arc::new(Datasets::open(into, stores).await.unwrap());
        Self {
            folder,
            sessions: Arc::new(Sessions::new(datasets, 64 << 20).unwrap()),
        }
    }

    /// Where it lies.
    pub(crate) fn tables(&self) -> PathBuf {
        self.folder.path().join("tables")
    }

    /// What a person sees who is granted these classes.
    pub(crate) fn view(&self, who: &str, classes: impl IntoIterator<Item = ColumnClass>) -> View {
        self.sessions.view(&person(who), granted(classes))
    }
}

fn description(folder: &TempDir) -> String {
    format!(
        r#"
name = "claims"
patient_id = "patient"
shards = {SHARDS}

[[tables]]
name = "dispensing"
sources = ["{folder}/dispensing.csv"]
order = ["day"]
columns = [
  {{ name = "patient", class = "identity", type = "utf8" }},
  {{ name = "day", class = "quasi", type = "date32" }},
  {{ name = "code", class = "health", type = "utf8" }},
  {{ name = "quantity", class = "health", type = "int32" }},
  {{ name = "site", class = "plain", type = "utf8" }},
]

[[tables]]
name = "label"
sharded = false
sources = ["{folder}/label.csv"]
columns = [
  {{ name = "code", class = "plain", type = "utf8" }},
  {{ name = "label", class = "plain", type = "utf8" }},
]
"#,
        folder = folder.path().display()
    )
}
