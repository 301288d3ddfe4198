//! The one place where errors become gRPC statuses: which code each has, and the sentence its reader gets. Nothing is
//! logged here; what stands in a message is for the person who asked and nobody else.

use tonic::{Code, Status};

use super::{handle::HandleError, parameters::ParameterError, placeholders::PlaceholderError, ticket::TicketError};
use crate::port::QueryError;

/// Longest message sent, in bytes: messages travel in HTTP/2 trailers, which clients bound at 16 KiB or less once
/// percent-encoded (three bytes for each that is not plain ASCII).
const LONGEST: usize = 4096;

impl From<QueryError> for Status {
    fn from(error: QueryError) -> Self {
        status(code(&error), error)
    }
}

impl From<TicketError> for Status {
    fn from(error: TicketError) -> Self {
        let code = match error {
            TicketError::Forged => Code::InvalidArgument,
            TicketError::Foreign => Code::PermissionDenied,
            TicketError::Expired | TicketError::Spent => Code::FailedPrecondition,
        };
        status(code, error)
    }
}

impl From<HandleError> for Status {
    fn from(error: HandleError) -> Self {
        let code = match error {
            HandleError::Unknown => Code::NotFound,
            HandleError::TooLong { .. } => Code::ResourceExhausted,
            HandleError::Sealing => Code::Internal,
        };
        status(code, error)
    }
}

impl From<ParameterError> for Status {
    fn from(error: ParameterError) -> Self {
        let code = match error {
            ParameterError::TooLarge => Code::ResourceExhausted,
            ParameterError::ManyRows => Code::Unimplemented,
            _ => Code::InvalidArgument,
        };
        status(code, error)
    }
}

impl From<PlaceholderError> for Status {
    fn from(error: PlaceholderError) -> Self {
        status(Code::InvalidArgument, error)
    }
}

/// A request that would change something, or that this server has no use for.
pub(super) fn read_only(what: &str) -> Status {
    Status::permission_denied(format!("{what} is refused: this server is read-only"))
}

/// A fault of our own while building an answer; the message does not say which.
pub(super) fn internal(error: impl std::error::Error) -> Status {
    tracing::error!(error = %error, "an answer of the Flight SQL front could not be built");
    Status::internal("the answer could not be built; the server's log says why")
}

fn code(error: &QueryError) -> Code {
    match error {
        QueryError::Syntax { .. } | QueryError::Invalid { .. } => Code::InvalidArgument,
        QueryError::NotFound { .. } => Code::NotFound,
        QueryError::Denied { .. } | QueryError::ReadOnly { .. } => Code::PermissionDenied,
        QueryError::Unsupported { .. } => Code::Unimplemented,
        QueryError::ResourcesExhausted { .. } => Code::ResourceExhausted,
        QueryError::Cancelled => Code::Cancelled,
        QueryError::TimedOut { .. } => Code::DeadlineExceeded,
        QueryError::Unavailable { .. } => Code::Unavailable,
        QueryError::Internal { .. } => Code::Internal,
    }
}

fn status(code: Code, error: impl std::fmt::Display) -> Status {
    let mut message = error.to_string();
    if message.len() > LONGEST {
        message.truncate(message.floor_char_boundary(LONGEST));
        message.push('…');
    }
    Status::new(code, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::port::QueryId;

    #[test]
    fn each_error_has_its_code_and_sentence() {
        let query = QueryId::new();
        let cases = [
            (
                QueryError::Syntax {
                    message: "expected FROM".into(),
                },
                Code::InvalidArgument,
                "syntax error: expected FROM",
            ),
            (
                QueryError::NotFound {
                    kind: "table",
                    name: "sejour".into(),
                    near: vec!["sejours".into()],
                },
                Code::NotFound,
                "table sejour not found, did you mean sejours?",
            ),
            (
                QueryError::ReadOnly {
                    statement: "DELETE".into(),
                },
                Code::PermissionDenied,
                "DELETE is refused: this server is read-only",
            ),
            (
                QueryError::TimedOut {
                    limit: Duration::from_secs(90),
                },
                Code::DeadlineExceeded,
                "the query ran for longer than 90 s and was stopped",
            ),
            (QueryError::Cancelled, Code::Cancelled, "the query was cancelled"),
            (QueryError::Internal { query: None }, Code::Internal, "internal error"),
        ];
        for (error, code, message) in cases {
            let status = Status::from(error);
            assert_eq!((status.code(), status.message()), (code, message));
        }
        let status = Status::from(QueryError::Internal { query: Some(query) });
        assert_eq!(status.message(), format!("internal error in query {query}"));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let status = Status::from(QueryError::Invalid {
            message: "é".repeat(5000),
        });
        assert!(status.message().len() <= LONGEST + '…'.len_utf8());
        assert!(status.message().starts_with('é') && status.message().ends_with('…'));
    }
}
