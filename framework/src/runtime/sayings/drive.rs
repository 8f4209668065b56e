//! What the driver does about entries and topics.

use std::collections::BTreeSet;

use guthi_core::{
    protocol::{engine::Input, packet::keys},
    wire::{id::NodeId, name},
};
use tokio::time::Instant;

use super::Sayings;
use crate::runtime::driver::Driver;

impl Sayings {
    /// Nobody is heard any more.
    pub(in crate::runtime) fn end(&self) {
        let mut state = self.state.lock();
        state.written.closed = true;
        state.heard.close();
        drop(state);
        self.topics.close();
    }
}

/// Whether an entry is one that programs write: it says nothing of its node.
pub(in crate::runtime) fn is_said(key: &str) -> bool {
    [keys::PUBLISHED, keys::EPHEMERAL, keys::TOPIC].iter().any(|prefix| key.starts_with(prefix))
}

/// Whether an entry is one that handles read.
fn is_read(key: &str) -> bool {
    let name = [keys::PUBLISHED, keys::EPHEMERAL].iter().find_map(|prefix| key.strip_prefix(prefix));
    name.is_some_and(|name| name::check(name).is_ok())
}

impl Driver {
    /// Somebody has something to say.
    pub(in crate::runtime) fn say_now(&mut self) {
        self.say_at = Some(Instant::now());
    }

    /// Tells the others what is due.
    pub(in crate::runtime) fn say(&mut self) {
        let Some(at) = self.say_at else { return };
        let now = Instant::now();
        if at > now {
            return;
        }
        let (told, again) = self.setup.sayings.due(now);
        self.say_at = again;
        if !told.is_empty() {
            let told = told.into_iter().map(|(key, value)| (key, value.map(|value| value.to_vec())));
            self.step(Input::Write(told.collect()));
        }
    }

    /// A peer has changed these entries of its catalog.
    pub(in crate::runtime) fn hear(&self, node: NodeId, changed: &BTreeSet<String>) {
        let Some((_, catalog)) = self.engine.catalog().copy(node).filter(|_| self.peers.is_ready(node)) else { return };
        let sayings = &self.setup.sayings;
        for key in changed.iter().filter(|key| is_said(key)) {
            let value = catalog.get(key);
            sayings.topics.note(node, key, value);
            if is_read(key) {
                sayings.counts.heard.one();
                sayings.state.lock().heard.note(node, key, value.map(Into::into));
            }
        }
    }

    /// A peer can be called, or cannot any more: what it says is there, or is gone.
    pub(in crate::runtime) fn attend_to(&self, node: NodeId) {
        let sayings = &self.setup.sayings;
        let link = self.peers.link(node).filter(|_| self.peers.is_ready(node));
        let (Some(link), Some((_, catalog))) = (link, self.engine.catalog().copy(node)) else {
            sayings.topics.hide(node);
            return sayings.state.lock().heard.show(node, std::iter::empty());
        };
        sayings.topics.show(link.member, link.control.clone(), catalog.with_prefix(keys::TOPIC));
        let entries = [keys::PUBLISHED, keys::EPHEMERAL].into_iter().flat_map(|prefix| catalog.with_prefix(prefix));
        sayings.state.lock().heard.show(node, entries.filter(|(key, _)| is_read(key)));
    }

    /// This node goes on as a later life, and hears everybody anew.
    pub(in crate::runtime) fn hear_anew(&self) {
        let sayings = &self.setup.sayings;
        sayings.topics.begin_anew();
        for node in self.peers.nodes() {
            sayings.state.lock().heard.show(node, std::iter::empty());
        }
    }

    /// Nobody remembers a peer any more.
    pub(in crate::runtime) fn stop_hearing(&self, node: NodeId) {
        self.attend_to(node);
        self.setup.sayings.topics.forget(node);
    }
}
