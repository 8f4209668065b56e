//! Shapes for people, close to how Rust writes the types.

use std::fmt;

use super::{Fields, Primitive, Shape, Variant};

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(primitive) => primitive.fmt(f),
            Self::Option(inner) => write!(f, "Option<{inner}>"),
            Self::Seq(element) => write!(f, "Vec<{element}>"),
            Self::Map(key, value) => write!(f, "Map<{key}, {value}>"),
            Self::Tuple(elements) => fmt_tuple(f, elements),
            Self::Array(element, length) => write!(f, "[{element}; {length}]"),
            Self::Struct { name, fields } => write!(f, "{name}{fields}"),
            Self::Enum { name, variants } => write!(f, "enum {name}{{{}}}", Listed(variants)),
            Self::Again { name, .. } | Self::Opaque(name) => f.write_str(name),
            Self::Alias => f.write_str("alias"),
        }
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "()",
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::I128 => "i128",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::U128 => "u128",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Char => "char",
            Self::String => "String",
            Self::Bytes => "bytes",
        })
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit => Ok(()),
            Self::Newtype(inner) => write!(f, "({inner})"),
            Self::Tuple(elements) => write!(f, "({})", Listed(elements)),
            Self::Named(fields) => {
                f.write_str("{")?;
                for (position, (name, shape)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {shape}", separator(position))?;
                }
                f.write_str("}")
            }
            Self::Opaque => f.write_str("(?)"),
            Self::Alias => f.write_str(" (alias)"),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.fields)
    }
}

/// Arrays come as tuples; from five equal elements on they are shown as what they are.
fn fmt_tuple(f: &mut fmt::Formatter<'_>, elements: &[Shape]) -> fmt::Result {
    match elements {
        [only] => write!(f, "({only},)"),
        [Shape::Primitive(first), rest @ ..] if rest.len() >= 4 && rest.iter().all(|shape| *shape == elements[0]) => {
            write!(f, "[{first}; {}]", elements.len())
        }
        elements => write!(f, "({})", Listed(elements)),
    }
}

/// Things with commas between them.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", separator(position))?;
        }
        Ok(())
    }
}

fn separator(position: usize) -> &'static str {
    if position == 0 { "" } else { ", " }
}
