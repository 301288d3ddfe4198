//! All that a statement may use, as one list: clauses, operators and functions with their types, what NULL gives, an
//! example and who says that its answer is right. The tables lie in `crates/sql/surface`. What is not in them is refused by
//! name ([`refuse_unlisted`], [`refuse_unlisted_calls`]); `docs/sql` is written from them ([`page`]); every example is
//! asked of a cluster by `tests/tests/surface.rs`. Nothing is planned or rewritten here.

pub mod page;
mod refusal;
mod series;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

pub use refusal::{Unlisted, refuse_unlisted, refuse_unlisted_calls};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A clause of a statement.
    Clause,
    /// An operator, or a form of expression that is no call.
    Operator,
    /// A function of one row's values.
    Scalar,
    /// A function of a group's rows.
    Aggregate,
    /// A function of a row among others.
    Window,
    /// A function in FROM.
    Table,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Clause,
        Self::Operator,
        Self::Scalar,
        Self::Aggregate,
        Self::Window,
        Self::Table,
    ];

    fn table(self) -> &'static str {
        match self {
            Self::Clause => include_str!("../../surface/clauses.toml"),
            Self::Operator => include_str!("../../surface/operators.toml"),
            Self::Scalar => include_str!("../../surface/scalar_functions.toml"),
            Self::Aggregate => include_str!("../../surface/aggregate_functions.toml"),
            Self::Window => include_str!("../../surface/window_functions.toml"),
            Self::Table => include_str!("../../surface/table_functions.toml"),
        }
    }

    /// Whether entries are called, as `f(x)`.
    pub fn is_function(self) -> bool {
        !matches!(self, Self::Clause | Self::Operator)
    }
}

/// One thing that a statement may use, or that is refused with a remedy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// How it is called.
    pub name: String,
    /// Other names of it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The signs of an operator, as the engine writes them.
    #[serde(default)]
    pub symbols: Vec<String>,
    /// The heading under which it stands.
    #[serde(default)]
    pub group: String,
    /// How it is written.
    #[serde(default)]
    pub syntax: String,
    /// The types that it takes and gives.
    #[serde(default)]
    pub types: String,
    /// What NULL gives, where it is not what [`page`] says of its kind.
    pub null: Option<String>,
    /// What it does, in a sentence or two.
    pub about: String,
    /// A statement over the tables of `tests/python/corner.py`, which runs on executors.
    #[serde(default)]
    pub example: String,
    /// `duckdb` where that statement gives the same rows in DuckDB.
    pub oracle: Option<String>,
    /// DuckDB's statement that gives the same rows.
    pub oracle_sql: Option<String>,
    /// The rows, where no engine says the same.
    pub expected: Option<Vec<Vec<toml::Value>>>,
    /// Who says what is expected.
    pub source: Option<String>,
    /// Values for the example's parameters.
    #[serde(default)]
    pub parameters: Vec<toml::Value>,
    /// Whether the order of the example's rows counts.
    #[serde(default)]
    pub ordered: bool,
    /// Words of the message with which it is refused.
    pub refused: Option<String>,
    /// What to write instead.
    pub instead: Option<String>,
    /// A choice of dialect.
    pub note: Option<String>,
    /// Whether the planner and our rules alone write it, and nobody else.
    #[serde(default)]
    pub internal: bool,
}

impl Entry {
    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// Things of the engine that are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOut {
    names: Vec<String>,
    /// Functions of all kinds unless one is said.
    kind: Option<Kind>,
    reason: String,
    instead: Option<String>,
}

impl LeftOut {
    fn is(&self, kind: Kind, name: &str) -> bool {
        self.kind.map_or(kind.is_function(), |own| own == kind) && self.names.iter().any(|own| own == name)
    }
}

/// The tables. One that cannot be read lists nothing, so that everything of its kind is refused.
struct Surface {
    entries: Vec<(Kind, Vec<Entry>)>,
    left_out: Vec<LeftOut>,
    /// What functions of other dialects are called here.
    elsewhere: BTreeMap<String, String>,
    /// Where each name and sign stands.
    named: HashMap<(Kind, String), (usize, usize)>,
}

static SURFACE: LazyLock<Surface> = LazyLock::new(|| {
    let entries: Vec<(Kind, Vec<Entry>)> = Kind::ALL
        .into_iter()
        .map(|kind| (kind, read(kind.table()).unwrap_or_default()))
        .collect();
    let mut named = HashMap::new();
    for (table, (kind, entries)) in entries.iter().enumerate() {
        for (at, entry) in entries.iter().enumerate() {
            for name in entry.names().chain(entry.symbols.iter().map(String::as_str)) {
                named.insert((*kind, name.to_owned()), (table, at));
            }
        }
    }
    Surface {
        entries,
        left_out: read_left_out().unwrap_or_default(),
        elsewhere: read_elsewhere().unwrap_or_default(),
        named,
    }
});

fn read(table: &str) -> Result<Vec<Entry>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        entry: Vec<Entry>,
    }
    toml::from_str::<Table>(table).map(|table| table.entry)
}

fn read_left_out() -> Result<Vec<LeftOut>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        entry: Vec<LeftOut>,
    }
    toml::from_str::<Table>(include_str!("../../surface/left_out.toml")).map(|table| table.entry)
}

fn read_elsewhere() -> Result<BTreeMap<String, String>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        elsewhere: BTreeMap<String, String>,
    }
    toml::from_str::<Table>(include_str!("../../surface/elsewhere.toml")).map(|table| table.elsewhere)
}

/// The entries of a kind, in the order of its table.
pub fn entries(kind: Kind) -> &'static [Entry] {
    SURFACE
        .entries
        .iter()
        .find(|(own, _)| *own == kind)
        .map(|(_, entries)| entries.as_slice())
        .unwrap_or_default()
}

/// The entry of this name, alias or sign, internal ones included.
pub fn listed(kind: Kind, name: &str) -> Option<&'static Entry> {
    let (table, at) = SURFACE.named.get(&(kind, name.to_owned()))?;
    SURFACE.entries.get(*table)?.1.get(*at)
}

/// What to write instead of something that is left out, or that another dialect has.
fn instead(kind: Kind, name: &str) -> Option<&'static str> {
    let of_engine = left_out(kind, name).and_then(|entry| entry.instead.as_deref());
    let of_others = || {
        SURFACE
            .elsewhere
            .get(name)
            .map(String::as_str)
            .filter(|_| kind.is_function())
    };
    of_engine.or_else(of_others)
}

/// Why a function or an operator of the engine is left out, and what to write instead.
fn left_out(kind: Kind, name: &str) -> Option<&'static LeftOut> {
    SURFACE.left_out.iter().find(|entry| entry.is(kind, name))
}

#[cfg(test)]
mod tests;
