//! A function as the attribute sees it: everything but its body.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, Pat, PatType, PathArguments, Result, ReturnType, Safety,
    Signature, Token, Type, TypeParamBound, Visibility,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

use crate::{ownership, text};

/// A function that can be called from other nodes.
pub(crate) struct Function {
    /// Its attributes, documentation included.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    pub(crate) context: Option<Context>,
    pub(crate) arguments: Vec<Argument>,
    /// Where the parameters are written.
    pub(crate) parentheses: Span,
    pub(crate) result: Outcome,
}

/// The first parameter, where it is a context.
pub(crate) struct Context {
    /// Whether the function borrows it.
    pub(crate) borrowed: bool,
    /// Where its type is written.
    pub(crate) span: Span,
}

/// A parameter that travels.
pub(crate) struct Argument {
    /// The name as listings show it.
    pub(crate) name: String,
    pub(crate) kind: Type,
}

/// What a function gives back.
pub(crate) enum Outcome {
    /// No return type.
    Nothing,
    /// A value.
    Value(Type),
    /// A type called `Result`, whose error goes to the caller as text.
    Fallible(Type),
    /// `impl Stream<Item = ..>`.
    Stream(Box<Streamed>),
}

/// What a stream gives.
pub(crate) struct Streamed {
    /// The whole return type.
    pub(crate) kind: Type,
    /// One of its results, perhaps a type called `Result`.
    pub(crate) item: Type,
    pub(crate) is_fallible: bool,
    /// It stands in a type called `Result` itself.
    pub(crate) begins_fallibly: bool,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !begins_function(input) {
            return Err(input.error("`#[guthi::function]` belongs before an `fn` or `async fn`"));
        }
        let signature = input.parse()?;
        // The body is the compiler's business.
        input.parse::<TokenStream>()?;
        Self::new(attributes, visibility, signature)
    }
}

impl Function {
    fn new(attributes: Vec<Attribute>, visibility: Visibility, signature: Signature) -> Result<Self> {
        check_qualifiers(&signature)?;
        check_generics(&signature)?;
        let is_async = signature.asyncness.is_some();
        let mut parameters = parameters(signature.inputs)?;
        let context = parameters.first().map_or(Ok(None), |first| Context::recognise(&first.ty))?;
        if context.is_some() {
            parameters.remove(0);
        }
        let result = Outcome::new(signature.output)?;
        if let (Outcome::Stream(_), Some(context)) = (&result, context.as_ref().filter(|context| context.borrowed)) {
            return Err(Error::new(
                context.span,
                "the stream outlives the function that returns it: take the context by value, `ctx: Context`",
            ));
        }
        Ok(Self {
            attributes,
            visibility,
            name: signature.ident,
            is_async,
            context,
            arguments: arguments(parameters)?,
            parentheses: signature.paren_token.span.join(),
            result,
        })
    }
}

impl Context {
    /// Reads the first parameter, which need not be a context.
    fn recognise(kind: &Type) -> Result<Option<Self>> {
        let (target, reference) = match peeled(kind) {
            Type::Reference(reference) => (&*reference.elem, Some(reference)),
            other => (other, None),
        };
        if !is_context(target) {
            return Ok(None);
        }
        if let Some(mutability) = reference.and_then(|reference| reference.mutability) {
            return Err(Error::new_spanned(mutability, "nothing in a context can be changed: use `&Context`"));
        }
        Ok(Some(Self { borrowed: reference.is_some(), span: target.span() }))
    }
}

impl Outcome {
    fn new(output: ReturnType) -> Result<Self> {
        let ReturnType::Type(_, kind) = output else {
            return Ok(Self::Nothing);
        };
        let success = success_of_result(&kind);
        if let Some(item) = item_of_stream(success.flatten().unwrap_or(&kind))? {
            let success_of_item = success_of_result(&item);
            let is_fallible = success_of_item.is_some();
            success_of_item.unwrap_or(Some(&item)).map_or(Ok(()), ownership::check_result)?;
            return Ok(Self::Stream(Box::new(Streamed {
                begins_fallibly: success.is_some(),
                is_fallible,
                item,
                kind: *kind,
            })));
        }
        if let Some(success) = success {
            success.map_or(Ok(()), ownership::check_result)?;
            return Ok(Self::Fallible(*kind));
        }
        ownership::check_result(&kind)?;
        Ok(Self::Value(*kind))
    }
}

/// Whether the qualifiers of a function come next.
fn begins_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    while ahead.peek(Token![const])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe])
        || ahead.peek(Token![extern])
        || ahead.peek(syn::LitStr)
    {
        if ahead.parse::<proc_macro2::TokenTree>().is_err() {
            return false;
        }
    }
    ahead.peek(Token![fn])
}

fn check_qualifiers(signature: &Signature) -> Result<()> {
    if let Safety::Unsafe(token) = signature.safety {
        return Err(Error::new_spanned(
            token,
            "an `unsafe fn` cannot be called from other nodes: nobody there can keep its promises",
        ));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, "an `extern fn` cannot be called from other nodes: leave `extern` out"));
    }
    if let Some(variadic) = &signature.variadic {
        return Err(Error::new_spanned(variadic, "a variable number of arguments cannot travel: use a `Vec`"));
    }
    Ok(())
}

fn check_generics(signature: &Signature) -> Result<()> {
    const HINT: &str = "a function of the cluster has one signature: write one function for each \
                        type, or use an enum";
    if let Some(parameter) = signature.generics.params.first() {
        return Err(Error::new_spanned(parameter, HINT));
    }
    if let Some(bounds) = &signature.generics.where_clause {
        return Err(Error::new_spanned(bounds, HINT));
    }
    Ok(())
}

fn parameters(inputs: Punctuated<FnArg, Token![,]>) -> Result<Vec<PatType>> {
    inputs
        .into_iter()
        .map(|input| match input {
            FnArg::Typed(parameter) => Ok(parameter),
            FnArg::Receiver(receiver) => Err(Error::new_spanned(
                receiver,
                "a method cannot be called from other nodes: write a function outside of the \
                 `impl` and pass what it needs as arguments",
            )),
        })
        .collect()
}

fn arguments(parameters: Vec<PatType>) -> Result<Vec<Argument>> {
    if let Some(surplus) = parameters.get(ARGUMENTS_MAX) {
        return Err(Error::new_spanned(surplus, "a function has at most 12 arguments: put them into a struct"));
    }
    parameters
        .into_iter()
        .map(|parameter| {
            check_context_first(&parameter.ty)?;
            ownership::check_argument(&parameter.ty)?;
            Ok(Argument { name: argument_name(&parameter.pat), kind: *parameter.ty })
        })
        .collect()
}

fn check_context_first(kind: &Type) -> Result<()> {
    let target = match peeled(kind) {
        Type::Reference(reference) => &reference.elem,
        other => other,
    };
    if is_context(target) {
        return Err(Error::new_spanned(kind, "the context is the first parameter"));
    }
    Ok(())
}

/// A pattern has no name; listings show it as it is written.
fn argument_name(pattern: &Pat) -> String {
    match pattern {
        Pat::Ident(name) => text::without_raw(&name.ident),
        other => text::compact(other.to_token_stream()),
    }
}

/// `std::task::Context<'_>` has arguments, ours has none.
fn is_context(kind: &Type) -> bool {
    last_segment(kind)
        .is_some_and(|segment| segment.ident == "Context" && matches!(segment.arguments, PathArguments::None))
}

/// For a type called `Result`: the first type in its angle brackets, if there is one.
fn success_of_result(kind: &Type) -> Option<Option<&Type>> {
    let segment = last_segment(kind)?;
    if segment.ident != "Result" {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Some(None);
    };
    Some(arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(success) => Some(success),
        _ => None,
    }))
}

/// For `impl Stream<Item = T>`: the `T`.
fn item_of_stream(kind: &Type) -> Result<Option<Type>> {
    let Type::ImplTrait(promise) = peeled(kind) else { return Ok(None) };
    let Some(stream) = promise.bounds.iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().filter(|segment| segment.ident == "Stream"),
        _ => None,
    }) else {
        return Ok(None);
    };
    let PathArguments::AngleBracketed(arguments) = &stream.arguments else {
        return Err(Error::new_spanned(stream, "the other nodes need to know what streams: `impl Stream<Item = ..>`"));
    };
    let item = arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(item) if item.ident == "Item" => Some(item.ty.clone()),
        _ => None,
    });
    match item {
        Some(item) => Ok(Some(item)),
        None => Err(Error::new_spanned(stream, "the other nodes need to know what streams: `impl Stream<Item = ..>`")),
    }
}

fn last_segment(kind: &Type) -> Option<&syn::PathSegment> {
    match peeled(kind) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// A type without parentheses and without the invisible brackets of `macro_rules`.
fn peeled(kind: &Type) -> &Type {
    match kind {
        Type::Group(group) => peeled(&group.elem),
        Type::Paren(paren) => peeled(&paren.elem),
        other => other,
    }
}

/// The longest tuple for which serde knows what the framework needs.
const ARGUMENTS_MAX: usize = 12;
