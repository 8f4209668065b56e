//! The canonical text of shapes, over which signatures are computed.
//!
//! Part of the wire format; the golden hashes in the tests guard it.
//! Names carry their length, so no name can look like structure.

use std::fmt::{self, Write};

use super::{Fields, Primitive, Shape, Variant};

/// The text of `shapes`, which serve as `purpose`.
pub(super) fn text(purpose: &str, shapes: &[&Shape]) -> String {
    let mut text = format!("guthi signature 1 {purpose}");
    for shape in shapes {
        text.push(' ');
        write_shape(&mut text, shape).expect("a string takes any text");
    }
    text
}

fn write_shape(text: &mut String, shape: &Shape) -> fmt::Result {
    match shape {
        Shape::Primitive(primitive) => text.write_str(primitive.name()),
        Shape::Option(inner) => wrap(text, "option", &[inner]),
        Shape::Seq(element) => wrap(text, "seq", &[element]),
        Shape::Map(key, value) => wrap(text, "map", &[key, value]),
        Shape::Tuple(elements) => wrap(text, "tuple", &elements.iter().collect::<Vec<_>>()),
        Shape::Array(element, length) => wrap(text, &format!("array {length} "), &[element]),
        Shape::Struct { name, fields } => {
            text.write_str("struct ")?;
            write_name(text, name)?;
            write_fields(text, fields)
        }
        Shape::Enum { name, variants } => write_enum(text, name, variants),
        Shape::Again { number, .. } => write!(text, "again {number}"),
        Shape::Opaque(name) => {
            text.write_str("opaque ")?;
            write_name(text, name)
        }
        Shape::Alias => text.write_str("alias"),
    }
}

fn write_fields(text: &mut String, fields: &Fields) -> fmt::Result {
    match fields {
        Fields::Unit => text.write_str(" unit"),
        Fields::Newtype(inner) => wrap(text, " newtype", &[inner]),
        Fields::Tuple(elements) => wrap(text, " tuple", &elements.iter().collect::<Vec<_>>()),
        Fields::Named(fields) => {
            text.write_char('{')?;
            for (name, shape) in fields {
                write_name(text, name)?;
                text.write_char(' ')?;
                write_shape(text, shape)?;
                text.write_char(',')?;
            }
            text.write_char('}')
        }
        Fields::Opaque => text.write_str(" opaque"),
        Fields::Alias => text.write_str(" alias"),
    }
}

fn write_enum(text: &mut String, name: &str, variants: &[Variant]) -> fmt::Result {
    text.write_str("enum ")?;
    write_name(text, name)?;
    text.write_char('[')?;
    for variant in variants {
        write_name(text, &variant.name)?;
        write_fields(text, &variant.fields)?;
        text.write_char(',')?;
    }
    text.write_char(']')
}

fn wrap(text: &mut String, kind: &str, parts: &[&Shape]) -> fmt::Result {
    write!(text, "{kind}(")?;
    for part in parts {
        write_shape(text, part)?;
        text.write_char(',')?;
    }
    text.write_char(')')
}

fn write_name(text: &mut String, name: &str) -> fmt::Result {
    write!(text, "{}:{name}", name.len())
}

impl Primitive {
    /// The name in the canonical text.
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
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
            Self::String => "string",
            Self::Bytes => "bytes",
        }
    }
}
