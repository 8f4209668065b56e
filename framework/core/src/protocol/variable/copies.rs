//! What a node knows of variables that are at home elsewhere, or here: its copies.

use super::{Event, Machine, Part, State, Version, again::Asking, machine::Outbox};
use crate::{protocol::bugs::Bug, wire::name::Name};

/// What this node has of a variable. There is none of it if it has nothing and wants nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Copy {
    /// It may be read as long as the membership allows that.
    Valid(State),
    /// It is asked for.
    Pending {
        /// Under this number.
        nonce: u64,
        /// What is older was taken back before it came.
        floor: Version,
    },
}

impl Machine {
    pub(super) fn read(&mut self, name: Name, out: &mut Outbox) {
        match self.copies.get(&name) {
            Some(Copy::Valid(state)) => out.emit(Event::Published { name, state: state.clone() }),
            Some(Copy::Pending { .. }) => {}
            None => self.ask(name),
        }
    }

    /// From here on there is always a copy of it, or one is asked for.
    pub(super) fn watch(&mut self, name: Name, out: &mut Outbox) {
        self.watched.insert(name.clone());
        self.read(name, out);
    }

    /// Whoever watches it is without a copy: it is asked for at the end of this step.
    fn miss(&mut self, name: &Name) {
        if self.watched.contains(name) && !self.has(Bug::WatchForgotten) {
            self.missed.insert(name.clone());
        }
    }

    /// Those that are watched and of which there is no copy are asked for.
    pub(super) fn ask_for_missed(&mut self) {
        for name in core::mem::take(&mut self.missed) {
            if !self.copies.contains_key(&name) {
                self.ask(name);
            }
        }
    }

    /// In a new view it is asked for what was lost in an earlier one, too.
    pub(super) fn watch_again(&mut self) {
        if !self.has(Bug::WatchEndsWithView) {
            self.missed.clone_from(&self.watched);
        }
    }

    /// Asks for a copy.
    pub(super) fn ask(&mut self, name: Name) {
        let nonce = self.expect(&name);
        self.say_read(name, nonce, 0);
    }

    /// Makes room for a copy that will come.
    pub(super) fn expect(&mut self, name: &Name) -> u64 {
        let nonce = self.here.next_nonce();
        self.copies.insert(name.clone(), Copy::Pending { nonce, floor: Version::default() });
        nonce
    }

    pub(super) fn say_read(&mut self, name: Name, nonce: u64, level: usize) {
        let home = self.here.home(self.here.shard(&name));
        self.again.push(self.here.now, level, Asking::Read(name.clone(), nonce));
        self.here.post(home, Part::Read { name, nonce });
    }

    pub(super) fn withdraw(&mut self, name: &Name, out: &mut Outbox) {
        if let Some(Copy::Valid(_)) = self.copies.get(name) {
            self.copies.remove(name);
            self.miss(name);
            out.emit(Event::Withdrawn { name: name.clone() });
        }
    }

    /// The answer to a question.
    pub(super) fn hear_data(&mut self, name: Name, nonce: u64, state: Option<State>, out: &mut Outbox) -> bool {
        match state {
            Some(state) => self.install_copy(name, nonce, state, out),
            None if self.awaits(&name, nonce) => {
                self.copies.remove(&name);
                if self.watched.contains(&name) {
                    self.again.push(self.here.now, usize::MAX, Asking::Watched(name.clone()));
                }
                out.emit(Event::Lost { name });
                true
            }
            None => false,
        }
    }

    pub(super) fn awaits(&self, name: &Name, nonce: u64) -> bool {
        matches!(self.copies.get(name), Some(Copy::Pending { nonce: awaited, .. }) if *awaited == nonce)
    }

    /// A copy has come: it is one if it was asked for under this number, and nothing newer was heard of meanwhile (trap T1).
    pub(super) fn install_copy(&mut self, name: Name, nonce: u64, state: State, out: &mut Outbox) -> bool {
        let forced = self.has(Bug::WriterCopyForced);
        let floor = match self.copies.get(&name) {
            Some(Copy::Pending { nonce: awaited, floor }) if *awaited == nonce => *floor,
            None if forced => Version::default(),
            _ => return false,
        };
        if state.version < floor && !self.has(Bug::FloorIgnored) {
            out.reached("variable: a copy that was overtaken");
            self.ask(name);
        } else {
            self.copies.insert(name.clone(), Copy::Valid(state.clone()));
            out.emit(Event::Published { name, state });
        }
        true
    }

    /// Something newer is about to be written. It is acknowledged in any case: what is not here cannot be read.
    pub(super) fn hear_invalidate(&mut self, from: u16, name: Name, version: Version, out: &mut Outbox) {
        match self.copies.get_mut(&name) {
            Some(Copy::Valid(state)) if state.version < version => self.withdraw(&name, out),
            Some(Copy::Pending { floor, .. }) => *floor = (*floor).max(version),
            Some(Copy::Valid(_)) | None => {}
        }
        self.here.post(from, Part::Invalidated { name, version });
    }
}
