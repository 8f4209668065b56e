//! What is known about a type while it is being asked.
//!
//! A *slot* is a position where a value is asked for: the root, a field, an element, a variant.
//! A *composite* is a type with parts; all slots that ask for the same type share it, so recursive
//! types are finite and wide ones small.
//!
//! A slot is *settled* when everything below it is known, or when everything in it that can be
//! reached was visited since something was last learnt.
//! Runs go on until the root is settled; each of them learns something or settles a slot.

use std::{
    any::type_name,
    collections::HashMap,
    iter,
    ops::Range,
    panic::{self, AssertUnwindSafe},
};

use serde::de::{DeserializeOwned, Visitor};

use super::{
    Primitive, Shape, Unsupported, emission,
    plausible::{TASTES_MAX, Taste},
    probe::{Probe, Rejected},
};

/// Asks a type until there is nothing more to learn.
#[derive(Default)]
pub(super) struct Tracer {
    slots: Vec<Slot>,
    composites: Vec<Composite>,
    shared: HashMap<Key, CompositeId>,
    /// How much has been learnt.
    progress: usize,
    /// The number of this run.
    run: usize,
    /// The slots in which we are, outermost first.
    path: Vec<SlotId>,
    /// How many slots were entered, over all runs.
    requests: usize,
    /// Whether this run's failure has been attributed to a slot.
    is_blamed: bool,
    unsupported: Option<Unsupported>,
}

pub(super) type SlotId = usize;
pub(super) type CompositeId = usize;

/// A position where a value is asked for.
#[derive(Default)]
pub(super) struct Slot {
    /// The type that is expected, where the asker said so.
    pub(super) label: Option<&'static str>,
    pub(super) request: Option<Request>,
    /// How many values were rejected here.
    tastes: u32,
    /// Whether a value has been made.
    is_producible: bool,
    /// How much was known at the last visit.
    visited_at: Option<usize>,
    /// The run of the last visit.
    visited_in: usize,
}

/// What is asked for in a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Primitive(Primitive),
    Composite(CompositeId),
    /// Nothing is ever asked: the name is an alias.
    Nothing,
    /// Now this, now that: the type depends on values.
    Anything,
}

/// A type with parts.
pub(super) struct Composite {
    key: Key,
    pub(super) parts: Range<SlotId>,
    /// Whether everything below is known, as of the beginning of the run.
    is_complete: bool,
    /// Whether no part deserves a visit, as of the beginning of the run.
    is_settled: bool,
    /// Whether we are inside of it.
    is_open: bool,
    /// For an enum: the first variant that was ever made.
    ///
    /// The first one that was made cannot have contained another one of this enum, the second can
    /// only have contained the first, and so on: making the first one always comes to an end.
    favourite: Option<usize>,
}

/// What makes two types the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// The name of the type that is made.
    pub(super) value: &'static str,
    /// The name of the type that makes it.
    visitor: &'static str,
}

impl Key {
    pub(super) fn new<'de, V: Visitor<'de>>(kind: Kind) -> Self {
        Self { kind, value: type_name::<V::Value>(), visitor: type_name::<V>() }
    }
}

/// The kinds of types with parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Option,
    Seq,
    Map,
    Tuple(usize),
    /// A long tuple, whose elements share one slot.
    Array(usize),
    Struct(&'static str, Style),
    Enum(&'static str, &'static [&'static str]),
    /// What is in a variant.
    Variant(Style),
}

/// How the parts of a struct or variant are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Style {
    Unit,
    Newtype,
    Tuple(usize),
    Named(&'static [&'static str]),
}

/// How a slot is to be visited.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) taste: Taste,
    /// Whether any value will do: we are inside of the very type that is asked for.
    pub(super) is_hasty: bool,
}

impl Mode {
    pub(super) fn of_part(self, index: usize) -> Self {
        Self { taste: self.taste.of_part(index), ..self }
    }
}

impl Tracer {
    pub(super) fn trace<T: DeserializeOwned>(mut self) -> Result<Shape, Unsupported> {
        self.slots.push(Slot::default());
        let mut idle = 0;
        while self.deserves_visit(ROOT) && self.run < RUNS_MAX && idle <= self.slots.len() {
            let progress = self.progress;
            self.run::<T>();
            if let Some(unsupported) = self.unsupported {
                return Err(unsupported);
            }
            self.assess();
            idle = if self.progress > progress { 0 } else { idle + 1 };
        }
        Ok(emission::shape(&self.slots, &self.composites))
    }

    /// One value, or the attempt of one.
    fn run<T: DeserializeOwned>(&mut self) {
        self.run += 1;
        self.path.clear();
        self.is_blamed = false;
        for composite in &mut self.composites {
            composite.is_open = false;
        }
        let mode = Mode { taste: Taste::PLAIN, is_hasty: false };
        // A validation that panics is a rejection too.
        let attempt =
            AssertUnwindSafe(|| self.enter(ROOT, mode, Some(type_name::<T>()), |probe| T::deserialize(probe)).is_ok());
        let _ = panic::catch_unwind(attempt);
    }

    /// Visits a slot and remembers how it went.
    pub(super) fn enter<T>(
        &mut self,
        slot: SlotId,
        mode: Mode,
        label: Option<&'static str>,
        visit: impl FnOnce(Probe<'_>) -> Result<T, Rejected>,
    ) -> Result<T, Rejected> {
        self.requests += 1;
        if self.path.len() >= DEPTH_MAX || self.requests > REQUESTS_MAX {
            return Err(self.give_up());
        }
        let entered_at = self.progress;
        self.slots[slot].label = self.slots[slot].label.or(label);
        self.path.push(slot);
        let own = Mode { taste: self.slots[slot].taste(mode.taste), ..mode };
        let result = visit(Probe::new(self, slot, own));
        self.path.pop();
        match &result {
            Ok(_) => self.remember_success(slot),
            Err(_) => self.remember_failure(slot, own.taste == mode.taste && own.taste != Taste::PLAIN),
        }
        self.slots[slot].visited_at = Some(entered_at);
        self.slots[slot].visited_in = self.run;
        result
    }

    fn remember_success(&mut self, slot: SlotId) {
        if !self.slots[slot].is_producible {
            self.slots[slot].is_producible = true;
            self.progress += 1;
        }
    }

    /// The innermost slot is to blame, unless its values were chosen further up.
    fn remember_failure(&mut self, slot: SlotId, is_taste_inherited: bool) {
        if self.is_blamed || is_taste_inherited {
            return;
        }
        self.is_blamed = true;
        let explores = self.slots[slot].is_producible && !self.is_complete(slot);
        if !explores && self.slots[slot].tastes < TASTES_MAX {
            self.slots[slot].tastes += 1;
            self.progress += 1;
        }
    }

    /// Ends this run without blaming anybody.
    pub(super) fn give_up(&mut self) -> Rejected {
        self.is_blamed = true;
        Rejected
    }

    /// The type around the slot in which we are.
    pub(super) fn surrounding(&self) -> Option<Key> {
        let &outer = self.path.iter().nth_back(1)?;
        match self.slots[outer].request {
            Some(Request::Composite(id)) => Some(self.composites[id].key),
            _ => None,
        }
    }

    /// Ends the whole tracing; a type that is asked for in this slot is at fault.
    pub(super) fn refuse(&mut self, type_name: &'static str, hint: &str) -> Rejected {
        self.refuse_at(self.path.len(), type_name, hint)
    }

    /// Ends the whole tracing; the type around this slot is at fault.
    pub(super) fn refuse_surrounding(&mut self, hint: &str) -> Rejected {
        let type_name = self.surrounding().map_or("?", |key| key.value);
        self.refuse_at(self.path.len() - 1, type_name, hint)
    }

    fn refuse_at(&mut self, depth: usize, type_name: &'static str, hint: &str) -> Rejected {
        let path = &self.path[..depth];
        let labels = path.iter().rev().filter_map(|&slot| self.slots[slot].label);
        // Visitors of serde's own machinery tell people nothing.
        let type_name =
            iter::once(type_name).chain(labels).find(|name| !emission::is_private(name)).unwrap_or(type_name);
        let place = emission::place(path, &self.slots, &self.composites);
        self.unsupported.get_or_insert_with(|| Unsupported { type_name: type_name.into(), place, hint: hint.into() });
        self.give_up()
    }

    /// Notes what `slot` asks for.
    pub(super) fn note(&mut self, slot: SlotId, request: Request) -> Result<(), Rejected> {
        match self.slots[slot].request {
            None => {
                self.slots[slot].request = Some(request);
                self.progress += 1;
                Ok(())
            }
            Some(known) if known == request => Ok(()),
            Some(_) => {
                self.slots[slot].request = Some(Request::Anything);
                Err(self.give_up())
            }
        }
    }

    /// Notes that `slot` asks for a type with parts.
    pub(super) fn note_composite(&mut self, slot: SlotId, key: Key) -> Result<CompositeId, Rejected> {
        if let Some(Request::Composite(known)) = self.slots[slot].request
            && self.composites[known].key == key
        {
            return Ok(known);
        }
        let known = self.shared.get(&key).copied();
        let composite = match known {
            Some(composite) => composite,
            None => self.add_composite(key)?,
        };
        self.note(slot, Request::Composite(composite))?;
        Ok(composite)
    }

    fn add_composite(&mut self, key: Key) -> Result<CompositeId, Rejected> {
        let parts = key.kind.parts();
        if parts > SLOTS_MAX - self.slots.len().min(SLOTS_MAX) {
            return Err(self.give_up());
        }
        let first = self.slots.len();
        self.slots.resize_with(first + parts, Slot::default);
        let composite = self.composites.len();
        self.composites.push(Composite {
            key,
            parts: first..first + parts,
            is_complete: false,
            is_settled: false,
            is_open: false,
            favourite: None,
        });
        // The variants of different enums have nothing to do with each other.
        if !matches!(key.kind, Kind::Variant(_)) {
            self.shared.insert(key, composite);
        }
        Ok(composite)
    }

    /// Brings what is known about composites up to date.
    fn assess(&mut self) {
        for composite in &mut self.composites {
            composite.is_complete = true;
            composite.is_settled = true;
        }
        // Types contain each other in circles: assume the best, and take back what is wrong.
        while self.take_back_complete() {}
        while self.take_back_settled() {}
    }

    fn take_back_complete(&mut self) -> bool {
        let wrong: Vec<_> = (0..self.composites.len())
            .filter(|&id| self.composites[id].is_complete)
            .filter(|&id| {
                let mut parts = self.composites[id].parts.clone();
                !parts.all(|part| self.is_complete(part))
            })
            .collect();
        for &id in &wrong {
            self.composites[id].is_complete = false;
        }
        !wrong.is_empty()
    }

    fn take_back_settled(&mut self) -> bool {
        let wrong: Vec<_> = (0..self.composites.len())
            .filter(|&id| self.composites[id].is_settled)
            .filter(|&id| {
                let mut parts = self.reachable_parts(id);
                parts.any(|part| self.deserves_visit(part))
            })
            .collect();
        for &id in &wrong {
            self.composites[id].is_settled = false;
        }
        !wrong.is_empty()
    }

    /// Elements come one after the other: a value that cannot be made hides those behind it.
    fn reachable_parts(&self, id: CompositeId) -> Range<SlotId> {
        let Composite { key, parts, .. } = &self.composites[id];
        let obstacle = parts.clone().find(|&part| !self.slots[part].is_producible);
        match (key.kind, obstacle) {
            (Kind::Tuple(_) | Kind::Struct(_, Style::Tuple(_)) | Kind::Variant(Style::Tuple(_)), Some(obstacle)) => {
                parts.start..obstacle + 1
            }
            _ => parts.clone(),
        }
    }

    /// Whether everything at and below a slot is known.
    fn is_complete(&self, slot: SlotId) -> bool {
        match self.slots[slot].request {
            None => false,
            Some(Request::Composite(id)) => self.composites[id].is_complete,
            Some(Request::Primitive(_) | Request::Nothing | Request::Anything) => true,
        }
    }

    /// Whether a visit could teach us something.
    pub(super) fn deserves_visit(&self, slot: SlotId) -> bool {
        if self.is_complete(slot) {
            return false;
        }
        let Slot { visited_at, request, .. } = &self.slots[slot];
        let is_settled = match request {
            Some(Request::Composite(id)) => self.composites[*id].is_settled,
            _ => true,
        };
        !is_settled || visited_at.is_none_or(|then| then < self.progress)
    }

    /// Of the slots that deserve a visit, the one that has waited longest.
    pub(super) fn most_deserving(&self, slots: Range<SlotId>) -> Option<SlotId> {
        slots.filter(|&slot| self.deserves_visit(slot)).min_by_key(|&slot| self.slots[slot].visited_in)
    }

    pub(super) fn is_producible(&self, slot: SlotId) -> bool {
        self.slots[slot].is_producible
    }

    pub(super) fn is_requested(&self, slot: SlotId) -> bool {
        self.slots[slot].request.is_some()
    }

    pub(super) fn composite(&mut self, id: CompositeId) -> &mut Composite {
        &mut self.composites[id]
    }
}

impl Slot {
    /// A slot that has rejected values keeps the taste that it likes.
    fn taste(&self, inherited: Taste) -> Taste {
        if self.tastes > 0 { Taste(self.tastes) } else { inherited }
    }
}

impl Composite {
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Goes inside; says whether we were inside already.
    pub(super) fn open(&mut self) -> bool {
        std::mem::replace(&mut self.is_open, true)
    }

    pub(super) fn close(&mut self, was_open: bool) {
        self.is_open = was_open;
    }

    pub(super) fn favourite(&self) -> Option<usize> {
        self.favourite
    }

    pub(super) fn like(&mut self, variant: usize) {
        self.favourite.get_or_insert(variant);
    }
}

impl Kind {
    /// How many slots it has.
    fn parts(self) -> usize {
        match self {
            Self::Option | Self::Seq | Self::Array(_) => 1,
            Self::Map => 2,
            Self::Tuple(length) => length,
            Self::Enum(_, variants) => variants.len(),
            Self::Struct(_, style) | Self::Variant(style) => style.parts(),
        }
    }
}

impl Style {
    fn parts(self) -> usize {
        match self {
            Self::Unit => 0,
            Self::Newtype => 1,
            Self::Tuple(length) => length,
            Self::Named(names) => names.len(),
        }
    }
}

pub(super) const ROOT: SlotId = 0;

/// Deeper values are not made: a type would have to nest as many others.
const DEPTH_MAX: usize = 96;
const RUNS_MAX: usize = 4096;
const REQUESTS_MAX: usize = 1 << 20;
const SLOTS_MAX: usize = 1 << 14;
