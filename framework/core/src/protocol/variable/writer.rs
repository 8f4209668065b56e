//! What tasks of this node want to be done with variables: one batch of each variable is under way at a time.

use alloc::{collections::VecDeque, vec::Vec};

use super::{
    Action, Answer, Event, Machine, Operation, Outcome, Part, Refusal, State, Ticket, Unanswered, Version,
    again::Asking, copies::Copy, machine::Outbox,
};
use crate::{protocol::bugs::Bug, wire::name::Name};

/// The operations of this node on one variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Writer {
    /// Those that were said, and are not answered.
    pub(super) sealed: Option<Batch>,
    /// Those that come after them.
    pub(super) next: VecDeque<(Ticket, Operation)>,
}

/// What was said under one number. It does not change any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) nonce: Option<u64>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) operations: Vec<Operation>,
    /// Another node may have heard of it.
    said: bool,
}

impl Machine {
    pub(super) fn operate(&mut self, operations: Vec<(Name, Ticket, Operation)>, out: &mut Outbox) {
        let mut idle = Vec::new();
        for (name, ticket, operation) in operations {
            let writer = self.writers.entry(name.clone()).or_default();
            if writer.sealed.is_none() && writer.next.is_empty() {
                idle.push(name);
            }
            writer.next.push_back((ticket, operation));
        }
        for name in idle {
            self.write_next(name, out);
        }
    }

    pub(super) fn cancel(&mut self, name: &Name, ticket: Ticket, out: &mut Outbox) -> bool {
        let Some(writer) = self.writers.get_mut(name) else { return false };
        let Some(at) = writer.next.iter().position(|(it, _)| *it == ticket) else { return false };
        writer.next.remove(at);
        out.reached("variable: an operation is taken back before it is said");
        out.emit(Event::Done { ticket, result: Err(Unanswered::Canceled) });
        true
    }

    /// Seals what waits, and says it.
    fn write_next(&mut self, name: Name, out: &mut Outbox) {
        let Some(writer) = self.writers.get_mut(&name).filter(|writer| writer.sealed.is_none()) else { return };
        let (mut tickets, mut operations, mut weight) = (Vec::new(), Vec::new(), 0);
        while let Some((_, operation)) = writer.next.front() {
            weight += operation.weight();
            if !operations.is_empty() && (weight > BATCH_BYTES_MAX || operations.len() == BATCH_MAX) {
                break;
            }
            let Some((ticket, operation)) = writer.next.pop_front() else { break };
            tickets.push(ticket);
            operations.push(operation);
        }
        if operations.is_empty() {
            self.writers.remove(&name);
            return;
        }
        // Who has read it of late, or has to know what it is now, gets a copy with the answer; its own is over.
        let compares = operations.iter().any(|it| matches!(it.action, Action::Replace { .. }));
        let wants = match self.copies.get(&name) {
            Some(Copy::Valid(_)) => true,
            Some(Copy::Pending { .. }) => false,
            None => compares,
        };
        let number = self.here.next_number();
        let nonce = if wants && self.has(Bug::WriterCopyForced) {
            Some(self.here.next_nonce())
        } else {
            wants.then(|| {
                self.withdraw(&name, out);
                self.expect(&name)
            })
        };
        if let Some(writer) = self.writers.get_mut(&name) {
            writer.sealed = Some(Batch { number, nonce, tickets, operations, said: false });
        }
        self.say_write(name, 0);
    }

    pub(super) fn say_write(&mut self, name: Name, level: usize) {
        let home = self.here.home(self.here.shard(&name));
        let leaves = self.here.service.open && home != self.here.seat();
        let Some(batch) = self.writers.get_mut(&name).and_then(|writer| writer.sealed.as_mut()) else { return };
        batch.said |= leaves;
        let (number, nonce, operations) = (batch.number, batch.nonce, batch.operations.clone());
        self.again.push(self.here.now, level, Asking::Write(name.clone(), number));
        let settled = self.here.settled();
        self.here.post(home, Part::Write { name, number, nonce, settled, operations });
    }

    pub(super) fn hear_wrote(
        &mut self,
        name: Name,
        number: u64,
        outcomes: Vec<Outcome>,
        version: Version,
        copy: Option<(u64, State)>,
        out: &mut Outbox,
    ) -> bool {
        let Some(writer) = self.writers.get_mut(&name) else { return false };
        let Some(batch) = writer.sealed.take_if(|batch| batch.number == number) else { return false };
        self.here.unanswered.remove(&number);
        let lost = outcomes.contains(&Outcome::Refused(Refusal::Lost));
        if let Some((nonce, state)) = copy {
            self.install_copy(name.clone(), nonce, state, out);
        } else if let Some(nonce) = batch.nonce.filter(|nonce| self.awaits(&name, *nonce)) {
            // It was answered before: nobody knows of a copy.
            if lost {
                self.hear_data(name.clone(), nonce, None, out);
            } else {
                self.say_read(name.clone(), nonce, 0);
            }
        }
        for (ticket, outcome) in batch.tickets.into_iter().zip(outcomes) {
            out.emit(Event::Done { ticket, result: Ok(Answer { outcome, version }) });
        }
        self.write_next(name, out);
        true
    }

    /// In a new view, what was said and not answered is said again, under the same number.
    pub(super) fn write_again(&mut self) {
        let sealed = self.writers.iter_mut().filter_map(|(name, writer)| Some((name, writer.sealed.as_mut()?)));
        let names = sealed.map(|(name, batch)| {
            batch.nonce = None;
            name.clone()
        });
        for name in names.collect::<Vec<_>>() {
            self.say_write(name, 0);
        }
    }

    /// This node goes into another lineage: nobody will ever say what came of what was said, and what was not begun is begun there.
    pub(super) fn give_up_writing(&mut self, out: &mut Outbox) {
        self.here.unanswered.clear();
        for (name, writer) in &mut self.writers {
            let Some(batch) = writer.sealed.take() else { continue };
            let begun = self.slots.get(name).is_some_and(|slot| slot.is_writing(batch.number));
            if batch.said || begun {
                for ticket in batch.tickets {
                    out.emit(Event::Done { ticket, result: Err(Unanswered::Moved) });
                }
            } else {
                out.reached("variable: what was not begun in one lineage is said in the next");
                let batch = batch.tickets.into_iter().zip(batch.operations);
                batch.rev().for_each(|operation| writer.next.push_front(operation));
            }
        }
    }

    /// What waits is said in the lineage that this node has come into.
    pub(super) fn go_on_writing(&mut self, out: &mut Outbox) {
        for name in self.writers.keys().cloned().collect::<Vec<_>>() {
            self.write_next(name, out);
        }
    }
}

/// So many operations are said at once, if they are not too large.
const BATCH_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 128 * 1024;
