//! What clients asked for and were told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Operations of clients on objects, as recorded.
#[derive(Clone, Debug)]
pub struct History<O, R> {
    objects: BTreeMap<String, Vec<Operation<O, R>>>,
    clients: BTreeMap<Client, Status<O>>,
    position: u64,
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O, R> {
    /// Who asked.
    pub client: Client,
    /// What it asked for.
    pub op: O,
    /// When it asked.
    pub start: Moment,
    /// What it was told and when; nothing while, or if for ever, the outcome is unknown.
    pub outcome: Option<(R, Moment)>,
}

/// Somebody who does one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Client(pub u64);

/// A point of a history: its time and, among equal times, its place in the order of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Nanoseconds, or whatever the clock counted.
    pub time: u64,
    /// The number of the event in the recording, from 1 upwards.
    pub position: u64,
}

/// Why an event was not recorded. The history is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The client has not yet learned the outcome of what it asked before.
    #[error("client {client} asks again before its last operation has ended")]
    Busy {
        /// Who asked.
        client: Client,
    },
    /// The outcome of an earlier operation of this client is unknown. Whoever goes on needs a new number.
    #[error("client {client} is retired: the outcome of an earlier operation is unknown, so it needs a new number")]
    Retired {
        /// Who asked.
        client: Client,
    },
    /// The client is told something that it did not ask for.
    #[error("client {client} has no operation that could end")]
    Idle {
        /// Who was told.
        client: Client,
    },
    /// The client's own times go backwards.
    #[error("client {client} was at {last} already, and now is at {now}")]
    Backwards {
        /// Whose clock it is.
        client: Client,
        /// The time of its last event.
        last: u64,
        /// The time of this event.
        now: u64,
    },
}

#[derive(Clone, Debug)]
enum Status<O> {
    Idle { since: u64 },
    Waiting { object: String, op: O, start: Moment },
    Retired,
}

impl<O: Clone, R: Clone> History<O, R> {
    /// An empty history.
    #[must_use]
    pub const fn new() -> Self {
        Self { objects: BTreeMap::new(), clients: BTreeMap::new(), position: 0 }
    }

    /// A client asks for something.
    ///
    /// # Errors
    /// If it cannot ask now; see [`Refused`].
    pub fn invoke(&mut self, now: u64, client: Client, object: &str, op: O) -> Result<(), Refused> {
        match self.clients.get(&client) {
            Some(Status::Waiting { .. }) => return Err(Refused::Busy { client }),
            Some(Status::Retired) => return Err(Refused::Retired { client }),
            Some(&Status::Idle { since }) if now < since => {
                return Err(Refused::Backwards { client, last: since, now });
            }
            Some(Status::Idle { .. }) | None => {}
        }
        if !self.objects.contains_key(object) {
            self.objects.insert(object.to_owned(), Vec::new());
        }
        let start = self.moment(now);
        self.clients.insert(client, Status::Waiting { object: object.to_owned(), op, start });
        Ok(())
    }

    /// The client is told the outcome.
    ///
    /// # Errors
    /// If it has not asked; see [`Refused`].
    pub fn complete(&mut self, now: u64, client: Client, ret: R) -> Result<(), Refused> {
        if let Some(Status::Waiting { start, .. }) = self.clients.get(&client)
            && now < start.time
        {
            return Err(Refused::Backwards { client, last: start.time, now });
        }
        let end = self.moment(now);
        self.end(client, Some((ret, end)), Status::Idle { since: now })
    }

    /// The client will never learn the outcome: the operation stays pending and the client is retired.
    ///
    /// # Errors
    /// If it has not asked; see [`Refused`].
    pub fn give_up(&mut self, client: Client) -> Result<(), Refused> {
        self.end(client, None, Status::Retired)
    }

    /// The operation certainly had no effect and never will: it is removed, and the client may go on.
    ///
    /// # Errors
    /// If it has not asked; see [`Refused`].
    pub fn withdraw(&mut self, client: Client) -> Result<(), Refused> {
        match self.clients.get(&client) {
            Some(Status::Waiting { start, .. }) => {
                let since = start.time;
                self.clients.insert(client, Status::Idle { since });
                Ok(())
            }
            Some(Status::Retired) => Err(Refused::Retired { client }),
            Some(Status::Idle { .. }) | None => Err(Refused::Idle { client }),
        }
    }

    /// The names of all objects, in order.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str)
    }

    /// The operations on an object in the order of their starts; those that have not ended are pending.
    #[must_use]
    pub fn operations(&self, object: &str) -> Vec<Operation<O, R>> {
        let mut operations = self.objects.get(object).cloned().unwrap_or_default();
        for (&client, status) in &self.clients {
            if let Status::Waiting { object: its, op, start } = status
                && its == object
            {
                operations.push(Operation { client, op: op.clone(), start: *start, outcome: None });
            }
        }
        operations.sort_unstable_by_key(|operation| operation.start);
        operations
    }

    fn end(&mut self, client: Client, outcome: Option<(R, Moment)>, then: Status<O>) -> Result<(), Refused> {
        match self.clients.insert(client, then) {
            Some(Status::Waiting { object, op, start }) => {
                let operations = self.objects.get_mut(&object).expect("the invocation has made it");
                operations.push(Operation { client, op, start, outcome });
                Ok(())
            }
            Some(before @ Status::Retired) => {
                self.clients.insert(client, before);
                Err(Refused::Retired { client })
            }
            Some(before @ Status::Idle { .. }) => {
                self.clients.insert(client, before);
                Err(Refused::Idle { client })
            }
            None => {
                self.clients.remove(&client);
                Err(Refused::Idle { client })
            }
        }
    }

    const fn moment(&mut self, time: u64) -> Moment {
        self.position += 1;
        Moment { time, position: self.position }
    }
}

impl<O: Clone, R: Clone> Default for History<O, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O, R> Operation<O, R> {
    /// What the client was told, if it was.
    pub fn ret(&self) -> Option<&R> {
        self.outcome.as_ref().map(|(ret, _)| ret)
    }

    /// When it was told; [`Moment::NEVER`] if it was not.
    pub fn end(&self) -> Moment {
        self.outcome.as_ref().map_or(Moment::NEVER, |&(_, end)| end)
    }

    /// Whether the outcome is unknown.
    pub const fn is_pending(&self) -> bool {
        self.outcome.is_none()
    }
}

/// What of `operations` had happened at `end`: what starts later is left out, what ends later is pending. With each
/// comes its index in `operations`.
pub(super) fn prefix<O: Clone, R: Clone>(
    operations: &[Operation<O, R>],
    end: Moment,
) -> (Vec<usize>, Vec<Operation<O, R>>) {
    let started = operations.iter().enumerate().filter(|(_, operation)| operation.start < end);
    let cut = |operation: &Operation<O, R>| Operation {
        outcome: operation.outcome.clone().filter(|&(_, ended)| ended <= end),
        ..operation.clone()
    };
    started.map(|(index, operation)| (index, cut(operation))).unzip()
}

/// The indices of the operations that were answered, in the order of their ends: by rank.
pub(super) fn by_end<O, R>(operations: &[Operation<O, R>]) -> Vec<usize> {
    let mut answered: Vec<usize> = (0..operations.len()).filter(|&index| !operations[index].is_pending()).collect();
    answered.sort_unstable_by_key(|&index| operations[index].end());
    answered
}

impl Moment {
    /// Before everything.
    pub const BEGINNING: Self = Self { time: 0, position: 0 };
    /// After everything.
    pub const NEVER: Self = Self { time: u64::MAX, position: u64::MAX };
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
