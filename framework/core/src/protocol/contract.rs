//! The contract between a protocol and whatever drives it.
//!
//! A protocol is a plain value. It reads no clock, sends nothing and waits for nothing: each input comes with the time,
//! each effect leaves through the [`Outbox`], and the one moment at which it wants to be woken is a question that it
//! answers. So the same machine runs over a real network, in a simulation and in a model checker, byte for byte.
//!
//! Protocols never call each other. What one has to say to another leaves as an event, and the
//! [`Engine`](super::engine::Engine) is the only place where events become inputs.

use alloc::vec::{self, Vec};
use core::fmt::Debug;

use super::{time::Time, view::At};
use crate::wire::id::Member;

/// One distributed algorithm on one node.
///
/// # Contract
/// - Every input is one atomic step of bounded work and bounded output.
/// - Inputs are never refused by a panic or an error: a strange message from a peer is an event that says so.
/// - Effects are carried out in the order of the outbox.
/// - Time never goes backwards, though it may stand still, and it may jump after a pause.
pub trait Protocol: Sized {
    /// What it says to the same protocol on other nodes.
    type Message: Debug;
    /// What its own node asks of it.
    type Command: Debug;
    /// What it tells its own node.
    type Event: Debug;

    /// A peer has sent a message.
    fn receive(&mut self, now: Time, from: Member, message: Self::Message, out: &mut Outbox<Effect<Self>>);

    /// This node asks for something.
    fn command(&mut self, now: Time, command: Self::Command, out: &mut Outbox<Effect<Self>>);

    /// Those who can be spoken to have changed.
    fn view_changed(&mut self, now: Time, change: ViewChange, out: &mut Outbox<Effect<Self>>);

    /// The [`deadline`](Self::deadline) has come. Early, late and repeated wakes are harmless.
    fn wake(&mut self, now: Time, out: &mut Outbox<Effect<Self>>);

    /// When to call [`wake`](Self::wake); never, if `None`.
    fn deadline(&self) -> Option<Time>;
}

/// A change among those who can be spoken to.
///
/// Today a link decides that; a view that all members agree on will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewChange {
    /// Messages reach this member from now on, and nothing that was said to an earlier life of its node does.
    Linked(Member),
    /// Messages do not reach this member any more. What was under way may have arrived, or not.
    Unlinked(Member),
}

/// What a protocol wants done.
pub enum Effect<P: Protocol> {
    /// Send this to a linked member; to any other it is lost.
    Send {
        /// To whom.
        to: Member,
        /// What.
        message: P::Message,
    },
    /// Tell the engine.
    Emit(P::Event),
    /// Write this view into the file of this process, in the place of an earlier one of its lineage, before anything after it
    /// leaves.
    Record(At),
}

/// What a step wants done, in order.
///
/// The simulator also learns from it which rare branches were [reached](Outbox::reached).
#[derive(Clone, Debug)]
pub struct Outbox<E> {
    effects: Vec<E>,
    #[cfg(feature = "simulation")]
    reached: Vec<&'static str>,
}

impl<E> Outbox<E> {
    /// An outbox without effects. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            effects: Vec::new(),
            #[cfg(feature = "simulation")]
            reached: Vec::new(),
        }
    }

    /// Adds an effect after all others.
    pub fn push(&mut self, effect: E) {
        self.effects.push(effect);
    }

    /// Marks a rare branch. A campaign of the simulator fails if it never came here; elsewhere this is nothing.
    #[cfg_attr(not(feature = "simulation"), allow(clippy::unused_self, reason = "the marker is compiled away"))]
    #[inline]
    pub fn reached(&mut self, marker: &'static str) {
        #[cfg(feature = "simulation")]
        self.reached.push(marker);
        #[cfg(not(feature = "simulation"))]
        let _ = marker;
    }

    /// Takes the markers of the rare branches that the last steps came to.
    #[cfg(feature = "simulation")]
    pub fn take_reached(&mut self) -> Vec<&'static str> {
        core::mem::take(&mut self.reached)
    }

    /// Takes over the markers of another outbox.
    #[inline]
    pub fn absorb_reached<F>(&mut self, other: &mut Outbox<F>) {
        #[cfg(feature = "simulation")]
        self.reached.append(&mut other.reached);
        #[cfg(not(feature = "simulation"))]
        let _ = other;
    }

    /// Takes all effects, in order.
    pub fn drain(&mut self) -> vec::Drain<'_, E> {
        self.effects.drain(..)
    }

    /// Takes those effects out for which `wanted` holds, and leaves the others, both in order.
    pub fn extract(&mut self, wanted: impl FnMut(&mut E) -> bool) -> Vec<E> {
        self.effects.extract_if(.., wanted).collect()
    }

    /// The effects so far, in order.
    #[must_use]
    pub fn effects(&self) -> &[E] {
        &self.effects
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Protocol> Outbox<Effect<P>> {
    /// Sends a message.
    pub fn send(&mut self, to: Member, message: P::Message) {
        self.push(Effect::Send { to, message });
    }

    /// Writes a view down before anything else leaves.
    pub fn record(&mut self, at: At) {
        self.push(Effect::Record(at));
    }

    /// Emits an event.
    pub fn emit(&mut self, event: P::Event) {
        self.push(Effect::Emit(event));
    }
}

impl<P: Protocol> Debug for Effect<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Send { to, message } => write!(f, "to {:?}: {message:?}", to.node),
            Self::Emit(event) => event.fmt(f),
            Self::Record(at) => write!(f, "record {at:?}"),
        }
    }
}
