//! Lists, page by page, and lines that come one after the other.

use std::{convert::Infallible, time::SystemTime};

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use data_encoding::BASE64URL_NOPAD;
use futures::{Stream, StreamExt as _};
use guthi::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::Refusal;
use crate::timestamp::rfc3339;

const LIMIT: usize = 200;
const LIMIT_MAX: usize = 1000;

/// JSON, one value on each line, as it comes. Dropping the answer drops the stream.
pub(crate) fn lines(values: impl Stream<Item = Value> + Send + 'static) -> Response {
    let lines = values.map(|value| Ok::<_, Infallible>(format!("{value}\n")));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// A list, or a part of one, and who says so.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    items: Vec<T>,
    /// What to ask for as `after` to get the rest.
    next: Option<String>,
    #[serde(flatten)]
    pub(crate) seen: Seen,
}

/// Whose view it is, and when.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    as_seen_by: String,
    at: String,
}

impl Seen {
    pub(crate) fn by(node: NodeId) -> Self {
        Self { as_seen_by: node.to_string(), at: rfc3339(SystemTime::now()) }
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Paging {
    limit: Option<usize>,
    after: Option<String>,
}

impl Paging {
    pub(crate) const fn new(limit: Option<usize>, after: Option<String>) -> Self {
        Self { limit, after }
    }

    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        match self.limit.unwrap_or(LIMIT) {
            limit @ 1..=LIMIT_MAX => Ok(limit),
            _ => Err(Refusal::bad_request(format!("limit is 1 to {LIMIT_MAX}"))),
        }
    }

    /// The cursor as a number.
    pub(crate) fn after_number(&self) -> Result<Option<u64>, Refusal> {
        let bad = |_| Refusal::bad_request("after is the seq of an item of this list");
        self.after.as_ref().map(|after| after.parse().map_err(bad)).transpose()
    }

    /// The part of a list that is ordered by its keys. A cursor is the key of the last item of a page, so a list that
    /// changes meanwhile neither repeats nor passes over what stays in it.
    pub(crate) fn page<T>(&self, keyed: Vec<(String, T)>, by: NodeId) -> Result<List<T>, Refusal> {
        let limit = self.limit()?;
        let after = self.after.as_ref().map(|after| BASE64URL_NOPAD.decode(after.as_bytes())).transpose();
        let after = after.map_err(|_| Refusal::bad_request("after is the `next` of a page of this list"))?;
        let mut keyed =
            keyed.into_iter().skip_while(|(key, _)| after.as_ref().is_some_and(|after| key.as_bytes() <= &after[..]));
        let page: Vec<_> = keyed.by_ref().take(limit).collect();
        let more = keyed.next().is_some();
        let next = page.last().filter(|_| more).map(|(key, _)| BASE64URL_NOPAD.encode(key.as_bytes()));
        Ok(List { items: page.into_iter().map(|(_, item)| item).collect(), next, seen: Seen::by(by) })
    }
}

impl<T> List<T> {
    /// All there is.
    pub(crate) fn whole(items: Vec<T>, by: NodeId) -> Self {
        Self::part(items, None, by)
    }

    pub(crate) fn part(items: Vec<T>, next: Option<String>, by: NodeId) -> Self {
        Self { items, next, seen: Seen::by(by) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(keys: &[&str]) -> Vec<(String, String)> {
        keys.iter().map(|key| ((*key).to_owned(), key.to_uppercase())).collect()
    }

    #[test]
    fn a_list_that_changes_is_read_on_where_it_was_left() {
        let me = NodeId([1; 32]);
        let first = Paging { limit: Some(2), after: None }.page(items(&["a", "b", "c", "d"]), me).unwrap();
        assert_eq!(first.items, ["A", "B"]);
        let rest = Paging { limit: Some(2), after: first.next };
        // The last one of the page has gone, and one before it has come.
        let rest = rest.page(items(&["a", "aa", "c", "d"]), me).unwrap();
        assert_eq!((rest.items, rest.next), (vec!["C".to_owned(), "D".to_owned()], None));
    }

    #[test]
    fn pages_are_bounded() {
        let me = NodeId([1; 32]);
        for limit in [0, LIMIT_MAX + 1] {
            assert!(Paging { limit: Some(limit), after: None }.page(items(&["a"]), me).is_err());
        }
        assert!(Paging { limit: None, after: Some("?".into()) }.page(items(&["a"]), me).is_err());
    }
}
