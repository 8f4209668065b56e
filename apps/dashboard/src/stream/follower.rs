//! Reads on in the logs of nodes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use guthi::{Level, LogQuery, NodeId};

use super::{
    ring::Ring,
    state::{Json, State},
    watcher::{States, publish},
};
use crate::{
    app::App,
    json::{self, LineRow},
};

/// How often nodes are asked for new lines, if they are few; and how many are asked in a second, if not.
const PAUSE: Duration = Duration::from_secs(1);
const ASKED_MAX: usize = 16;
/// Lines of each node at the start, and later at once.
const FIRST: u32 = 200;
const LATER: u32 = 1000;
/// Lines that sockets may be behind.
const KEPT_MAX: usize = 2000;

/// The log of a node, or of all, as one.
pub(super) struct Follower<'a> {
    app: &'a Arc<App>,
    whose: &'a str,
    level: Level,
    /// How far each was read.
    read: HashMap<NodeId, u64>,
    /// How many were asked last, whether they keep a log or not.
    asked: usize,
    ring: Arc<Ring>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(app: &'a Arc<App>, whose: &'a str, level: Level) -> Self {
        Self { app, whose, level, read: HashMap::new(), asked: 0, ring: Arc::new(Ring::new(KEPT_MAX)) }
    }

    pub(super) async fn follow(mut self, states: &States) {
        loop {
            let errors = self.look().await;
            publish(states, Some(State::Tail { ring: self.ring.clone(), upto: self.ring.last(), errors }));
            let pauses = u32::try_from(self.asked.div_ceil(ASKED_MAX)).unwrap_or(u32::MAX).max(1);
            tokio::time::sleep(PAUSE * pauses).await;
        }
    }

    /// Takes what is new, in the order of time; returns who does not tell.
    async fn look(&mut self) -> Option<Json> {
        let whose = json::whose(&self.app.node, Some(self.whose)).unwrap_or_default();
        self.read.retain(|node, _| whose.contains(node));
        let whom: Vec<_> = whose.into_iter().map(|node| (node, self.read.get(&node).copied())).collect();
        self.asked = whom.len();
        let limit = if self.read.is_empty() { FIRST } else { LATER };
        let query = LogQuery { level: self.level, limit, ..LogQuery::default() };
        let (mut lines, mut errors) = (Vec::new(), Vec::new());
        for (node, answer) in json::logs(&self.app.node, whom, &query).await {
            match answer {
                Ok(part) => {
                    // Smaller numbers are those of a next life, which is read from its beginning.
                    let is_new_life = self.read.insert(node, part.last).is_some_and(|read| part.last < read);
                    if is_new_life {
                        self.read.remove(&node);
                    }
                    lines.extend(part.lines);
                }
                Err(error) => errors.push(error),
            }
        }
        lines.sort_by_cached_key(LineRow::place);
        lines.into_iter().for_each(|line| self.ring.push(|_| line));
        errors.sort_by(|a, b| a.node.cmp(&b.node));
        Json::of(&errors)
    }
}
