//! What went wrong, in the words of the HTTP interface, and the exit code that follows.

use std::{fmt, io};

use serde_json::{Value, json};

/// The exit codes, as `docs/command-line.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Not done.
    Failure,
    /// What was typed cannot be meant.
    Usage,
    /// No such node or function.
    NotFound,
    /// Time was over.
    Timeout,
    /// Somebody else has it.
    Conflict,
    /// No node of this machine can be reached.
    Unreachable,
    /// The function ran, and said no or panicked.
    FunctionFailed,
    /// Some of all nodes failed.
    Partial,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// What a command that was run within this one ended with.
    Of(u8),
}

impl Exit {
    /// As the shell sees it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Timeout => 4,
            Self::Conflict => 5,
            Self::Unreachable => 6,
            Self::FunctionFailed => 7,
            Self::Partial => 8,
            Self::Interrupted => 130,
            Self::Of(code) => code,
        }
    }
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

    /// What the process ends with, where the word for it does not say that.
    pub(crate) const fn exits(mut self, exit: Exit) -> Self {
        self.exit = exit;
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
        "usage" | "bad_request" | "bad_address" | "bad_name" | "bad_prefix" | "invalid_arguments" | "bad_value" => {
            Exit::Usage
        }
        "not_found" | "no_such_function" | "no_node_has_it" | "keeps_no_log" => Exit::NotFound,
        "deadline" | "timeout" | "unanswered" | "slow_request" => Exit::Timeout,
        "conflict" | "other_type" | "ambiguous" | "address_in_use" | "identity_in_use" | "busy" | "lost" => {
            Exit::Conflict
        }
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
