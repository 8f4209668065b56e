//! The driver: one task that owns the engine, and carries out what the engine wants.
//!
//! It never waits for the network or for a peer: whatever waits is an [errand](super::errands), and comes back as an input.
//! It judges nobody: who is alive is the detector's word, and who belongs to the cluster the membership's.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use guthi_core::{
    protocol::{
        catalog,
        contract::Outbox as Effects,
        engine::{self, Effect, Engine, Input},
        membership,
        packet::{FunctionEntry, Packet, Whereabouts, keys},
        view::Epoch,
    },
    wire::{
        codec,
        frame::{self, Kind},
        id::{Member, NodeId},
        limits,
    },
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::Instant,
};

use super::{
    aparts::Aparts,
    clock::Clock,
    directory::{Presence, Processes},
    errands::{self, Errands, Waiter},
    gauge::Gauge,
    mutexes::{Desk, Listed, Mutexes},
    neighbours::SEEK_FIRST,
    observe,
    peers::{Link, Peers},
    roster::Roster,
    sayings::{Sayings, is_said},
    variables::{ListedVariable, Variables},
    views::Wishes,
};
use crate::{
    Event, JoinError, Rescue, Status,
    calls::{channel::Doors, executor::Executor, lane::Lane, outbox::Outbox},
    network::{
        self, Connection, ConnectionId, DialError, Network, Protocol, Stream,
        address::Address,
        admission::{Admitted, Credentials, Links, Refused},
    },
};

/// How peers are polled. All are durations of this node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Time between two echoes to a peer.
    pub interval: Duration,
    /// Silence after which a peer is taken for dead; at least three intervals.
    pub timeout: Duration,
    /// For so long an answer counts; at least three intervals. What a member was allowed to do ends so long after its last
    /// answer, so others take over no earlier.
    pub lease: Duration,
}

impl Default for Echo {
    fn default() -> Self {
        let [interval, timeout, lease] = [250, 2000, 1000].map(Duration::from_millis);
        Self { interval, timeout, lease }
    }
}

impl Echo {
    /// The slow figures of an older design: 20 s between echoes, 10 s more until a peer counts as failed.
    #[must_use]
    pub const fn classic() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(30), lease: Duration::from_secs(60) }
    }
}

/// A connection that is not admitted by then is closed.
const ADMISSION_MAX: Duration = Duration::from_secs(10);
const DIALS_MAX: usize = 32;
/// With nothing due, the driver looks around once in so long.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// What handles ask of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Link with the node at an address.
    Connect { address: Address, reply: Waiter },
    /// This node's functions have changed.
    Announce { function: String, entry: FunctionEntry, reply: oneshot::Sender<Result<(), catalog::Refused>> },
    /// Go on without a quorum; the answer comes when that is done.
    Fork { reply: oneshot::Sender<Result<(), JoinError>> },
    /// Give up what the lineage holds and join another; the answer comes when that is done.
    Dissolve { reply: oneshot::Sender<Result<Rescue, JoinError>> },
    /// Let a node in no more.
    Forget { node: NodeId, reply: oneshot::Sender<Result<(), JoinError>> },
    /// What the services of this node hold, beside guards.
    #[cfg(test)]
    Hold(membership::Holdings),
    /// The mutexes whose names begin so, as this node knows them: so many at most.
    Mutexes { prefix: String, most: usize, reply: oneshot::Sender<Vec<Listed>> },
    /// The variables whose names begin so, as far as they have their first home here: so many at most.
    Variables { prefix: String, most: usize, reply: oneshot::Sender<Vec<ListedVariable>> },
    /// Nobody is to find this node any more.
    Hide,
    /// Leave the others as agreed, say goodbye and end.
    Leave { reply: oneshot::Sender<()> },
}

/// What a driver is made of.
pub(crate) struct Setup {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) credentials: Credentials,
    pub(crate) executor: Arc<Executor>,
    pub(crate) doors: Arc<Doors>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) mutexes: Arc<Mutexes>,
    pub(crate) variables: Arc<Variables>,
    pub(crate) sayings: Arc<Sayings>,
    pub(crate) events: broadcast::Sender<Event>,
    /// What this node says of itself.
    pub(crate) description: Vec<(String, Vec<u8>)>,
    pub(crate) echo: Echo,
    pub(crate) policy: membership::Policy,
    /// A newborn node looks around for so long.
    pub(crate) window: Duration,
    /// This process's file in the runtime directory, and those of the others: to prove that they are dead.
    pub(crate) presence: Option<Presence>,
    pub(crate) processes: Option<Processes>,
    /// Where rescue files are written to; the temporary directory, if nowhere else.
    pub(crate) rescue_dir: Option<PathBuf>,
    pub(crate) fetch_peers: bool,
    /// Addresses to be joined at which nobody has answered yet.
    pub(crate) join: Vec<Address>,
    /// When this node began; see [`World::born`](super::world::World::born).
    pub(crate) born: u64,
    /// Of all chance in the protocols.
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    /// How busy this machine is, as its peers are told.
    pub(crate) gauge: Gauge,
    /// Nothing that needs a view is served before it had so many members once.
    pub(crate) expect: u32,
    /// So many nodes keep each variable, in a lineage that is born here.
    pub(crate) replicas: u8,
}

pub(crate) struct Driver {
    pub(super) setup: Setup,
    pub(super) clock: Clock,
    pub(super) engine: Engine,
    effects: Effects<Effect>,
    pub(super) errands: Errands,
    pub(super) links: Arc<Links>,
    pub(super) connections: BTreeMap<ConnectionId, Pending>,
    pub(super) apart: Aparts,
    pub(super) peers: Peers,
    /// Who asked to be told when the connection is admitted.
    waiting: BTreeMap<ConnectionId, (Address, Waiter)>,
    /// Who asked to be told when the peer is there.
    greeting: BTreeMap<NodeId, Vec<Waiter>>,
    dialling: BTreeSet<NodeId>,
    /// Whom peers have named, to be dialled in turn.
    pub(super) strangers: BTreeMap<NodeId, Vec<String>>,
    /// Who has told something new of itself, perhaps whom it has banned.
    pub(super) to_heed: BTreeSet<NodeId>,
    /// When to look at the files of the others, and until when to do so often.
    pub(super) look_at: Option<Instant>,
    pub(super) look_soon_until: Instant,
    /// What handles want of mutexes, and what they may do by themselves.
    pub(super) desk: Desk,
    /// What users have asked of the membership and wait for.
    pub(super) wishes: Wishes,
    /// When to look for other nodes of this machine, and the pause after that.
    pub(super) seek_at: Option<Instant>,
    pub(super) seek_pause: Duration,
    /// When the others are to be told of entries that have changed.
    pub(super) say_at: Option<Instant>,
    /// This life is over.
    pub(super) over: bool,
    /// Who waits for the end, and until when that waits for the others.
    pub(super) leaving: Option<(Vec<oneshot::Sender<()>>, Instant)>,
    pub(super) dirty: bool,
}

/// A connection, admitted or not.
pub(super) struct Pending {
    pub(super) connection: Connection,
    since: Instant,
    pub(super) admitted: bool,
    /// The control stream has been opened: a second one is refused.
    handshaking: bool,
    /// The lane came before the admission was known here.
    early_lane: Option<Stream>,
    pub(super) purpose: Purpose,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be a link, if it is admitted.
    Link,
    /// To carry large payloads beside a link. It needs no admission: each payload says to which link it belongs.
    Apart,
    /// One of the two, as the end of a dial will tell.
    Undecided,
}

impl Driver {
    pub(crate) async fn run(
        setup: Setup,
        mut network_events: mpsc::Receiver<network::Event>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        let (mutexes, variables) = (setup.mutexes.clone(), setup.variables.clone());
        let sayings = setup.sayings.clone();
        let (mut driver, mut inbox) = Self::new(setup);
        loop {
            let deadline = driver.deadline();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(deadline) => driver.wake(),
                event = network_events.recv() => match event {
                    Some(event) => driver.network_event(event),
                    None => break,
                },
                Some(input) = inbox.recv() => driver.input(input),
                // After the network: tasks that lock without a pause must not keep the node from its peers.
                () = mutexes.asked() => driver.serve_mutexes(),
                () = variables.asked() => driver.serve_variables(),
                () = sayings.asked() => driver.say_now(),
                command = commands.recv() => match command {
                    Some(Command::Hide) => driver.hide(),
                    Some(Command::Leave { reply }) => driver.begin_to_leave(reply),
                    Some(Command::Fork { reply }) => driver.fork(reply),
                    Some(Command::Dissolve { reply }) => driver.dissolve(reply),
                    Some(Command::Forget { node, reply }) => driver.forget(node, reply),
                    #[cfg(test)]
                    Some(Command::Hold(holdings)) => {
                        driver.desk.others = holdings;
                        driver.tell_holdings();
                    }
                    Some(Command::Mutexes { prefix, most, reply }) => {
                        let _ = reply.send(driver.list_mutexes(&prefix, most));
                    }
                    Some(Command::Variables { prefix, most, reply }) => {
                        let _ = reply.send(driver.list_variables(&prefix, most));
                    }
                    Some(Command::Connect { address, reply }) => driver.errands.connect(address, reply),
                    Some(Command::Announce { function, entry, reply }) => {
                        let _ = reply.send(driver.announce(&function, &entry));
                    }
                    // The last handle is gone: links are closed without a goodbye.
                    None => break,
                },
            }
            driver.say();
            driver.look_at_files();
            driver.rescue();
            driver.heed();
            driver.begin_anew();
            driver.seek();
            driver.meet_next();
            driver.publish();
            driver.give_up_guards();
            if driver.may_go() {
                driver.say_goodbye().await;
                break;
            }
        }
        // Whoever waits for this finds the links closed, and nobody who takes commands: one that came into the queue between
        // would be answered by nobody.
        drop(commands);
        driver.end();
        for reply in driver.leaving.take().into_iter().flat_map(|(replies, _)| replies) {
            let _ = reply.send(());
        }
    }

    fn new(setup: Setup) -> (Self, mpsc::Receiver<errands::Input>) {
        let links = Arc::<Links>::default();
        let (errands, inbox) =
            Errands::new(setup.network.clone(), setup.credentials.clone(), links.clone(), setup.roster.clone());
        let config = setup.config(Epoch(0));
        let now = Instant::now();
        let engine = Engine::new(setup.credentials.me, config, setup.seed);
        let lineage = engine.membership().view().at.lineage;
        let mut driver = Self {
            clock: setup.clock,
            engine,
            effects: Effects::new(),
            errands,
            links,
            connections: BTreeMap::new(),
            apart: Aparts::default(),
            peers: Peers::default(),
            waiting: BTreeMap::new(),
            greeting: BTreeMap::new(),
            dialling: BTreeSet::new(),
            strangers: BTreeMap::new(),
            to_heed: BTreeSet::new(),
            look_at: None,
            look_soon_until: now,
            desk: Desk::new(setup.mutexes.clone(), setup.clock, lineage),
            wishes: Wishes::default(),
            seek_at: Some(now + SEEK_FIRST),
            seek_pause: 2 * SEEK_FIRST,
            say_at: None,
            over: false,
            leaving: None,
            dirty: true,
            setup,
        };
        for (key, value) in std::mem::take(&mut driver.setup.description) {
            driver.step(Input::Set { key, value });
        }
        driver.record(driver.engine.membership().view().at);
        driver.publish();
        (driver, inbox)
    }

    // The engine.

    /// One step of the engine, and all that it wants done.
    pub(super) fn step(&mut self, input: Input) {
        self.tell_holdings();
        self.take_step(input);
        self.publish_leases();
    }

    pub(super) fn take_step(&mut self, input: Input) {
        if matches!(input, Input::Wake) {
            self.desk.look_again();
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.engine.step(self.clock.now(), input, &mut effects);
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, packet } => self.send(to, &packet),
                Effect::Record(at) => self.record(at),
                Effect::Event(event) => self.engine_event(event),
            }
        }
        self.effects = effects;
        self.return_tokens();
    }

    fn engine_event(&mut self, event: engine::Event) {
        let (mutexes, variables) = (&self.setup.mutexes.meters().counts, &self.setup.variables.meters().counts);
        observe::note(&event, self.setup.roster.counts(), mutexes, variables);
        match event {
            engine::Event::Detector(event) => self.detector_event(event),
            engine::Event::Catalog(catalog::Event::Changed { of, keys }) => self.described(of, &keys),
            engine::Event::Catalog(
                catalog::Event::Described(_) | catalog::Event::Refused { .. } | catalog::Event::Ignored { .. },
            ) => {}
            engine::Event::Membership(event) => self.membership_event(event),
            engine::Event::Mutex(event) => self.mutex_event(event),
            engine::Event::Variable(event) => self.variable_event(event),
            engine::Event::Packet { from, packet: Packet::PeersWanted } => self.peers_wanted(from),
            engine::Event::Packet { packet: Packet::Peers(list), .. } => self.meet(list),
            engine::Event::Packet { from, packet: Packet::Broadcast(broadcast) } => {
                self.setup.sayings.receive(from, broadcast);
            }
            engine::Event::Packet {
                packet:
                    Packet::Detector(_)
                    | Packet::Membership(_)
                    | Packet::Catalog(_)
                    | Packet::Mutex(_)
                    | Packet::Variable(_),
                ..
            } => {
                unreachable!("the engine gives these to their machines")
            }
        }
    }

    pub(super) fn turn(&mut self, node: NodeId, status: Status, reason: Option<String>) {
        if let Some(state) = self.peers.get_mut(node) {
            state.set_status(status, reason);
        }
        self.dirty = true;
        self.attend_to(node);
        // Whoever reacts to the event finds the roster changed.
        self.publish();
    }

    pub(super) fn tell(&self, event: Event) {
        observe::say(&event);
        // Nobody listens.
        let _ = self.setup.events.send(event);
    }

    fn send(&self, to: Member, packet: &Packet) {
        let Some(link) = self.peers.link(to.node).filter(|link| link.member == to) else { return };
        // A closed outbox means that the link is ending, which comes as an input of its own.
        let _ = link.control.push(|buffer| {
            frame::put(buffer, Kind::Control, 0, 0, |body| codec::encode_into(packet, body))
                .expect("a packet is plain data");
        });
    }

    fn announce(&mut self, function: &str, entry: &FunctionEntry) -> Result<(), catalog::Refused> {
        let key = format!("{}{function}", keys::FUNCTION);
        let value = codec::encode(entry, limits::CATALOG_VALUE_BYTES_MAX)
            .map_err(|_| catalog::Refused::ValueTooLarge { bytes: limits::CATALOG_VALUE_BYTES_MAX + 1 })?;
        self.engine.catalog().own().may_set(&key, &value)?;
        self.step(Input::Set { key, value });
        Ok(())
    }

    // Time.

    fn deadline(&self) -> Instant {
        let admissions = self.connections.values().filter(|it| !it.admitted && it.purpose != Purpose::Apart);
        let admissions = admissions.map(|pending| pending.since + ADMISSION_MAX);
        let engine = self.engine.deadline().map(|at| self.clock.instant(at));
        let leaving = self.leaving.as_ref().map(|(_, until)| *until);
        admissions
            .chain(engine)
            .chain(self.look_at)
            .chain(self.seek_at)
            .chain(self.say_at)
            .chain(leaving)
            .min()
            .unwrap_or_else(|| Instant::now() + NOTHING_DUE)
    }

    fn wake(&mut self) {
        let heard = self.peers.links().filter(|link| link.lane.as_ref().is_some_and(|lane| lane.heard()));
        for member in heard.map(|link| link.member).collect::<Vec<_>>() {
            self.step(Input::Heard(member));
        }
        let load = self.setup.gauge.read(self.setup.executor.accepted());
        self.step(Input::Load(load));
        self.step(Input::Wake);
        self.close_strangers();
    }

    fn close_strangers(&mut self) {
        let now = Instant::now();
        let stranger = |pending: &Pending| !pending.admitted && pending.purpose != Purpose::Apart;
        let late = |pending: &&mut Pending| stranger(pending) && now - pending.since >= ADMISSION_MAX;
        for pending in self.connections.values_mut().filter(late) {
            // Asked again after another period, should it still be there.
            pending.since = now;
            self.setup.network.close(pending.connection.id);
        }
    }

    // Connections on their way to being links.

    fn network_event(&mut self, event: network::Event) {
        match event {
            network::Event::Connected(connection) => self.connected(connection),
            network::Event::Closed { connection, reason } => self.closed(connection, &reason),
            network::Event::Inbound { connection, protocol, stream } => self.inbound(connection, protocol, stream),
        }
    }

    fn connected(&mut self, connection: Connection) {
        let dialled = connection.dialled;
        let pending = Pending {
            connection: connection.clone(),
            since: Instant::now(),
            admitted: false,
            handshaking: dialled,
            early_lane: None,
            purpose: self.apart.purpose(&connection),
        };
        let admit = dialled && pending.purpose == Purpose::Link;
        self.connections.insert(connection.id, pending);
        if admit {
            self.errands.admit(connection, None);
        }
    }

    fn inbound(&mut self, id: ConnectionId, protocol: Protocol, stream: Stream) {
        let Some(pending) = self.connections.get_mut(&id) else { return };
        match protocol {
            Protocol::Control if !pending.connection.dialled && !pending.handshaking => {
                pending.handshaking = true;
                self.errands.admit(pending.connection.clone(), Some(stream));
            }
            Protocol::Calls if !pending.connection.dialled && !pending.admitted => {
                pending.early_lane = Some(stream);
            }
            Protocol::Calls if !pending.connection.dialled => self.lane_opened(id, Ok(stream)),
            Protocol::Bulk | Protocol::Channel => self.inbound_apart(id, protocol, stream),
            // A stream that nobody may open is dropped, which resets it.
            Protocol::Control | Protocol::Calls => {
                tracing::debug!(peer = ?pending.connection.peer, protocol = protocol.name(), "refused a stream");
            }
        }
    }

    fn input(&mut self, input: errands::Input) {
        match input {
            errands::Input::Admitted { connection, result: Ok(admitted), stream } => {
                self.admitted(&connection, admitted, stream);
            }
            errands::Input::Admitted { connection, result: Err(refused), .. } => self.refused(&connection, refused),
            errands::Input::Packet { connection, packet } => {
                if let Some(from) = self.linked_over(connection) {
                    self.step(Input::Packet { from, packet });
                }
            }
            errands::Input::ControlEnded { connection, reason } | errands::Input::LaneEnded { connection, reason } => {
                // Both streams live as long as the link: if one breaks, the link is broken.
                self.setup.network.close(connection);
                self.unlinked(connection, &reason);
            }
            errands::Input::ApartWanted { link } => self.apart_wanted(link),
            errands::Input::ApartDialled { link, node, result } => self.apart_dialled(link, node, result),
            errands::Input::LaneOpened { connection, result } => self.lane_opened(connection, result),
            errands::Input::Connected { address, waiter, result } => self.connect_ended(address, waiter, result),
            errands::Input::Dialled { node, result: Err(error) } => self.unreachable(node, &error.to_string()),
            // The rest comes with its admission.
            errands::Input::Dialled { result: Ok(_), .. } => {}
        }
    }

    fn admitted(&mut self, connection: &Connection, Admitted { member, tag }: Admitted, stream: Stream) {
        let id = connection.id;
        let Some(pending) = self.connections.get_mut(&id) else { return };
        if !self.links.is_link(id, member.node) {
            return self.setup.network.close(id);
        }
        pending.admitted = true;
        let early_lane = pending.early_lane.take();
        self.dialling.remove(&member.node);
        if let Some(old) = self.peers.link(member.node).map(|link| link.connection) {
            self.drop_link(old, "a newer link took its place");
        }
        let control = Arc::new(Outbox::default());
        let link = Link { member, connection: id, tag, control: control.clone(), lane: None, wants_peers: false };
        self.peers.enter(member).link = Some(link);
        self.setup.roster.counts().links.made.one();
        self.dirty = true;
        self.errands.run_control(id, control, stream);
        self.step(Input::Linked(member));
        if !self.engine.detector().is_linked(member) {
            return self.drop_link(id, "a later process of the same node is known");
        }
        if connection.dialled {
            if self.setup.fetch_peers {
                self.send(member, &Packet::PeersWanted);
            }
            self.errands.open_lane(id);
        } else if let Some(stream) = early_lane {
            self.lane_opened(id, Ok(stream));
        }
        if let Some((_, waiter)) = self.waiting.remove(&id) {
            self.greeting.entry(member.node).or_default().push(waiter);
        }
    }

    fn refused(&mut self, connection: &Connection, refused: Refused) {
        tracing::debug!(peer = ?connection.peer, address = connection.address, %refused, "not admitted");
        if let (Refused::Other(reason), Some(state)) = (&refused, self.peers.get(connection.peer))
            && reason.contains("this identity")
            && !connection.dialled
        {
            let peer = state.peer.clone();
            self.tell(Event::DuplicateIdentity { peer });
        }
        let waiting = self.waiting.remove(&connection.id);
        if refused == Refused::Duplicate {
            // The link is, or will be, another connection: whoever waits, waits for the peer.
            if let Some((_, waiter)) = waiting {
                self.greet(connection.peer, waiter);
            }
            return;
        }
        if connection.dialled {
            self.unreachable(connection.peer, &refused.to_string());
        }
        if let Some((address, waiter)) = waiting {
            let _ = waiter.send(Err(join_error(address.to_string(), refused)));
        }
    }

    fn lane_opened(&mut self, id: ConnectionId, result: std::io::Result<Stream>) {
        let Some(member) = self.linked_over(id) else { return };
        let Some(link) = self.peers.get_mut(member.node).and_then(|state| state.link.as_mut()) else { return };
        if link.lane.is_some() {
            return;
        }
        let stream = match result {
            Ok(stream) => stream,
            Err(error) => return self.unlinked(id, &format!("no lane could be opened: {error}")),
        };
        let (network, executor, doors) =
            (self.setup.network.clone(), self.setup.executor.clone(), self.setup.doors.clone());
        let lane = Lane::new(member.node, id, link.tag, network, executor, doors);
        link.lane = Some(lane.clone());
        self.dirty = true;
        self.errands.run_lane(id, lane, stream);
        self.step(Input::Callable(member));
        self.attend_to(member.node);
    }

    /// A connection is gone, whoever closed it.
    fn closed(&mut self, id: ConnectionId, reason: &str) {
        self.unlinked(id, reason);
        let Some(pending) = self.connections.remove(&id) else { return };
        let peer = pending.connection.peer;
        self.links.forget(id, peer);
        if let Some(lane) = self.peers.link(peer).and_then(|link| link.lane.as_ref()) {
            lane.apart().closed(id);
        }
        if let Some((address, waiter)) = self.waiting.remove(&id) {
            let (address, reason) = (address.to_string(), format!("the connection was closed: {reason}"));
            let _ = waiter.send(Err(JoinError::Unreachable { address, reason }));
        }
        if !pending.admitted && pending.connection.dialled {
            self.unreachable(peer, reason);
        }
    }

    /// The link over this connection is broken.
    pub(super) fn unlinked(&mut self, id: ConnectionId, reason: &str) {
        let Some(member) = self.linked_over(id) else { return };
        self.drop_link(id, reason);
        self.step(Input::Unlinked(member));
    }

    /// Takes the link over this connection away, if there is one; calls over it end as lost.
    pub(super) fn drop_link(&mut self, id: ConnectionId, reason: &str) {
        let Some(node) = self.connections.get(&id).map(|pending| pending.connection.peer) else { return };
        if self.peers.unlink(node, id, reason).is_some() {
            self.setup.roster.counts().links.lost.one();
            self.links.forget(id, node);
            self.setup.network.close(id);
            self.close_apart(node);
            self.dirty = true;
        }
    }

    pub(super) fn linked_over(&self, id: ConnectionId) -> Option<Member> {
        let node = self.connections.get(&id)?.connection.peer;
        self.peers.link(node).filter(|link| link.connection == id).map(|link| link.member)
    }

    // Those who are looked for.

    fn connect_ended(&mut self, address: Address, waiter: Waiter, result: Result<Connection, DialError>) {
        if !matches!(result, Err(DialError::Unreachable { .. } | DialError::Stopping)) {
            self.found(&address);
        }
        let error = match result {
            Ok(connection) if self.connections.contains_key(&connection.id) => {
                self.waiting.insert(connection.id, (address, waiter));
                return;
            }
            Ok(connection) => return self.greet(connection.peer, waiter),
            Err(error) => error,
        };
        let address = address.to_string();
        let _ = waiter.send(Err(match error {
            DialError::BadAddress { reason, .. } => JoinError::BadAddress { address, reason },
            DialError::Myself => JoinError::Myself { address },
            DialError::Unreachable { reason, .. } => JoinError::Unreachable { address, reason },
            DialError::Stopping => JoinError::Left,
        }));
    }

    fn greet(&mut self, node: NodeId, waiter: Waiter) {
        if self.peers.is_ready(node) {
            let _ = waiter.send(Ok(node));
        } else {
            self.greeting.entry(node).or_default().push(waiter);
        }
    }

    /// A peer can be called, and is in the roster with its functions.
    pub(super) fn ready(&mut self, peer: Member) {
        self.tell_peers(peer);
        for waiter in self.greeting.remove(&peer.node).unwrap_or_default() {
            let _ = waiter.send(Ok(peer.node));
        }
    }

    fn described(&mut self, node: NodeId, changed: &BTreeSet<String>) {
        self.hear(node, changed);
        // What a program says moves fast; the rest is read as a whole.
        if changed.iter().all(|key| is_said(key)) {
            return;
        }
        self.setup.roster.counts().catalog.readings.one();
        let copy = self.engine.catalog().copy(node);
        if let (Some(state), Some((_, catalog))) = (self.peers.get_mut(node), copy) {
            state.describe(catalog);
            self.dirty = true;
        }
        self.to_heed.insert(node);
        self.hear_of_types(node);
    }

    fn peers_wanted(&mut self, from: Member) {
        if let Some(link) = self.peers.get_mut(from.node).and_then(|state| state.link.as_mut()) {
            link.wants_peers = true;
        }
        if self.peers.is_ready(from.node) {
            self.tell_peers(from);
        }
    }

    fn tell_peers(&mut self, peer: Member) {
        let link = self.peers.get_mut(peer.node).and_then(|state| state.link.as_mut());
        if link.is_some_and(|link| std::mem::take(&mut link.wants_peers)) {
            self.send(peer, &self.peers.whereabouts(peer.node));
        }
    }

    /// Notes those whom a peer knows and this node perhaps does not.
    fn meet(&mut self, list: Vec<Whereabouts>) {
        if !self.setup.fetch_peers {
            return;
        }
        for Whereabouts { member, addresses } in list.into_iter().take(limits::PEERS_MAX) {
            if self.strangers.len() < limits::PEERS_MAX && !addresses.is_empty() {
                let addresses = addresses.into_iter().take(limits::ADDRESSES_MAX).collect();
                self.strangers.insert(member.node, addresses);
            }
        }
    }

    /// Dials strangers as long as there is room for one more dial.
    fn meet_next(&mut self) {
        while self.dialling.len() < DIALS_MAX {
            let Some((node, addresses)) = self.strangers.pop_first() else { return };
            let linked = self.peers.link(node).is_some();
            if node != self.setup.network.id() && !linked && !self.links.is_banned(node) && self.dialling.insert(node) {
                self.errands.dial(node, addresses, ADMISSION_MAX);
            }
        }
    }

    /// The detector asks again as long as it is not told otherwise.
    pub(super) fn relink(&mut self, node: NodeId, patience: Duration) {
        let Some(state) = self.peers.get(node) else { return };
        // Without an address it fails, and the detector is told.
        let addresses = if self.links.is_banned(node) { Vec::new() } else { state.peer.addresses.clone() };
        if self.dialling.len() < DIALS_MAX && self.dialling.insert(node) {
            self.errands.dial(node, addresses, patience);
        }
    }

    fn unreachable(&mut self, node: NodeId, reason: &str) {
        if self.dialling.remove(&node) {
            tracing::debug!(peer = ?node, reason, "a node cannot be linked");
            self.step(Input::Unreachable(node));
        }
    }

    // What others see.

    pub(super) fn publish(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.setup.roster.publish(self.snapshot());
        }
    }
}

fn join_error(address: String, refused: Refused) -> JoinError {
    match refused {
        Refused::WrongKey => JoinError::WrongKey { address },
        Refused::WrongCluster => JoinError::WrongCluster { address },
        Refused::WrongVersion(version) => {
            JoinError::WrongVersion { address, version, ours: guthi_core::wire::version::WIRE_VERSION }
        }
        Refused::Duplicate => JoinError::Refused { address, reason: "it is linked already".into() },
        Refused::Other(reason) => JoinError::Refused { address, reason },
    }
}
