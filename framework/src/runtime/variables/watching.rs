//! Watching a variable: each of its values, or the last of several where the watcher is slow.

use std::{mem, sync::Arc};

use guthi_core::protocol::variable::{Command, State, Version};
use tokio::sync::watch;

use super::{Cell, Found};

/// What is known of a variable, for those who watch it.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The copy that there is, or that all who had it are gone.
    found: Option<Found>,
    /// What was found last, and how often that was something else than before.
    last: Option<Shown>,
    count: u64,
    /// There will be no more.
    over: bool,
}

/// Somebody who watches a variable. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Watcher {
    cell: Arc<Cell>,
    news: watch::Receiver<News>,
    /// How many values were told when it looked last.
    count: u64,
    shown: Option<Shown>,
}

/// What a watcher was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Value(Version),
    Nothing,
    Lost,
}

impl Cell {
    pub(crate) fn watch(self: &Arc<Self>) -> Watcher {
        let mut watchers = self.watchers.lock();
        if *watchers == 0 {
            // What was lost when somebody read it is perhaps there by now.
            self.news.send_if_modified(|news| {
                news.found.take_if(|found| matches!(found, Found::Lost));
                false
            });
        }
        *watchers += 1;
        let mut news = self.news.subscribe();
        news.mark_changed();
        self.variables.tell(Command::Watch { name: self.name.clone() });
        drop(watchers);
        if self.variables.is_closed() {
            self.end_watching();
        }
        Watcher { cell: self.clone(), news, count: 0, shown: None }
    }

    pub(super) fn is_watched(&self) -> bool {
        *self.watchers.lock() > 0
    }

    pub(super) fn tell_watchers(&self, found: &Found) {
        self.news.send_if_modified(|news| {
            let shown = Shown::of(found);
            let is_new = news.last.replace(shown) != Some(shown);
            news.count += u64::from(is_new);
            news.found.replace(found.clone()).is_none() || is_new
        });
    }

    /// What may not be read any more is not told to those who have not heard of it yet: there will be something newer.
    pub(super) fn withdraw_news(&self) {
        self.news.send_if_modified(|news| {
            news.found = None;
            false
        });
    }

    pub(super) fn end_watching(&self) {
        self.news.send_if_modified(|news| !mem::replace(&mut news.over, true));
    }
}

impl Watcher {
    pub(crate) fn cell(&self) -> &Cell {
        &self.cell
    }

    /// The next that it does not know, and how many values came and went since; nothing when the node has left.
    pub(crate) async fn next(&mut self) -> Option<(Found, u64)> {
        loop {
            // The sender lives as long as the cell.
            self.news.changed().await.ok()?;
            let (found, count) = {
                let news = self.news.borrow_and_update();
                if news.over {
                    return None;
                }
                (news.found.clone(), news.count)
            };
            let Some(found) = found else { continue };
            if let Found::Copy(copy) = &found {
                // What was not told under a lease is told under the next one, if it is still what there is.
                tokio::select! {
                    () = copy.life.readable() => {}
                    changed = self.news.changed() => {
                        changed.ok()?;
                        self.news.mark_changed();
                        continue;
                    }
                }
                if !copy.life.may_read() {
                    continue;
                }
            }
            let since = count - mem::replace(&mut self.count, count);
            let before = self.shown.replace(Shown::of(&found));
            if before != self.shown {
                // Of what was before the first nothing is missed.
                return Some((found, before.map_or(0, |_| since.saturating_sub(1))));
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watchers = self.cell.watchers.lock();
        *watchers -= 1;
        if *watchers == 0 {
            self.cell.variables.tell(Command::Unwatch { name: self.cell.name.clone() });
        }
    }
}

impl Shown {
    fn of(found: &Found) -> Self {
        match found {
            Found::Copy(copy) => match &copy.state {
                State { value: Some(_), version } => Self::Value(*version),
                // What was removed has no version that its home would remember.
                State { value: None, .. } => Self::Nothing,
            },
            Found::Lost => Self::Lost,
        }
    }
}
