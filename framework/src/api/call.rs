use std::{fmt, future::IntoFuture, pin::pin, sync::Arc, time::Duration};

use futures::{TryFutureExt, future::BoxFuture};
use guthi_core::wire::id::NodeId;
use tokio::time::Instant;

use super::{node::Node, trace::Trace};
use crate::{
    CallError, Function, Travels,
    calls::{
        function::{self, encode_into},
        message::Format,
        progress::Listener,
        router::{Order, Router, Types},
    },
};

/// How long a call may take unless it says otherwise.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A call that is about to be made: `await` it.
///
/// # Cancel safety
/// Dropping the future cancels the call at the other side: what is queued there is dropped, an `async fn` is dropped at
/// its next await, a running plain `fn` goes on unless it asks [`Context::is_cancelled`](crate::Context::is_cancelled).
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<F: Function> {
    node: Node,
    arguments: F::Arguments,
    options: Options,
    on_progress: OnProgress,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) on: Option<NodeId>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) attempts: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { on: None, deadline: Some(DEADLINE), attempts: 1 }
    }
}

impl<F: Function> Call<F> {
    pub(crate) fn new(node: Node, arguments: F::Arguments) -> Self {
        Self { node, arguments, options: Options::default(), on_progress: OnProgress::default() }
    }

    /// Runs it on this node, and on no other.
    pub fn on(mut self, node: impl Into<NodeId>) -> Self {
        self.options.on = Some(node.into());
        self
    }

    /// Gives up after this time. 30 seconds unless set; it travels with the call as the time that remains.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Tries again elsewhere if a node is lost while it runs the function, up to so many times in all. 1 unless set.
    ///
    /// The function may then run more than once; one marked `once` is never tried again.
    /// A try that certainly had no effect does not count.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts;
        self
    }

    /// Makes it a part of a trace. Within a function that runs for a traced call, those made through
    /// [`Context::node`](crate::Context::node) are part of the same one anyway.
    pub fn trace(mut self, trace: Trace) -> Self {
        self.node = self.node.within(Some(trace).filter(Trace::is_one));
        self
    }

    /// Calls back with how far the function is, from 0 to 1, whenever it [says so](crate::Context::progress): at most every
    /// 50 ms, and with the last share before the result. Where a call is tried again it begins anew.
    ///
    /// It is called from the task that awaits the call: be quick.
    pub fn on_progress(mut self, react: impl FnMut(f32) + Send + 'static) -> Self {
        self.on_progress = OnProgress(Some(Box::new(react)));
        self
    }

    /// Makes the call, and tells with the result which node ran the function.
    ///
    /// ```no_run,standalone_crate
    /// # use guthi::prelude::*;
    /// # #[guthi::function]
    /// # fn square(n: u64) -> u64 { n * n }
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let (by, squared) = node.call::<square>(12).with_node().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError`], as for the call itself.
    ///
    /// # Cancel safety
    /// As for [`Call`].
    pub async fn with_node(self) -> Result<(NodeId, F::Output), CallError> {
        let router = self.node.router();
        let function = || F::NAME.to_owned();
        let types = router.types::<F>().map_err(|unsupported| CallError::InvalidArguments {
            function: function(),
            message: format!("the type {} cannot travel: {}", unsupported.type_name, unsupported.hint),
        })?;
        let mut payload = Vec::new();
        encode_into(&self.arguments, &mut payload)
            .map_err(|error| CallError::InvalidArguments { function: function(), message: error.to_string() })?;
        let order = order(F::NAME, types, Format::Postcard, &payload, self.options, F::ONCE).within(self.node.trace());
        let (node, output) = carry_out(router, &order, self.on_progress).await?;
        let value = decode(F::NAME, &output);
        router.executor().spare().give(output);
        Ok((node, value?))
    }
}

impl<F: Function> IntoFuture for Call<F> {
    type Output = Result<F::Output, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.with_node().map_ok(|(_, output)| output))
    }
}

/// A call by name with JSON for arguments and result, for those who do not know the types.
///
/// # Cancel safety
/// As for [`Call`].
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited"]
pub struct NamedCall {
    node: Node,
    name: String,
    arguments: serde_json::Value,
    options: Options,
    on_progress: OnProgress,
}

impl NamedCall {
    pub(crate) fn new(node: Node, name: String, arguments: serde_json::Value) -> Self {
        Self { node, name, arguments, options: Options::default(), on_progress: OnProgress::default() }
    }

    /// Runs it on this node, and on no other.
    pub fn on(mut self, node: impl Into<NodeId>) -> Self {
        self.options.on = Some(node.into());
        self
    }

    /// Gives up after this time; 30 seconds unless set.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Tries so many times in all where a try may have had an effect; 1 unless set.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts;
        self
    }

    /// Makes it a part of a trace. Within a function that runs for a traced call, those made through
    /// [`Context::node`](crate::Context::node) are part of the same one anyway.
    pub fn trace(mut self, trace: Trace) -> Self {
        self.node = self.node.within(Some(trace).filter(Trace::is_one));
        self
    }

    /// Calls back with how far the function is, from 0 to 1, whenever it [says so](crate::Context::progress): at most every
    /// 50 ms, and with the last share before the result. Where a call is tried again it begins anew.
    ///
    /// It is called from the task that awaits the call: be quick.
    pub fn on_progress(mut self, react: impl FnMut(f32) + Send + 'static) -> Self {
        self.on_progress = OnProgress(Some(Box::new(react)));
        self
    }

    /// Makes the call, and tells with the result which node ran the function.
    ///
    /// # Errors
    /// [`CallError`], as for the call itself.
    ///
    /// # Cancel safety
    /// As for [`Call`].
    pub async fn with_node(self) -> Result<(NodeId, serde_json::Value), CallError> {
        let router = self.node.router();
        let once = router.is_once(&self.name);
        let payload = self.arguments.to_string().into_bytes();
        let types = Arc::new(Types::default());
        let order = order(&self.name, types, Format::Json, &payload, self.options, once).within(self.node.trace());
        let (node, output) = carry_out(router, &order, self.on_progress).await?;
        let value = serde_json::from_slice(&output).map_err(|error| unreadable(&self.name, &error))?;
        Ok((node, value))
    }
}

impl IntoFuture for NamedCall {
    type Output = Result<serde_json::Value, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.with_node().map_ok(|(_, output)| output))
    }
}

pub(super) fn order<'a>(
    name: &'a str,
    types: Arc<Types>,
    format: Format,
    payload: &'a [u8],
    options: Options,
    once: bool,
) -> Order<'a> {
    Order {
        name,
        types,
        format,
        payload,
        on: options.on,
        deadline: options.deadline.map(|deadline| Instant::now() + deadline),
        attempts: if once { 1 } else { options.attempts },
        trace: None,
        listener: None,
    }
}

/// What is called back with how far a call is.
#[derive(Default)]
struct OnProgress(Option<Box<dyn FnMut(f32) + Send>>);

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "OnProgress(..)" } else { "OnProgress(nobody)" })
    }
}

/// Runs a call to its end.
async fn carry_out(
    router: &Router,
    order: &Order<'_>,
    OnProgress(react): OnProgress,
) -> Result<(NodeId, Vec<u8>), CallError> {
    match react {
        None => router.call(order).await,
        // Boxed, so that who does not ask need not carry it about.
        Some(react) => Box::pin(listen(router, order.clone(), react)).await,
    }
}

/// Runs a call to its end, and tells meanwhile how far it is.
async fn listen(
    router: &Router,
    mut order: Order<'_>,
    mut react: impl FnMut(f32),
) -> Result<(NodeId, Vec<u8>), CallError> {
    let (listener, mut shares) = Listener::new();
    order.listener = Some(listener);
    let mut call = pin!(router.call(&order));
    loop {
        tokio::select! {
            // The result never waits for what is said about it.
            biased;
            result = &mut call => {
                shares.last().map(&mut react);
                return result;
            }
            share = shares.next() => react(share),
        }
    }
}

pub(crate) fn decode<T: Travels>(function: &str, output: &[u8]) -> Result<T, CallError> {
    function::decode(output).map_err(|error| unreadable(function, &error))
}

fn unreadable(function: &str, error: &dyn fmt::Display) -> CallError {
    CallError::Failed { function: function.to_owned(), message: format!("its result cannot be read: {error}") }
}
