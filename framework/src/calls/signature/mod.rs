//! Signatures: what a type looks like to serde, found out by asking its own `Deserialize`.
//!
//! Two nodes may have been built from different sources.
//! postcard writes no names and no kinds, so a node that decodes what a different type has encoded
//! gets garbage; nodes therefore compare signatures before the first call.
//!
//! **Definitions.** The *shape* of a type is the tree of requests that its `Deserialize` makes: `u64`,
//! a sequence of .., a struct of this name with these fields.
//! A *signature* is a hash over the canonical text of shapes.
//!
//! **What counts**: kinds, the names of structs, enums, variants and fields as serde knows them
//! (after `rename`), and every order.
//! **What does not**: crates and modules, and wrappers that serde does not see (`Box`, `Rc`, `Cow`,
//! `transparent`, `try_from`).
//!
//! **How.** A [`Tracer`] runs `Deserialize` again and again, each time with other choices (the next
//! variant of an enum, no elements instead of one), and writes down what is asked for.
//! A value that a type rejects is replaced by the next plausible one.
//! What stays out of reach, since the value before it in a tuple is always rejected, becomes
//! [`Shape::Opaque`], which is compared by name only.
//!
//! **Bounds.** Runs, requests, depth and the size of the result are limited, whatever the type does;
//! beyond them the rest is opaque.
//!
//! **Why not the crate serde-reflection.** Measured with its version 0.6: it identifies types by the bare name, so
//! `(Range<u64>, Range<f64>)` is a contradiction to it; it gives up on types that reject its values, `NonZeroU32` among
//! them; and enums that contain each other overflow its stack.

mod bounds;
mod canonical;
pub(crate) mod description;
mod display;
mod emission;
pub(crate) mod json;
mod plausible;
mod probe;
mod tracer;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::tracer::Tracer;

/// Finds out the shape of `T`.
///
/// # Errors
///
/// [`Unsupported`] if `T` asks the format to describe itself, which postcard cannot, or holds lists of nothing.
pub(crate) fn trace<T: DeserializeOwned>() -> Result<Shape, Unsupported> {
    let shape = Tracer::default().trace::<T>()?;
    match bounds::endless(&shape) {
        Some(list) => Err(Unsupported {
            type_name: list,
            place: shape.to_string(),
            hint: "its elements take no bytes, so nothing bounds their number; send the number instead".into(),
        }),
        None => Ok(shape),
    }
}

/// What the `Deserialize` of a type asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// A value without parts.
    Primitive(Primitive),
    /// Nothing, or one value.
    Option(Box<Self>),
    /// Any number of values of one shape.
    Seq(Box<Self>),
    /// Any number of keys with their values.
    Map(Box<Self>, Box<Self>),
    /// A fixed number of values, each of its own shape.
    Tuple(Vec<Self>),
    /// A fixed, large number of values of one shape.
    Array(Box<Self>, usize),
    /// A struct of any style.
    Struct {
        /// Its name, without a path.
        name: Cow<'static, str>,
        /// What is in it.
        fields: Fields,
    },
    /// An enum.
    Enum {
        /// Its name, without a path.
        name: Cow<'static, str>,
        /// In the order of their indices.
        variants: Vec<Variant>,
    },
    /// A type whose shape was given further up; so recursion ends.
    Again {
        /// Its name, for people.
        name: String,
        /// Which of the shapes with parts, counted from the root.
        number: usize,
    },
    /// A type that could not be looked into; compared by its name.
    Opaque(String),
    /// A field name that has no value of its own: the list has more names than there are fields,
    /// because of `#[serde(alias)]`.
    Alias,
}

/// The kinds of values without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Primitive {
    Unit,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    String,
    Bytes,
}

/// What is in a struct or in a variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Fields {
    /// Nothing: `Name`.
    Unit,
    /// One value: `Name(T)`.
    Newtype(Box<Shape>),
    /// Several values: `Name(T, U)`.
    Tuple(Vec<Shape>),
    /// Named values: `Name { a: T, b: U }`.
    Named(Vec<(Cow<'static, str>, Shape)>),
    /// A variant that could not be looked into.
    Opaque,
    /// A variant name without a variant of its own: see [`Shape::Alias`].
    Alias,
}

/// One of the possibilities of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    /// Its name.
    pub(crate) name: Cow<'static, str>,
    /// What is in it.
    pub(crate) fields: Fields,
}

/// The hash of one or several shapes; equal signatures can talk to each other.
///
/// Part of the wire format: the canonical text behind it never changes silently.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Signature(pub(crate) u64);

impl Signature {
    /// The signature of a single type, for instance a variable's.
    pub(crate) fn of_type(shape: &Shape) -> Self {
        Self::of("type", &[shape])
    }

    /// The signature of a function.
    pub(crate) fn of_function(arguments: &Shape, output: &Shape) -> Self {
        Self::of("function", &[arguments, output])
    }

    /// The signature of a function that streams its results.
    pub(crate) fn of_stream(arguments: &Shape, item: &Shape) -> Self {
        Self::of("stream", &[arguments, item])
    }

    fn of(purpose: &str, shapes: &[&Shape]) -> Self {
        let text = canonical::text(purpose, shapes);
        let mut head = [0; 8];
        blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut head);
        Self(u64::from_be_bytes(head))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// A type that postcard cannot carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// The type at fault, with its path: `serde_json::value::Value`.
    pub(crate) type_name: String,
    /// Where it sits in the type that was asked for: `Order.items[].extra`.
    pub(crate) place: String,
    /// What is wrong with it, and what to use instead.
    pub(crate) hint: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_name, place, hint } = self;
        write!(f, "`{type_name}` cannot travel ({place}): {hint}")
    }
}

impl std::error::Error for Unsupported {}
