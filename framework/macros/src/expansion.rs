//! What the attribute adds to a function.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, Expr, ExprLit, Ident, Lit, Meta, Type, spanned::Spanned};

use crate::{
    function::{Function, Outcome, Streamed},
    options::Options,
    text,
};

/// The marker type, its `guthi::Function`, and its entry in the table of the binary.
pub(crate) fn of(function: &Function, options: &Options) -> TokenStream {
    let conditions: Vec<_> = conditions(function).collect();
    let marker = marker(function);
    let description = description(function, options);
    let definition = definition(function, options);
    quote! {
        #(#conditions)*
        #marker
        #(#conditions)*
        #description
        #(#conditions)*
        #[allow(deprecated)]
        const _: () = {
            #definition
        };
    }
}

/// An empty enum: a unit struct would clash with the function.
fn marker(function: &Function) -> TokenStream {
    let Function { name, visibility, .. } = function;
    let calls = match &function.result {
        Outcome::Stream(_) => format!("`node.call_stream::<{name}>(..)`"),
        _ => format!("`node.call::<{name}>(..)` and `node.map::<{name}>(..)`"),
    };
    let docs = format!("Stands for the function [`{name}`](fn@{name}) on the network: for {calls}.");
    quote! {
        #[allow(non_camel_case_types, unreachable_pub, unnameable_types)]
        #[doc = #docs]
        #[derive(::core::fmt::Debug)]
        #visibility enum #name {}
    }
}

fn description(function: &Function, options: &Options) -> TokenStream {
    let name = &function.name;
    let arguments = arguments_type(function);
    let wire_name = wire_name(function, options);
    if let Outcome::Stream(streamed) = &function.result {
        let item = &streamed.item;
        let item = if streamed.is_fallible { success(item) } else { item.to_token_stream() };
        return quote! {
            impl ::guthi::StreamFunction for #name {
                type Arguments = #arguments;
                type Item = #item;
                const NAME: &'static str = #wire_name;
            }
        };
    }
    let output = output_type(function);
    let once = options.once;
    quote! {
        impl ::guthi::Function for #name {
            type Arguments = #arguments;
            type Output = #output;
            const NAME: &'static str = #wire_name;
            const ONCE: bool = #once;
        }
    }
}

fn definition(function: &Function, options: &Options) -> TokenStream {
    let name = &function.name;
    let run = run(function);
    let about = about(function, options);
    let check = check(function);
    if let Outcome::Stream(_) = &function.result {
        let once = options.once;
        return quote! {
            #check
            #run

            ::guthi::__private::inventory::submit! {
                ::guthi::__private::Definition::streaming::<#name>(#about, #once, |context, input| {
                    ::guthi::__private::invoke_stream::<#name, _, _>(context, input, __guthi_run)
                })
            }
        };
    }
    let body = body(function, options);
    quote! {
        #check
        #run

        ::guthi::__private::inventory::submit! {
            ::guthi::__private::Definition::new::<#name>(#about, #body)
        }
    }
}

/// Of a tuple the compiler does not say which element cannot travel; so they are checked one by one.
fn check(function: &Function) -> Option<TokenStream> {
    let arguments = function.arguments.iter().map(|argument| &argument.kind);
    (arguments.len() > 1).then(|| {
        quote! {
            const fn __guthi_check<T: ::guthi::Travels>() {}
            #(__guthi_check::<#arguments>();)*
        }
    })
}

/// The adapter between the tuple that travels and the function's parameters.
///
/// It is not called `run`: a user's function of that name would be hidden by it.
fn run(function: &Function) -> TokenStream {
    let name = &function.name;
    let context = context_name(Span::call_site());
    let arguments = argument_names(function);
    let parameters =
        passed_context(function).into_iter().chain(arguments.iter().map(|argument| argument.to_token_stream()));
    let (asyncness, context_type, wait) = if function.is_async {
        (Some(quote!(async)), quote!(::guthi::Context), Some(quote!(.await)))
    } else {
        (None, quote!(&::guthi::Context), None)
    };
    let call = quote!(#name(#(#parameters),*) #wait);
    let pattern = tuple(&arguments, Span::call_site());
    if let Outcome::Stream(streamed) = &function.result {
        return run_stream(name, &context, &pattern, call, streamed);
    }
    let outcome = outcome(function, call);
    quote! {
        #asyncness fn __guthi_run(
            #[allow(unused_variables, reason = "not every function asks for it")] #context: #context_type,
            #pattern: <#name as ::guthi::Function>::Arguments,
        ) -> ::core::result::Result<<#name as ::guthi::Function>::Output, ::guthi::Failure> {
            #outcome
        }
    }
}

/// The same for a function that streams its results: they are given as they come.
fn run_stream(
    name: &Ident,
    context: &Ident,
    pattern: &TokenStream,
    call: TokenStream,
    Streamed { kind, item, is_fallible, begins_fallibly }: &Streamed,
) -> TokenStream {
    let call = if *begins_fallibly {
        quote_spanned!(kind.span()=> ::guthi::__private::IntoOutcome::into_outcome(#call)?)
    } else {
        call
    };
    let given = if *is_fallible {
        quote_spanned!(item.span()=> <#item as ::guthi::__private::IntoOutcome>::into_outcome)
    } else {
        quote!(::core::result::Result::Ok)
    };
    quote! {
        async fn __guthi_run(
            #[allow(unused_variables, reason = "not every function asks for it")] #context: ::guthi::Context,
            #pattern: <#name as ::guthi::StreamFunction>::Arguments,
        ) -> ::core::result::Result<
            impl ::guthi::__private::Stream<
                Item = ::core::result::Result<<#name as ::guthi::StreamFunction>::Item, ::guthi::Failure>,
            > + ::core::marker::Send + 'static,
            ::guthi::Failure,
        > {
            ::core::result::Result::Ok(::guthi::__private::StreamExt::map(#call, #given))
        }
    }
}

/// The context as the function wants it.
fn passed_context(function: &Function) -> Option<TokenStream> {
    let wanted = function.context.as_ref()?;
    // Placed where the type is written: a `Context` that is not ours is reported there.
    let context = context_name(wanted.span);
    let is_owned = function.is_async || matches!(function.result, Outcome::Stream(_));
    Some(match (is_owned, wanted.borrowed) {
        (true, true) => quote_spanned!(wanted.span=> &#context),
        (true, false) | (false, true) => context.to_token_stream(),
        (false, false) => quote_spanned!(wanted.span=> <::guthi::Context as ::core::clone::Clone>::clone(#context)),
    })
}

/// What the adapter gives back for the value of `call`.
fn outcome(function: &Function, call: TokenStream) -> TokenStream {
    match &function.result {
        Outcome::Nothing => quote! {
            #call;
            ::core::result::Result::Ok(())
        },
        Outcome::Value(_) => quote!(::core::result::Result::Ok(#call)),
        Outcome::Fallible(kind) => quote_spanned! {kind.span()=>
            <#kind as ::guthi::__private::IntoOutcome>::into_outcome(#call)
        },
        Outcome::Stream(_) => unreachable!("what streams has an adapter of its own"),
    }
}

fn about(function: &Function, options: &Options) -> TokenStream {
    let docs = first_paragraph(&function.attributes);
    let arguments = function.arguments.iter().map(|argument| {
        let (name, kind) = (&argument.name, type_text(&argument.kind));
        quote!((#name, #kind))
    });
    let output = match &function.result {
        Outcome::Nothing => "()".into(),
        Outcome::Value(kind) | Outcome::Fallible(kind) => type_text(kind),
        Outcome::Stream(streamed) => type_text(&streamed.kind),
    };
    let concurrency = match options.concurrency {
        Some((limit, _)) => {
            let limit = Literal::u32_unsuffixed(limit);
            quote!(::core::option::Option::Some(#limit))
        }
        None => quote!(::core::option::Option::None),
    };
    quote! {
        ::guthi::__private::About {
            docs: #docs,
            arguments: &[#(#arguments),*],
            output: #output,
            module: ::core::module_path!(),
            concurrency: #concurrency,
        }
    }
}

fn body(function: &Function, options: &Options) -> TokenStream {
    let name = &function.name;
    if function.is_async {
        return quote! {
            ::guthi::__private::Body::Async(|context, input| {
                ::guthi::__private::invoke_async::<#name, _>(context, input, __guthi_run)
            })
        };
    }
    let kind = if options.inline.is_some() { quote!(Inline) } else { quote!(Plain) };
    quote! {
        ::guthi::__private::Body::#kind(|context, input, output| {
            ::guthi::__private::invoke::<#name>(context, input, output, __guthi_run)
        })
    }
}

/// Nothing is `()`, one is itself, more are a tuple.
fn arguments_type(function: &Function) -> TokenStream {
    let kinds: Vec<_> = function.arguments.iter().map(|argument| &argument.kind).collect();
    tuple(&kinds, function.parentheses)
}

fn output_type(function: &Function) -> TokenStream {
    match &function.result {
        Outcome::Nothing => quote!(()),
        Outcome::Value(kind) => kind.to_token_stream(),
        Outcome::Fallible(kind) => success(kind),
        Outcome::Stream(_) => unreachable!("what streams has a trait of its own"),
    }
}

/// An alias such as `anyhow::Result<T>` hides its error, so the compiler takes it apart.
fn success(kind: &Type) -> TokenStream {
    quote_spanned!(kind.span()=> <#kind as ::guthi::__private::IntoOutcome>::Output)
}

fn tuple<T: ToTokens>(parts: &[T], place: Span) -> TokenStream {
    match parts {
        [part] => part.to_token_stream(),
        parts => quote_spanned!(place=> (#(#parts),*)),
    }
}

fn wire_name(function: &Function, options: &Options) -> String {
    let identifier = || text::without_raw(&function.name);
    options.name.clone().unwrap_or_else(identifier)
}

fn context_name(place: Span) -> Ident {
    Ident::new("context", Span::mixed_site().located_at(place))
}

fn argument_names(function: &Function) -> Vec<Ident> {
    (0..function.arguments.len()).map(|index| format_ident!("argument_{index}", span = Span::mixed_site())).collect()
}

fn type_text(kind: &Type) -> String {
    text::compact(kind.to_token_stream())
}

/// A function that is compiled only sometimes has a marker only then.
fn conditions(function: &Function) -> impl Iterator<Item = &Attribute> {
    let attributes = function.attributes.iter();
    attributes.filter(|attribute| attribute.path().is_ident("cfg"))
}

/// The first paragraph of the documentation, on one line.
fn first_paragraph(attributes: &[Attribute]) -> String {
    let text: Vec<_> = attributes.iter().filter_map(documentation).collect();
    text.iter()
        .flat_map(|part| part.lines().chain(part.is_empty().then_some("")))
        .map(str::trim)
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text of `#[doc = ".."]`, which is what `///` becomes.
fn documentation(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if pair.path.is_ident("doc") => Some(text.value()),
        _ => None,
    }
}
