use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use guthi_core::{
    protocol::{
        catalog,
        packet::keys,
        view::{REPLICAS, REPLICAS_MAX},
    },
    wire::{
        codec,
        id::{Member, NodeId},
        limits::CATALOG_VALUE_BYTES_MAX,
        name,
    },
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    event::EVENTS_BEHIND_MAX,
    functions::Functions,
    key::ClusterKey,
    logs::Logs,
    node::{Inner, Node},
    service,
};
use crate::{
    BuildError, Quorum,
    calls::{channel::Doors, executor::Executor, router::Router, streams},
    network::{
        self, StartError,
        address::{self, Address},
        admission::Credentials,
        libp2p::Config,
    },
    runtime::{
        directory::{Directory, Entry, Processes},
        driver::{Command, Driver, Echo, Setup},
        life::Life,
        mutexes::Mutexes,
        roster::Roster,
        sayings::Sayings,
        variables::Variables,
        world::{Outer, World},
    },
};

const COMMANDS_QUEUED_MAX: usize = 256;

/// The settings of a node that is about to be started.
///
/// Presets ([`Node::local`]) choose sensible values; every setter says how to choose another.
#[derive(Clone)]
pub struct Builder {
    name: Option<String>,
    cluster: String,
    keys: Vec<ClusterKey>,
    listen: Vec<Address>,
    advertise: Vec<Address>,
    join: Vec<Address>,
    directory: Option<PathBuf>,
    fetch_peers: bool,
    identity: Option<[u8; 32]>,
    labels: BTreeMap<String, String>,
    states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    functions: Functions,
    workers: Option<usize>,
    calls_max: usize,
    echo: Echo,
    quorum: Quorum,
    window: Duration,
    expect: u32,
    replicas: u8,
    patience: Duration,
    open: bool,
    logs: Option<Logs>,
    world: Arc<dyn World>,
}

impl Builder {
    /// Nothing is switched on: a node that listens nowhere and looks for nobody.
    pub(crate) fn new() -> Self {
        Self {
            name: None,
            cluster: "local".into(),
            keys: Vec::new(),
            listen: Vec::new(),
            advertise: Vec::new(),
            join: Vec::new(),
            directory: None,
            fetch_peers: true,
            identity: None,
            labels: BTreeMap::new(),
            states: HashMap::new(),
            functions: Functions::linked(),
            workers: None,
            calls_max: 65_536,
            echo: Echo::default(),
            quorum: Quorum::Majority,
            window: WINDOW,
            expect: 1,
            replicas: REPLICAS,
            patience: Duration::from_millis(500),
            open: false,
            logs: None,
            world: Arc::new(Outer),
        }
    }

    pub(crate) fn local() -> Self {
        Self {
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            directory: Some(Directory::default_root()),
            quorum: Quorum::Any,
            window: LOCAL_WINDOW,
            ..Self::new()
        }
    }

    /// What people call this node: 1 to 255 bytes without control characters. Two words from its id unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The cluster that this node belongs to: nodes of other clusters refuse it. `local` unless set.
    pub fn cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = cluster.into();
        self
    }

    /// The secret that all nodes of the cluster share. Nodes with another key refuse this one.
    ///
    /// Called again, it adds a key that is accepted besides the first, so that keys can be changed one node at a time.
    pub fn key(mut self, key: ClusterKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Listens here as well: `host:port` with a numeric host, or a multiaddress; port 0 takes any free one.
    ///
    /// Beyond loopback a key is required.
    pub fn listen(mut self, address: impl Into<Address>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Tells others this address besides those it listens on: for containers and port forwarding.
    pub fn advertise(mut self, address: impl Into<Address>) -> Self {
        self.advertise.push(address.into());
        self
    }

    /// Links with the node at this address at the start. If nobody answers, the node runs alone, says so in its log, and tries
    /// again after 1 s, 2 s and so on, at last every 30 s.
    pub fn join(mut self, address: impl Into<Address>) -> Self {
        self.join.push(address.into());
        self
    }

    /// Finds other nodes of this machine, and is found by them, through this directory of the user's own.
    pub fn runtime_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Learns the other nodes from the first one it links with (the default), or links only with those that are named.
    /// It becomes a member when more than half of the voters are linked with it, so name enough of them.
    pub const fn fetch_peers(mut self, fetch: bool) -> Self {
        self.fetch_peers = fetch;
        self
    }

    /// The secret ed25519 key of this node, 32 bytes; a fresh one at every start unless set.
    pub const fn identity(mut self, secret: [u8; 32]) -> Self {
        self.identity = Some(secret);
        self
    }

    /// Says something about this node that all others see, such as its `zone`.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Gives functions something of the application: they get it by type from
    /// [`Context::state`](crate::Context::state). One value per type.
    pub fn state<T: Any + Send + Sync>(mut self, state: T) -> Self {
        self.states.insert(TypeId::of::<T>(), Arc::new(state));
        self
    }

    /// Shows the program's log to whoever asks with [`Node::log`].
    pub fn logs(mut self, logs: Logs) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Which functions this node has, instead of all that are in the program.
    pub fn functions(mut self, functions: Functions) -> Self {
        self.functions = functions;
        self
    }

    /// Threads for plain functions, at lower priority; as many as there are cores unless set, at least one.
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many calls this node accepts at once before it answers `Overloaded`; 65,536 unless set.
    pub const fn calls_max(mut self, calls: usize) -> Self {
        self.calls_max = calls;
        self
    }

    /// Who may go on when members are missing; [`Quorum::Any`] for [`Node::local`], [`Quorum::Majority`] for all others. All
    /// nodes of a cluster should say the same. Across machines, where no death can be proven, `Any` is `Majority`.
    pub const fn quorum(mut self, quorum: Quorum) -> Self {
        self.quorum = quorum;
        self
    }

    /// Serves nothing that needs agreement before the view had so many members once; 1 unless set.
    ///
    /// When a whole cluster is switched on, say more than half of its nodes: two halves that do not see each other yet
    /// will not both begin to hold something.
    pub fn expect(mut self, members: usize) -> Self {
        self.expect = u32::try_from(members).unwrap_or(u32::MAX);
        self
    }

    /// How many nodes keep each variable, from 1 to 8; 2 unless set. What was written survives the death of all of them but one.
    /// The node that begins a cluster decides: whoever joins takes over its number.
    pub const fn replicas(mut self, replicas: u8) -> Self {
        self.replicas = if replicas < 1 {
            1
        } else if replicas > REPLICAS_MAX {
            REPLICAS_MAX
        } else {
            replicas
        };
        self
    }

    /// How peers are polled; every 250 ms with a timeout of 2 s and a lease of 1 s unless set.
    pub const fn echo(mut self, echo: Echo) -> Self {
        self.echo = echo;
        self
    }

    /// How long [`start`](Self::start) waits for the nodes that it knows of; 500 ms unless set.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Lets anybody in who can reach this node, without a key. Whoever is in can run every function.
    pub const fn open_to_anyone(mut self) -> Self {
        self.open = true;
        self
    }

    /// Starts it in another world than the one outside, and lets go of all that leads out.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn within(self, world: impl World + 'static) -> Self {
        let (listen, advertise, join) = (Vec::new(), Vec::new(), Vec::new());
        Self { listen, advertise, join, directory: None, world: Arc::new(world), ..self }
    }

    /// Starts the node: returns when every node that it knows of has answered or failed, at the latest after
    /// [`patience`](Self::patience).
    ///
    /// # Errors
    /// [`BuildError`]; nothing is left running then.
    ///
    /// # Cancel safety
    /// Dropping the future stops what has been started.
    pub async fn start(self) -> Result<Node, BuildError> {
        tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        check("cluster", &self.cluster)?;
        let secret = self.identity.map_or_else(fresh_secret, Ok)?;
        let id = network::libp2p::identity(secret).map_err(build_error)?;
        let name = self.name.clone().unwrap_or_else(|| two_words(id));
        check("node", &name)?;
        let listen = self.listen_addresses()?;
        let functions = self.functions.registered()?;
        let directory = self.directory.clone().map(|root| Directory::open(root, &self.cluster)).transpose()?;
        let keys = self.keys(directory.as_ref(), &listen)?;

        let workers = self.workers.unwrap_or_else(|| self.world.workers()).max(1);
        let pool = self.world.pool(workers)?;
        let doors = Doors::new();
        let executor = Executor::new(id, functions, self.states.clone(), pool, workers, self.calls_max)?;
        streams::serve(&executor, &doors);
        service::offer(&executor, self.logs.clone(), self.world.monitor());
        let incarnation = self.world.incarnation();
        let credentials = Credentials { me: Member { node: id, incarnation }, cluster: self.cluster.clone(), keys };
        let roster = Arc::new(Roster::default());
        let life = Arc::new(ArcSwap::from_pointee(Life::none(self.world.clock())));
        let mutexes = Mutexes::new(life.clone(), executor.spins());
        let variables = Variables::new(life, executor.spins());
        let sayings = Sayings::new(id);
        let (events, _) = broadcast::channel(EVENTS_BEHIND_MAX);
        let (commands, inbox) = mpsc::channel(COMMANDS_QUEUED_MAX);
        let (started, starting) = oneshot::channel();
        let plan = Plan {
            world: self.world.clone(),
            config: Config { secret, listen },
            advertise: self.advertise.clone(),
            credentials,
            executor: executor.clone(),
            doors: doors.clone(),
            roster: roster.clone(),
            mutexes: mutexes.clone(),
            variables: variables.clone(),
            sayings: sayings.clone(),
            events: events.clone(),
            name: name.clone(),
            labels: self.labels.clone(),
            echo: self.echo,
            quorum: self.quorum,
            window: self.window,
            expect: self.expect,
            replicas: self.replicas,
            directory: directory.clone(),
            fetch_peers: self.fetch_peers,
            join: self.join.clone(),
            inbox,
        };
        self.world
            .spawn(Box::pin(plan.carry_out(started)))
            .map_err(|error| BuildError::Threads { reason: error.to_string() })?;
        let addresses =
            starting.await.map_err(|_| BuildError::Threads { reason: "the network thread ended".into() })??;

        let router = Router::new(roster.clone(), executor.clone());
        let inner = Inner {
            id,
            incarnation,
            name,
            cluster: self.cluster.clone(),
            addresses,
            labels: self.labels.clone(),
            directory,
            commands,
            router,
            doors,
            mutexes,
            variables,
            sayings,
            // Weak, so that the streams of events end with the driver.
            events: events.downgrade(),
        };
        drop(events);
        let inner = Arc::new(inner);
        executor.attach(Arc::downgrade(&inner));
        let node = Node::of(inner);
        self.meet(&node).await;
        Ok(node)
    }

    /// Links with everybody who is known, and waits for them as long as patience lasts.
    async fn meet(&self, node: &Node) {
        let others = node.directory().map(|directory| directory.others(node.id())).unwrap_or_default();
        let local = others.into_iter().flat_map(|(id, entry)| {
            entry.addresses.first().map(|address| Address::from(address::with_node(address, id)))
        });
        let attempts = local.chain(self.join.iter().cloned()).map(|address| {
            let node = node.clone();
            async move {
                if let Err(error) = node.connect(address.clone()).await {
                    tracing::warn!(%address, %error, "a node that was to be joined is not linked");
                }
            }
        });
        let all = async {
            futures::future::join_all(attempts).await;
            node.settle().await;
        };
        // What is not linked in time goes on in the background.
        let mut all = Box::pin(all);
        let _ = tokio::time::timeout(self.patience, &mut all).await;
    }

    fn listen_addresses(&self) -> Result<Vec<Multiaddr>, BuildError> {
        self.listen.iter().map(numeric).collect()
    }

    fn keys(&self, directory: Option<&Directory>, listen: &[Multiaddr]) -> Result<Vec<ClusterKey>, BuildError> {
        if !self.keys.is_empty() {
            return Ok(self.keys.clone());
        }
        if self.open {
            return Ok(vec![ClusterKey::OPEN]);
        }
        if let Some(address) = listen.iter().find(|address| !is_loopback(address)) {
            return Err(BuildError::KeyRequired { address: address.to_string() });
        }
        match directory {
            Some(directory) => Ok(vec![directory.key()?]),
            None => Ok(vec![ClusterKey::OPEN]),
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Builder");
        debug.field("name", &self.name).field("cluster", &self.cluster).field("listen", &self.listen);
        debug.field("join", &self.join).finish_non_exhaustive()
    }
}

/// How long a newborn node looks around for a cluster to join, before it begins one of its own.
const WINDOW: Duration = Duration::from_millis(500);
/// On one machine all are found at once.
const LOCAL_WINDOW: Duration = Duration::from_millis(100);

/// What the task of a node is given.
struct Plan {
    world: Arc<dyn World>,
    config: Config,
    advertise: Vec<Address>,
    credentials: Credentials,
    executor: Arc<Executor>,
    doors: Arc<Doors>,
    roster: Arc<Roster>,
    mutexes: Arc<Mutexes>,
    variables: Arc<Variables>,
    sayings: Arc<Sayings>,
    events: broadcast::Sender<crate::Event>,
    name: String,
    labels: BTreeMap<String, String>,
    echo: Echo,
    quorum: Quorum,
    window: Duration,
    expect: u32,
    replicas: u8,
    directory: Option<Directory>,
    fetch_peers: bool,
    join: Vec<Address>,
    inbox: mpsc::Receiver<Command>,
}

impl Plan {
    async fn carry_out(self, started: oneshot::Sender<Result<Vec<String>, BuildError>>) {
        let (network, events) = match self.world.network(self.config).await {
            Ok(started) => started,
            Err(error) => return drop(started.send(Err(build_error(error)))),
        };
        let mut addresses = network.addresses();
        for address in &self.advertise {
            match address.resolve().await {
                Ok((found, _)) => addresses.splice(..0, found.iter().map(ToString::to_string)).for_each(drop),
                Err(reason) => {
                    let address = address.to_string();
                    return drop(started.send(Err(BuildError::BadAddress { address, reason })));
                }
            }
        }
        let description = match describe(&self.name, &addresses, &self.labels, &self.executor) {
            Ok(description) => description,
            Err(refused) => {
                let reason = format!("{refused:?}");
                return drop(started.send(Err(BuildError::TooMuchToTell { reason })));
            }
        };
        let me = self.credentials.me;
        let presence = self.directory.as_ref();
        let presence = presence
            .map(|it| it.enter(me.node, Entry::new(me, &self.name, &self.credentials.cluster, &addresses)))
            .transpose();
        let presence = match presence {
            Ok(presence) => presence,
            Err(error) => return drop(started.send(Err(error))),
        };
        let rescue_dir = self.directory.as_ref().map(|directory| directory.root().to_owned());
        let processes = self.directory.filter(|_| self.quorum == Quorum::Any);
        let setup = Setup {
            network,
            presence,
            rescue_dir,
            processes: processes.map(|directory| Processes::new(directory, me.node)),
            credentials: self.credentials,
            executor: self.executor,
            doors: self.doors,
            roster: self.roster,
            mutexes: self.mutexes,
            variables: self.variables,
            sayings: self.sayings,
            events: self.events,
            description,
            echo: self.echo,
            policy: self.quorum.into(),
            window: self.window,
            fetch_peers: self.fetch_peers,
            join: self.join,
            born: self.world.born(),
            seed: self.world.seed(),
            clock: self.world.clock(),
            gauge: self.world.gauge(),
            expect: self.expect,
            replicas: self.replicas,
        };
        // If nobody waits for the start any more, the command channel is closed and the driver ends at once.
        let _ = started.send(Ok(addresses));
        Driver::run(setup, events, self.inbox).await;
    }
}

/// What a node says of itself at its start, if that fits into a catalog.
fn describe(
    name: &str,
    addresses: &[String],
    labels: &BTreeMap<String, String>,
    executor: &Executor,
) -> Result<Vec<(String, Vec<u8>)>, catalog::Refused> {
    let encode =
        |bytes: Result<Vec<u8>, _>| bytes.unwrap_or_else(|_: codec::EncodeError| vec![0; CATALOG_VALUE_BYTES_MAX + 1]);
    let workers = u32::try_from(executor.workers()).unwrap_or(u32::MAX);
    let mut functions = executor.functions();
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    let functions = functions.into_iter().map(|function| {
        let key = format!("{}{}", keys::FUNCTION, function.name);
        (key, encode(codec::encode(&function.entry, CATALOG_VALUE_BYTES_MAX)))
    });
    let itself = [
        (keys::NAME, name.as_bytes().to_vec()),
        (keys::VERSION, crate::VERSION.as_bytes().to_vec()),
        (keys::WORKERS, encode(codec::encode(&workers, CATALOG_VALUE_BYTES_MAX))),
        (keys::LABELS, encode(codec::encode(labels, CATALOG_VALUE_BYTES_MAX))),
        (keys::ADDRESSES, encode(codec::encode(addresses, CATALOG_VALUE_BYTES_MAX))),
    ];
    let description: Vec<_> = functions.chain(itself.map(|(key, value)| (key.to_owned(), value))).collect();
    let mut trial = catalog::Book::EMPTY;
    for (key, value) in &description {
        trial.set(key, value.clone())?;
    }
    Ok(description)
}

/// Whether a text can name something: what is wrong with it if not.
pub(crate) fn check(what: &'static str, name: &str) -> Result<(), BuildError> {
    name::check(name).map_err(|reason| BuildError::BadName { what, name: name.to_owned(), reason })
}

fn build_error(error: StartError) -> BuildError {
    match error {
        StartError::Listen { address, in_use: true, .. } => {
            BuildError::AddressInUse { address: address::plain(&address).unwrap_or(address) }
        }
        StartError::Listen { address, reason, .. } => BuildError::Listen { address, reason },
        StartError::Identity(reason) => BuildError::Identity { reason },
    }
}

/// The multiaddress of a text that needs no resolver: where one listens is a matter of this machine.
fn numeric(address: &Address) -> Result<Multiaddr, BuildError> {
    let text = address.as_str();
    let bad = |reason: String| BuildError::BadAddress { address: text.to_owned(), reason };
    if text.starts_with('/') {
        return text.parse().map_err(|error| bad(format!("{error}")));
    }
    let socket: std::net::SocketAddr = text.parse().map_err(|_| bad("expected a numeric address and a port".into()))?;
    Ok(address::tcp(socket.ip(), socket.port()))
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip).is_loopback(),
        _ => false,
    }
}

fn fresh_secret() -> Result<[u8; 32], BuildError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| BuildError::Identity { reason: error.to_string() })?;
    Ok(secret)
}

/// A name that is easy to say and to tell from others, made from an id.
fn two_words(id: NodeId) -> String {
    let hash = blake3::hash(&id.0);
    let word = |list: &[&'static str], byte: u8| list[usize::from(byte) % list.len()];
    format!("{}-{}", word(&ADJECTIVES, hash.as_bytes()[0]), word(&NOUNS, hash.as_bytes()[1]))
}

const ADJECTIVES: [&str; 32] = [
    "amber", "ashen", "azure", "brave", "brisk", "calm", "clear", "coral", "crisp", "dawn", "eager", "fair", "fleet",
    "fond", "gentle", "glad", "golden", "hazel", "ivory", "jade", "keen", "lively", "lucid", "merry", "mild", "noble",
    "olive", "quiet", "ruby", "silver", "swift", "warm",
];
const NOUNS: [&str; 64] = [
    "acorn", "alder", "aspen", "badger", "beech", "birch", "bison", "brook", "cedar", "cliff", "cloud", "comet",
    "crane", "delta", "dove", "eagle", "elm", "falcon", "fern", "field", "finch", "fjord", "flint", "fox", "glade",
    "grove", "harbor", "hare", "hawk", "heron", "hill", "island", "ivy", "lake", "larch", "lark", "lily", "lynx",
    "maple", "marsh", "meadow", "mesa", "moss", "oak", "orchid", "otter", "owl", "peak", "pearl", "pine", "pond",
    "poppy", "quail", "raven", "reed", "ridge", "river", "robin", "sage", "spruce", "swan", "tern", "thistle", "wren",
];
