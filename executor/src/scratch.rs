//! What a failure of the scratch disk means to the person whose task it ended: a full one that there is not enough of it, any
//! other one that the executor cannot work now. The sentence names the disk by its executor and says what helps; paths and the
//! system's words are for the operator's log.
//!
//! Files of tables are read through the object store, whose errors are its own: what fails here with an error of the system
//! is scratch.

use std::io;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use parcours_cluster::failure::{Cause, ENDED, Failure};
use parcours_sealed::SealError;

use crate::shuffle::store::StoreError;

/// What an error means if it is one of this executor's scratch disk.
pub(crate) fn failure(error: &DataFusionError, executor: &str) -> Option<Failure> {
    if let DataFusionError::External(inner) = error.find_root()
        && inner.is::<SealError>()
    {
        return Some(damaged(executor));
    }
    let error = of_system(error)?;
    if let Some(inner) = error.get_ref() {
        // Partitions of a job that has ended are written no more; that is no fault of the disk.
        if inner.to_string().ends_with(ENDED) {
            return None;
        }
        if let Some(full) = inner.downcast_ref::<StoreError>() {
            return Some(Failure::new(Cause::Resources, full.to_string()));
        }
        if inner.is::<SealError>() {
            return Some(damaged(executor));
        }
    }
    tracing::error!(%error, "the scratch disk failed");
    Some(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => full(executor),
        _ => failed(executor),
    })
}

/// The system's error at the root of another.
fn of_system(error: &DataFusionError) -> Option<&io::Error> {
    match error.find_root() {
        DataFusionError::IoError(error) => Some(error),
        DataFusionError::ArrowError(error, _) => of_arrow(error),
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    }
}

fn of_arrow(error: &ArrowError) -> Option<&io::Error> {
    match error {
        ArrowError::IoError(_, error) => Some(error),
        ArrowError::ExternalError(error) => match error.downcast_ref::<DataFusionError>() {
            Some(error) => of_system(error),
            None => error.downcast_ref(),
        },
        _ => None,
    }
}

fn full(executor: &str) -> Failure {
    Failure::new(
        Cause::Resources,
        format!(
            "the scratch disk of {executor} is full: make the query smaller, or tell the operator of the cluster, who \
             can give scratch.dir more room"
        ),
    )
}

fn failed(executor: &str) -> Failure {
    Failure::new(
        Cause::Unavailable,
        format!(
            "the scratch disk of {executor} cannot be used, tell the operator of the cluster, who looks at scratch.dir, \
             and try again"
        ),
    )
}

fn damaged(executor: &str) -> Failure {
    Failure::new(
        Cause::Damaged,
        format!("a file on the scratch disk of {executor} is damaged, run the query again"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const EXECUTOR: &str = "executor-1";

    fn of(error: io::Error) -> Option<Failure> {
        failure(&DataFusionError::IoError(error), EXECUTOR)
    }

    #[test]
    fn a_full_disk_is_a_lack_and_another_failure_is_none() {
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::FileTooLarge,
        ] {
            let failure = of(kind.into()).unwrap();
            assert_eq!(failure.cause, Cause::Resources, "{kind}");
            assert!(failure.message.contains("the scratch disk of executor-1 is full"));
        }
        for kind in [
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::NotFound,
            io::ErrorKind::Other,
        ] {
            let failure = of(kind.into()).unwrap();
            assert_eq!(failure.cause, Cause::Unavailable, "{kind}");
            assert!(failure.message.contains("scratch.dir"), "{}", failure.message);
        }
        // As the system numbers them: no room, a read-only file system, a failed read.
        for (number, cause) in [
            (28, Cause::Resources),
            (30, Cause::Unavailable),
            (5, Cause::Unavailable),
        ] {
            assert_eq!(
                of(io::Error::from_raw_os_error(number)).unwrap().cause,
                cause,
                "{number}"
            );
        }
    }

    #[test]
    fn a_failure_is_found_in_what_wraps_it() {
        let no_room = || io::Error::from(io::ErrorKind::StorageFull);
        let arrow = || ArrowError::IoError("writing".to_owned(), no_room());
        let wrapped = DataFusionError::ArrowError(Box::new(arrow()), None);
        assert_eq!(failure(&wrapped, EXECUTOR).unwrap().cause, Cause::Resources);
        let within = ArrowError::ExternalError(Box::new(DataFusionError::ArrowError(Box::new(arrow()), None)));
        let within = DataFusionError::ArrowError(Box::new(within), None).context("while it spilled");
        assert_eq!(failure(&within, EXECUTOR).unwrap().cause, Cause::Resources);
        let external = DataFusionError::External(Box::new(no_room()));
        assert_eq!(failure(&external, EXECUTOR).unwrap().cause, Cause::Resources);
    }

    #[test]
    fn our_own_words_are_kept() {
        let full = io::Error::new(io::ErrorKind::StorageFull, StoreError::Full { quota: 7 });
        let said = of(full).unwrap();
        assert_eq!(said.cause, Cause::Resources);
        assert!(said.message.contains("scratch.shuffle"), "{}", said.message);
        let altered = of(SealError::Tampered { frame: 3 }.into()).unwrap();
        assert_eq!(altered.cause, Cause::Damaged);
        let altered = DataFusionError::External(Box::new(SealError::TrailingBytes));
        assert_eq!(failure(&altered, EXECUTOR).unwrap().cause, Cause::Damaged);
        assert!(of(io::Error::other("the job has ended")).is_none());
    }

    #[test]
    fn what_is_not_of_the_disk_is_not_said_to_be() {
        let plan = DataFusionError::Plan("no such column".to_owned());
        let zero = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
        assert!(failure(&plan, EXECUTOR).is_none() && failure(&zero, EXECUTOR).is_none());
    }
}
