use std::{any::Any, fmt, sync::Arc, time::Duration};

use guthi_core::wire::id::NodeId;
use tokio::time::Instant;

use super::{node::Node, trace::Trace};
use crate::calls::{
    executor::{Executor, Origin, Ticket},
    progress::Reporter,
};

/// What a function may know about the call that runs it: ask for it as the first parameter.
///
/// ```
/// use guthi::Context;
///
/// /// Looks for a factor, and stops when nobody wants to know any more.
/// #[guthi::function]
/// fn factor(ctx: Context, n: u64) -> Option<u64> {
///     (2..n).take_while(|_| !ctx.is_cancelled()).find(|d| n % d == 0)
/// }
/// assert_eq!(factor(Context::detached(), 91), Some(7));
/// ```
#[derive(Clone)]
pub struct Context {
    call: Option<Call>,
}

#[derive(Clone)]
struct Call {
    executor: Arc<Executor>,
    origin: Origin,
    ticket: Option<Arc<Ticket>>,
    reporter: Option<Arc<Reporter>>,
}

impl Context {
    /// A context that belongs to no call, for tests: no node, no deadline, never cancelled.
    #[must_use]
    pub const fn detached() -> Self {
        Self { call: None }
    }

    pub(crate) const fn new(
        executor: Arc<Executor>,
        origin: Origin,
        ticket: Option<Arc<Ticket>>,
        reporter: Option<Arc<Reporter>>,
    ) -> Self {
        Self { call: Some(Call { executor, origin, ticket, reporter }) }
    }

    /// The node that runs the function, to call others from an `async fn`.
    /// `None` if it is detached or the node has left.
    ///
    /// What is called through it belongs to the [trace](Self::trace) of this call, unless it is given one of its own.
    #[must_use]
    pub fn node(&self) -> Option<Node> {
        let call = self.call.as_ref()?;
        Some(call.executor.node()?.within(call.origin.trace))
    }

    /// What the call belongs to, as its caller said; `None` if it said nothing.
    ///
    /// While the function runs for such a call, it is within a span `call` of the crate tracing, with the fields `request`,
    /// `function`, `from` and `trace`.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        self.call.as_ref()?.origin.trace
    }

    /// The node that called; `None` if detached.
    #[must_use]
    pub fn caller(&self) -> Option<NodeId> {
        self.call.as_ref().map(|call| call.origin.caller)
    }

    /// When the caller gives up; `None` if it does not.
    ///
    /// On a node of a test the clock may be virtual: [`time_left`](Self::time_left) is right on every clock.
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Instant> {
        Some(self.call.as_ref()?.origin.deadline?.into_std())
    }

    /// How long the caller is going to wait; `None` if without end.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        Some(self.call.as_ref()?.origin.deadline?.saturating_duration_since(Instant::now()))
    }

    /// Whether nobody wants the result any more: the caller has dropped the call or was lost, or its deadline is over.
    ///
    /// A plain function that runs for longer than a second should ask now and then, and return anything.
    /// An inline function is never told.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let Some(call) = &self.call else { return false };
        call.executor.asked()
            || call.ticket.as_ref().is_some_and(|ticket| ticket.is_cancelled())
            || call.origin.is_late()
    }

    /// Resolves when the caller no longer wants the result.
    ///
    /// An `async fn` seldom needs it: it is dropped at its next await anyway.
    ///
    /// # Cancel safety
    /// Safe to drop and to ask again.
    pub async fn cancelled(&self) {
        match self.call.as_ref().and_then(|call| call.ticket.as_ref()) {
            Some(ticket) => ticket.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Tells the caller how far the function is, from 0 to 1, if it wants to know: see
    /// [`Call::on_progress`](crate::Call::on_progress).
    ///
    /// Say it as often as you like: the first share goes at once, and then the newest one each 50 ms. Nobody waits for it,
    /// and it may be lost. What is beyond 0 and 1 is brought there, and NaN is ignored. An inline function and an item of a
    /// map tell nobody.
    ///
    /// ```
    /// # use guthi::Context;
    /// /// Adds up, and says how far it is.
    /// #[guthi::function]
    /// fn sum(ctx: Context, numbers: Vec<f64>) -> f64 {
    ///     let mut sum = 0.0;
    ///     for (done, number) in numbers.iter().enumerate() {
    ///         sum += number;
    ///         ctx.progress(done as f32 / numbers.len() as f32);
    ///     }
    ///     sum
    /// }
    /// # assert_eq!(sum(Context::detached(), vec![1.0, 2.0]), 3.0);
    /// ```
    pub fn progress(&self, share: f32) {
        let Some(Call { reporter: Some(reporter), ticket, .. }) = &self.call else { return };
        if !ticket.as_ref().is_some_and(|ticket| ticket.is_cancelled()) {
            reporter.report(share);
        }
    }

    /// What was given to [`Builder::state`](crate::Builder::state), by its type.
    #[must_use]
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.call.as_ref()?.executor.state()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Context");
        if let Some(call) = &self.call {
            debug.field("caller", &call.origin.caller).field("deadline", &call.origin.deadline);
        }
        debug.finish_non_exhaustive()
    }
}
