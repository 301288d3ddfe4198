//! How a task's failure travels to the person who asked. Ballista carries errors as text inside text; what the executor
//! knows of the cause is marked in it, and the scheduler finds the mark again. The sentence in the mark is for a person:
//! it names what failed and never holds a value.

use std::fmt;

use ballista_core::error::BallistaError;
use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use parcours_keys::KeyError;
use parcours_tables::scan::ScanError;

/// Why a task failed, in terms a person can act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A column class is not granted, or its key is denied.
    Denied,
    /// Memory or disk was not enough.
    Resources,
    /// The statement asks for something that its data cannot give: a division by zero, an impossible cast.
    Invalid,
    /// A store or a service could not be reached.
    Unavailable,
    /// Bytes are not those that were written.
    Damaged,
    /// The engine has no such construct here.
    Unsupported,
}

const CAUSES: [(Cause, &str); 6] = [
    (Cause::Denied, "denied"),
    (Cause::Resources, "resources"),
    (Cause::Invalid, "invalid"),
    (Cause::Unavailable, "unavailable"),
    (Cause::Damaged, "damaged"),
    (Cause::Unsupported, "unsupported"),
];

const OPEN: &str = "⟦parcours:";
const CLOSE: &str = "⟧";

/// A cause and its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub cause: Cause,
    /// The sentence for the person who asked.
    pub message: String,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
        }
    }

    /// Finds the first marked failure in an error's text.
    pub fn find(text: &str) -> Option<Self> {
        let marked = text.split(OPEN).nth(1)?.split(CLOSE).next()?;
        let (cause, message) = marked.split_once(':')?;
        let cause = CAUSES.iter().find(|(_, name)| *name == cause)?.0;
        Some(Self::new(cause, message))
    }

    /// What an engine error means, without the values it may quote; nothing for errors that are only ours to understand.
    pub fn of(error: &DataFusionError) -> Option<Self> {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(message) => Some(Self::new(Cause::Resources, message)),
            DataFusionError::NotImplemented(message) => Some(Self::new(Cause::Unsupported, without_values(message))),
            DataFusionError::ObjectStore(_) => Some(Self::new(
                Cause::Unavailable,
                "the object store cannot be reached, try again",
            )),
            DataFusionError::ArrowError(error, _) => of_arrow(error),
            DataFusionError::ParquetError(error) => of_parquet(error),
            DataFusionError::External(error) => error.downcast_ref::<ScanError>().and_then(of_scan),
            DataFusionError::Execution(message) => Self::find(message)
                .or_else(|| is_about_values(message).then(|| Self::new(Cause::Invalid, without_values(message)))),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = CAUSES
            .iter()
            .find(|(cause, _)| *cause == self.cause)
            .map_or("", |(_, name)| name);
        write!(f, "{OPEN}{name}:{}{CLOSE}", self.message)
    }
}

const BY_ZERO: &str = "a division by zero, guard the divisor with nullif(…, 0)";

fn of_arrow(error: &ArrowError) -> Option<Failure> {
    let sentence = match error {
        ArrowError::DivideByZero => BY_ZERO.to_owned(),
        ArrowError::ArithmeticOverflow(_) => "an arithmetic overflow, cast to a wider type first".to_owned(),
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::InvalidArgumentError(message) => without_values(innermost(message)),
        ArrowError::ExternalError(error) => return error.downcast_ref().and_then(Failure::of),
        _ => return None,
    };
    Some(Failure::new(Cause::Invalid, sentence))
}

/// Returns the sentence of an error that was written into another one as Rust shows it.
fn innermost(message: &str) -> &str {
    if message.contains("DivideByZero") {
        return BY_ZERO;
    }
    let message = message.strip_prefix("Execution error: ").unwrap_or(message);
    let within = message.rsplit_once("Execution(\"").map(|(_, within)| within);
    within
        .and_then(|within| within.split_once("\")"))
        .map_or(message, |(sentence, _)| sentence)
}

fn of_parquet(error: &ParquetError) -> Option<Failure> {
    let ParquetError::External(error) = error else {
        return Some(Failure::new(
            Cause::Damaged,
            "a data file is damaged or is not the file that was written there",
        ));
    };
    // A condition is looked at inside the scan: what fails there is the statement, and not the file.
    if let Some(error) = error.downcast_ref::<ArrowError>() {
        return of_arrow(error);
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return Failure::of(error);
    }
    if let Some(error) = error.downcast_ref::<ScanError>() {
        return of_scan(error);
    }
    let error = error.downcast_ref::<KeyError>();
    if let Some(error) = error.filter(|error| !error.is_denial()) {
        tracing::warn!(%error, "a key could not be used");
    }
    match error {
        Some(error) if error.is_denial() => Some(Failure::new(Cause::Denied, error.to_string())),
        // Their words name files and tokens of the executor, which are for its operator's log.
        Some(KeyError::Refused { .. }) => Some(Failure::new(
            Cause::Unavailable,
            "the key service refuses an executor, tell the cluster's operator",
        )),
        Some(KeyError::Unavailable { .. }) => Some(Failure::new(
            Cause::Unavailable,
            "the key service cannot be reached by an executor, try again in a moment",
        )),
        Some(error) if error.is_passing() => Some(Failure::new(Cause::Unavailable, error.to_string())),
        Some(error) => Some(Failure::new(Cause::Damaged, error.to_string())),
        None => Some(Failure::new(
            Cause::Unavailable,
            "the object store cannot be reached, try again",
        )),
    }
}

fn of_scan(error: &ScanError) -> Option<Failure> {
    let cause = match error {
        ScanError::ClassDenied { .. } => Cause::Denied,
        ScanError::Store(_) => Cause::Unavailable,
        ScanError::Damaged { .. } => Cause::Damaged,
        _ => Cause::Unsupported,
    };
    Some(Failure::new(cause, error.to_string()))
}

/// How the error of a task ends whose job has ended before it.
pub const ENDED: &str = "has ended";

/// An engine error on its way to the scheduler: marked with its cause where that is known. A failed fetch of a partition
/// and a failure of input or output stay as they are, since the engine computes those again.
pub fn marked(error: DataFusionError) -> DataFusionError {
    if matches!(error.find_root(), DataFusionError::IoError(_)) || is_failed_fetch(&error) {
        return error;
    }
    match Failure::of(&error) {
        Some(failure) => DataFusionError::Execution(failure.to_string()),
        None => {
            let cause = without_values(&error.to_string());
            // The scheduler's log shows less of it: what is quoted within another message is blanked.
            match cause.ends_with(ENDED) {
                true => tracing::debug!(cause, "a task came too late"),
                false => tracing::warn!(cause, "a task failed for a reason that has no sentence"),
            }
            DataFusionError::Execution(cause)
        }
    }
}

fn is_failed_fetch(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::External(inner) if inner.is::<BallistaError>())
}

fn is_about_values(message: &str) -> bool {
    [
        "cast",
        "parse",
        "overflow",
        "out of range",
        "more than one row",
        "divides by zero",
        "does not know",
        "does not take",
        "is wanted",
        "are no date",
        "must be",
        "expected",
        "invalid",
    ]
    .iter()
    .any(|word| message.to_lowercase().contains(word))
}

/// A message with everything that could be a value blanked: quoted text and numbers.
pub fn without_values(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut quote: Option<char> = None;
    let mut rest = message.chars().peekable();
    while let Some(c) = rest.next() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => {}
            // As in "can't": no quotation begins within a word.
            None if c == '\'' && kept.ends_with(char::is_alphabetic) && rest.peek() == Some(&'t') => kept.push(c),
            None if matches!(c, '\'' | '"' | '`') => {
                quote = Some(c);
                kept.push('…');
            }
            None if c.is_ascii_digit() => {
                if !kept.ends_with('…') {
                    kept.push('…');
                }
            }
            None => kept.push(c),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_marked_failure_is_found_in_wrapped_text() {
        let failure = Failure::new(Cause::Denied, "class health of dataset claims is denied");
        let wrapped = format!("Job failed due to stage 1: Execution error: {failure} (task 3)");
        assert_eq!(Failure::find(&wrapped).unwrap(), failure);
        assert!(Failure::find("nothing here").is_none());
    }

    #[test]
    fn a_condition_that_fails_in_a_scan_is_not_a_fault_of_the_store() {
        let in_scan = |error: ArrowError| {
            let error = ParquetError::External(Box::new(error));
            Failure::of(&DataFusionError::ParquetError(Box::new(error))).unwrap()
        };
        let inner = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
        for error in [ArrowError::DivideByZero, ArrowError::ExternalError(Box::new(inner))] {
            let failure = in_scan(error);
            assert_eq!(failure.cause, Cause::Invalid);
            assert!(failure.message.contains("division by zero"), "{}", failure.message);
        }
        let wrapped = "Error evaluating filter predicate: Execution(\"integer out of range in an addition\")";
        let failure = in_scan(ArrowError::ComputeError(wrapped.to_owned()));
        assert_eq!(failure.message, "integer out of range in an addition");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let file = parcours_keys::FileContext::new("claims", "stay", "shard=0003/part-1.parquet");
        let error = ParquetError::External(Box::new(ScanError::Damaged { file }));
        let failure = Failure::of(&DataFusionError::ParquetError(Box::new(error))).unwrap();
        assert_eq!(failure.cause, Cause::Damaged);
        let named = "file shard=0003/part-1.parquet of table stay in dataset claims is damaged";
        assert!(failure.message.starts_with(named), "{}", failure.message);
    }

    #[test]
    fn values_do_not_travel() {
        let error = DataFusionError::ArrowError(
            Box::new(ArrowError::CastError(
                "Cannot cast string 'DUPONT' to value of Int32 type".into(),
            )),
            None,
        );
        let failure = Failure::of(&error).unwrap();
        assert_eq!(failure.cause, Cause::Invalid);
        assert!(!failure.message.contains("DUPONT"), "{}", failure.message);
        assert_eq!(without_values("overflow on 123 * 45"), "overflow on … * …");
        let cast = "Can't cast value 2147483648 to type Int32";
        assert_eq!(without_values(cast), "Can't cast value … to type Int…");
    }
}
