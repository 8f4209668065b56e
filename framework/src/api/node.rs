use std::{collections::BTreeMap, future::Future, path::Path, sync::Arc, time::Duration};

use guthi_core::wire::{
    id::{Incarnation, NodeId},
    name,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::Instant,
};

use super::{
    builder::Builder,
    call::{Call, NamedCall},
    call_stream::CallStream,
    change::{self, Changes},
    event::{Events, Subscription},
    local::Control,
    logs::{AskLog, LogPage, LogQuery},
    map::Map,
    metrics::Metrics,
    mutex::{Mutex, named},
    mutexes::{AskMutexes, MutexInfo, MutexQuery, Page, collected},
    peer::{FunctionInfo, Member, Peer, Rescue, View},
    raw_variable::{RawValue, RawVariable, read_raw},
    resources::{AskResources, Resources},
    service,
    trace::Trace,
    variable::{Variable, read_as},
    variable_type::VariableType,
    variables::{self, AskVariables, VariableInfo, VariableQuery},
};
use crate::{
    CallError, Context, Event, Function, JoinError, LeaveError, RegisterError, StreamFunction, Travels, WatchError,
    WriteError,
    calls::{channel::Doors, executor::RESERVED, router::Router, signature},
    network::{address::Address, ticket::Ticket},
    runtime::{
        directory::Directory,
        driver::Command,
        mutexes::{Listed, Mutexes},
        sayings::Sayings,
        variables::{ListedVariable, Variables},
    },
};

/// How long a node that leaves waits for the functions that it runs.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long the answers to what is given up may take.
const GIVE_UP_MAX: Duration = Duration::from_millis(50);
/// How long a node may take to tell of itself.
const ASK_MAX: Duration = Duration::from_secs(5);
/// How long members may take to say which mutexes they know: the others' answer waits for the last one.
const LIST_MAX: Duration = Duration::from_secs(2);
/// How long an address may take to answer.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A node: this process as a member of its cluster. Clones are the same node.
///
/// Dropping the last clone closes its links, and the others take it for failed; [`leave`](Self::leave) says goodbye.
#[derive(Clone, Debug)]
pub struct Node {
    inner: Arc<Inner>,
    /// What calls through this clone belong to, unless they say otherwise.
    /// Few handles have one, so it is behind a pointer.
    trace: Option<Arc<Trace>>,
}

/// What the clones of a [`Node`] share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Where nodes of this machine find each other, if this one wants to be found.
    pub(crate) directory: Option<Directory>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) router: Router,
    pub(crate) doors: Arc<Doors>,
    pub(crate) mutexes: Arc<Mutexes>,
    pub(crate) variables: Arc<Variables>,
    pub(crate) sayings: Arc<Sayings>,
    pub(crate) events: broadcast::WeakSender<Event>,
}

impl Node {
    /// A node for one machine: it listens on loopback and finds the other nodes of this user by itself, through
    /// `GUTHI_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/guthi`, else a private folder of the temporary directory.
    #[must_use]
    pub fn local() -> Builder {
        Builder::local()
    }

    /// A node with nothing switched on: it listens nowhere and looks for nobody until it is told to.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) const fn of(inner: Arc<Inner>) -> Self {
        Self { inner, trace: None }
    }

    /// The same, for calls that belong to that trace.
    pub(crate) fn within(self, trace: Option<Trace>) -> Self {
        Self { trace: trace.map(Arc::new), ..self }
    }

    pub(crate) fn trace(&self) -> Option<Trace> {
        self.trace.as_deref().copied()
    }

    /// The node's identity.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.inner.id
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The cluster that it belongs to.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.inner.cluster
    }

    /// What it says of itself, such as its `zone`.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.inner.labels
    }

    /// Where it finds the other nodes of this machine, and is found; `None` if it does not.
    #[must_use]
    pub fn runtime_dir(&self) -> Option<&Path> {
        self.directory().map(Directory::root)
    }

    /// Where it can be reached: multiaddresses that end in its identity, ready for [`Builder::join`].
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        let with_node = |address: &String| crate::network::address::with_node(address, self.inner.id).into();
        self.inner.addresses.iter().map(with_node).collect()
    }

    /// What others need to join this node, as one word to copy; [`Ticket::with_key`] adds the key.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket::new(&self.inner.cluster, self.inner.id, &self.inner.addresses)
    }

    /// The members of the cluster, as all of them agree.
    #[must_use]
    pub fn view(&self) -> View {
        let snapshot = self.inner.router.roster().load();
        let name = |id: NodeId| match snapshot.peers.get(&id) {
            Some(peer) => peer.name.clone(),
            None if id == self.inner.id => self.inner.name.clone(),
            None => id.short(),
        };
        let Some(agreed) = &snapshot.agreed else {
            let me = Member { id: self.inner.id, incarnation: self.inner.incarnation, name: self.inner.name.clone() };
            return View { lineage: String::new(), epoch: 0, members: vec![me], active: false, isolated: false };
        };
        let member = |member: guthi_core::wire::id::Member| Member {
            id: member.node,
            incarnation: member.incarnation,
            name: name(member.node),
        };
        View {
            lineage: agreed.view.at.lineage.to_string(),
            epoch: agreed.view.at.epoch.0,
            members: agreed.view.members().map(member).collect(),
            active: agreed.active,
            isolated: agreed.isolated,
        }
    }

    /// The members of the [view](Self::view), the oldest first, this node among them.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.view().members
    }

    /// Every other node that is known, by id; also those that failed or left within the last 24 hours.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.inner.router.roster().load().peers.values().cloned().collect()
    }

    /// Waits until the view has at least so many members.
    ///
    /// # Errors
    /// [`JoinError::Left`] once this node has left. It waits without end otherwise: put a timeout around it.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn wait_for(&self, members: usize) -> Result<View, JoinError> {
        self.view_where(|view| view.members.len() >= members).await
    }

    /// Waits until the view differs from one that was seen, in anything that a [`View`] says; what came and went meanwhile
    /// is passed over.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let mut view = node.view();
    /// loop {
    ///     println!("{} members", view.members.len());
    ///     view = node.view_after(&view).await?;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`JoinError::Left`] once this node has left. It waits without end otherwise: put a timeout around it.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn view_after(&self, seen: &View) -> Result<View, JoinError> {
        self.view_where(|view| view != seen).await
    }

    async fn view_where(&self, is_wanted: impl Fn(&View) -> bool) -> Result<View, JoinError> {
        let mut changes = self.inner.router.roster().changes();
        loop {
            changes.mark_unchanged();
            if self.inner.router.roster().load().closed {
                return Err(JoinError::Left);
            }
            let view = self.view();
            if is_wanted(&view) {
                return Ok(view);
            }
            if changes.changed().await.is_err() {
                return Err(JoinError::Left);
            }
        }
    }

    /// Waits until all who can be called are members too.
    pub(crate) async fn settle(&self) {
        let mut changes = self.inner.router.roster().changes();
        loop {
            changes.mark_unchanged();
            let snapshot = self.inner.router.roster().load_full();
            let has = |node: &NodeId| snapshot.agreed.as_ref().is_some_and(|agreed| agreed.view.life(*node).is_some());
            if snapshot.closed || snapshot.routes.keys().all(has) || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Links with the node at an address, and through it with those that it knows.
    ///
    /// # Errors
    /// [`JoinError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping the future lets the attempt go on in the background.
    pub async fn connect(&self, to: impl Into<Address>) -> Result<Peer, JoinError> {
        let address = to.into();
        let (reply, answer) = oneshot::channel();
        let command = Command::Connect { address: address.clone(), reply };
        self.inner.commands.send(command).await.map_err(|_| JoinError::Left)?;
        let id = match tokio::time::timeout(CONNECT_MAX, answer).await {
            Ok(answer) => answer.map_err(|_| JoinError::Left)??,
            Err(_) => {
                let reason = format!("no answer within {CONNECT_MAX:?}");
                return Err(JoinError::Unreachable { address: address.to_string(), reason });
            }
        };
        let snapshot = self.inner.router.roster().load();
        snapshot.peers.get(&id).cloned().ok_or_else(|| JoinError::Unreachable {
            address: address.to_string(),
            reason: "it was lost at once".into(),
        })
    }

    /// Goes on without a quorum, together with all who answer, as a lineage of its own: by hand, when those who are missing
    /// will not come back. Returns the first view of that lineage.
    ///
    /// Nobody can know here whether the others are dead. If they are not, both go on, each by itself, and what needs one
    /// answer has two. Variables that only the others had are lost. All who answer must agree, and they do so only while
    /// they are isolated themselves; it waits for that without end, so put a timeout around it.
    ///
    /// # Errors
    /// [`JoinError::NotIsolated`] while enough voters answer, and [`JoinError::Excluded`] if the others went on meanwhile:
    /// nobody forks then.
    ///
    /// # Cancel safety
    /// Dropping the future does not take it back: it goes on once all have agreed.
    pub async fn fork(&self) -> Result<View, JoinError> {
        let (reply, answer) = oneshot::channel();
        self.inner.commands.send(Command::Fork { reply }).await.map_err(|_| JoinError::Left)?;
        answer.await.map_err(|_| JoinError::Left)??;
        Ok(self.view())
    }

    /// Gives up what this node's lineage holds, and joins the highest other one in sight: the way out of
    /// [`Event::ForeignLineage`]. What nobody of its lineage keeps is written into rescue files. Call it on every node of the
    /// lineage that gives way; it waits until this one has left it, so put a timeout around it.
    ///
    /// # Errors
    /// [`JoinError::NoOtherLineage`]; nothing is given up then.
    ///
    /// # Cancel safety
    /// Dropping the future does not take it back.
    pub async fn dissolve(&self) -> Result<Rescue, JoinError> {
        let (reply, answer) = oneshot::channel();
        self.inner.commands.send(Command::Dissolve { reply }).await.map_err(|_| JoinError::Left)?;
        answer.await.map_err(|_| JoinError::Left)?
    }

    /// Lets a node in no more, whatever key it has: its links are closed, everybody in the cluster learns of it, and who joins
    /// later learns it too, as long as one of those who know is there. A node that has failed or left is dropped from
    /// [`peers`](Self::peers).
    ///
    /// It holds for the identity: a program that is started again with a fresh one is somebody else, and only another key
    /// keeps it out. There is no way back but to start all nodes anew.
    ///
    /// # Errors
    /// [`JoinError::Myself`], [`JoinError::Refused`] if 1,024 nodes are banned, [`JoinError::Left`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping the future does not take it back.
    pub async fn forget(&self, node: impl Into<NodeId>) -> Result<(), JoinError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Forget { node: node.into(), reply };
        self.inner.commands.send(command).await.map_err(|_| JoinError::Left)?;
        answer.await.map_err(|_| JoinError::Left)?
    }

    /// Says what it holds, as services that keep something will.
    #[cfg(test)]
    pub(crate) async fn hold(&self, holdings: guthi_core::protocol::membership::Holdings) {
        let _ = self.inner.commands.send(Command::Hold(holdings)).await;
    }

    /// What happens to peers from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        let receiver = match self.inner.events.upgrade() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        };
        Events::new(receiver)
    }

    /// Calls back for every node that joins from now on, on the runtime that started this node, one at a time.
    pub fn on_join<F, R>(&self, react: F) -> Subscription
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.subscribe(|event| if let Event::Joined { peer } = event { Some(peer) } else { None }, react)
    }

    /// Calls back once for every failure of a peer from now on; `peer.reason` says what was noticed.
    pub fn on_failure<F, R>(&self, react: F) -> Subscription
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.subscribe(|event| if let Event::Failed { peer, .. } = event { Some(peer) } else { None }, react)
    }

    /// Calls back for every node that comes back after it had failed or left.
    pub fn on_recovery<F, R>(&self, react: F) -> Subscription
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.subscribe(|event| if let Event::Recovered { peer } = event { Some(peer) } else { None }, react)
    }

    fn subscribe<F, R>(&self, pick: impl Fn(Event) -> Option<Peer> + Send + 'static, react: F) -> Subscription
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Subscription::start(self.inner.router.executor().runtime(), self.events(), pick, react)
    }

    /// Calls a function on a node that has it, the least busy one, perhaps this one.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// #[guthi::function]
    /// fn fma(a: f64, b: f64, c: f64) -> f64 {
    ///     a * b + c
    /// }
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let seven = node.call::<fma>((2.0, 3.0, 1.0)).await?;
    /// # Ok(()) }
    /// ```
    pub fn call<F: Function>(&self, arguments: F::Arguments) -> Call<F> {
        Call::new(self.clone(), arguments)
    }

    /// Calls a function that returns a stream, and gives its results as they arrive, in order.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// use futures::{Stream, stream};
    ///
    /// #[guthi::function]
    /// fn squares(up_to: u64) -> impl Stream<Item = u64> {
    ///     stream::iter((0..up_to).map(|n| n * n))
    /// }
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let mut squares = node.call_stream::<squares>(1000);
    /// while let Some(square) = squares.next().await {
    ///     println!("{}", square?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn call_stream<F: StreamFunction>(&self, arguments: F::Arguments) -> CallStream<F> {
        CallStream::new(self.clone(), arguments)
    }

    /// Calls a function by name, with JSON: `null` for no argument, the value for one, an array for more.
    pub fn call_named(&self, name: impl Into<String>, arguments: serde_json::Value) -> NamedCall {
        NamedCall::new(self.clone(), name.into(), arguments)
    }

    /// Calls a function on every node that has it, all at once; one result per node, this one included.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the calls.
    pub async fn call_all<F>(&self, arguments: F::Arguments) -> Vec<(NodeId, Result<F::Output, CallError>)>
    where
        F: Function<Arguments: Clone>,
    {
        let info = self.functions().into_iter().find(|function| function.name == F::NAME);
        let nodes = info.map(|info| info.nodes).unwrap_or_default();
        let calls = nodes.into_iter().map(|id| {
            let call = self.call::<F>(arguments.clone()).on(id);
            async move { (id, call.await) }
        });
        futures::future::join_all(calls).await
    }

    /// Calls a function for every item, on all nodes that have it.
    ///
    /// Faster nodes get more, nodes that join meanwhile take part, what a lost node held is run again, and each item
    /// counts once. Results come in the order of the input.
    pub fn map<F: Function>(&self, items: impl IntoIterator<Item = F::Arguments, IntoIter: Send + 'static>) -> Map<F> {
        Map::new(self.clone(), items)
    }

    /// The mutex of this name, of the whole cluster: the same on every node. A name has 1 to 255 bytes and no control
    /// characters; `/` separates parts by habit. One that cannot be is told when it is locked.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let guard = node.mutex("reports/today").lock().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn mutex(&self, name: impl Into<String>) -> Mutex {
        Mutex::new(named(name.into()).map(|name| self.inner.mutexes.place(name)))
    }

    /// The mutexes whose names begin so, as all members know them: who holds them, and who waits; at most 4,096 of each member.
    /// Those that nobody has wanted in this view are not listed; one that lies idle is, with where its token lies.
    ///
    /// Members are asked one moment, and answer another: what is put together never was so at any single moment. Who has not
    /// answered after 2 s is left out, and named.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn mutexes(&self, prefix: impl Into<String>) -> Page<MutexInfo> {
        let query = MutexQuery { prefix: prefix.into() };
        let asked = self.members().into_iter().map(|member| {
            let call = self.call::<AskMutexes>(query.clone()).on(member.id).deadline(LIST_MAX);
            async move { (member.id, call.await.ok()) }
        });
        collected(futures::future::join_all(asked).await)
    }

    /// The mutexes as this node alone knows them.
    pub(crate) async fn own_mutexes(&self, prefix: String, most: usize) -> Vec<Listed> {
        let (reply, answer) = oneshot::channel();
        if self.inner.commands.send(Command::Mutexes { prefix, most, reply }).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// The variable of this name, of the whole cluster: attaches to it if it is there, else creates it with this value; of
    /// several who do so at once, the first one's value counts. Names are as those of [mutexes](Self::mutex).
    ///
    /// The value may be any type that can be sent to a function, up to 1 MiB encoded. Its shape belongs to the variable: a
    /// program in which the type looks otherwise is refused.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let hits = node.variable("site/hits", 0_u64).await?;
    /// hits.add(1).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`WriteError`]: its name or type cannot be, it is there with another type, or it is lost.
    ///
    /// # Cancel safety
    /// If it is dropped, the variable may be created or not.
    pub async fn variable<T: Travels>(&self, name: impl Into<String>, initial: T) -> Result<Variable<T>, WriteError> {
        let name = named(name.into()).map_err(|(name, reason)| WriteError::BadName { name, reason })?;
        Variable::attach(self.inner.variables.cell(name), &initial).await
    }

    /// The variable of this name for tools that do not know its type. It is neither created nor read by this.
    ///
    /// # Errors
    /// [`WriteError::BadName`].
    pub fn raw_variable(&self, name: impl Into<String>) -> Result<RawVariable, WriteError> {
        let name = named(name.into()).map_err(|(name, reason)| WriteError::BadName { name, reason })?;
        Ok(RawVariable::new(self.inner.variables.cell(name)))
    }

    /// All variables whose names begin so, as a stream of [`Change`](crate::Change)s: first those that there are, then
    /// [`Change::Listed`](crate::Change::Listed), then each change as it comes; an empty text means all variables. For each
    /// name versions rise. Whoever is slow gets of each name the newest next, and is told how many values it has missed; it
    /// slows nobody else. Over deaths and views nothing is told twice, and what was deleted meanwhile is told as that.
    ///
    /// Each home of such variables tells this node of a change one message after it is written, whoever else reads them. This
    /// node keeps a copy of all of them as long as the stream lives.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let mut changes = node.watch_prefix::<String>("board/")?;
    /// while let Some(change) = changes.next().await {
    ///     match change {
    ///         Change::Set { name, value, .. } => println!("{name} is {value}"),
    ///         Change::Deleted { name } => println!("{name} is gone"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`WatchError`]: names do not begin so, the type cannot be in a variable, or 256 beginnings are watched already.
    pub fn watch_prefix<T: Travels>(&self, prefix: impl Into<String>) -> Result<Changes<T>, WatchError> {
        let kind = self.inner.variables.kind::<T>().map_err(|unsupported| WatchError::UnsupportedType {
            type_name: unsupported.type_name,
            place: unsupported.place,
            hint: unsupported.hint,
        })?;
        let follower = change::follower(&self.inner.variables, prefix.into())?;
        Ok(Changes::of_all(follower, move |name, state| read_as(name, &kind, state)))
    }

    /// As [`watch_prefix`](Self::watch_prefix), for tools that do not know the types.
    ///
    /// # Errors
    /// [`WatchError`]: names do not begin so, or 256 beginnings are watched already.
    pub fn watch_raw(&self, prefix: impl Into<String>) -> Result<Changes<RawValue>, WatchError> {
        let follower = change::follower(&self.inner.variables, prefix.into())?;
        Ok(Changes::of_all(follower, read_raw))
    }

    /// What values of this kind look like. Each node tells all others of the types that it uses in variables, in topics and in
    /// what it publishes; what is not known here is used by no node that this one has met, or could not be looked into.
    #[must_use]
    pub fn variable_type(&self, kind: u64) -> Option<VariableType> {
        self.inner.variables.type_of(kind)
    }

    /// The variables whose names begin so, in the order of their names: at most 4,096 of each member that is the first home of
    /// some.
    ///
    /// Members are asked one moment, and answer another. Who has not answered after 2 s is left out, and named.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn variables(&self, prefix: impl Into<String>) -> Page<VariableInfo> {
        let query = VariableQuery { prefix: prefix.into() };
        let asked = self.members().into_iter().map(|member| {
            let call = self.call::<AskVariables>(query.clone()).on(member.id).deadline(LIST_MAX);
            async move { (member.id, call.await.ok()) }
        });
        variables::collected(futures::future::join_all(asked).await, self.replicas())
    }

    /// How many nodes keep each variable, if there are so many.
    fn replicas(&self) -> usize {
        let snapshot = self.router().roster().load();
        snapshot.agreed.as_ref().map_or(1, |agreed| agreed.view.replicas.into())
    }

    /// The variables that have their first home here.
    pub(crate) async fn own_variables(&self, prefix: String, most: usize) -> Vec<ListedVariable> {
        let (reply, answer) = oneshot::channel();
        if self.inner.commands.send(Command::Variables { prefix, most, reply }).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// Adds an `async` function at run time and tells all nodes; it gets a [`Context`] and its one argument.
    ///
    /// # Errors
    /// [`RegisterError`]; it is not added then.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it added here and not yet announced.
    pub async fn register<A, T, E, F, R>(&self, name: impl Into<String>, function: F) -> Result<(), RegisterError>
    where
        A: Travels,
        T: Travels,
        E: std::fmt::Display + 'static,
        F: Fn(Context, A) -> R + Send + Sync + Clone + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        let name = name.into();
        let bad = |reason| RegisterError::BadName { name: name.clone(), reason };
        name::check(&name).map_err(bad)?;
        if name.starts_with(RESERVED) {
            return Err(bad("names that begin with guthi. are reserved"));
        }
        let unsupported = |unsupported: signature::Unsupported| RegisterError::UnsupportedType {
            name: name.clone(),
            type_name: unsupported.type_name,
            hint: unsupported.hint,
        };
        let registered = service::registered(&name, function).map_err(unsupported)?;
        let entry = registered.entry.clone();
        if !self.inner.router.executor().register(registered) {
            return Err(RegisterError::Duplicate { name });
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Announce { function: name.clone(), entry, reply };
        self.inner.commands.send(command).await.map_err(|_| RegisterError::Left)?;
        let announced = answer.await.map_err(|_| RegisterError::Left)?;
        announced.map_err(|refused| {
            self.inner.router.executor().unregister(&name);
            RegisterError::TooMuchToTell { name, reason: format!("{refused:?}") }
        })
    }

    /// The global function store: every function of every node in sight, by name.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionInfo> {
        let mut store = BTreeMap::new();
        let snapshot = self.inner.router.roster().load();
        let mut add = |node, name: &str, entry: &guthi_core::protocol::packet::FunctionEntry| {
            let info = store.entry(name.to_owned()).or_insert_with(|| FunctionInfo {
                name: name.to_owned(),
                shape: entry.shape.clone(),
                docs: entry.docs.clone(),
                once: entry.once,
                nodes: Vec::new(),
            });
            info.nodes.push(node);
        };
        for function in self.inner.router.executor().functions() {
            add(self.inner.id, &function.name, &function.entry);
        }
        for (node, route) in &snapshot.routes {
            for (name, entry) in route.functions.iter() {
                add(*node, name, entry);
            }
        }
        store.into_values().collect()
    }

    /// Takes no more work, finishes what it runs (for at most 5 s), says goodbye and ends, for all clones. Several that are
    /// told to leave wait for the same end.
    ///
    /// # Errors
    /// [`LeaveError::StillRunning`] if functions were given up; the node has left all the same.
    ///
    /// # Cancel safety
    /// Dropping the future before the goodbye leaves a node that accepts no calls: leave again.
    pub async fn leave(self) -> Result<(), LeaveError> {
        let executor = self.inner.router.executor();
        executor.leave();
        // Nobody should find the node any more.
        let _ = self.inner.commands.send(Command::Hide).await;
        let patience = Instant::now() + DRAIN_MAX;
        while executor.accepted() > 0 && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let running = executor.accepted();
        executor.give_up();
        let patience = Instant::now() + GIVE_UP_MAX;
        while executor.accepted() > 0 && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (reply, said) = oneshot::channel();
        if self.inner.commands.send(Command::Leave { reply }).await.is_ok() {
            let _ = said.await;
        }
        if running == 0 { Ok(()) } else { Err(LeaveError::StillRunning { running }) }
    }

    /// Serves until the process is told to end (SIGINT or SIGTERM), then leaves; or until the node has left, because a clone
    /// was told to. A second signal ends the process at once.
    ///
    /// # Errors
    /// [`LeaveError`].
    ///
    /// # Cancel safety
    /// Dropping the future before a signal leaves the node as it is.
    pub async fn run(self) -> Result<(), LeaveError> {
        let signal =
            |kind| tokio::signal::unix::signal(kind).map_err(|error| LeaveError::Signals { reason: error.to_string() });
        let mut interrupt = signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut terminate = signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            // No view ever has so many members: it ends when the node has left.
            _ = self.wait_for(usize::MAX) => {}
        }
        tokio::select! {
            result = self.leave() => result,
            _ = interrupt.recv() => std::process::exit(130),
            _ = terminate.recv() => std::process::exit(143),
        }
    }

    /// What a node has logged, this one or another: see [`Logs`](crate::Logs). A node that keeps no log says so.
    ///
    /// # Errors
    /// [`CallError`]; there is no answer after 5 s.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn log(&self, node: impl Into<NodeId>, query: LogQuery) -> Result<LogPage, CallError> {
        self.call::<AskLog>(query).on(node).deadline(ASK_MAX).await
    }

    /// What the machine of a node has and does, this one's or another's. It is looked at when it is asked for, and what it
    /// did is measured since it was asked for last.
    ///
    /// # Errors
    /// [`CallError`]; there is no answer after 5 s.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn resources(&self, node: impl Into<NodeId>) -> Result<Resources, CallError> {
        self.call::<AskResources>(()).on(node).deadline(ASK_MAX).await
    }

    /// Tells the programs of this user on this machine how this node can be looked at and steered, in the runtime
    /// directory, until it leaves; `None` takes that back. See [`local_nodes`](crate::local_nodes).
    ///
    /// # Errors
    /// What the system says. A node without a runtime directory tells nobody, and that is no error.
    pub fn set_control(&self, control: Option<&Control>) -> std::io::Result<()> {
        let Some(directory) = self.directory() else { return Ok(()) };
        let text = control.map(serde_json::to_vec_pretty).transpose()?;
        directory.set_control(self.inner.id, text.as_deref())
    }

    pub(crate) fn directory(&self) -> Option<&Directory> {
        self.inner.directory.as_ref()
    }

    /// What this node has counted since it started: calls of each function, suspicions, views and so on.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let Inner { mutexes, variables, sayings, .. } = &*self.inner;
        Metrics::of(self.router(), self.doors().counts(), mutexes.meters(), variables.meters(), &sayings.counts)
    }

    pub(crate) fn doors(&self) -> &Arc<Doors> {
        &self.inner.doors
    }

    pub(super) fn sayings(&self) -> &Arc<Sayings> {
        &self.inner.sayings
    }

    pub(super) fn inner_variables(&self) -> &Arc<Variables> {
        &self.inner.variables
    }

    pub(crate) fn router(&self) -> &Router {
        &self.inner.router
    }
}

impl From<&Peer> for NodeId {
    fn from(peer: &Peer) -> Self {
        peer.id
    }
}

impl From<&Node> for NodeId {
    fn from(node: &Node) -> Self {
        node.id()
    }
}
