//! Which types can leave the process, as far as one sees it in the source.
//!
//! The rest is the compiler's business: the trait `guthi::Travels`.

use quote::ToTokens;
use syn::{
    Error, GenericArgument, PathArguments, Result, Type, TypeImplTrait, TypeParamBound, TypePath, TypeReference,
};

use crate::text;

/// Refuses the types that no argument can have.
pub(crate) fn check_argument(kind: &Type) -> Result<()> {
    check(kind, Role::Argument)
}

/// Refuses the types that no result can have.
pub(crate) fn check_result(kind: &Type) -> Result<()> {
    check(kind, Role::Result)
}

#[derive(Clone, Copy)]
enum Role {
    Argument,
    Result,
}

impl Role {
    fn plural(self) -> &'static str {
        match self {
            Self::Argument => "arguments",
            Self::Result => "results",
        }
    }
}

fn check(kind: &Type, role: Role) -> Result<()> {
    let owned = format!("{} are owned because they travel", role.plural());
    let refuse = |hint: &str| Err(Error::new_spanned(kind, hint));
    match kind {
        Type::Array(array) => check(&array.elem, role),
        Type::Group(group) => check(&group.elem, role),
        Type::Paren(paren) => check(&paren.elem, role),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(|elem| check(elem, role)),
        Type::Path(path) => check_path(path, role),
        Type::Reference(reference) => refuse(&format!("{owned}: use `{}`", owner(reference))),
        Type::Slice(slice) => {
            let elem = text::compact(slice.elem.to_token_stream());
            refuse(&format!("{owned}: use `Vec<{elem}>`"))
        }
        Type::ImplTrait(promise) => refuse(impl_hint(promise, role)),
        Type::TraitObject(_) => refuse("a trait object cannot travel: use an enum"),
        Type::Ptr(_) => refuse("an address means nothing on another node: pass the value"),
        Type::FnPtr(_) => refuse("an address means nothing on another node: pass the name of a function, or an enum"),
        Type::Never(_) => refuse("a function that never returns has no result to send back"),
        // A type macro is opaque, `_` and syntax yet to come have their own errors.
        _ => Ok(()),
    }
}

fn check_path(path: &TypePath, role: Role) -> Result<()> {
    let generics = path.path.segments.iter();
    generics
        .filter_map(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
            PathArguments::None | PathArguments::Parenthesized(_) => None,
        })
        .flatten()
        .try_for_each(|argument| match argument {
            GenericArgument::Type(kind) => check(kind, role),
            GenericArgument::Lifetime(lifetime) if lifetime.ident != "static" => Err(Error::new_spanned(
                lifetime,
                format!("{} are owned because they travel: use `'static` or a type without a lifetime", role.plural()),
            )),
            _ => Ok(()),
        })
}

/// The type to use in place of a reference.
fn owner(reference: &TypeReference) -> String {
    match &*reference.elem {
        Type::Slice(slice) => format!("Vec<{}>", text::compact(slice.elem.to_token_stream())),
        Type::Path(path) if path.path.is_ident("str") => "String".into(),
        Type::Path(path) if path.path.is_ident("Path") => "PathBuf".into(),
        other => text::compact(other.to_token_stream()),
    }
}

fn impl_hint(promise: &TypeImplTrait, role: Role) -> &'static str {
    let is_stream = promise.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|segment| segment.ident == "Stream"),
        _ => false,
    });
    match role {
        Role::Result if is_stream => {
            "a stream is all that a function returns: `impl Stream<Item = ..>`, perhaps within a `Result`"
        }
        Role::Result => "the other nodes need to know the type: write its name",
        Role::Argument => "the other nodes need to know the type: write its name, `impl Trait` has none",
    }
}
