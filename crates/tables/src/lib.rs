//! Tables: datasets of encrypted, patient-sharded Parquet behind Delta logs. Owns how a dataset is described ([`spec`]),
//! read ([`source`]), loaded ([`load`]), found again at an exact version ([`snapshot`]), planned without a key
//! ([`provider`]), opened with keys on an executor ([`scan`]), put under new master keys ([`rewrap`]), merged into few files
//! under new data keys ([`compact`]), given other shards ([`reshard`]) and checked row by row ([`verify`]). Refuses to plan
//! by anything but the log, to read a file that is not encrypted for its place, and to show half a load.

pub mod compact;
pub mod load;
pub mod provider;
pub mod reshard;
pub mod rewrap;
pub mod scan;
pub mod snapshot;
pub mod source;
pub mod spec;
pub mod splits;
pub mod store;
pub mod vacuum;
pub mod verify;
pub mod version;

mod delta;
mod file_end;
mod named;
mod order;
mod quantiles;
mod reread;
mod sidecar;
mod together;
mod writing;

pub use named::NamedError;
pub use sidecar::SidecarError;

pub use delta::{CLASS_METADATA, DeltaError};
pub use provider::SnapshotTable;
pub use snapshot::{Catalog, Snapshot, SnapshotError, TableSnapshot, latest_version};
pub use store::{StoreError, StoreOptions, Stores};
