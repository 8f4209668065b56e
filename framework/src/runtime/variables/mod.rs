//! Variables as handles see them: a cell for each, with the copy that this node has of it, and what tasks wait for.
//!
//! A handle reads its cell by itself: first the value, then whether the membership allows that it is said. All else it asks of
//! the driver, by a command that is written down at once; so whoever drops a future waits for nothing.

mod drive;
mod following;
mod rescue;
mod watching;

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use guthi_core::{
    protocol::variable::{Answer, Command, Operation, State, Ticket, Unanswered},
    wire::{limits::OPERATIONS_MAX, name::Name},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};

pub(crate) use self::{
    drive::ListedVariable,
    following::{Follower, News as FollowerNews},
    watching::Watcher,
};
use self::{following::Subjects, watching::News};
use super::life::{Life, Lives};
use crate::{
    api::{metrics::VariableMeters, variable_type::VariableType},
    calls::{
        pace::Pace,
        signature::{Shape, Signature, Unsupported, description},
        spin::Spin,
    },
};

/// The types that a node knows of others, and of itself.
const TYPES_MAX: usize = 16_384;

/// All variables of one node.
#[derive(Debug)]
pub(crate) struct Variables {
    life: Lives,
    spins: bool,
    /// Each for as long as somebody has a handle.
    cells: DashMap<Name, Weak<Cell>>,
    subjects: Subjects,
    /// What the types of this program are called.
    kinds: DashMap<TypeId, Kind>,
    /// What types look like, of this program and of others.
    types: DashMap<u64, VariableType>,
    counter: Mutex<Counter>,
    /// The driver is asked something.
    asked: Notify,
    meters: VariableMeters,
}

/// What a type is called, and what it looks like.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) hash: u64,
    pub(crate) shape: Arc<str>,
}

/// Where handles leave what they want.
#[derive(Debug, Default)]
struct Counter {
    closed: bool,
    last: u64,
    waiting: HashMap<Ticket, oneshot::Sender<Result<Answer, Unanswered>>>,
    commands: Vec<Command>,
    operations: Vec<(Name, Ticket, Operation)>,
    /// Variables that are written here, and whose copy nobody has read.
    unread: Vec<Name>,
    /// Types that the others are to be told of.
    types: Vec<(u64, Vec<u8>)>,
}

/// One variable on this node.
#[derive(Debug)]
pub(crate) struct Cell {
    name: Name,
    /// The copy, if there is one.
    published: ArcSwapOption<Published>,
    /// Tasks that wait for one.
    waiting: Mutex<Vec<oneshot::Sender<Found>>>,
    /// How many watch it. As long as somebody does, the driver has a copy of it or asks for one.
    watchers: Mutex<usize>,
    /// What they are told.
    news: watch::Sender<News>,
    spin: Spin,
    /// What reads and operations of late took.
    pace: Pace,
    variables: Arc<Variables>,
}

/// A copy.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) state: State,
    /// By the leases of this life it is read, and of no other.
    life: Arc<Life>,
    pub(crate) since: Instant,
    /// Somebody has looked at it.
    read: AtomicBool,
}

impl Published {
    /// Readers share this line: it is written once.
    fn note_read(&self) {
        if !self.is_read() {
            self.read.store(true, Ordering::Relaxed);
        }
    }

    fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }
}

/// What reading has led to.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Copy(Arc<Published>),
    /// All who had it are gone.
    Lost,
}

/// Why a task does not get what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The node has left.
    Closed,
    /// Too many wait.
    Crowded,
    /// It was said, and the node has come elsewhere since, or has left.
    Unknown,
}

impl Variables {
    /// Those of a node whose tasks may [look](Spin) for what they wait for.
    pub(crate) fn new(life: Lives, spins: bool) -> Arc<Self> {
        let plain = VariableType::names().filter_map(VariableType::named);
        Arc::new(Self {
            life,
            spins,
            cells: DashMap::new(),
            subjects: Subjects::default(),
            kinds: DashMap::new(),
            types: plain.map(|it| (it.kind(), it)).collect(),
            counter: Mutex::default(),
            asked: Notify::new(),
            meters: VariableMeters::default(),
        })
    }

    /// The cell of a variable.
    pub(crate) fn cell(self: &Arc<Self>, name: Name) -> Arc<Cell> {
        let mut entry = self.cells.entry(name.clone()).or_default();
        if let Some(cell) = entry.upgrade() {
            return cell;
        }
        let cell = Arc::new(Cell {
            name,
            published: ArcSwapOption::empty(),
            waiting: Mutex::default(),
            watchers: Mutex::default(),
            news: watch::Sender::default(),
            spin: Spin::long(self.spins),
            pace: Pace::default(),
            variables: self.clone(),
        });
        *entry = Arc::downgrade(&cell);
        cell
    }

    /// The cell of a variable, if somebody has a handle of it.
    fn known(&self, name: &Name) -> Option<Arc<Cell>> {
        self.cells.get(name)?.upgrade()
    }

    /// What a type is called; it is looked into once.
    ///
    /// # Errors
    /// Why it cannot travel.
    pub(crate) fn kind<T: crate::Travels>(&self) -> Result<Kind, Unsupported> {
        let id = TypeId::of::<T>();
        if let Some(kind) = self.kinds.get(&id) {
            return Ok(kind.clone());
        }
        let shape = T::outline().0?;
        let kind = Kind { hash: Signature::of_type(&shape).0, shape: shape.to_string().into() };
        self.kinds.insert(id, kind.clone());
        self.tell_of_type(kind.hash, shape);
        Ok(kind)
    }

    /// What values of this kind look like, if that is known.
    pub(crate) fn type_of(&self, kind: u64) -> Option<VariableType> {
        self.types.get(&kind).map(|known| known.clone())
    }

    /// Lets the others know what values of this program's type look like.
    fn tell_of_type(&self, kind: u64, shape: Shape) {
        let Some(description) = description::written(&shape) else { return };
        if self.types.insert(kind, VariableType::new(kind, shape)).is_none() {
            self.counter.lock().types.push((kind, description));
            self.asked.notify_one();
        }
    }

    /// Another node says what values of this kind look like.
    pub(super) fn hear_of_type(&self, kind: u64, description: &[u8]) {
        if self.types.contains_key(&kind) || self.types.len() >= TYPES_MAX {
            return;
        }
        if let Some(shape) = description::read(kind, description) {
            self.types.insert(kind, VariableType::new(kind, shape));
        }
    }

    pub(crate) const fn meters(&self) -> &VariableMeters {
        &self.meters
    }

    fn is_closed(&self) -> bool {
        self.counter.lock().closed
    }

    /// Resolves when the driver is asked something.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Tells the driver something. It is never refused.
    fn tell(&self, command: Command) {
        self.counter.lock().commands.push(command);
        self.asked.notify_one();
    }

    fn give_up(&self, ticket: Ticket, name: &Name) {
        let mut counter = self.counter.lock();
        if counter.waiting.remove(&ticket).is_some() {
            match counter.operations.iter().position(|(_, it, _)| *it == ticket) {
                Some(at) => drop(counter.operations.remove(at)),
                None => {
                    counter.commands.push(Command::Cancel { name: name.clone(), ticket });
                    drop(counter);
                    self.asked.notify_one();
                }
            }
        }
    }
}

impl Cell {
    pub(crate) const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn variables(&self) -> &Arc<Variables> {
        &self.variables
    }

    /// Reads the copy, if there is one that may be read now.
    pub(crate) fn peek<R>(&self, read: impl FnOnce(&State) -> R) -> Option<R> {
        let published = self.published.load();
        let published = published.as_ref()?;
        published.note_read();
        value_then_lease(|| read(&published.state), || published.life.may_read())
    }

    /// Whatever copy there is, whether it may be read or not.
    pub(crate) fn last(&self) -> Option<Arc<Published>> {
        self.published.load_full().inspect(|published| published.note_read())
    }

    /// Whether there is a copy that nobody has looked at.
    fn has_unread(&self) -> bool {
        self.published.load().as_ref().is_some_and(|published| !published.is_read())
    }

    /// Gets a copy from wherever it is.
    pub(crate) async fn fetch(&self) -> Result<Found, Refused> {
        loop {
            let life = self.variables.life.load_full();
            if !life.may_read() {
                // Only now is it asked who else may have answered; what comes before that would not be said.
                if self.variables.is_closed() {
                    return Err(Refused::Closed);
                }
                life.readable().await;
                if life.is_over() {
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            let found = self.ask()?;
            let began = Instant::now();
            self.spin.wait(self.pace.typical(), || !found.is_empty()).await;
            let found = found.await.map_err(|_| Refused::Closed)?;
            self.pace.note(began.elapsed());
            if matches!(found, Found::Lost) || life.may_read() {
                return Ok(found);
            }
        }
    }

    fn ask(&self) -> Result<oneshot::Receiver<Found>, Refused> {
        let (sender, found) = oneshot::channel();
        // Before it is asked whether the node goes on: who ends it drops whoever waits after it has said so.
        self.waiting.lock().push(sender);
        let mut counter = self.variables.counter.lock();
        if counter.closed {
            return Err(Refused::Closed);
        }
        counter.commands.push(Command::Read { name: self.name.clone() });
        drop(counter);
        self.variables.asked.notify_one();
        self.variables.meters.counts.misses.one();
        Ok(found)
    }

    /// Asks for something to be done. Dropping what this gives takes the question back, if it was not said to anybody yet.
    pub(crate) fn operate(self: &Arc<Self>, operation: Operation) -> Result<Operating, Refused> {
        let (answer, receiver) = oneshot::channel();
        let unread = self.has_unread();
        let mut counter = self.variables.counter.lock();
        if counter.closed {
            return Err(Refused::Closed);
        }
        if counter.waiting.len() >= OPERATIONS_MAX {
            return Err(Refused::Crowded);
        }
        counter.last += 1;
        let ticket = Ticket(counter.last);
        counter.waiting.insert(ticket, answer);
        counter.operations.push((self.name.clone(), ticket, operation));
        if unread {
            counter.unread.push(self.name.clone());
        }
        drop(counter);
        self.variables.asked.notify_one();
        Ok(Operating { cell: self.clone(), ticket, since: Instant::now(), answer: receiver, over: false })
    }
}

/// The value first, then whether it may be said (trap T9): what comes into a cell when the lease has ended may be a value that
/// nobody was told of, and perhaps never will be.
fn value_then_lease<R>(value: impl FnOnce() -> R, may_read: impl FnOnce() -> bool) -> Option<R> {
    let value = value();
    may_read().then_some(value)
}

impl Drop for Cell {
    fn drop(&mut self) {
        let gone = self.variables.cells.remove_if(&self.name, |_, cell| cell.strong_count() == 0).is_some();
        if gone {
            self.variables.tell(Command::Forget { name: self.name.clone() });
        }
    }
}

/// A task that waits for an operation.
#[derive(Debug)]
pub(crate) struct Operating {
    cell: Arc<Cell>,
    ticket: Ticket,
    since: Instant,
    answer: oneshot::Receiver<Result<Answer, Unanswered>>,
    over: bool,
}

impl Operating {
    /// What has come of it.
    ///
    /// # Errors
    /// It is not known.
    pub(crate) async fn answer(mut self) -> Result<Answer, Refused> {
        self.cell.spin.wait(self.cell.pace.typical(), || !self.answer.is_empty()).await;
        let answer = (&mut self.answer).await;
        self.over = true;
        let took = self.since.elapsed();
        self.cell.pace.note(took);
        match answer {
            Ok(Ok(answer)) => {
                self.cell.variables.meters.operated(took);
                Ok(answer)
            }
            // Nobody takes back what somebody waits for.
            Ok(Err(Unanswered::Moved | Unanswered::Canceled)) | Err(_) => Err(Refused::Unknown),
        }
    }
}

impl Drop for Operating {
    fn drop(&mut self) {
        if !self.over {
            self.cell.variables.give_up(self.ticket, &self.cell.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        thread,
    };

    use super::value_then_lease;

    /// T9: in every order of a reader and the driver, what was put into the cell after the lease has ended is not read.
    #[test]
    fn t9_in_every_order_nothing_is_read_that_came_after_the_lease() {
        loom::model(|| {
            let (cell, leased) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicBool::new(true)));
            let reader = {
                let (cell, leased) = (cell.clone(), leased.clone());
                thread::spawn(move || {
                    value_then_lease(|| cell.load(Ordering::SeqCst), || leased.load(Ordering::SeqCst))
                })
            };
            leased.store(false, Ordering::SeqCst);
            cell.store(2, Ordering::SeqCst);
            assert_ne!(reader.join().unwrap(), Some(2));
        });
    }
}
