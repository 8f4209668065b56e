//! The attribute `#[guthi::function]`.
//!
//! Use it through the crate `guthi`, whose names its expansion speaks.

mod expansion;
mod function;
mod options;
mod ownership;
mod text;

use proc_macro2::TokenStream;
use quote::quote;

use crate::{function::Function, options::Options};

/// Makes a function callable from every node of the cluster.
///
/// The function stays as it is.
/// Beside it appears an empty enum of the same name that stands for it on the network, so that
/// `count_primes(range)` runs here and `node.call::<count_primes>(range)` runs anywhere; one `use`
/// imports both.
///
/// ```ignore
/// /// Counts the primes in `range`.
/// #[guthi::function]
/// fn count_primes(range: std::ops::Range<u64>) -> u64 {
///     range.filter(|&n| is_prime(n)).count() as u64
/// }
/// ```
///
/// No argument travels as `()`, one as itself, two to twelve as a tuple.
/// Arguments and results are owned, since they leave this process.
/// A first parameter of a type called `Context` (or a reference to it) is not an argument: it tells
/// who calls and until when.
/// A return type called `Result` makes the function fallible: its error, which needs `Display`,
/// reaches the caller as text.
/// A return type `impl Stream<Item = T>` streams the results: they are read with
/// `node.call_stream::<rows>(..)`.
///
/// # Options
///
/// - `name = "math.add"`: the name on the network, else the identifier; 1 to 255 bytes without
///   control characters, not beginning with `guthi.`.
/// - `once`: must not be tried again when a first try may have run.
/// - `inline`: runs where the call arrives instead of on the compute pool; for functions that
///   return at once.
/// - `concurrency = 4`: at most so many run at a time on one node.
#[proc_macro_attribute]
pub fn function(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let item = TokenStream::from(item);
    let addition = addition(options.into(), item.clone()).unwrap_or_else(|refusal| refusal.to_compile_error());
    quote!(#item #addition).into()
}

/// What is put beside the function.
fn addition(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let function: Function = syn::parse2(item)?;
    let options: Options = syn::parse2(options)?;
    options.check_against(&function)?;
    Ok(expansion::of(&function, &options))
}
