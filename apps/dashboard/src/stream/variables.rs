//! Variables as they change: values come by themselves, and who keeps them is asked for now and then.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, pending},
};
use guthi::{Change, Changes, Events, RawValue, Version};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    state::{Entry, Json, State},
    watcher::{States, publish},
};
use crate::{
    app::App,
    json::{self, Short, VariableRow},
};

/// Variables that are told of; whoever wants to know of others asks for those that begin so.
const VARIABLES_MAX: usize = 2000;
/// How long what changes waits for what else does.
const PAUSE: Duration = Duration::from_millis(100);
/// Changes that are taken in at once.
const CHANGES_MAX: usize = 10_000;
/// How often all members are asked who keeps what; the same while no changes come, and when something new was seen.
const LIST: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(1);
const LIST_SOON: Duration = Duration::from_millis(500);

/// Publishes the variables whose names begin so.
pub(super) async fn follow(app: &Arc<App>, prefix: &str, states: &States) {
    let mut rows = Rows::default();
    rows.list(json::variables(app, prefix, "").await);
    publish(states, rows.state());
    let mut news = News::new(app, prefix);
    loop {
        news.next(&mut rows).await;
        publish(states, rows.state());
        sleep(PAUSE).await;
    }
}

/// Where rows come from.
struct News<'a> {
    app: &'a Arc<App>,
    prefix: &'a str,
    /// Gone while this node watches as much as it may, and when it has left.
    changes: Option<Changes<RawValue>>,
    /// Gone when the node has left.
    events: Option<Events>,
    /// A list that is under way.
    listing: Option<BoxFuture<'a, json::Variables>>,
    listed: Instant,
}

impl<'a> News<'a> {
    fn new(app: &'a Arc<App>, prefix: &'a str) -> Self {
        let (changes, events) = (app.node.watch_raw(prefix).ok(), Some(app.node.events()));
        Self { app, prefix, changes, events, listing: None, listed: Instant::now() }
    }

    /// Waits for something that rows may have to be told of, and tells them.
    async fn next(&mut self, rows: &mut Rows) {
        let (is_idle, due) = (self.listing.is_none(), self.listed + self.pause(rows));
        tokio::select! {
            change = next_of(&mut self.changes) => match change {
                Some(change) => self.take(change, rows),
                None => self.changes = None,
            },
            event = event(&mut self.events) => match event {
                Some(_) => rows.is_list_wanted = true,
                None => self.events = None,
            },
            listed = answer(&mut self.listing) => {
                self.listing = None;
                rows.list(listed);
            }
            () = sleep_until(due), if is_idle => self.ask(rows),
        }
    }

    /// A change, and those that came with it.
    fn take(&mut self, change: Change<RawValue>, rows: &mut Rows) {
        rows.take(change, self.app);
        for _ in 1..CHANGES_MAX {
            let Some(Some(change)) = next_of(&mut self.changes).now_or_never() else { return };
            rows.take(change, self.app);
        }
    }

    const fn pause(&self, rows: &Rows) -> Duration {
        match (&self.changes, rows.is_list_wanted) {
            (_, true) => LIST_SOON,
            (Some(_), false) => LIST,
            (None, false) => LOOK,
        }
    }

    fn ask(&mut self, rows: &mut Rows) {
        // There may be room by now.
        if self.changes.is_none() {
            self.changes = self.app.node.watch_raw(self.prefix).ok();
        }
        rows.expect_list();
        self.listed = Instant::now();
        self.listing = Some(json::variables(self.app, self.prefix, "").boxed());
    }
}

async fn next_of(changes: &mut Option<Changes<RawValue>>) -> Option<Change<RawValue>> {
    match changes {
        Some(changes) => changes.next().await,
        None => pending().await,
    }
}

async fn event(events: &mut Option<Events>) -> Option<guthi::Event> {
    match events {
        Some(events) => events.next().await,
        None => pending().await,
    }
}

async fn answer<T>(listing: &mut Option<BoxFuture<'_, T>>) -> T {
    match listing {
        Some(listing) => listing.await,
        None => pending().await,
    }
}

/// What is known of the variables, as far as it is told: however many there are, so many rows and no more.
#[derive(Default)]
struct Rows {
    rows: BTreeMap<String, Row>,
    unanswered: Option<Json>,
    more: bool,
    /// What was deleted since all were asked, whose answers may have it still.
    gone: Option<BTreeSet<String>>,
    /// Something has changed that only a list says.
    is_list_wanted: bool,
}

struct Row {
    row: VariableRow,
    /// As it is told: not before a list has said who keeps it.
    entry: Option<Entry>,
    /// It has changed since all were asked.
    is_fresh: bool,
}

impl Rows {
    fn take(&mut self, change: Change<RawValue>, app: &App) {
        match change {
            Change::Set { name, value, version, .. } => self.set(name, version, || Short::of(&app.node, &value)),
            Change::Deleted { name } => self.delete(name),
            // What is lost stays as it was told last until a list has it no more, and bytes are always read.
            _ => {}
        }
    }

    fn set(&mut self, name: String, version: Version, value: impl FnOnce() -> Short) {
        if let Some(gone) = &mut self.gone {
            gone.remove(&name);
        }
        if let Some(known) = self.rows.get_mut(&name) {
            known.set(version, value);
        } else if self.rows.len() >= VARIABLES_MAX {
            self.more = true;
        } else {
            let row = VariableRow::unlisted(name.clone(), version, value());
            self.rows.insert(name, Row { row, entry: None, is_fresh: true });
            self.is_list_wanted = true;
        }
    }

    fn delete(&mut self, name: String) {
        self.rows.remove(&name);
        match &mut self.gone {
            Some(gone) if gone.len() < VARIABLES_MAX => _ = gone.insert(name),
            Some(_) => self.is_list_wanted = true,
            None => {}
        }
    }

    /// All members are asked from now on.
    fn expect_list(&mut self) {
        self.gone = Some(BTreeSet::new());
        self.rows.values_mut().for_each(|row| row.is_fresh = false);
        self.is_list_wanted = false;
    }

    /// What members have answered, in the place of what was there; only what has come since they were asked stays.
    fn list(&mut self, json::Variables { rows, unanswered, more }: json::Variables) {
        let gone = self.gone.take().unwrap_or_default();
        // Versions are lower in another lineage: what is older than the question counts no more, whatever it says.
        let mut before = mem::take(&mut self.rows);
        before.retain(|_, row| row.is_fresh);
        self.more = more || rows.len() > VARIABLES_MAX;
        self.unanswered = Json::of(&unanswered);
        for mut row in rows.into_iter().filter(|row| !gone.contains(&row.name)).take(VARIABLES_MAX) {
            if let Some(known) = before.remove(&row.name).filter(|known| known.row.version > row.version) {
                (row.version, row.value) = (known.row.version, known.row.value);
            }
            let entry = Entry::new(&row.name, &row);
            self.rows.insert(row.name.clone(), Row { row, entry, is_fresh: false });
        }
        let room = VARIABLES_MAX - self.rows.len();
        self.rows.extend(before.into_iter().filter(|(_, row)| row.entry.is_none()).take(room));
    }

    fn state(&self) -> Option<State> {
        let rows = self.rows.values().filter_map(|row| row.entry.clone()).collect();
        Some(State::Part { rows: Arc::new(rows), unanswered: self.unanswered.clone()?, more: self.more })
    }
}

impl Row {
    fn set(&mut self, version: Version, value: impl FnOnce() -> Short) {
        if version <= self.row.version {
            return;
        }
        (self.row.version, self.row.value, self.is_fresh) = (version, value(), true);
        if self.entry.is_some() {
            self.entry = Entry::new(&self.row.name, &self.row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::state;

    fn listed(names: &[&str], number: u64) -> json::Variables {
        let row = |name: &&str| VariableRow::unlisted((*name).to_owned(), version(number), Short::default());
        json::Variables { rows: names.iter().map(row).collect(), unanswered: Vec::new(), more: false }
    }

    fn version(number: u64) -> Version {
        format!("1.{number}").parse().unwrap()
    }

    fn set(rows: &mut Rows, name: &str, number: u64) {
        rows.set(name.to_owned(), version(number), Short::default);
    }

    /// The names and versions that are told.
    fn told(rows: &Rows) -> Vec<(String, String)> {
        let Some(state::Change::Snapshot(all)) = rows.state().unwrap().since(None) else { panic!("no snapshot") };
        let all: serde_json::Value = serde_json::from_str(all.get()).unwrap();
        let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
        all["items"].as_array().unwrap().iter().map(|row| (text(row, "name"), text(row, "version"))).collect()
    }

    fn of(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn what_has_come_since_members_were_asked_is_newer_than_their_answers() {
        let mut rows = Rows::default();
        rows.list(listed(&["a", "b", "c"], 1));
        rows.expect_list();
        set(&mut rows, "a", 3);
        rows.delete("b".into());
        rows.delete("c".into());
        set(&mut rows, "c", 4);
        assert_eq!(told(&rows), of(&[("a", "1.3")]));
        rows.list(listed(&["a", "b", "c"], 2));
        assert_eq!(told(&rows), of(&[("a", "1.3"), ("c", "1.4")]));
        set(&mut rows, "a", 2);
        assert_eq!(told(&rows)[0].1, "1.3", "what is old comes too late");
        // Whoever is asked now knows of what was deleted before.
        rows.expect_list();
        rows.list(listed(&["a", "b"], 5));
        assert_eq!(told(&rows), of(&[("a", "1.5"), ("b", "1.5")]));
    }

    #[test]
    fn in_another_lineage_versions_begin_anew() {
        let mut rows = Rows::default();
        rows.list(listed(&["a"], 7));
        set(&mut rows, "a", 8);
        set(&mut rows, "b", 9);
        rows.expect_list();
        rows.list(listed(&["a"], 2));
        assert_eq!((told(&rows), rows.rows.len()), (of(&[("a", "1.2")]), 1));
        set(&mut rows, "a", 3);
        assert_eq!(told(&rows), of(&[("a", "1.3")]));
    }

    #[test]
    fn a_variable_without_a_row_is_asked_for_and_not_told_before() {
        let mut rows = Rows::default();
        rows.list(listed(&["a"], 1));
        set(&mut rows, "a", 2);
        assert!(!rows.is_list_wanted);
        set(&mut rows, "b", 3);
        assert!(rows.is_list_wanted && told(&rows) == of(&[("a", "1.2")]));
        rows.expect_list();
        set(&mut rows, "c", 4);
        rows.list(listed(&["a", "b"], 3));
        assert!(rows.is_list_wanted, "the answers are older than c");
        assert_eq!(told(&rows), of(&[("a", "1.3"), ("b", "1.3")]));
    }

    #[test]
    fn however_many_change_only_so_many_are_kept() {
        const MANY: u64 = 100_000;
        let mut rows = Rows::default();
        let names: Vec<_> = (0..VARIABLES_MAX).map(|number| format!("a{number:05}")).collect();
        rows.list(listed(&names.iter().map(String::as_str).collect::<Vec<_>>(), 1));
        assert!(!rows.more);
        rows.expect_list();
        for number in 0..MANY {
            set(&mut rows, &format!("b{number}"), number);
        }
        assert!(rows.rows.len() == VARIABLES_MAX && rows.more && !rows.is_list_wanted);
        for number in 0..MANY {
            rows.delete(format!("b{number}"));
        }
        assert_eq!(rows.gone.as_ref().map(BTreeSet::len), Some(VARIABLES_MAX));
        assert!(rows.is_list_wanted, "not all that is gone is remembered");
        rows.list(json::Variables { more: true, ..listed(&["a"], 1) });
        for number in 0..MANY {
            set(&mut rows, &format!("b{number}"), number);
        }
        assert_eq!(rows.rows.len(), VARIABLES_MAX);
    }
}
