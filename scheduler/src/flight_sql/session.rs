//! Session messages of Flight, which the Arrow crate lacks, and what little they may change here. Nothing is kept between
//! calls: an option is accepted when it names what is so anyway, and refused when accepting it would be a lie.

use std::collections::HashMap;

use prost::{Enumeration, Message, Oneof};

use crate::port::VisibleCatalog;

/// The action that sets options.
pub(super) const SET: &str = "SetSessionOptions";
/// The action that reads them.
pub(super) const GET: &str = "GetSessionOptions";
/// The action that ends a session.
pub(super) const CLOSE: &str = "CloseSession";

/// A value of an option; without one, the option is cleared.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub option_value: Option<OptionValue>,
}

/// The kinds of value.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum OptionValue {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int64(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    StringList(StringListValue),
}

/// A list of strings as a value.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StringListValue {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

/// Body of [`SET`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

/// Answer to [`SET`]: the options that were not set, and why.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, OptionError>,
}

/// Why an option was not set.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "OptionErrorValue", tag = "1")]
    pub value: i32,
}

/// The reasons the protocol knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum OptionErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// Answer to [`GET`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

/// Answer to [`CLOSE`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseSessionResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    pub status: i32,
}

/// Whether a session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

/// Checks each option against what the person sees.
pub(super) fn set(request: SetSessionOptionsRequest, visible: &VisibleCatalog) -> SetSessionOptionsResult {
    let refused = request.session_options.into_iter().filter_map(|(name, value)| {
        let why = check(&name, value.option_value, visible).err()? as i32;
        Some((name, OptionError { value: why }))
    });
    SetSessionOptionsResult {
        errors: refused.collect(),
    }
}

/// A catalog may be named: there is one. A schema may be named when it is the only one; where there are several, a bare
/// table name would still not be looked up in it, and the person would read another table than they think.
fn check(name: &str, value: Option<OptionValue>, visible: &VisibleCatalog) -> Result<(), OptionErrorValue> {
    let value = match value {
        None => return Ok(()),
        Some(OptionValue::String(value)) => value,
        Some(_) if ["catalog", "schema"].contains(&name) => return Err(OptionErrorValue::InvalidValue),
        Some(_) => return Err(OptionErrorValue::InvalidName),
    };
    match name {
        "catalog" if value == visible.name => Ok(()),
        "schema" if !visible.schemas.iter().any(|schema| schema.name == value) => Err(OptionErrorValue::InvalidValue),
        "schema" if visible.schemas.len() == 1 => Ok(()),
        "schema" => Err(OptionErrorValue::Error),
        "catalog" => Err(OptionErrorValue::InvalidValue),
        _ => Err(OptionErrorValue::InvalidName),
    }
}

/// The options as they are: the catalog, and the schema when there is one only.
pub(super) fn get(visible: &VisibleCatalog) -> GetSessionOptionsResult {
    let text = |value: &str| SessionOptionValue {
        option_value: Some(OptionValue::String(value.to_owned())),
    };
    let catalog = ("catalog".to_owned(), text(&visible.name));
    let schema = match visible.schemas.as_slice() {
        [only] => Some(("schema".to_owned(), text(&only.name))),
        _ => None,
    };
    GetSessionOptionsResult {
        session_options: std::iter::once(catalog).chain(schema).collect(),
    }
}

/// There is nothing to close, and it is done.
pub(super) fn close() -> CloseSessionResult {
    CloseSessionResult {
        status: CloseStatus::Closed as i32,
    }
}
