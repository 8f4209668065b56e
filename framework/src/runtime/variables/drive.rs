//! What the driver does about variables.

use std::{
    mem,
    sync::{Arc, atomic::AtomicBool},
};

use guthi_core::{
    protocol::{
        engine::{Engine, Input},
        packet::keys,
        variable::{Command, Event, Known, State},
    },
    wire::{id::NodeId, name::Name},
};

use tokio::time::Instant;

use super::{Cell, Found, Published, Variables};
use crate::runtime::driver::Driver;

impl Variables {
    fn publish(&self, name: &Name, state: State) {
        let Some(cell) = self.known(name) else { return };
        let (life, since, read) = (self.life.load_full(), Instant::now(), AtomicBool::new(false));
        let published = Arc::new(Published { state, life, since, read });
        cell.published.store(Some(published.clone()));
        cell.tell(&Found::Copy(published));
    }

    fn withdraw(&self, name: &Name) {
        if let Some(cell) = self.known(name) {
            cell.withdraw();
        }
    }

    /// Takes back the copy of what is written here, if nobody has read it since it came.
    fn withdraw_unread(&self, name: &Name) -> bool {
        let cell = self.known(name).filter(|cell| cell.has_unread() && !cell.is_watched());
        cell.inspect(|cell| cell.withdraw()).is_some()
    }

    /// There is no copy of anything any more. Whoever waits for one asks again.
    fn withdraw_all(&self) {
        let cells: Vec<_> = self.cells.iter().filter_map(|cell| cell.upgrade()).collect();
        for cell in cells {
            cell.withdraw();
            if cell.is_watched() {
                self.tell(Command::Watch { name: cell.name.clone() });
            } else if !cell.waiting.lock().is_empty() {
                self.tell(Command::Read { name: cell.name.clone() });
            }
        }
    }

    /// Nothing new is begun from here on.
    pub(in crate::runtime) fn close(&self) {
        self.counter.lock().closed = true;
    }

    /// Nobody gets anything any more.
    pub(in crate::runtime) fn end(&self) {
        self.close();
        let waiting = mem::take(&mut self.counter.lock().waiting);
        // Their answers are dropped, outside the lock.
        drop(waiting);
        self.end_following();
        let cells: Vec<_> = self.cells.iter().filter_map(|cell| cell.upgrade()).collect();
        for cell in cells {
            cell.withdraw();
            cell.end_watching();
            let waiting = mem::take(&mut *cell.waiting.lock());
            drop(waiting);
        }
    }
}

impl Cell {
    fn withdraw(&self) {
        self.published.store(None);
        self.withdraw_news();
    }

    fn tell(&self, found: &Found) {
        self.tell_watchers(found);
        let waiting = mem::take(&mut *self.waiting.lock());
        if let Found::Copy(published) = found
            && !waiting.is_empty()
        {
            published.note_read();
        }
        for waiter in waiting {
            // Whoever waits no more is gone.
            let _ = waiter.send(found.clone());
        }
    }
}

impl Driver {
    pub(in crate::runtime) fn variable_event(&mut self, event: Event) {
        let variables = &self.setup.variables;
        match event {
            Event::Published { name, state } => {
                // The first copy may come with the lease itself: whoever gets it must find that it may be read.
                self.desk.look_again();
                variables.publish(&name, state);
            }
            Event::Withdrawn { name } => variables.withdraw(&name),
            Event::Lost { name } => {
                if let Some(cell) = variables.known(&name) {
                    cell.tell(&Found::Lost);
                }
            }
            Event::Followed { prefix, name, state, skipped } => variables.tell_followers(&prefix, name, state, skipped),
            Event::Listed { prefix } => variables.tell_whole(&prefix),
            Event::Done { ticket, result } => {
                let waiter = variables.counter.lock().waiting.remove(&ticket);
                // Whoever waits no more is gone.
                let _ = waiter.map(|waiter| waiter.send(result));
            }
            Event::Orphaned { shard, since } => {
                tracing::warn!(
                    shard = shard.0,
                    since = since.0,
                    "all who had these variables are gone; whoever reads \
                    one is told so, until it is reset"
                );
            }
            // They are counted, and that is all.
            Event::Active { .. } | Event::Reset { .. } | Event::Committed { .. } | Event::Ignored { .. } => {}
        }
    }

    /// What handles have asked for. All operations that are there go together.
    pub(in crate::runtime) fn serve_variables(&mut self) {
        let mut counter = self.setup.variables.counter.lock();
        let (commands, operations) = (mem::take(&mut counter.commands), mem::take(&mut counter.operations));
        let (types, unread) = (mem::take(&mut counter.types), mem::take(&mut counter.unread));
        drop(counter);
        for (kind, value) in types {
            let key = format!("{}{kind:016x}", keys::TYPE);
            match self.engine.catalog().own().may_set(&key, &value) {
                Ok(()) => self.step(Input::Set { key, value }),
                // The others can use the variable all the same; only tools that do not have the type cannot show it.
                Err(refused) => tracing::debug!(kind, ?refused, "the others are not told of a type"),
            }
        }
        for command in commands {
            self.step(Input::Variable(command));
        }
        // A writer gets a copy with each answer as long as it has one, and taking that back costs more than the answer. Who only
        // writes wants none.
        for name in unread {
            if self.setup.variables.withdraw_unread(&name) {
                self.step(Input::Variable(Command::Forget { name }));
            }
        }
        if !operations.is_empty() {
            self.step(Input::Variable(Command::Operate(operations)));
        }
    }

    /// What a peer says of the types that it uses.
    pub(in crate::runtime) fn hear_of_types(&self, node: NodeId) {
        let Some((_, catalog)) = self.engine.catalog().copy(node) else { return };
        for (key, description) in catalog.with_prefix(keys::TYPE) {
            let kind = key.strip_prefix(keys::TYPE).and_then(|kind| u64::from_str_radix(kind, 16).ok());
            if let Some(kind) = kind {
                self.setup.variables.hear_of_type(kind, description);
            }
        }
    }

    /// Others went on without this node, and it goes on as a later life: what was not said yet is said by that, and what this
    /// life has kept is offered.
    pub(in crate::runtime) fn inherit_variables(&mut self, before: Engine) {
        let variables = self.setup.variables.clone();
        variables.withdraw_all();
        variables.follow_anew();
        let (said, unsaid) = before.variable().unfinished();
        let mut counter = variables.counter.lock();
        for ticket in said {
            let waiter = counter.waiting.remove(&ticket);
            drop(waiter);
        }
        counter.operations.splice(..0, unsaid);
        drop(counter);
        variables.asked.notify_one();
        if let Some(estate) = before.into_estate() {
            self.step(Input::Variable(Command::Inherit(estate)));
        }
    }

    /// The variables that have their first home here, by name: so many at most.
    pub(in crate::runtime) fn list_variables(&self, prefix: &str, most: usize) -> Vec<ListedVariable> {
        let known = self.engine.variable().known(prefix);
        let mut listed: Vec<_> = known.map(|(name, known)| ListedVariable { name: name.clone(), known }).collect();
        listed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        listed.truncate(most);
        listed
    }
}

/// A variable at its first home.
#[derive(Debug)]
pub(crate) struct ListedVariable {
    pub(crate) name: Name,
    pub(crate) known: Known,
}
