use std::{fmt, future::IntoFuture, time::Duration};

use futures::{Stream, future::BoxFuture, stream};
use guthi_core::wire::{id::NodeId, limits::PAYLOAD_BYTES_MAX};
use tokio::time::Instant;

use super::{call, node::Node};
use crate::{
    CallError, Function, MapError,
    calls::{
        function::encode_into,
        map::{Broken, Counted, Run, Source},
        message::Format,
        router::Order,
    },
};

type OnProgress = Box<dyn FnMut(&Progress) + Send>;

/// A map that is about to be made: `await` it for all outputs in the order of the input, or take them one by one with
/// [`stream`](Self::stream).
///
/// # Cancel safety
/// Dropping the future or the stream cancels what is running elsewhere.
#[must_use = "a map does nothing until it is awaited"]
pub struct Map<F: Function> {
    node: Node,
    items: Box<dyn Iterator<Item = F::Arguments> + Send>,
    attempts: u32,
    deadline: Option<Duration>,
    on_progress: Option<OnProgress>,
}

/// How far a map is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Items that are done.
    pub done: usize,
    /// All items, once the input has come to its end; those taken from it so far until then.
    pub total: usize,
    /// Where the last one was done.
    pub node: NodeId,
}

/// One item of a map that is done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Done<T> {
    /// Its position in the input, from zero.
    pub index: usize,
    /// Where it was done.
    pub node: NodeId,
    /// What it took there; small items share the time of their batch evenly.
    pub elapsed: Duration,
    /// What came out.
    pub output: Result<T, CallError>,
}

impl<F: Function> Map<F> {
    pub(crate) fn new<I>(node: Node, items: I) -> Self
    where
        I: IntoIterator<Item = F::Arguments>,
        I::IntoIter: Send + 'static,
    {
        Self { node, items: Box::new(items.into_iter()), attempts: 3, deadline: None, on_progress: None }
    }

    /// Gives an item up that has lost so many nodes; it may be what kills them. 3 unless set.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Gives up after this time; never unless set.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Calls back after each item that is done, from the task that awaits the map: be quick.
    pub fn on_progress(mut self, react: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(react));
        self
    }

    /// The items as they are done, in no order, each with its own result; a failed item does not end it.
    /// An error ends it: the map itself could not go on.
    pub fn stream(self) -> impl Stream<Item = Result<Done<F::Output>, MapError>> + Send + 'static {
        stream::unfold(Items::<F>::start(self), |items| async move {
            let mut items = items?;
            match items.next().await? {
                Ok(done) => Some((Ok(done), Some(items))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The first output that `wanted` accepts, in time, not in order; everything else is then cancelled, everywhere.
    /// `None` if no output is.
    ///
    /// # Errors
    /// [`MapError`] if an item failed, or the map could not go on, before that.
    ///
    /// # Cancel safety
    /// Dropping the future cancels what is running elsewhere.
    pub async fn find(self, mut wanted: impl FnMut(&F::Output) -> bool) -> Result<Option<F::Output>, MapError> {
        let Some(mut items) = Items::<F>::start(self) else { return Ok(None) };
        while let Some(done) = items.next().await {
            let Done { index, output, .. } = done?;
            let output = output.map_err(|source| MapError::Item { index, source })?;
            if wanted(&output) {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }
}

impl<F: Function> IntoFuture for Map<F> {
    type Output = Result<Vec<F::Output>, MapError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut outputs: Vec<Option<F::Output>> = Vec::new();
            let Some(mut items) = Items::<F>::start(self) else { return Ok(Vec::new()) };
            while let Some(done) = items.next().await {
                let Done { index, output, .. } = done?;
                if outputs.len() <= index {
                    outputs.resize_with(index + 1, || None);
                }
                outputs[index] = Some(output.map_err(|source| MapError::Item { index, source })?);
            }
            Ok(outputs.into_iter().map(|output| output.expect("every item is counted")).collect())
        })
    }
}

impl<F: Function> fmt::Debug for Map<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Map");
        debug.field("function", &F::NAME).field("attempts", &self.attempts).field("deadline", &self.deadline);
        debug.finish_non_exhaustive()
    }
}

/// A map under way, with its outputs decoded.
struct Items<F: Function> {
    run: Run,
    done: usize,
    on_progress: Option<OnProgress>,
    function: std::marker::PhantomData<fn() -> F>,
}

impl<F: Function> Items<F> {
    fn start(map: Map<F>) -> Option<Self> {
        let types = map.node.router().types::<F>().unwrap_or_default();
        let order = Order {
            name: F::NAME,
            types,
            format: Format::Postcard,
            payload: &[],
            on: None,
            deadline: map.deadline.map(|deadline| Instant::now() + deadline),
            attempts: map.attempts,
            trace: map.node.trace(),
            listener: None,
        };
        let source: Source = Box::new(map.items.map(|arguments| encode::<F>(&arguments)));
        let run = Run::new(map.node, order, map.attempts, F::ONCE, source);
        Some(Self { run, done: 0, on_progress: map.on_progress, function: std::marker::PhantomData })
    }

    async fn next(&mut self) -> Option<Result<Done<F::Output>, MapError>> {
        let counted = match self.run.next().await? {
            Ok(counted) => counted,
            Err(broken) => return Some(Err(self.map_error(broken))),
        };
        self.done += 1;
        let Counted { index, node, elapsed, result } = counted;
        if let Some(react) = &mut self.on_progress {
            let total = self.run.total().unwrap_or_else(|| self.run.offered());
            react(&Progress { done: self.done, total: position(total), node });
        }
        let output = result.and_then(|bytes| call::decode(F::NAME, &bytes));
        Some(Ok(Done { index: position(index), node, elapsed, output }))
    }

    fn map_error(&self, broken: Broken) -> MapError {
        match broken {
            Broken::Poisoned { index, attempts } => MapError::Poisoned { index: position(index), attempts },
            Broken::Deadline => MapError::Deadline { done: self.done, total: position(self.run.offered()) },
            Broken::Alone => {
                MapError::Item { index: self.done, source: CallError::NoNodeHasIt { function: F::NAME.to_owned() } }
            }
            Broken::Input { index, error } => MapError::Item { index: position(index), source: error },
        }
    }
}

fn encode<F: Function>(arguments: &F::Arguments) -> Result<Vec<u8>, CallError> {
    let function = || F::NAME.to_owned();
    let mut bytes = Vec::new();
    encode_into(arguments, &mut bytes)
        .map_err(|error| CallError::InvalidArguments { function: function(), message: error.to_string() })?;
    if bytes.len() > PAYLOAD_BYTES_MAX / 2 {
        let (bytes, limit) = (bytes.len() as u64, PAYLOAD_BYTES_MAX as u64 / 2);
        return Err(CallError::TooLarge { function: function(), bytes, limit, result: false });
    }
    Ok(bytes)
}

fn position(index: u64) -> usize {
    usize::try_from(index).expect("items are counted in memory")
}
