//! Lists of values without bytes: a peer could announce 2⁶⁴ of them in ten bytes, and reading would never end.

use super::{Fields, Primitive, Shape};

/// The first list within `shape` whose elements take no bytes, as people would write it.
pub(super) fn endless(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Seq(element) if is_empty(element) => Some(shape.to_string()),
        Shape::Map(key, value) if is_empty(key) && is_empty(value) => Some(shape.to_string()),
        Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => endless(inner),
        Shape::Map(key, value) => endless(key).or_else(|| endless(value)),
        Shape::Tuple(parts) => parts.iter().find_map(endless),
        Shape::Struct { fields, .. } => endless_fields(fields),
        Shape::Enum { variants, .. } => variants.iter().find_map(|variant| endless_fields(&variant.fields)),
        Shape::Primitive(_) | Shape::Again { .. } | Shape::Opaque(_) | Shape::Alias => None,
    }
}

fn endless_fields(fields: &Fields) -> Option<String> {
    match fields {
        Fields::Newtype(inner) => endless(inner),
        Fields::Tuple(parts) => parts.iter().find_map(endless),
        Fields::Named(parts) => parts.iter().find_map(|(_, part)| endless(part)),
        Fields::Unit | Fields::Opaque | Fields::Alias => None,
    }
}

/// Whether a value of this shape is written as nothing at all.
fn is_empty(shape: &Shape) -> bool {
    match shape {
        Shape::Primitive(primitive) => *primitive == Primitive::Unit,
        Shape::Tuple(parts) => parts.iter().all(is_empty),
        Shape::Array(element, length) => *length == 0 || is_empty(element),
        Shape::Struct { fields, .. } => match fields {
            Fields::Unit => true,
            Fields::Newtype(inner) => is_empty(inner),
            Fields::Tuple(parts) => parts.iter().all(is_empty),
            Fields::Named(parts) => parts.iter().all(|(_, part)| is_empty(part)),
            Fields::Opaque | Fields::Alias => false,
        },
        Shape::Alias => true,
        // A list has its length, an option and an enum have their tag.
        Shape::Option(_) | Shape::Seq(_) | Shape::Map(..) | Shape::Enum { .. } => false,
        Shape::Again { .. } | Shape::Opaque(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::trace;

    #[derive(Deserialize)]
    struct Marker;

    #[derive(Deserialize)]
    struct Holder {
        #[expect(dead_code, reason = "only its shape is looked at")]
        markers: Vec<Marker>,
    }

    #[test]
    fn lists_of_nothing_are_refused_wherever_they_are() {
        assert!(trace::<Vec<()>>().is_err());
        assert!(trace::<(u8, Option<Vec<[(); 3]>>)>().is_err());
        let unsupported = trace::<Holder>().err().unwrap();
        assert!(unsupported.type_name.contains("Marker"), "{unsupported}");
    }

    #[test]
    fn lists_of_something_are_not() {
        assert!(trace::<Vec<Option<()>>>().is_ok());
        assert!(trace::<Vec<Vec<u8>>>().is_ok());
        assert!(trace::<()>().is_ok());
    }
}
