//! Functions as values: what the attribute declares, and what a node keeps of it.

use std::{
    any::type_name,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self, Poll},
};

use futures::{Stream, TryFutureExt, future::BoxFuture};
use guthi_core::{
    protocol::packet::FunctionEntry,
    wire::{
        codec::{self, DecodeError, EncodeError},
        limits::PAYLOAD_BYTES_MAX,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    message::{Format, Refusal},
    signature::{self, Shape, Signature, Unsupported},
};
use crate::{BuildError, Context};

/// A function that can be called on any node.
///
/// `#[guthi::function]` implements this for a type of the function's name; by hand it is only needed to call functions
/// that this program does not have itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function that nodes can call",
    label = "not marked with `#[guthi::function]`",
    note = "write `#[guthi::function]` before the function and use its name as the type",
    note = "a function that returns a stream is called with `call_stream`"
)]
pub trait Function: 'static {
    /// `()` for no argument, the type itself for one, a tuple for more.
    type Arguments: Travels;
    /// What the function returns; of a `Result<T, E>` the `T`.
    type Output: Travels;
    /// Its name on the network, at most 255 bytes.
    const NAME: &'static str;
    /// It must not be retried after an unknown outcome.
    const ONCE: bool;
}

/// A function that streams its results, and can be called on any node.
///
/// `#[guthi::function]` implements this for a type of the function's name where it returns `impl Stream<Item = T>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function that streams its results",
    label = "not a function with `#[guthi::function]` that returns `impl Stream<Item = ..>`",
    note = "what returns one result is called with `call`"
)]
pub trait StreamFunction: 'static {
    /// `()` for no argument, the type itself for one, a tuple for more.
    type Arguments: Travels;
    /// One of its results; of a `Result<T, E>` the `T`.
    type Item: Travels;
    /// Its name on the network, at most 255 bytes.
    const NAME: &'static str;
}

/// What can be sent to another node: owned data that serde can write and read.
///
/// It has no supertraits on purpose: with them the compiler complains about serde's traits and never shows the hint.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between nodes: derive serde::Serialize and serde::Deserialize",
    label = "cannot travel",
    note = "what travels is owned (no references), `Send`, and implements serde's traits"
)]
pub trait Travels: Sized + Send + 'static {
    /// `serde::Serialize`.
    #[doc(hidden)]
    fn depart<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// `serde::Deserialize`.
    #[doc(hidden)]
    fn arrive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    /// What it looks like to serde.
    #[doc(hidden)]
    fn outline() -> Outline;
}

/// The shape of a type, which is private to the crate.
#[doc(hidden)]
#[derive(Debug)]
pub struct Outline(pub(crate) Result<Shape, Unsupported>);

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Travels for T {
    fn depart<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }

    fn arrive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer)
    }

    fn outline() -> Outline {
        Outline(signature::trace::<T>())
    }
}

/// Lets a codec write what travels.
pub(crate) struct Departing<'a, T>(pub(crate) &'a T);

impl<T: Travels> Serialize for Departing<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.depart(serializer)
    }
}

/// Lets a codec read what travels.
pub(crate) struct Arriving<T>(pub(crate) T);

impl<'de, T: Travels> Deserialize<'de> for Arriving<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::arrive(deserializer).map(Self)
    }
}

/// The `Result` of a function, under whatever alias.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has an error that cannot be told to the caller",
    label = "the error does not implement `Display`",
    note = "a type called `Result` is taken for a `std::result::Result<T, E>` with `E: std::fmt::Display`"
)]
pub trait IntoOutcome {
    /// What it returns if all goes well.
    type Output;

    /// The same with an error that can travel.
    ///
    /// # Errors
    /// The function's own.
    fn into_outcome(self) -> Result<Self::Output, Failure>;
}

#[diagnostic::do_not_recommend]
impl<T, E: std::fmt::Display> IntoOutcome for Result<T, E> {
    type Output = T;

    fn into_outcome(self) -> Result<T, Failure> {
        self.map_err(Failure::new)
    }
}

/// The error of a function, as its caller will read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
}

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string() }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// A function as the attribute declares it.
#[derive(Debug)]
pub struct Definition {
    pub(crate) name: &'static str,
    once: bool,
    about: About,
    body: Body,
    shapes: fn() -> Result<(Shape, Shape), Unsupported>,
}

inventory::collect!(Definition);

impl Definition {
    /// What the attribute submits at link time.
    #[must_use]
    pub const fn new<F: Function>(about: About, body: Body) -> Self {
        Self { name: F::NAME, once: F::ONCE, about, body, shapes: shapes::<F> }
    }

    /// The same for a function that streams its results.
    #[must_use]
    pub const fn streaming<F: StreamFunction>(about: About, once: bool, body: StreamBody) -> Self {
        Self { name: F::NAME, once, about, body: Body::Stream(body), shapes: stream_shapes::<F> }
    }

    /// The function as a node keeps it, with its signature traced.
    pub(crate) fn registered(&self) -> Result<Registered, BuildError> {
        let (arguments, output) = (self.shapes)().map_err(|unsupported| BuildError::UnsupportedType {
            function: self.name.to_owned(),
            type_name: unsupported.type_name,
            hint: unsupported.hint,
        })?;
        let streams = if let Body::Stream(body) = self.body { Some(body) } else { None };
        let (signature, shape) = match streams {
            None => described(&arguments, &output),
            Some(_) => stream_described(&arguments, &output),
        };
        let entry = FunctionEntry { signature, shape, docs: self.about.docs.to_owned(), once: self.once };
        let body = match self.body {
            Body::Inline(body) => Run::Inline(body),
            Body::Plain(body) => Run::Plain(body),
            Body::Async(body) => Run::Async(Arc::new(body)),
            Body::Stream(body) => Run::Async(Arc::new(move |context, input| collected(body, context, input))),
        };
        Ok(Registered {
            name: self.name.to_owned(),
            entry,
            run: body,
            streams,
            running: AtomicUsize::new(0),
            concurrency: self.about.concurrency,
        })
    }
}

/// The signature of a function's types.
pub(crate) fn signature<F: Function>() -> Result<(u64, String), Unsupported> {
    let (arguments, output) = shapes::<F>()?;
    Ok(described(&arguments, &output))
}

/// The same of one that streams its results.
pub(crate) fn stream_signature<F: StreamFunction>() -> Result<(u64, String), Unsupported> {
    let (arguments, item) = stream_shapes::<F>()?;
    Ok(stream_described(&arguments, &item))
}

fn described(arguments: &Shape, output: &Shape) -> (u64, String) {
    (Signature::of_function(arguments, output).0, format!("{arguments} -> {output}"))
}

fn stream_described(arguments: &Shape, item: &Shape) -> (u64, String) {
    (Signature::of_stream(arguments, item).0, format!("{arguments} -> stream of {item}"))
}

fn stream_shapes<F: StreamFunction>() -> Result<(Shape, Shape), Unsupported> {
    Ok((F::Arguments::outline().0?, F::Item::outline().0?))
}

fn shapes<F: Function>() -> Result<(Shape, Shape), Unsupported> {
    Ok((F::Arguments::outline().0?, F::Output::outline().0?))
}

/// What the attribute knows of a function besides its types.
#[derive(Debug)]
pub struct About {
    /// The first paragraph of its documentation.
    pub docs: &'static str,
    /// Name and type of each argument.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The return type.
    pub output: &'static str,
    /// Where it is defined.
    pub module: &'static str,
    /// How many may run at once on a node.
    pub concurrency: Option<usize>,
}

type PlainBody = fn(&Context, Input<'_>, &mut Vec<u8>) -> Result<(), Stop>;
type AsyncBody = fn(Context, Input<'_>) -> BoxFuture<'static, Result<Vec<u8>, Stop>>;

/// How a function runs.
#[derive(Debug)]
pub enum Body {
    /// On the task that reads the lane: for functions of less than a microsecond or so.
    Inline(PlainBody),
    /// On the compute pool.
    Plain(PlainBody),
    /// On the runtime that started the node.
    Async(AsyncBody),
    /// The same, for results that are streamed.
    Stream(StreamBody),
}

/// How a function begins that streams its results.
pub(crate) type StreamBody = fn(Context, Input<'_>) -> Result<Box<dyn Items>, Stop>;

/// The results of a function, one after the other.
pub trait Items: Send {
    /// Appends the next one, encoded.
    fn poll_next(&mut self, cx: &mut task::Context<'_>, output: &mut Vec<u8>) -> Poll<Option<Result<(), Stop>>>;
}

impl std::fmt::Debug for dyn Items {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Items")
    }
}

struct Encoding<S> {
    format: Format,
    values: Pin<Box<S>>,
}

impl<T: Travels, S: Stream<Item = Result<T, Failure>> + Send> Items for Encoding<S> {
    fn poll_next(&mut self, cx: &mut task::Context<'_>, output: &mut Vec<u8>) -> Poll<Option<Result<(), Stop>>> {
        let next = std::task::ready!(self.values.as_mut().poll_next(cx));
        Poll::Ready(next.map(|value| encode(self.format, &value?, output)))
    }
}

/// Encoded arguments.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) format: Format,
}

impl Input<'_> {
    fn decode<T: Travels>(self) -> Result<T, Stop> {
        let invalid = |message: String| Stop(Refusal::InvalidArguments { message });
        match self.format {
            Format::Postcard => decode(self.bytes).map_err(|error| invalid(error.to_string())),
            Format::Json => match serde_json::from_slice(self.bytes) {
                Ok(Arriving(value)) => Ok(value),
                Err(error) => Err(invalid(error.to_string())),
            },
        }
    }
}

/// Why a body gave no result.
#[derive(Debug)]
pub struct Stop(pub(crate) Refusal);

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self(Refusal::Failed { message: failure.message })
    }
}

/// Appends a value that travels.
pub(crate) fn encode_into<T: Travels>(value: &T, output: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = output.len();
    codec::encode_into(&Departing(value), output)?;
    debug_assert!(comes_back::<T>(&output[start..]), "{} does not come back as it went: {ONE_SIDED}", type_name::<T>());
    Ok(())
}

const ONE_SIDED: &str = "its Serialize and Deserialize disagree, as they do with #[serde(skip_serializing_if)]; \
                         postcard has no field names to tell what is missing";

/// Whether what was written is read as the same value: compared by writing it again, since values need not be comparable.
///
/// Collections without an order may write themselves in another one, so only lengths are compared.
fn comes_back<T: Travels>(bytes: &[u8]) -> bool {
    let mut again = Vec::new();
    let read = codec::decode::<Arriving<T>>(bytes);
    read.is_ok_and(|Arriving(value)| codec::encode_into(&Departing(&value), &mut again).is_ok())
        && again.len() == bytes.len()
}

/// A value that has travelled.
pub(crate) fn decode<T: Travels>(bytes: &[u8]) -> Result<T, DecodeError> {
    codec::decode(bytes).map(|Arriving(value)| value)
}

fn encode<T: Travels>(format: Format, value: &T, output: &mut Vec<u8>) -> Result<(), Stop> {
    let failed =
        |message: String| Stop(Refusal::Failed { message: format!("the result cannot be encoded: {message}") });
    match format {
        Format::Postcard => encode_into(value, output).map_err(|error| failed(error.to_string())),
        Format::Json => serde_json::to_writer(output, &Departing(value)).map_err(|error| failed(error.to_string())),
    }
}

/// Decodes, runs, encodes: the body of a plain function.
///
/// # Errors
/// [`Stop`] if the arguments do not fit, the function fails, or its result cannot be encoded.
pub fn invoke<F: Function>(
    context: &Context,
    input: Input<'_>,
    output: &mut Vec<u8>,
    run: impl FnOnce(&Context, F::Arguments) -> Result<F::Output, Failure>,
) -> Result<(), Stop> {
    let value = run(context, input.decode()?)?;
    encode(input.format, &value, output)
}

/// Decodes, runs, encodes: the body of an `async` function.
pub fn invoke_async<F: Function, R>(
    context: Context,
    input: Input<'_>,
    run: impl FnOnce(Context, F::Arguments) -> R,
) -> BoxFuture<'static, Result<Vec<u8>, Stop>>
where
    R: Future<Output = Result<F::Output, Failure>> + Send + 'static,
{
    invoke_with(context, input, run)
}

pub(crate) fn invoke_with<A: Travels, T: Travels, R>(
    context: Context,
    input: Input<'_>,
    run: impl FnOnce(Context, A) -> R,
) -> BoxFuture<'static, Result<Vec<u8>, Stop>>
where
    R: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let format = input.format;
    match input.decode() {
        Ok(arguments) => {
            let running = run(context, arguments);
            Box::pin(async move {
                let value = running.await?;
                let mut output = Vec::new();
                encode(format, &value, &mut output)?;
                Ok(output)
            })
        }
        Err(stop) => Box::pin(std::future::ready(Err(stop))),
    }
}

/// Decodes the arguments, and begins to run: the body of a function that streams its results.
///
/// # Errors
/// [`Stop`] if the arguments do not fit.
pub fn invoke_stream<F: StreamFunction, R, S>(
    context: Context,
    input: Input<'_>,
    run: impl FnOnce(Context, F::Arguments) -> R,
) -> Result<Box<dyn Items>, Stop>
where
    R: Future<Output = Result<S, Failure>> + Send + 'static,
    S: Stream<Item = Result<F::Item, Failure>> + Send + 'static,
{
    let values = run(context, input.decode()?).try_flatten_stream();
    Ok(Box::new(Encoding { format: input.format, values: Box::pin(values) }))
}

/// All results of such a function as one JSON array, for whoever calls it by name.
fn collected(body: StreamBody, context: Context, input: Input<'_>) -> BoxFuture<'static, Result<Vec<u8>, Stop>> {
    let format = input.format;
    let items = body(context, input);
    Box::pin(async move {
        if format != Format::Json {
            let message = "its results are streamed: call it with `call_stream`".to_owned();
            return Err(Stop(Refusal::InvalidArguments { message }));
        }
        let (mut items, mut output) = (items?, vec![b'[']);
        while let Some(item) = poll_fn(|cx| items.poll_next(cx, &mut output)).await {
            item?;
            output.push(b',');
            if output.len() > PAYLOAD_BYTES_MAX {
                let (bytes, limit) = (output.len() as u64, PAYLOAD_BYTES_MAX as u64);
                return Err(Stop(Refusal::ResultTooLarge { bytes, limit }));
            }
        }
        output.pop_if(|last| *last == b',');
        output.push(b']');
        Ok(output)
    })
}

/// A function as a node keeps it.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) name: String,
    pub(crate) entry: FunctionEntry,
    /// Where its results are streamed, this collects them.
    pub(crate) run: Run,
    pub(crate) streams: Option<StreamBody>,
    running: AtomicUsize,
    concurrency: Option<usize>,
}

/// A body that may also have been made at run time.
#[derive(Clone)]
pub(crate) enum Run {
    Inline(PlainBody),
    Plain(PlainBody),
    Async(Arc<DynamicBody>),
}

type DynamicBody = dyn Fn(Context, Input<'_>) -> BoxFuture<'static, Result<Vec<u8>, Stop>> + Send + Sync;

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inline(_) => "Inline",
            Self::Plain(_) => "Plain",
            Self::Async(_) => "Async",
        })
    }
}

impl Registered {
    /// A function that is made at run time.
    pub(crate) fn dynamic(name: &str, signature: u64, shape: String, body: Arc<DynamicBody>) -> Self {
        let entry = FunctionEntry { signature, shape, docs: String::new(), once: false };
        let (run, running) = (Run::Async(body), AtomicUsize::new(0));
        Self { name: name.to_owned(), entry, run, streams: None, running, concurrency: None }
    }

    /// Counts one more run; `None` if as many run as may.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Entered> {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        let entered = Entered(self.clone());
        self.concurrency.is_none_or(|most| before < most).then_some(entered)
    }
}

/// One run of a function; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Entered(pub(crate) Arc<Registered>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
