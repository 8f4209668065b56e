//! What is told when something is not done: one shape for every error.

use std::fmt;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use guthi::{CallError, JoinError, LockError, Outcome, PublishError, ReadError, WatchError, WriteError};
use serde::Serialize;

/// An error as it is told: `{"error":{"code","message","next","outcome"}}`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    code: String,
    message: String,
    next: Option<String>,
    outcome: &'static str,
    /// Where the password is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'static str>,
}

impl Refusal {
    /// Nothing was done, for a reason of the server's own.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        let status = status(code);
        Self {
            status,
            code: code.into(),
            message: message.into(),
            next: None,
            outcome: outcome(Outcome::NotApplied),
            login: None,
        }
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Whether this is the code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Nobody knows whether it was done.
    pub(crate) const fn unknown(mut self) -> Self {
        self.outcome = outcome(Outcome::Unknown);
        self
    }

    pub(crate) const fn login(mut self, page: &'static str) -> Self {
        self.login = Some(page);
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new("bad_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new("not_found", message)
    }

    /// With its frame, for a line of a stream.
    pub(crate) fn framed(&self) -> serde_json::Value {
        serde_json::json!({ "error": self })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.framed())).into_response()
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        let next = error.next_step().map(str::to_owned);
        Self { outcome: outcome(error.outcome()), next, ..Self::new(&code(&error), error.to_string()) }
    }
}

impl From<JoinError> for Refusal {
    fn from(error: JoinError) -> Self {
        let next = error.next_step().map(str::to_owned);
        Self { next, ..Self::new(&code(&error), error.to_string()) }
    }
}

impl From<LockError> for Refusal {
    fn from(error: LockError) -> Self {
        let next = error.next_step().map(str::to_owned);
        Self { outcome: outcome(error.outcome()), next, ..Self::new(&code(&error), error.to_string()) }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        let next = error.next_step().map(str::to_owned);
        Self { next, ..Self::new(&code(&error), error.to_string()) }
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        let next = error.next_step().map(str::to_owned);
        Self { outcome: outcome(error.outcome()), next, ..Self::new(&code(&error), error.to_string()) }
    }
}

impl From<WatchError> for Refusal {
    fn from(error: WatchError) -> Self {
        let next = error.next_step().map(str::to_owned);
        let code = match error {
            WatchError::TooMany { .. } => "too_many_requests".to_owned(),
            _ => code(&error),
        };
        Self { next, ..Self::new(&code, error.to_string()) }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let next = error.next_step().map(str::to_owned);
        Self { outcome: outcome(error.outcome()), next, ..Self::new(&code(&error), error.to_string()) }
    }
}

/// The name of the variant in `snake_case`: what `Debug` begins with.
fn code(error: &impl fmt::Debug) -> String {
    let text = format!("{error:?}");
    let name = text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let mut code = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.push(c.to_ascii_lowercase());
    }
    code
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplied => "not_applied",
        Outcome::Applied => "applied",
        Outcome::Unknown => "unknown",
    }
}

fn status(code: &str) -> StatusCode {
    match code {
        "bad_request" | "invalid_arguments" | "bad_address" | "bad_name" | "bad_prefix" | "signature_mismatch"
        | "myself" | "bad_value" | "unsupported_type" | "not_encoded" => StatusCode::BAD_REQUEST,
        "unauthorized" => StatusCode::UNAUTHORIZED,
        "origin_not_allowed" | "forbidden" => StatusCode::FORBIDDEN,
        "not_found" | "no_such_function" | "no_node_has_it" | "unknown_node" | "keeps_no_log" => StatusCode::NOT_FOUND,
        "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
        "slow_request" => StatusCode::REQUEST_TIMEOUT,
        "excluded" | "not_isolated" | "ambiguous" | "busy" | "timeout" | "other_type" | "other_mutex" | "fenced"
        | "other_lineage" | "lost" => StatusCode::CONFLICT,
        "conflict" => StatusCode::PRECONDITION_FAILED,
        "too_many" | "full" => StatusCode::INSUFFICIENT_STORAGE,
        "left" => StatusCode::GONE,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "host_not_allowed" => StatusCode::MISDIRECTED_REQUEST,
        "failed" | "panicked" | "overflow" | "unreadable" | "unknown_type" => StatusCode::UNPROCESSABLE_ENTITY,
        "upgrade_required" => StatusCode::UPGRADE_REQUIRED,
        "too_many_requests" | "too_many_waiters" => StatusCode::TOO_MANY_REQUESTS,
        "peer_lost" | "not_linked" | "unreachable" | "wrong_key" | "wrong_cluster" | "wrong_version" | "refused"
        | "unknown" => StatusCode::BAD_GATEWAY,
        "overloaded" | "cancelled" | "unanswered" => StatusCode::SERVICE_UNAVAILABLE,
        "deadline" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_its_variant() {
        let error = CallError::NoNodeHasIt { function: "f".into() };
        let refusal = Refusal::from(error);
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
        let told = refusal.framed();
        assert_eq!(told["error"]["code"], "no_node_has_it");
        assert_eq!(told["error"]["message"], "cannot call `f`: no node has it");
        assert_eq!(told["error"]["outcome"], "not_applied");
        assert!(told["error"]["next"].as_str().unwrap().starts_with("start a program that has it"));

        let failed = Refusal::from(CallError::Failed { function: "f".into(), message: "no".into() });
        assert_eq!((failed.status, failed.outcome), (StatusCode::UNPROCESSABLE_ENTITY, "applied"));
        let left = Refusal::from(JoinError::Left);
        assert_eq!((left.status, left.code.as_str()), (StatusCode::GONE, "left"));
        let moved = Refusal::from(WriteError::Unknown { name: "v".into() });
        assert_eq!((moved.status, moved.code.as_str(), moved.outcome), (StatusCode::BAD_GATEWAY, "unknown", "unknown"));
        let lost = Refusal::from(ReadError::Lost { name: "v".into() });
        assert_eq!((lost.status, lost.code.as_str(), lost.outcome), (StatusCode::CONFLICT, "lost", "not_applied"));
        let many = Refusal::from(WatchError::TooMany { limit: 256 });
        assert_eq!((many.status, many.code.as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"));
        assert!(many.next.is_some_and(|next| next.contains("shorter beginning")));
        let full = Refusal::from(PublishError::Full { name: "t".into(), entries_max: 1024, bytes_max: 1 << 20 });
        assert_eq!((full.status, full.code.as_str()), (StatusCode::INSUFFICIENT_STORAGE, "full"));
        let late = Refusal::from(LockError::Timeout { name: "m".into(), waited: std::time::Duration::from_secs(1) });
        assert_eq!((late.status, late.code.as_str(), late.outcome), (StatusCode::CONFLICT, "timeout", "not_applied"));
    }
}
