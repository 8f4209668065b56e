use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt, stream};
use guthi_core::wire::id::NodeId;
use tokio::time::{Instant, timeout_at};

use super::{
    call::{Options, decode, order},
    node::Node,
    trace::Trace,
};
use crate::{
    CallError, StreamFunction,
    calls::{
        function::encode_into,
        message::Format,
        router::call_error,
        streams::{Results, lost},
    },
};

/// A call whose results arrive one after the other, while the function still runs: a [`Stream`] of
/// `Result<F::Item, CallError>`.
///
/// It begins when it is polled for the first time. Results come in the order in which the function gave them. If the function
/// fails or panics, its node is lost or the deadline passes, that is the last item, as an error; what came before it is good.
/// Nothing is tried again once the function has begun.
///
/// Who does not read stops the function, after some hundred kilobytes of results.
///
/// # Cancel safety
/// Dropping it cancels the function at the other side, at its next await.
#[must_use = "a call does nothing until its results are read"]
pub struct CallStream<F: StreamFunction> {
    state: State<F>,
}

enum State<F: StreamFunction> {
    /// It has not begun.
    Idle(Option<Box<Idle<F>>>),
    Running(Pin<Box<dyn Stream<Item = Result<F::Item, CallError>> + Send>>),
}

struct Idle<F: StreamFunction> {
    node: Node,
    arguments: F::Arguments,
    options: Options,
}

impl<F: StreamFunction> CallStream<F> {
    pub(crate) fn new(node: Node, arguments: F::Arguments) -> Self {
        let options = Options { deadline: None, ..Options::default() };
        Self { state: State::Idle(Some(Box::new(Idle { node, arguments, options }))) }
    }

    /// Runs it on this node, and on no other.
    pub fn on(self, node: impl Into<NodeId>) -> Self {
        let node = node.into();
        self.with(|idle| idle.options.on = Some(node))
    }

    /// Gives up after this time, from its beginning to its end. It has no deadline unless set.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with(|idle| idle.options.deadline = Some(deadline))
    }

    /// Makes it a part of a trace.
    pub fn trace(self, trace: Trace) -> Self {
        self.with(|idle| idle.node = idle.node.clone().within(Some(trace).filter(Trace::is_one)))
    }

    /// Nothing changes in what has begun.
    fn with(mut self, change: impl FnOnce(&mut Idle<F>)) -> Self {
        if let State::Idle(Some(idle)) = &mut self.state {
            change(idle);
        }
        self
    }

    /// The next result, or `None` after the last one.
    ///
    /// # Errors
    /// [`CallError`]; nothing comes after it.
    ///
    /// # Cancel safety
    /// Dropping the future loses no result.
    pub async fn next(&mut self) -> Option<Result<F::Item, CallError>> {
        StreamExt::next(self).await
    }
}

// Nothing in it is pinned but what is behind a box.
impl<F: StreamFunction> Unpin for CallStream<F> {}

impl<F: StreamFunction> Stream for CallStream<F> {
    type Item = Result<F::Item, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.state {
                State::Running(results) => return results.as_mut().poll_next(cx),
                State::Idle(idle) => {
                    let Some(idle) = idle.take() else { return Poll::Ready(None) };
                    self.state = State::Running(idle.begin());
                }
            }
        }
    }
}

impl<F: StreamFunction> fmt::Debug for CallStream<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = matches!(self.state, State::Running(_));
        f.debug_struct("CallStream").field("function", &F::NAME).field("begun", &begun).finish_non_exhaustive()
    }
}

impl<F: StreamFunction> Idle<F> {
    /// Begins, and then gives all results.
    fn begin(self: Box<Self>) -> Pin<Box<dyn Stream<Item = Result<F::Item, CallError>> + Send>> {
        let began = Instant::now();
        let begun = async move { Begun::<F>::of(self, began).await };
        let results = begun.map(|begun| match begun {
            Ok(begun) => stream::unfold(Some(begun), |begun| async {
                let mut begun = begun?;
                let next = begun.next().await;
                let goes_on = matches!(next, Some(Ok(_)));
                next.map(|next| (next, goes_on.then_some(begun)))
            })
            .left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        });
        Box::pin(results.flatten_stream())
    }
}

/// A function that runs somewhere.
struct Begun<F: StreamFunction> {
    /// Alive as long as somebody reads.
    node: Node,
    by: NodeId,
    results: Results,
    began: Instant,
    deadline: Option<Instant>,
    marker: std::marker::PhantomData<fn() -> F>,
}

impl<F: StreamFunction> Begun<F> {
    async fn of(idle: Box<Idle<F>>, began: Instant) -> Result<Self, CallError> {
        let Idle { node, arguments, options } = *idle;
        let function = || F::NAME.to_owned();
        let types = node.router().stream_types::<F>().map_err(|unsupported| CallError::InvalidArguments {
            function: function(),
            message: format!("the type {} cannot travel: {}", unsupported.type_name, unsupported.hint),
        })?;
        let mut payload = Vec::new();
        encode_into(&arguments, &mut payload)
            .map_err(|error| CallError::InvalidArguments { function: function(), message: error.to_string() })?;
        let order = order(F::NAME, types, Format::Postcard, &payload, options, true).within(node.trace());
        let begun = node.router().begin(node.doors(), &order).await;
        if begun.is_err() {
            node.router().note(&order.types, began.elapsed(), false);
        }
        let (by, results) = begun?;
        let deadline = order.deadline;
        Ok(Self { node, by, results, began, deadline, marker: std::marker::PhantomData })
    }

    async fn next(&mut self) -> Option<Result<F::Item, CallError>> {
        let read = self.results.next(|bytes| decode(F::NAME, bytes));
        let next = match self.deadline {
            Some(deadline) => timeout_at(deadline, read).await,
            None => Ok(read.await),
        };
        let types = || self.node.router().stream_types::<F>().unwrap_or_default();
        let next = match next {
            Err(_) => Some(Err(CallError::Deadline { function: F::NAME.to_owned(), started: true })),
            Ok(Err(error)) => Some(Err(lost(F::NAME, self.by, &error))),
            Ok(Ok(Some(Err(refusal)))) => Some(Err(call_error(refusal, F::NAME.to_owned(), self.by, &types()))),
            Ok(Ok(Some(Ok(item)))) => Some(item),
            Ok(Ok(None)) => None,
        };
        if !matches!(next, Some(Ok(_))) {
            self.node.router().note(&types(), self.began.elapsed(), next.is_none());
        }
        next
    }
}
