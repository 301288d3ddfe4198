//! Keys: the classes of columns, the master keys that protect them, and the one trait behind which master keys live.
//!
//! A data file's columns are encrypted under random data keys, one per file and class; a [`KeyService`] wraps and
//! unwraps those and never shows a master key. This crate refuses to guess: a file of another place, a key of another
//! dataset, a column without a key or a plaintext file where an encrypted one belongs are errors.
//! Start at [`service`] for the trait, [`keyring`], [`pkcs11`], [`kmip`] and [`transit`] for the services, [`open`] for
//! choosing one, [`encrypt`] and [`decrypt`] for Parquet.

pub mod cache;
mod calls;
pub mod class;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod context;
pub mod decrypt;
pub mod encrypt;
pub mod error;
pub mod external;
pub mod keyring;
pub mod kmip;
mod locked;
pub mod material;
pub mod metered;
pub mod name;
pub mod open;
pub mod pkcs11;
mod private;
pub mod secret;
pub mod service;
mod tls;
pub mod transit;
mod wrapping;

pub use cache::{CacheCounters, CacheOptions, UnwrapCache};
pub use class::ColumnClass;
pub use context::FileContext;
pub use decrypt::{FileKeys, decryption_properties};
pub use encrypt::{ExternalEncryption, apply, check_columns, encryption_properties, external_encryption};
pub use error::KeyError;
pub use external::{ExternalMaterial, MAX_MATERIAL_BYTES, data_file_name, material_file_name};
pub use keyring::{Keyring, PassphraseCost, Unlock, create_key_file};
pub use kmip::{KmipKeys, KmipMode, KmipOptions};
pub use locked::LockedMemory;
pub use material::{KeyMaterial, KeyMetadata, column_class};
pub use metered::{KeyMeasure, KeyMeters, KeyOperation, KeyOutcome, Metered};
pub use name::{KeyUse, MasterKeyId, MasterKeyName, class_key, footer_key};
pub use open::{KeyServiceOptions, KeyringOptions};
pub use pkcs11::{Pkcs11Keys, Pkcs11Options};
pub use secret::DataKey;
pub use service::{KeyAdmin, KeyService, WrappedKey, ensure_dataset_keys};
pub use transit::{TransitKeys, TransitOptions};
