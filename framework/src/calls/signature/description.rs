//! Shapes as nodes tell them to each other, so that whoever does not have a type can still show its values.
//!
//! A description is a list of pieces, each before its parts: reading one takes no recursion that its sender could choose.
//! What is read is hostile until it has the hash under which it was told.

use guthi_core::wire::codec;
use serde::{Deserialize, Serialize};

use super::{Fields, Primitive, Shape, Signature, Variant, bounds};

/// The largest description, in bytes.
pub(crate) const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;
/// How many shapes may be within each other.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Piece {
    Primitive(Primitive),
    Option,
    Seq,
    Map,
    Tuple(u32),
    Array(u64),
    Struct(String, Style),
    Enum(String, Vec<(String, Style)>),
    Again(String, u32),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Style {
    Unit,
    Newtype,
    Tuple(u32),
    Named(Vec<String>),
    Opaque,
}

/// Says what a shape looks like. Nothing if no values could be read by it, or if it is too large to be told.
pub(crate) fn written(shape: &Shape) -> Option<Vec<u8>> {
    let mut pieces = Vec::new();
    write(shape, &mut pieces, DEPTH_MAX)?;
    codec::encode(&pieces, DESCRIPTION_BYTES_MAX).ok()
}

/// The shape of this hash, if that is what is described.
pub(crate) fn read(kind: u64, description: &[u8]) -> Option<Shape> {
    if description.len() > DESCRIPTION_BYTES_MAX {
        return None;
    }
    let pieces: Vec<Piece> = codec::decode(description).ok()?;
    let mut pieces = pieces.into_iter();
    let shape = next(&mut pieces, DEPTH_MAX)?;
    let is_sound = pieces.next().is_none() && bounds::endless(&shape).is_none();
    (is_sound && Signature::of_type(&shape).0 == kind).then_some(shape)
}

fn write(shape: &Shape, pieces: &mut Vec<Piece>, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match shape {
        Shape::Primitive(primitive) => pieces.push(Piece::Primitive(*primitive)),
        Shape::Option(inner) => {
            pieces.push(Piece::Option);
            write(inner, pieces, depth)?;
        }
        Shape::Seq(element) => {
            pieces.push(Piece::Seq);
            write(element, pieces, depth)?;
        }
        Shape::Map(key, value) => {
            pieces.push(Piece::Map);
            write(key, pieces, depth)?;
            write(value, pieces, depth)?;
        }
        Shape::Tuple(parts) => {
            pieces.push(Piece::Tuple(u32::try_from(parts.len()).ok()?));
            parts.iter().try_for_each(|part| write(part, pieces, depth))?;
        }
        Shape::Array(element, length) => {
            pieces.push(Piece::Array(*length as u64));
            write(element, pieces, depth)?;
        }
        Shape::Struct { name, fields } => {
            pieces.push(Piece::Struct(name.to_string(), style(fields)?));
            write_fields(fields, pieces, depth)?;
        }
        Shape::Enum { name, variants } => {
            let styles = variants.iter().map(|variant| Some((variant.name.to_string(), style(&variant.fields)?)));
            pieces.push(Piece::Enum(name.to_string(), styles.collect::<Option<_>>()?));
            variants.iter().try_for_each(|variant| write_fields(&variant.fields, pieces, depth))?;
        }
        Shape::Again { name, number } => pieces.push(Piece::Again(name.clone(), u32::try_from(*number).ok()?)),
        // What follows could not be read; and names that stand for others shift those behind them.
        Shape::Opaque(_) | Shape::Alias => return None,
    }
    Some(())
}

fn write_fields(fields: &Fields, pieces: &mut Vec<Piece>, depth: usize) -> Option<()> {
    match fields {
        Fields::Unit | Fields::Opaque | Fields::Alias => Some(()),
        Fields::Newtype(inner) => write(inner, pieces, depth),
        Fields::Tuple(parts) => parts.iter().try_for_each(|part| write(part, pieces, depth)),
        Fields::Named(parts) => parts.iter().try_for_each(|(_, part)| write(part, pieces, depth)),
    }
}

fn style(fields: &Fields) -> Option<Style> {
    Some(match fields {
        Fields::Unit => Style::Unit,
        Fields::Newtype(_) => Style::Newtype,
        Fields::Tuple(parts) => Style::Tuple(u32::try_from(parts.len()).ok()?),
        Fields::Named(parts) => Style::Named(parts.iter().map(|(name, _)| name.to_string()).collect()),
        Fields::Opaque => Style::Opaque,
        Fields::Alias => return None,
    })
}

fn next(pieces: &mut impl Iterator<Item = Piece>, depth: usize) -> Option<Shape> {
    let depth = depth.checked_sub(1)?;
    let boxed = |pieces: &mut _| next(pieces, depth).map(Box::new);
    Some(match pieces.next()? {
        Piece::Primitive(primitive) => Shape::Primitive(primitive),
        Piece::Option => Shape::Option(boxed(pieces)?),
        Piece::Seq => Shape::Seq(boxed(pieces)?),
        Piece::Map => Shape::Map(boxed(pieces)?, boxed(pieces)?),
        Piece::Tuple(length) => Shape::Tuple(several(pieces, length, depth)?),
        Piece::Array(length) => Shape::Array(boxed(pieces)?, usize::try_from(length).ok()?),
        Piece::Struct(name, style) => Shape::Struct { name: name.into(), fields: fields(style, pieces, depth)? },
        Piece::Enum(name, variants) => {
            let variant = |(name, style): (String, Style)| {
                Some(Variant { name: name.into(), fields: fields(style, pieces, depth)? })
            };
            Shape::Enum { name: name.into(), variants: variants.into_iter().map(variant).collect::<Option<_>>()? }
        }
        Piece::Again(name, number) => Shape::Again { name, number: usize::try_from(number).ok()? },
    })
}

/// Ends as soon as there are no more pieces, however many were announced.
fn several(pieces: &mut impl Iterator<Item = Piece>, length: u32, depth: usize) -> Option<Vec<Shape>> {
    (0..length).map(|_| next(pieces, depth)).collect()
}

fn fields(style: Style, pieces: &mut impl Iterator<Item = Piece>, depth: usize) -> Option<Fields> {
    Some(match style {
        Style::Unit => Fields::Unit,
        Style::Newtype => Fields::Newtype(Box::new(next(pieces, depth)?)),
        Style::Tuple(length) => Fields::Tuple(several(pieces, length, depth)?),
        Style::Named(names) => {
            let named = |name: String| Some((name.into(), next(pieces, depth)?));
            Fields::Named(names.into_iter().map(named).collect::<Option<_>>()?)
        }
        Style::Opaque => Fields::Opaque,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::calls::signature::trace;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    enum Tree {
        Leaf,
        Fork { left: Box<Self>, right: Vec<Self>, rest: BTreeMap<String, (u8, [u16; 32])> },
        Pair(u64, Option<f32>),
    }

    #[test]
    fn what_is_described_is_read_again() {
        let shape = trace::<Tree>().unwrap();
        let (kind, description) = (Signature::of_type(&shape).0, written(&shape).unwrap());
        assert_eq!(read(kind, &description), Some(shape));
        assert_eq!(read(kind ^ 1, &description), None, "it is not what it says");
        for end in 0..description.len() {
            assert_eq!(read(kind, &description[..end]), None);
        }
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let deep = codec::encode(&vec![Piece::Option; 10_000], usize::MAX).unwrap();
        assert_eq!(read(0, &deep), None);
        let wide = codec::encode(&vec![Piece::Tuple(u32::MAX)], usize::MAX).unwrap();
        assert_eq!(read(0, &wide), None);
        assert_eq!(read(0, &vec![0; DESCRIPTION_BYTES_MAX + 1]), None);
        let shape = Shape::Seq(Box::new(Shape::Primitive(Primitive::Unit)));
        assert_eq!(read(Signature::of_type(&shape).0, &written(&shape).unwrap()), None, "a list of nothing");
    }
}
