use std::{fmt, ops::RangeInclusive, time::Duration};

use guthi_core::{
    protocol::random::Random,
    wire::id::{Incarnation, NodeId},
};
use tokio::time::Instant;

use crate::{
    Builder, Functions, Node,
    network::memory::{Hub, Memory},
    runtime::inner::{Inner, Pause},
};

/// Virtual time within which what is waited for has to come about.
const PATIENCE: Duration = Duration::from_secs(60);
/// Virtual time between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(1);
/// Looks without anything under way after which a cluster has settled: an answer may take a moment to be made.
const QUIET_LOOKS: u32 = 3;
/// What a seed means besides the ways: identities, and the chance of each node.
const IDENTITIES: u64 = 0x6775_7468_6900_0001;

type Configure = Box<dyn Fn(usize, Builder) -> Builder + Send + Sync>;

/// Nodes in one process, on a paused clock; see the [module](super).
///
/// Nodes are called by their index, from 0; their names are `a`, `b`, `c` and so on. A cluster that is dropped kills
/// them.
pub struct Cluster {
    plan: ClusterBuilder,
    hub: Hub,
    began: Instant,
    seats: Vec<Seat>,
}

/// The settings of a [`Cluster`] that is about to be started.
pub struct ClusterBuilder {
    nodes: usize,
    seed: u64,
    functions: Functions,
    delay: RangeInclusive<Duration>,
    patience: Duration,
    configure: Configure,
}

/// The place of one node, in all its lives.
struct Seat {
    secret: [u8; 32],
    chance: Random,
    lives: u64,
    pause: Pause,
    /// Its last life.
    node: Node,
    up: bool,
}

impl Cluster {
    /// So many nodes, with all functions of the program, linked with each other.
    ///
    /// ```
    /// # use guthi::testing::Cluster;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let cluster = Cluster::new(3).await;
    /// assert_eq!(cluster.node(2).name(), "c");
    /// assert_eq!(cluster.node(2).members().len(), 3);
    /// # });
    /// ```
    ///
    /// # Panics
    /// As [`ClusterBuilder::start`].
    ///
    /// # Cancel safety
    /// Dropping the future kills what has been started.
    pub async fn new(nodes: usize) -> Self {
        Self::builder().nodes(nodes).start().await
    }

    /// A cluster with settings of its own.
    #[must_use]
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// A node, in its last life if it was killed: a real one, the whole public API.
    ///
    /// # Panics
    /// If there is none of this index.
    #[must_use]
    pub fn node(&self, index: usize) -> &Node {
        &self.seats[index].node
    }

    /// All nodes, also those that were killed, in the order of their indices.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.seats.iter().map(|seat| &seat.node)
    }

    /// How many nodes there are, also those that were killed.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are no nodes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Which node this is, in any of its lives.
    ///
    /// ```
    /// # use guthi::testing::Cluster;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let cluster = Cluster::new(2).await;
    /// let peer = &cluster.node(0).peers()[0];
    /// assert_eq!(cluster.index_of(peer), Some(1));
    /// # });
    /// ```
    pub fn index_of(&self, node: impl Into<NodeId>) -> Option<usize> {
        let node = node.into();
        self.nodes().position(|there| there.id() == node)
    }

    /// Starts one more node, which joins all that it reaches, and returns its index.
    ///
    /// ```
    /// # use guthi::testing::Cluster;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut cluster = Cluster::new(2).await;
    /// let latecomer = cluster.add().await;
    /// assert_eq!(cluster.node(latecomer).members().len(), 3);
    /// # });
    /// ```
    ///
    /// # Panics
    /// If it cannot be started.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the cluster without the node.
    pub async fn add(&mut self) -> usize {
        let index = self.seats.len();
        let mut chance = Random::new(self.plan.seed ^ IDENTITIES);
        // As many forks as it takes to get to this one.
        let mut chance = (0..=index).map(|_| chance.fork()).last().expect("one at least");
        let mut secret = [0; 32];
        secret.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&chance.next().to_le_bytes()));
        let pause = Pause::default();
        let node = self.start(index, secret, 1, &mut chance, &pause).await;
        self.seats.push(Seat { secret, chance, lives: 1, pause, node, up: true });
        index
    }

    /// Ends a node as `kill -9` ends a process: it says no goodbye, and its links break at once.
    ///
    /// Killing twice is harmless.
    pub fn kill(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        if !std::mem::take(&mut seat.up) {
            return;
        }
        self.hub.unplug(seat.node.id());
        let executor = seat.node.router().executor();
        executor.leave();
        executor.give_up();
        // The rest of it can only end if it does not stand still.
        seat.pause.set(false);
    }

    /// Starts a node again, killing it first if it runs: the same identity in a later life. Returns when it is linked
    /// with all that it reaches.
    ///
    /// ```
    /// # use guthi::testing::Cluster;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut cluster = Cluster::new(2).await;
    /// let before = cluster.node(0).members();
    /// cluster.restart(1).await;
    /// let after = cluster.node(0).members();
    /// assert_eq!(after[1].id, before[1].id);
    /// assert!(after[1].incarnation > before[1].incarnation);
    /// # });
    /// ```
    ///
    /// # Panics
    /// If it cannot be started.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the node killed.
    pub async fn restart(&mut self, index: usize) {
        self.kill(index);
        let seat = &self.seats[index];
        let (secret, lives, mut chance, pause) = (seat.secret, seat.lives + 1, seat.chance, Pause::default());
        let node = self.start(index, secret, lives, &mut chance, &pause).await;
        self.seats[index] = Seat { secret, chance, lives, pause, node, up: true };
    }

    /// Lets a node stand still, as `kill -STOP` does with a process: it answers nothing, and what is on its way to and
    /// from it is held.
    ///
    /// ```
    /// # use guthi::{Status, testing::Cluster};
    /// # use std::time::Duration;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut cluster = Cluster::new(2).await;
    /// cluster.pause(1);
    /// cluster.advance(Duration::from_secs(5)).await;
    /// assert_eq!(cluster.node(0).peers()[0].status, Status::Failed); // nothing was heard of it
    ///
    /// cluster.resume(1);
    /// cluster.wait_until(|cluster| cluster.node(0).peers()[0].status == Status::Alive).await;
    /// # });
    /// ```
    pub fn pause(&mut self, index: usize) {
        let seat = &self.seats[index];
        if seat.up {
            seat.pause.set(true);
            self.hub.hold(seat.node.id(), true);
        }
    }

    /// Lets a paused node go on, with all that was held.
    pub fn resume(&mut self, index: usize) {
        let seat = &self.seats[index];
        if seat.up {
            self.hub.hold(seat.node.id(), false);
            seat.pause.set(false);
        }
    }

    /// Cuts the ways between two groups of nodes, in both directions: what is sent over them is held until
    /// [`heal`](Self::heal), as by a cable that was pulled. Links end when their silence has lasted for too long.
    ///
    /// ```
    /// # use guthi::testing::Cluster;
    /// # use std::time::Duration;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut cluster = Cluster::new(3).await;
    /// cluster.partition(&[0], &[1, 2]);
    /// cluster.advance(Duration::from_secs(5)).await;
    /// assert!(cluster.node(0).view().isolated); // one of three decides nothing
    /// assert_eq!(cluster.node(1).members().len(), 2);
    ///
    /// cluster.heal();
    /// cluster.wait_until(|cluster| cluster.nodes().all(|node| node.members().len() == 3)).await;
    /// # });
    /// ```
    pub fn partition(&mut self, some: &[usize], others: &[usize]) {
        for &one in some {
            for &other in others {
                self.cut(one, other);
                self.cut(other, one);
            }
        }
    }

    /// Cuts the way from one node to another, and not the way back.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.hub.cut(self.node(from).id(), self.node(to).id());
    }

    /// Takes back all cuts. What was held goes on.
    pub fn heal(&mut self) {
        self.hub.mend();
    }

    /// Lets so much virtual time pass, and all that happens meanwhile.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn advance(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lets time pass until nothing is on its way between nodes: what they had to tell each other has been told.
    ///
    /// What is held is not waited for, nor is a function that still runs.
    ///
    /// # Panics
    /// If they never come to rest within [`patience`](ClusterBuilder::patience), as when a map is under way.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn settle(&self) {
        let latest = Instant::now() + self.plan.patience;
        let (mut sent, mut quiet) = (self.hub.sent(), 0);
        while quiet < QUIET_LOOKS {
            assert!(Instant::now() < latest, "the nodes do not come to rest within {:?}", self.plan.patience);
            tokio::time::sleep(LOOK).await;
            let before = std::mem::replace(&mut sent, self.hub.sent());
            quiet = if self.hub.is_busy() || sent != before { 0 } else { quiet + 1 };
        }
    }

    /// Lets time pass until a condition holds.
    ///
    /// ```
    /// # use guthi::testing::Cluster;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut cluster = Cluster::new(3).await;
    /// cluster.kill(2);
    /// cluster.wait_until(|cluster| cluster.node(0).members().len() == 2).await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// If it does not within [`patience`](ClusterBuilder::patience).
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let latest = Instant::now() + self.plan.patience;
        while !condition(self) {
            assert!(Instant::now() < latest, "it has not come about within {:?}", self.plan.patience);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The virtual time since the cluster was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The seed of all chance.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.plan.seed
    }

    async fn start(&self, index: usize, secret: [u8; 32], life: u64, chance: &mut Random, pause: &Pause) -> Node {
        let id = crate::network::libp2p::identity(secret).expect("any 32 bytes are a secret key");
        // Between two starts there is room for the lives that a node begins by itself, when others went on without it.
        let incarnation = Incarnation(life << 16);
        // Several may start in one millisecond, one after the other.
        let born = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(0) * 1000 + index as u64 + 1;
        let world = Inner { hub: self.hub.clone(), incarnation, born, seed: chance.next(), pause: pause.clone() };
        let builder = Node::builder().cluster("test").name(name(index)).functions(self.plan.functions.clone());
        let builder = (self.plan.configure)(index, builder);
        let builder = builder.identity(secret).patience(self.plan.patience).within(world);
        let others: Vec<_> = self.seats.iter().filter(|seat| seat.up && seat.node.id() != id).collect();
        let reached = others.iter().map(|seat| seat.node.id()).filter(|other| self.hub.is_reached(id, *other));
        let reached: Vec<_> = reached.collect();
        let builder = reached.iter().fold(builder, |builder, other| builder.join(Memory::address(*other)));
        let node = builder.start().await.unwrap_or_else(|error| panic!("node {index} cannot be started: {error}"));
        // Those whom it has joined may take a moment longer to know it.
        let latest = Instant::now() + self.plan.patience;
        let known = |seat: &&&Seat| {
            seat.node.members().iter().any(|member| member.id == id && member.incarnation >= incarnation)
        };
        while others.iter().filter(|seat| reached.contains(&seat.node.id())).filter(known).count() < reached.len()
            && Instant::now() < latest
        {
            tokio::time::sleep(LOOK).await;
        }
        node
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "guthi::testing: the seed was {0}; `Cluster::builder().seed({0})` plays the same again",
                self.seed()
            );
        }
        (0..self.len()).for_each(|index| self.kill(index));
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.nodes().map(Node::name).collect();
        f.debug_struct("Cluster").field("seed", &self.plan.seed).field("nodes", &names).finish_non_exhaustive()
    }
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            nodes: 3,
            seed: 0,
            functions: Functions::linked(),
            delay: Duration::from_millis(1)..=Duration::from_millis(2),
            patience: PATIENCE,
            configure: Box::new(|_, builder| builder),
        }
    }
}

impl ClusterBuilder {
    /// How many nodes it has at its start; 3 unless set.
    #[must_use]
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// What all chance follows from; 0 unless set. Another seed is another course of events.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Which functions the nodes have, instead of all that are in the program.
    #[must_use]
    pub fn functions(mut self, functions: Functions) -> Self {
        self.functions = functions;
        self
    }

    /// How long a way takes, from one node to another; 1 to 2 ms unless set. The clock ticks in milliseconds.
    #[must_use]
    pub const fn delay(mut self, delay: RangeInclusive<Duration>) -> Self {
        self.delay = delay;
        self
    }

    /// The virtual time within which what is waited for must come about; a minute unless set.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Changes the settings of each node, by its index, whenever it is started: its functions, its state, its echo.
    ///
    /// It may as well return a builder of the application's own. The identity, the addresses, whom it joins and where
    /// it is found are the cluster's affair all the same. A node has two workers unless it says otherwise, so that a
    /// seed means the same on every machine.
    ///
    /// ```
    /// # use guthi::{Functions, testing::Cluster};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// // The first one only calls what the others have.
    /// let cluster = Cluster::builder()
    ///     .nodes(3)
    ///     .configure(|index, node| if index == 0 { node.functions(Functions::none()) } else { node.workers(2) })
    ///     .start()
    ///     .await;
    /// # drop(cluster); });
    /// ```
    #[must_use]
    pub fn configure(mut self, configure: impl Fn(usize, Builder) -> Builder + Send + Sync + 'static) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Pauses the clock of the runtime and starts the nodes, one after the other; returns when all are linked with all.
    ///
    /// # Panics
    /// If the runtime is not of the `current_thread` flavour, or a node cannot be started.
    ///
    /// # Cancel safety
    /// Dropping the future kills what has been started; the clock stays paused.
    pub async fn start(self) -> Cluster {
        pause_clock();
        align_clock().await;
        let (least, most) = (*self.delay.start(), *self.delay.end());
        let hub = Hub::new(self.seed, least, most.saturating_sub(least));
        let nodes = self.nodes;
        let mut cluster = Cluster { plan: self, hub, began: Instant::now(), seats: Vec::with_capacity(nodes) };
        for _ in 0..nodes {
            cluster.add().await;
        }
        cluster
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ClusterBuilder");
        debug.field("nodes", &self.nodes).field("seed", &self.seed).field("delay", &self.delay).finish_non_exhaustive()
    }
}

/// Pauses the clock if it runs: tokio does not say which, and does not want to be asked twice.
fn pause_clock() {
    let (virtual_before, before) = (Instant::now(), std::time::Instant::now());
    while before.elapsed().is_zero() {
        std::hint::spin_loop();
    }
    if Instant::now() != virtual_before {
        tokio::time::pause();
    }
}

/// Moves a paused clock to a tick of its runtime.
///
/// Timers fire at whole milliseconds since the runtime began. Where the clock was paused between two of them is an
/// accident of real time, by which every timer would be rounded; and it cannot be asked for, but for how long sleeps
/// take: those that end at the next tick take one millisecond, longer ones two.
async fn align_clock() {
    const TICK: Duration = Duration::from_millis(1);
    let (mut least, mut most) = (0, TICK.subsec_nanos());
    while least < most {
        let middle = (least + most).div_ceil(2);
        let before = Instant::now();
        tokio::time::sleep_until(before + Duration::from_nanos(middle.into())).await;
        if before.elapsed() <= TICK {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    tokio::time::advance(Duration::from_nanos(least.into())).await;
}

/// `a` to `z`, then `aa`, `ab` and so on.
fn name(index: usize) -> String {
    let last = char::from(b'a' + u8::try_from(index % 26).expect("a letter"));
    let rest = index / 26;
    if rest == 0 { last.into() } else { format!("{}{last}", name(rest - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_on_behind_the_alphabet() {
        let names: Vec<_> = [0, 1, 25, 26, 27, 51, 52, 701, 702].map(name).into();
        assert_eq!(names, ["a", "b", "z", "aa", "ab", "az", "ba", "zz", "aaa"]);
    }
}
