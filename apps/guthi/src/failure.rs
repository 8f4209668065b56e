//! What went wrong, in the words of the HTTP interface, and the exit code that follows.

use std::{fmt, io};

use serde_json::{Value, json};

/// The exit codes, as `docs/command-line.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Not done.
    Failure = 1,
    /// What was typed cannot be meant.
    Usage = 2,
    /// No such node or function.
    NotFound = 3,
    /// Time was over.
    Timeout = 4,
    /// Somebody else has it.
    Conflict = 5,
    /// No node of this machine can be reached.
    Unreachable = 6,
    /// The function ran, and said no or panicked.
    FunctionFailed = 7,
    /// Some of all nodes failed.
    Partial = 8,
    /// Somebody pressed Ctrl-C.
    Interrupted = 130,
}

/// Why a command did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    code: String,
    message: String,
    next: Option<String>,
    /// Whether it may have happened: `not_applied`, `applied` or `unknown`.
    outcome: String,
    /// What the process ends with.
    pub(crate) exit: Exit,
}

const CLOSED_PIPE: &str = "closed_pipe";

impl Failure {
    /// Something that did not happen.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            next: None,
            outcome: "not_applied".into(),
            exit: exit_of(code),
        }
    }

    /// What was typed cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message)
    }

    /// What to do about it.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The same, if nothing better is known.
    pub(crate) fn or_next(mut self, next: impl Into<String>) -> Self {
        self.next.get_or_insert_with(|| next.into());
        self
    }

    /// Whether it may have happened.
    pub(crate) fn outcome(mut self, outcome: &str) -> Self {
        self.outcome = outcome.into();
        self
    }

    /// The error object of an answer.
    pub(crate) fn of(error: &Value) -> Self {
        let text = |key: &str| error[key].as_str().map(str::to_owned);
        let code = text("code").unwrap_or_else(|| "internal".into());
        Self {
            exit: exit_of(&code),
            message: text("message").unwrap_or_else(|| "the node gave no reason".into()),
            next: text("next"),
            outcome: text("outcome").unwrap_or_else(|| "unknown".into()),
            code,
        }
    }

    /// The word for it.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The error object.
    pub(crate) fn to_json(&self) -> Value {
        json!({"error": {"code": self.code, "message": self.message, "next": self.next, "outcome": self.outcome}})
    }

    /// Whoever read the output has had enough.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.code == CLOSED_PIPE
    }

    /// What to do about it, if that is known.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<io::Error> for Failure {
    /// What is written and read here are the standard streams.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::Ok, ..Self::new(CLOSED_PIPE, "") },
            _ => Self::new("failure", error.to_string()),
        }
    }
}

fn exit_of(code: &str) -> Exit {
    match code {
        "usage" | "bad_request" | "bad_address" | "invalid_arguments" => Exit::Usage,
        "not_found" | "no_such_function" | "no_node_has_it" | "keeps_no_log" => Exit::NotFound,
        "deadline" | "timeout" | "slow_request" => Exit::Timeout,
        "conflict" | "ambiguous" | "address_in_use" | "identity_in_use" => Exit::Conflict,
        "no_local_node" | "unauthorized" | "host_not_allowed" | "origin_not_allowed" => Exit::Unreachable,
        "failed" | "panicked" => Exit::FunctionFailed,
        "interrupted" => Exit::Interrupted,
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_object_survives() {
        let error = json!({"code": "deadline", "message": "too late", "next": null, "outcome": "unknown"});
        let failure = Failure::of(&error);
        assert_eq!((failure.exit, failure.to_json()["error"].clone()), (Exit::Timeout, error));
        assert_eq!(Failure::of(&Value::Null).exit, Exit::Failure);
    }
}
