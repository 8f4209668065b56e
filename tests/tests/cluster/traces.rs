//! What calls belong to: it travels with them, and what runs for them runs within a span.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, Once},
};

use guthi::{CallError, Context, Function, Functions, Node, Trace};
use guthi_tests::cluster::{members, within};
use tracing::{Event, Subscriber, field, span};
use tracing_subscriber::{
    layer::{self, Layer, SubscriberExt},
    registry::LookupSpan,
};

use super::Home;

const TRACE: Trace = Trace { id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7 };
const OTHER: Trace = Trace { id: 7, span: 8 };

fn text(ctx: &Context) -> Option<String> {
    ctx.trace().map(|trace| trace.to_string())
}

/// What it belongs to.
#[guthi::function]
async fn belongs(ctx: Context) -> Option<String> {
    tokio::task::yield_now().await;
    tracing::info!("belongs");
    text(&ctx)
}

/// The same on the pool.
#[guthi::function]
fn plainly_belongs(ctx: Context) -> Option<String> {
    tracing::info!("plainly_belongs");
    text(&ctx)
}

/// The same where calls are read.
#[guthi::function(inline)]
fn belongs_at_once(ctx: Context) -> Option<String> {
    tracing::info!("belongs_at_once");
    text(&ctx)
}

/// The same for a map.
#[guthi::function]
fn item_belongs(ctx: Context, _item: u8) -> Option<String> {
    text(&ctx)
}

/// The same with a payload too large for the lane.
#[guthi::function]
fn large_belongs(ctx: Context, payload: Vec<u8>) -> (usize, Option<String>) {
    (payload.len(), text(&ctx))
}

/// What the calls belong to that a function makes itself: at once, in a task of its own, by map, and with a trace of
/// their own.
#[guthi::function]
async fn relays(ctx: Context) -> Result<Vec<Option<String>>, CallError> {
    let (node, caller) = (ctx.node().expect("it runs"), ctx.caller().expect("it was called"));
    let task = tokio::spawn({
        let node = node.clone();
        async move { node.call_named("belongs", ().into()).on(caller).await }
    });
    let own = Trace { id: 7, span: 8 };
    Ok(vec![
        node.call::<belongs>(()).on(caller).await?,
        task.await.expect("it ends")?.as_str().map(str::to_owned),
        node.map::<item_belongs>([1]).await.expect("it is mapped").remove(0),
        node.call::<belongs>(()).on(caller).trace(own).await?,
    ])
}

fn functions() -> Functions {
    let functions = Functions::none().with::<belongs>().with::<plainly_belongs>().with::<belongs_at_once>();
    functions.with::<item_belongs>().with::<large_belongs>().with::<relays>()
}

async fn two() -> (Home, Node, Node) {
    let mut home = Home::new().await;
    let a = home.start(|node| node.functions(functions())).await;
    let b = home.start(|node| node.functions(functions())).await;
    members(&a, 2).await;
    (home, a, b)
}

async fn trace_of<F>(from: &Node, on: &Node, trace: Option<Trace>) -> Option<String>
where
    F: Function<Arguments = (), Output = Option<String>>,
{
    let call = from.call::<F>(()).on(on);
    let call = if let Some(trace) = trace { call.trace(trace) } else { call };
    within(F::NAME, call).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_trace_travels_with_its_call_and_with_no_other() {
    let (_home, a, b) = two().await;
    for on in [&a, &b] {
        for (given, found) in [(Some(TRACE), Some(TRACE.to_string())), (None, None)] {
            assert_eq!(trace_of::<belongs>(&a, on, given).await, found);
            assert_eq!(trace_of::<plainly_belongs>(&a, on, given).await, found);
            assert_eq!(trace_of::<belongs_at_once>(&a, on, given).await, found);
        }
        let named = a.call_named("belongs", ().into()).on(on).trace(TRACE);
        assert_eq!(within("by name", named).await, Ok(TRACE.to_string().into()));
        let large = a.call::<large_belongs>(vec![7; 300_000]).on(on).trace(TRACE);
        assert_eq!(within("large", large).await, Ok((300_000, Some(TRACE.to_string()))));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_trace_is_left_at_home() {
    let (_home, a, b) = two().await;
    for none in [Trace { id: 0, ..TRACE }, Trace { span: 0, ..TRACE }] {
        assert_eq!(trace_of::<belongs>(&a, &b, Some(none)).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_within_a_call_belong_to_the_same_trace() {
    let (_home, a, b) = two().await;
    for on in [&a, &b] {
        let found = within("traced", a.call::<relays>(()).on(on).trace(TRACE)).await.unwrap();
        assert_eq!(found, [TRACE, TRACE, TRACE, OTHER].map(|trace| Some(trace.to_string())));
        let found = within("untraced", a.call::<relays>(()).on(on)).await.unwrap();
        assert_eq!(found, [None, None, None, Some(OTHER.to_string())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_traced_function_runs_within_a_span() {
    let seen = Seen::of_this_process();
    let (_home, a, b) = two().await;
    let trace = Trace { id: 0xabcd, span: 5 };
    for on in [&a, &b] {
        trace_of::<belongs>(&a, on, Some(trace)).await;
        trace_of::<plainly_belongs>(&a, on, Some(trace)).await;
        trace_of::<belongs_at_once>(&a, on, Some(trace)).await;
    }
    let within_spans = seen.with(&trace.to_string());
    let functions: Vec<_> = within_spans.iter().map(|(said, _)| said.as_str()).collect();
    let each = ["belongs", "plainly_belongs", "belongs_at_once"];
    assert_eq!(functions, [each, each].concat());
    for (nth, (said, fields)) in within_spans.iter().enumerate() {
        assert_eq!(fields["function"], *said);
        assert_eq!(fields["from"], a.id().short());
        assert_eq!(fields.contains_key("request"), nth >= each.len(), "calls on a lane have a number: {fields:?}");
    }
}

type Fields = BTreeMap<&'static str, String>;

/// What functions have said, and the fields of the span `call` that they said it in.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<(String, Fields)>>>);

impl Seen {
    /// Functions run on threads of their own, so it is for all of them.
    fn of_this_process() -> Self {
        static ONCE: Once = Once::new();
        let seen = Self::default();
        let layer = seen.clone();
        ONCE.call_once(|| {
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
        });
        seen
    }

    fn with(&self, trace: &str) -> Vec<(String, Fields)> {
        let of_trace = |(_, fields): &&(String, Fields)| fields.get("trace").is_some_and(|found| found == trace);
        self.0.lock().unwrap().iter().filter(of_trace).cloned().collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: layer::Context<'_, S>) {
        if attributes.metadata().name() == "call" {
            let mut read = Read::default();
            attributes.record(&mut read);
            ctx.span(id).unwrap().extensions_mut().insert(read.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: layer::Context<'_, S>) {
        let Some(span) = ctx.event_span(event) else { return };
        let Some(fields) = span.extensions().get::<Fields>().cloned() else { return };
        let mut read = Read::default();
        event.record(&mut read);
        self.0.lock().unwrap().push((read.0.remove("message").unwrap_or_default(), fields));
    }
}

/// Reads fields.
#[derive(Default)]
struct Read(Fields);

impl field::Visit for Read {
    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
