//! Everything that a function of the cluster can be.
#![deny(warnings, missing_docs, unreachable_pub, unnameable_types)]
#![deny(missing_debug_implementations, unused_qualifications, clippy::all)]

use std::{borrow::Cow, collections::BTreeMap, fmt::Display};

use futures::{Stream, stream};
use guthi::{Context, Failure, Function, StreamFunction};

/// An alias like those of anyhow and of most crates.
type Result<T> = std::result::Result<T, Failure>;

#[guthi::function]
fn nothing() {}

/// Adds and multiplies.
///
/// In one step.
#[guthi::function(name = "math.fma", once, concurrency = 4)]
pub fn fma(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}

#[guthi::function(inline)]
pub(crate) fn double(value: u64) -> u64 {
    value * 2
}

#[guthi::function]
const fn constant() -> u8 {
    1
}

#[guthi::function]
fn patterns((a, b): (u8, u8), mut sum: u8, _: String, [c, ..]: [u8; 3]) -> u8 {
    sum += a + b + c;
    sum
}

#[guthi::function]
fn aliased(text: Cow<'static, str>) -> Result<BTreeMap<String, u8>> {
    Err(Failure::new(text))
}

#[guthi::function]
fn fallible(value: u8) -> std::result::Result<u8, &'static str> {
    Err(["even", "odd"][usize::from(value % 2)])
}

#[guthi::function]
fn boxed() -> std::result::Result<(), Box<dyn std::error::Error>> {
    Ok(())
}

#[guthi::function]
fn takes(context: Context, value: u8) -> u8 {
    drop(context);
    value
}

#[guthi::function]
fn borrows(_: &Context) {}

#[guthi::function]
async fn waits(context: Context, run: u8, name: String) -> Result<String> {
    std::future::ready(context).await;
    Ok(format!("{run} {name}"))
}

#[guthi::function]
async fn waits_with_reference(context: &Context) {
    std::future::ready(context).await;
}

#[guthi::function]
async fn waits_for_nothing() {}

#[guthi::function]
fn streams(context: Context, count: u8) -> impl Stream<Item = u8> {
    drop(context);
    stream::iter(0..count)
}

#[guthi::function(name = "streams.later", once, concurrency = 2)]
async fn streams_later() -> std::result::Result<impl Stream<Item = Result<(u8, String)>>, String> {
    Ok(stream::iter([Ok((1, "one".into())), Err(Failure::new("no more"))]))
}

#[guthi::function]
fn r#type(r#fn: u8) -> u8 {
    r#fn
}

#[guthi::function]
fn run(context: u8, input: u8, argument_0: u8) -> u8 {
    context + input + argument_0
}

#[guthi::function]
#[deprecated]
fn old() {}

#[guthi::function]
#[cfg(any())]
fn absent(value: Unknown) {}

#[guthi::function]
#[rustfmt::skip]
#[allow(clippy::too_many_arguments)]
fn twelve(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8) -> u8 {
    a + b + c + d + e + f + g + h + i + j + k + l
}

macro_rules! adder {
    ($name:ident, $kind:ty, $context:ty) => {
        #[guthi::function]
        fn $name(_: $context, a: $kind, b: $kind) -> $kind {
            a + b
        }
    };
}

adder!(add_small, u8, Context);
adder!(add_large, u64, &Context);

mod inner {
    #[guthi::function]
    async fn by_path(_: guthi::Context) {}

    /// Greets.
    #[guthi::function]
    pub(super) fn greet(name: String) -> String {
        format!("hi {name}")
    }
}

// One `use` imports the function and the type.
use inner::greet;

fn name_of<F: Function>() -> impl Display {
    F::NAME
}

fn arguments_of<F: Function>(arguments: F::Arguments) -> F::Arguments {
    arguments
}

fn main() {
    assert_eq!(fma(2.0, 3.0, 4.0), 10.0);
    assert_eq!(greet("ann".into()), "hi ann");
    assert_eq!(name_of::<fma>().to_string(), "math.fma");
    assert_eq!(name_of::<greet>().to_string(), "greet");
    assert_eq!(name_of::<r#type>().to_string(), "type");
    assert!(fma::ONCE && !double::ONCE);
    arguments_of::<fma>((1.0, 2.0, 3.0));
    arguments_of::<double>(1);
    arguments_of::<nothing>(());
    let _: <streams as StreamFunction>::Arguments = 7;
    let _: Option<<streams_later as StreamFunction>::Item> = None::<(u8, String)>;
    let _: Option<<aliased as Function>::Output> = None::<BTreeMap<String, u8>>;
    let _: Option<<fallible as Function>::Output> = None::<u8>;

    #[guthi::function]
    fn local(value: u8) -> u8 {
        value
    }
    assert_eq!(arguments_of::<local>(local(1)), 1);
}
