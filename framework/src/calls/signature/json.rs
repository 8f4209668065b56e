//! Values as JSON by their shape alone: for whoever has bytes and a description, and no such type.
//!
//! The JSON is what serde would write for the type, as far as JSON can hold it. Integers beyond 64 bits, and floats that are no
//! numbers, are texts; maps whose keys are no texts and no numbers are lists of pairs.

use std::fmt;

use serde_json::{Map, Number, Value};

use super::{Fields, Primitive, Shape, Variant};

/// How far values may be within each other: as far as JSON may be read.
const DEPTH_MAX: usize = 100;
/// So many values within one are shown; what has more is larger than anybody reads.
const VALUES_MAX: usize = 1 << 21;

/// What is wrong with a value, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value that these bytes are. Nothing if they are none of this shape, or too much to be shown.
pub(crate) fn read(shape: &Shape, bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: bytes, all: numbered(shape), left: VALUES_MAX };
    let value = reader.value(shape, DEPTH_MAX)?;
    reader.rest.is_empty().then_some(value)
}

/// The bytes of a value.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn written(shape: &Shape, value: &Value) -> Result<Vec<u8>, Wrong> {
    let mut writer = Writer { bytes: Vec::new(), all: numbered(shape), path: Vec::new(), left: VALUES_MAX };
    match writer.value(shape, value, DEPTH_MAX) {
        Ok(()) => Ok(writer.bytes),
        Err(what) => Err(Wrong(match writer.path.concat() {
            path if path.is_empty() => what,
            path => format!("{}: {what}", path.trim_start_matches('.')),
        })),
    }
}

/// The shapes with parts in the order in which [`Shape::Again`] counts them.
fn numbered(shape: &Shape) -> Vec<&Shape> {
    fn of_fields<'a>(fields: &'a Fields, all: &mut Vec<&'a Shape>) {
        match fields {
            Fields::Newtype(inner) => walk(inner, all),
            Fields::Tuple(parts) => parts.iter().for_each(|part| walk(part, all)),
            Fields::Named(parts) => parts.iter().for_each(|(_, part)| walk(part, all)),
            Fields::Unit | Fields::Opaque | Fields::Alias => {}
        }
    }
    fn walk<'a>(shape: &'a Shape, all: &mut Vec<&'a Shape>) {
        if !matches!(shape, Shape::Primitive(_) | Shape::Again { .. } | Shape::Opaque(_) | Shape::Alias) {
            all.push(shape);
        }
        match shape {
            Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => walk(inner, all),
            Shape::Map(key, value) => {
                walk(key, all);
                walk(value, all);
            }
            Shape::Tuple(parts) => parts.iter().for_each(|part| walk(part, all)),
            Shape::Struct { fields, .. } => of_fields(fields, all),
            Shape::Enum { variants, .. } => variants.iter().for_each(|variant| of_fields(&variant.fields, all)),
            Shape::Primitive(_) | Shape::Again { .. } | Shape::Opaque(_) | Shape::Alias => {}
        }
    }
    let mut all = Vec::new();
    walk(shape, &mut all);
    all
}

/// Whether values of this shape can be the keys of a JSON object.
fn is_key(shape: &Shape) -> bool {
    match shape {
        Shape::Primitive(primitive) => !matches!(primitive, Primitive::Unit | Primitive::Bytes),
        Shape::Struct { fields: Fields::Newtype(inner), .. } => is_key(inner),
        Shape::Enum { variants, .. } => variants.iter().all(|variant| variant.fields == Fields::Unit),
        _ => false,
    }
}

fn is_text(shape: &Shape) -> bool {
    match shape {
        Shape::Primitive(primitive) => matches!(primitive, Primitive::String | Primitive::Char),
        Shape::Struct { fields: Fields::Newtype(inner), .. } => is_text(inner),
        Shape::Enum { .. } => true,
        _ => false,
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    all: Vec<&'a Shape>,
    left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, shape: &'a Shape, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.left = self.left.checked_sub(1)?;
        Some(match shape {
            Shape::Primitive(primitive) => self.primitive(*primitive)?,
            Shape::Option(inner) => match self.byte()? {
                0 => Value::Null,
                1 => self.value(inner, depth)?,
                _ => return None,
            },
            Shape::Seq(element) => {
                let length = self.length()?;
                self.array((0..length).map(|_| &**element), depth)?
            }
            Shape::Array(element, length) => self.array((0..*length).map(|_| &**element), depth)?,
            Shape::Map(key, value) => self.map(key, value, depth)?,
            Shape::Tuple(parts) => self.array(parts.iter(), depth)?,
            Shape::Struct { fields, .. } => self.fields(fields, depth)?,
            Shape::Enum { variants, .. } => {
                let index = usize::try_from(self.varint(32)?).ok()?;
                let Variant { name, fields } = variants.get(index)?;
                match fields {
                    Fields::Unit => Value::String(name.to_string()),
                    fields => Map::from_iter([(name.to_string(), self.fields(fields, depth)?)]).into(),
                }
            }
            Shape::Again { number, .. } => {
                let shape = *self.all.get(*number)?;
                self.value(shape, depth)?
            }
            Shape::Opaque(_) | Shape::Alias => return None,
        })
    }

    fn array(&mut self, shapes: impl Iterator<Item = &'a Shape>, depth: usize) -> Option<Value> {
        // It grows as values come: what was announced may never come.
        let mut items = Vec::new();
        for shape in shapes {
            items.push(self.value(shape, depth)?);
        }
        Some(Value::Array(items))
    }

    fn map(&mut self, key: &'a Shape, value: &'a Shape, depth: usize) -> Option<Value> {
        let (length, is_key) = (self.length()?, is_key(key));
        let (mut members, mut pairs) = (Map::new(), Vec::new());
        for _ in 0..length {
            match (self.value(key, depth)?, self.value(value, depth)?) {
                (Value::String(key), value) if is_key => drop(members.insert(key, value)),
                (key, value) if is_key => drop(members.insert(key.to_string(), value)),
                (key, value) => pairs.push(Value::Array(vec![key, value])),
            }
        }
        Some(if is_key { Value::Object(members) } else { Value::Array(pairs) })
    }

    fn fields(&mut self, fields: &'a Fields, depth: usize) -> Option<Value> {
        match fields {
            Fields::Unit => Some(Value::Null),
            Fields::Newtype(inner) => self.value(inner, depth),
            Fields::Tuple(parts) => self.array(parts.iter(), depth),
            Fields::Named(parts) => {
                let members = parts.iter().map(|(name, part)| Some((name.to_string(), self.value(part, depth)?)));
                members.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            Fields::Opaque | Fields::Alias => None,
        }
    }

    fn primitive(&mut self, primitive: Primitive) -> Option<Value> {
        Some(match primitive {
            Primitive::Unit => Value::Null,
            Primitive::Bool => match self.byte()? {
                0 => false.into(),
                1 => true.into(),
                _ => return None,
            },
            Primitive::U8 => self.byte()?.into(),
            Primitive::I8 => i8::from_le_bytes([self.byte()?]).into(),
            Primitive::U16 | Primitive::U32 | Primitive::U64 | Primitive::U128 => {
                let number = self.varint(bits(primitive))?;
                u64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from)
            }
            Primitive::I16 | Primitive::I32 | Primitive::I64 | Primitive::I128 => {
                let number = self.varint(bits(primitive))?;
                let number = (number >> 1) as i128 ^ -((number & 1) as i128);
                i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from)
            }
            Primitive::F32 => {
                let number = f32::from_le_bytes(self.take(4)?.try_into().ok()?);
                // The shortest text that means it: 0.1, and not what follows from it in 64 bits.
                float(number.to_string().parse().ok()?)
            }
            Primitive::F64 => float(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            Primitive::Char => {
                let text = self.text()?;
                let mut letters = text.chars();
                match (letters.next(), letters.next()) {
                    (Some(_), None) => text.into(),
                    _ => return None,
                }
            }
            Primitive::String => self.text()?.into(),
            Primitive::Bytes => {
                let length = self.length()?;
                let bytes = self.take(length)?;
                self.left = self.left.checked_sub(length)?;
                bytes.iter().map(|byte| Value::from(*byte)).collect()
            }
        })
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint(64)?).ok()
    }

    fn varint(&mut self, bits: u32) -> Option<u128> {
        let mut number: u128 = 0;
        for place in 0..bits.div_ceil(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            let shifted = part << (7 * place);
            if shifted >> (7 * place) != part {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return (bits == 128 || number >> bits == 0).then_some(number);
            }
        }
        None
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

const fn bits(primitive: Primitive) -> u32 {
    match primitive {
        Primitive::I8 | Primitive::U8 => 8,
        Primitive::I16 | Primitive::U16 => 16,
        Primitive::I32 | Primitive::U32 => 32,
        Primitive::I128 | Primitive::U128 => 128,
        _ => 64,
    }
}

struct Writer<'a> {
    bytes: Vec<u8>,
    all: Vec<&'a Shape>,
    /// Where it is, for whoever reads an error.
    path: Vec<String>,
    left: usize,
}

impl<'a> Writer<'a> {
    fn value(&mut self, shape: &'a Shape, value: &Value, depth: usize) -> Result<(), String> {
        let depth = depth.checked_sub(1).ok_or("it is too deep")?;
        self.left = self.left.checked_sub(1).ok_or("it has too many parts")?;
        match shape {
            Shape::Primitive(primitive) => self.primitive(*primitive, value),
            Shape::Option(inner) => {
                self.bytes.push(u8::from(!value.is_null()));
                if value.is_null() { Ok(()) } else { self.value(inner, value, depth) }
            }
            Shape::Seq(element) => {
                let items = value.as_array().ok_or_else(|| expected("a list", value))?;
                self.varint(items.len() as u128);
                self.items(items.iter().map(|item| (&**element, item)), depth)
            }
            Shape::Array(element, length) => {
                let items = list(value, *length)?;
                self.items(items.iter().map(|item| (&**element, item)), depth)
            }
            Shape::Map(key, of_value) => self.map(key, of_value, value, depth),
            Shape::Tuple(parts) => self.items(parts.iter().zip(list(value, parts.len())?), depth),
            Shape::Struct { fields, .. } => self.fields(fields, value, depth),
            Shape::Enum { variants, .. } => {
                let none = Value::Null;
                let (name, content) = match value {
                    Value::String(name) => (name, &none),
                    Value::Object(members) if members.len() == 1 => members.iter().next().ok_or("it is empty")?,
                    _ => return Err(expected("the name of a variant, or an object with it", value)),
                };
                let index = variants.iter().position(|variant| variant.name == *name).ok_or_else(|| {
                    let names: Vec<_> = variants.iter().map(|variant| &*variant.name).collect();
                    format!("there is no variant {name:?}: there are {}", names.join(", "))
                })?;
                self.varint(index as u128);
                self.within(format!(".{name}"), |writer| writer.fields(&variants[index].fields, content, depth))
            }
            Shape::Again { number, .. } => {
                let shape = *self.all.get(*number).ok_or("its type is not known")?;
                self.value(shape, value, depth)
            }
            Shape::Opaque(_) | Shape::Alias => Err("its type could not be looked into".into()),
        }
    }

    fn within(&mut self, step: String, write: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.path.push(step);
        write(self)?;
        self.path.pop();
        Ok(())
    }

    fn items<'v>(&mut self, items: impl Iterator<Item = (&'a Shape, &'v Value)>, depth: usize) -> Result<(), String> {
        for (place, (shape, item)) in items.enumerate() {
            self.within(format!("[{place}]"), |writer| writer.value(shape, item, depth))?;
        }
        Ok(())
    }

    fn map(&mut self, key: &'a Shape, of_value: &'a Shape, value: &Value, depth: usize) -> Result<(), String> {
        if !is_key(key) {
            let pairs = value.as_array().ok_or_else(|| expected("a list of pairs", value))?;
            self.varint(pairs.len() as u128);
            for (place, pair) in pairs.iter().enumerate() {
                self.within(format!("[{place}]"), |writer| {
                    writer.items([key, of_value].into_iter().zip(list(pair, 2)?), depth)
                })?;
            }
            return Ok(());
        }
        let mut members: Vec<_> = value.as_object().ok_or_else(|| expected("an object", value))?.iter().collect();
        // JSON orders names as texts, and maps of numbers are ordered as numbers.
        if !is_text(key) {
            members.sort_by_key(|(name, _)| name.parse::<i128>().ok());
        }
        self.varint(members.len() as u128);
        for (name, member) in members {
            self.within(format!(".{name}"), |writer| {
                let text = || Value::String(name.clone());
                let name = if is_text(key) { text() } else { serde_json::from_str(name).unwrap_or_else(|_| text()) };
                writer.value(key, &name, depth)?;
                writer.value(of_value, member, depth)
            })?;
        }
        Ok(())
    }

    fn fields(&mut self, fields: &'a Fields, value: &Value, depth: usize) -> Result<(), String> {
        match fields {
            Fields::Unit if value.is_null() => Ok(()),
            Fields::Unit => Err(expected("null", value)),
            Fields::Newtype(inner) => self.value(inner, value, depth),
            Fields::Tuple(parts) => self.items(parts.iter().zip(list(value, parts.len())?), depth),
            Fields::Named(parts) => {
                let members = value.as_object().ok_or_else(|| expected("an object", value))?;
                if let Some(name) = members.keys().find(|name| parts.iter().all(|(known, _)| known != *name)) {
                    let names: Vec<_> = parts.iter().map(|(name, _)| &**name).collect();
                    return Err(format!("there is no field {name:?}: there are {}", names.join(", ")));
                }
                for (name, part) in parts {
                    let member = match (members.get(&**name), part) {
                        (Some(member), _) => member,
                        (None, Shape::Option(_)) => &Value::Null,
                        (None, _) => return Err(format!("the field {name:?} is missing")),
                    };
                    self.within(format!(".{name}"), |writer| writer.value(part, member, depth))?;
                }
                Ok(())
            }
            Fields::Opaque | Fields::Alias => Err("its type could not be looked into".into()),
        }
    }

    fn primitive(&mut self, primitive: Primitive, value: &Value) -> Result<(), String> {
        let wrong = || expected(&primitive.to_string(), value);
        match primitive {
            Primitive::Unit => value.is_null().then_some(()).ok_or_else(wrong)?,
            Primitive::Bool => self.bytes.push(value.as_bool().ok_or_else(wrong)?.into()),
            Primitive::U8 => self.bytes.push(whole(value).and_then(|it| u8::try_from(it).ok()).ok_or_else(wrong)?),
            Primitive::I8 => {
                let number = whole(value).and_then(|it| i8::try_from(it).ok()).ok_or_else(wrong)?;
                self.bytes.extend(number.to_le_bytes());
            }
            Primitive::U16 | Primitive::U32 | Primitive::U64 | Primitive::U128 => {
                let number = match value {
                    Value::String(text) if primitive == Primitive::U128 => text.parse().ok(),
                    value => whole(value).and_then(|it| u128::try_from(it).ok()),
                };
                let bits = bits(primitive);
                let number: u128 = number.filter(|it| bits == 128 || it >> bits == 0).ok_or_else(wrong)?;
                self.varint(number);
            }
            Primitive::I16 | Primitive::I32 | Primitive::I64 | Primitive::I128 => {
                let number = match value {
                    Value::String(text) if primitive == Primitive::I128 => text.parse().ok(),
                    value => whole(value),
                };
                let beyond = 128 - bits(primitive);
                let number: i128 = number.filter(|it| (it << beyond) >> beyond == *it).ok_or_else(wrong)?;
                self.varint(((number << 1) ^ (number >> 127)) as u128);
            }
            Primitive::F32 => {
                let number = number(value).ok_or_else(wrong)?;
                self.bytes.extend((number as f32).to_le_bytes());
            }
            Primitive::F64 => self.bytes.extend(number(value).ok_or_else(wrong)?.to_le_bytes()),
            Primitive::Char => {
                let text = value.as_str().filter(|text| text.chars().count() == 1).ok_or_else(wrong)?;
                self.text(text);
            }
            Primitive::String => self.text(value.as_str().ok_or_else(wrong)?),
            Primitive::Bytes => {
                let bytes = value.as_array().ok_or_else(wrong)?;
                let bytes: Option<Vec<u8>> = bytes.iter().map(|it| u8::try_from(it.as_u64()?).ok()).collect();
                let bytes = bytes.ok_or_else(wrong)?;
                self.varint(bytes.len() as u128);
                self.bytes.extend(bytes);
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.varint(text.len() as u128);
        self.bytes.extend(text.as_bytes());
    }

    fn varint(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

fn list(value: &Value, length: usize) -> Result<&Vec<Value>, String> {
    let items = value.as_array().filter(|items| items.len() == length);
    items.ok_or_else(|| expected(&format!("a list of {length}"), value))
}

fn whole(value: &Value) -> Option<i128> {
    value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from))
}

/// Texts are taken only for what JSON has no numbers for.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok().filter(|number: &f64| !number.is_finite()),
        value => value.as_f64(),
    }
}

fn expected(what: &str, value: &Value) -> String {
    let found = match value {
        Value::Null => "null".into(),
        Value::Bool(it) => it.to_string(),
        Value::Number(it) => it.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".into(),
    };
    format!("{what} is expected, and not {found}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use guthi_core::wire::codec;
    use serde::{Deserialize, Serialize, de::DeserializeOwned};
    use serde_json::json;

    use super::*;
    use crate::calls::signature::trace;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Tree {
        Leaf,
        Fork { left: Box<Self>, right: Vec<Self>, rest: BTreeMap<u16, (u8, Option<char>)> },
        Pair(i64, Option<f32>),
        Named(Name),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Name(String);

    fn both_ways<T: Serialize + DeserializeOwned>(value: &T) -> Value {
        let (shape, bytes) = (trace::<T>().unwrap(), codec::encode(value, usize::MAX).unwrap());
        let shown = read(&shape, &bytes).unwrap();
        assert_eq!(written(&shape, &shown), Ok(bytes.clone()), "{shown}");
        for end in 0..bytes.len() {
            assert_eq!(read(&shape, &bytes[..end]), None);
        }
        shown
    }

    #[test]
    fn values_are_shown_as_serde_shows_them() {
        let tree = Tree::Fork {
            left: Box::new(Tree::Pair(i64::MIN, Some(0.1))),
            right: vec![Tree::Leaf, Tree::Named(Name("<b>ü</b>".into())), Tree::Pair(-1, None)],
            rest: [(7, (255, Some('ü'))), (65_535, (0, None))].into(),
        };
        let shown = both_ways(&tree);
        assert_eq!(shown["Fork"]["left"]["Pair"], json!([i64::MIN, 0.1]));
        assert_eq!(shown["Fork"]["right"], serde_json::to_value(&tree).unwrap()["Fork"]["right"]);
        assert_eq!(shown["Fork"]["rest"], json!({"7": [255, "ü"], "65535": [0, null]}));
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(both_ways(&u64::MAX), json!(u64::MAX));
        assert_eq!(both_ways(&i64::MIN), json!(i64::MIN));
        assert_eq!(both_ways(&(u8::MAX, i8::MIN, u16::MAX, i16::MIN)), json!([255, -128, 65_535, -32_768]));
        assert_eq!(both_ways(&(u128::MAX, i128::MIN)), json!([u128::MAX.to_string(), i128::MIN.to_string()]));
        assert_eq!(both_ways(&(f64::MAX, f64::NEG_INFINITY, 0.1_f32)), json!([f64::MAX, "-inf", 0.1]));
        assert_eq!(both_ways(&((), true, "x".to_owned())), json!([null, true, "x"]));
    }

    #[test]
    fn what_does_not_fit_is_refused_where_it_is() {
        let refused = |value: Value| written(&trace::<Tree>().unwrap(), &value).unwrap_err().to_string();
        assert_eq!(refused(json!({"Pair": ["1", null]})), "Pair[0]: i64 is expected, and not a text");
        assert_eq!(refused(json!("Twig")), "there is no variant \"Twig\": there are Leaf, Fork, Pair, Named");
        assert_eq!(refused(json!({"Fork": {"left": "Leaf", "right": []}})), "Fork: the field \"rest\" is missing");
        let number = |value: Value| written(&trace::<u8>().unwrap(), &value);
        assert_eq!(number(json!(255)), Ok(vec![255]));
        assert!([json!(256), json!(-1), json!(1.0), json!("1"), json!(null)].into_iter().all(|it| number(it).is_err()));
        assert!(written(&trace::<i16>().unwrap(), &json!(40_000)).is_err());
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let endless = Shape::Struct {
            name: "A".into(),
            fields: Fields::Newtype(Box::new(Shape::Again { name: "A".into(), number: 0 })),
        };
        assert_eq!(read(&endless, &[]), None);
        let large = Shape::Array(Box::new(Shape::Primitive(Primitive::Unit)), usize::MAX);
        assert_eq!(read(&large, &[]), None);
        let list = Shape::Seq(Box::new(Shape::Primitive(Primitive::U8)));
        assert_eq!(read(&list, &[255, 255, 255, 255, 255, 255, 255, 255, 127]), None);
        assert_eq!(read(&Shape::Primitive(Primitive::U16), &[255, 255, 4]), None, "beyond 16 bits");
    }
}
