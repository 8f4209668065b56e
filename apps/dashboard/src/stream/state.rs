//! What a topic is at a moment, and how one state differs from another.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    history::History,
    ring::{Kept, Ring},
};

/// Of what is long, a snapshot has the last so many.
const TAIL: usize = 200;
/// Who has missed more than this has gaps in its graphs, and gets all of them anew.
const SAMPLES_MISSED_MAX_MS: u64 = 3_500;

/// A state of a topic.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// One value.
    Value(Arc<RawValue>),
    /// Rows with keys.
    Table(Arc<Vec<Entry>>),
    /// The same of which some may be missing: who did not answer, and whether there are more.
    Part { rows: Arc<Vec<Entry>>, unanswered: Json, more: bool },
    /// Something that only grows, up to a number, and what is missing from it.
    Tail { ring: Arc<Ring>, upto: u64, errors: Option<Json> },
    /// What machines did at a moment, and before.
    Samples { rows: Arc<Vec<Entry>>, at_ms: u64, history: Arc<History> },
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) json: Json,
}

/// JSON text that is compared as text.
#[derive(Clone, Debug)]
pub(crate) struct Json(Arc<RawValue>);

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.get() == other.0.get()
    }
}

impl Eq for Json {}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What a socket tells of a state.
#[derive(Debug)]
pub(crate) enum Change {
    Snapshot(Box<RawValue>),
    Delta(Box<RawValue>),
}

impl Json {
    pub(crate) fn of(value: &impl Serialize) -> Option<Self> {
        Some(Self(to_raw_value(value).ok()?.into()))
    }
}

impl Entry {
    pub(crate) fn new(key: &str, row: &impl Serialize) -> Option<Self> {
        Some(Self { key: key.into(), json: Json::of(row)? })
    }
}

impl State {
    pub(crate) fn value(value: &impl Serialize) -> Option<Self> {
        Some(Self::Value(to_raw_value(value).ok()?.into()))
    }

    /// Whether there is nothing to tell to whom the other one was told.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(a), Self::Value(b)) => a.get() == b.get(),
            (Self::Table(a), Self::Table(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::Part { rows: a, unanswered, more }, Self::Part { rows: b, unanswered: silent, more: further }) => {
                a == b && unanswered == silent && more == further
            }
            (Self::Tail { ring, upto, errors }, Self::Tail { ring: other, upto: end, errors: missing }) => {
                Arc::ptr_eq(ring, other) && upto == end && errors == missing
            }
            (Self::Samples { at_ms, .. }, Self::Samples { at_ms: other, .. }) => at_ms == other,
            _ => false,
        }
    }

    /// What is to be told to somebody who was told another state, or nothing yet.
    pub(crate) fn since(&self, told: Option<&Self>) -> Option<Change> {
        if told.is_some_and(|told| told.is_same(self)) {
            return None;
        }
        let delta = match (told, self) {
            (Some(Self::Value(_)), Self::Value(value)) => to_raw_value(&Set { set: value }).ok(),
            (Some(Self::Table(old)), Self::Table(new)) => to_raw_value(&PutDrop::between(old, new)).ok(),
            (Some(Self::Part { rows: old, .. }), Self::Part { rows, unanswered, more }) => {
                to_raw_value(&Partly { told: PutDrop::between(old, rows), unanswered, more: *more }).ok()
            }
            (Some(Self::Tail { upto, errors: old, .. }), Self::Tail { ring, errors, .. }) if old == errors => {
                ring.after(*upto).and_then(|kept| to_raw_value(&Append { append: &texts(&kept) }).ok())
            }
            (Some(Self::Samples { rows: old, at_ms: told, .. }), Self::Samples { rows, at_ms, .. })
                if at_ms - told <= SAMPLES_MISSED_MAX_MS
                    && keys(old).all(|key| keys(rows).any(|other| key == other)) =>
            {
                let put: Vec<_> = rows.iter().map(|row| &row.json).collect();
                to_raw_value(&Put { put: &put, at_ms: *at_ms }).ok()
            }
            _ => None,
        };
        match delta {
            Some(delta) => Some(Change::Delta(delta)),
            None => self.snapshot().map(Change::Snapshot),
        }
    }

    fn snapshot(&self) -> Option<Box<RawValue>> {
        match self {
            Self::Value(value) => Some(value.as_ref().to_owned()),
            Self::Table(rows) => {
                let items: Vec<_> = rows.iter().map(|row| &row.json).collect();
                to_raw_value(&Items { items: &items }).ok()
            }
            Self::Part { rows, unanswered, more } => {
                let items: Vec<_> = rows.iter().map(|row| &row.json).collect();
                to_raw_value(&Partly { told: Items { items: &items }, unanswered, more: *more }).ok()
            }
            Self::Tail { ring, errors, .. } => {
                let kept = ring.newest(TAIL);
                let items = texts(&kept);
                match errors {
                    Some(errors) => to_raw_value(&Partial { items: &items, errors }).ok(),
                    None => to_raw_value(&Items { items: &items }).ok(),
                }
            }
            Self::Samples { rows, history, .. } => {
                let items: Vec<_> = rows.iter().map(|row| &row.json).collect();
                to_raw_value(&Past { items: &items, history: history.compact() }).ok()
            }
        }
    }
}

fn texts(kept: &[Arc<Kept>]) -> Vec<&RawValue> {
    kept.iter().map(|kept| &*kept.json).collect()
}

fn keys(rows: &[Entry]) -> impl Iterator<Item = &str> {
    rows.iter().map(|row| &*row.key)
}

impl<'a> PutDrop<'a> {
    fn between(old: &'a [Entry], new: &'a [Entry]) -> Self {
        let before: HashMap<_, _> = old.iter().map(|row| (&row.key, &row.json)).collect();
        let after: HashSet<_> = new.iter().map(|row| &row.key).collect();
        let put = new.iter().filter(|row| before.get(&row.key) != Some(&&row.json)).map(|row| &row.json);
        let drop = old.iter().map(|row| &row.key).filter(|key| !after.contains(key)).map(|key| &**key);
        Self { put: put.collect(), drop: drop.collect() }
    }
}

#[derive(Serialize)]
struct Items<'a, T> {
    items: &'a [T],
}

#[derive(Serialize)]
struct Partial<'a> {
    items: &'a [&'a RawValue],
    errors: &'a Json,
}

#[derive(Serialize)]
struct Past<'a, H> {
    items: &'a [&'a Json],
    history: H,
}

#[derive(Serialize)]
struct Put<'a> {
    put: &'a [&'a Json],
    at_ms: u64,
}

#[derive(Serialize)]
struct Append<'a, T> {
    append: &'a [T],
}

#[derive(Serialize)]
struct Set<'a> {
    set: &'a RawValue,
}

#[derive(Serialize)]
struct PutDrop<'a> {
    put: Vec<&'a Json>,
    drop: Vec<&'a str>,
}

#[derive(Serialize)]
struct Partly<'a, T> {
    #[serde(flatten)]
    told: T,
    unanswered: &'a Json,
    more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, u32)]) -> State {
        State::Table(Arc::new(rows.iter().map(|(key, row)| Entry::new(key, row).unwrap()).collect()))
    }

    fn told(change: Option<Change>) -> String {
        match change {
            Some(Change::Snapshot(json)) => format!("snapshot {json}"),
            Some(Change::Delta(json)) => format!("delta {json}"),
            None => "nothing".into(),
        }
    }

    #[test]
    fn a_table_is_told_by_what_differs() {
        let old = table(&[("a", 1), ("b", 2), ("c", 3)]);
        let new = table(&[("c", 3), ("b", 4), ("d", 5)]);
        assert_eq!(told(old.since(None)), r#"snapshot {"items":[1,2,3]}"#);
        assert_eq!(told(new.since(Some(&old))), r#"delta {"put":[4,5],"drop":["a"]}"#);
        assert_eq!(told(new.since(Some(&table(&[("c", 3), ("b", 4), ("d", 5)])))), "nothing");
    }

    #[test]
    fn of_a_part_it_is_always_said_what_is_missing() {
        let part = |rows: &[(&str, u32)], silent: &[&str]| State::Part {
            rows: Arc::new(rows.iter().map(|(key, row)| Entry::new(key, row).unwrap()).collect()),
            unanswered: Json::of(&silent).unwrap(),
            more: false,
        };
        let old = part(&[("a", 1)], &[]);
        let new = part(&[("a", 1)], &["ben"]);
        assert_eq!(told(old.since(None)), r#"snapshot {"items":[1],"unanswered":[],"more":false}"#);
        assert_eq!(told(new.since(Some(&old))), r#"delta {"put":[],"drop":[],"unanswered":["ben"],"more":false}"#);
        assert_eq!(told(old.since(Some(&part(&[("a", 1)], &[])))), "nothing");
    }

    #[test]
    fn a_value_is_told_as_a_whole() {
        let (one, two) = (State::value(&1).unwrap(), State::value(&2).unwrap());
        assert_eq!(told(one.since(None)), "snapshot 1");
        assert_eq!(told(two.since(Some(&one))), r#"delta {"set":2}"#);
        assert_eq!(told(two.since(Some(&two))), "nothing");
    }

    #[test]
    fn a_reader_that_has_missed_some_gets_a_snapshot() {
        let ring = Arc::new(Ring::new(10_000));
        let state = || State::Tail { ring: ring.clone(), upto: ring.last(), errors: None };
        let first = state();
        ring.push(|seq| seq);
        let second = state();
        assert_eq!(told(second.since(Some(&first))), r#"delta {"append":[1]}"#);
        (0..10_000).for_each(|_| ring.push(|seq| seq));
        assert!(told(state().since(Some(&second))).starts_with(r#"delta {"append":[2,"#));
        assert!(told(state().since(Some(&first))).starts_with(r#"snapshot {"items":[9802,"#));
    }
}
