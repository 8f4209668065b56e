use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::calls::signature::{Primitive, Shape, Signature, json};

/// What the values of a variable look like: enough to show them as JSON, and to take JSON for them, without having the type.
///
/// [`Node::variable_type`](crate::Node::variable_type) gives it for what some node uses; plain types are known everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableType {
    kind: u64,
    shape: Arc<Shape>,
}

/// The plain types, by the names that tools call them.
const PLAIN: [(&str, Primitive); 15] = [
    ("u64", Primitive::U64),
    ("i64", Primitive::I64),
    ("f64", Primitive::F64),
    ("string", Primitive::String),
    ("bool", Primitive::Bool),
    ("u8", Primitive::U8),
    ("u16", Primitive::U16),
    ("u32", Primitive::U32),
    ("u128", Primitive::U128),
    ("i8", Primitive::I8),
    ("i16", Primitive::I16),
    ("i32", Primitive::I32),
    ("i128", Primitive::I128),
    ("f32", Primitive::F32),
    ("char", Primitive::Char),
];

const JSON: &str = "Json";

impl VariableType {
    pub(crate) fn new(kind: u64, shape: Shape) -> Self {
        Self { kind, shape: shape.into() }
    }

    fn of(shape: Shape) -> Self {
        Self::new(Signature::of_type(&shape).0, shape)
    }

    /// Those that every node knows: the numbers, `bool`, `char`, `string` for `String`, and `json` for `struct Json(String)`,
    /// which is a text that holds any JSON.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "json" {
            let text = crate::calls::signature::Fields::Newtype(Box::new(Shape::Primitive(Primitive::String)));
            return Some(Self::of(Shape::Struct { name: JSON.into(), fields: text }));
        }
        let (_, primitive) = PLAIN.iter().find(|(known, _)| *known == name)?;
        Some(Self::of(Shape::Primitive(*primitive)))
    }

    /// The names of those that every node knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLAIN.iter().map(|(name, _)| *name).chain(["json"])
    }

    /// The type of a variable that is made of this: `i64` for an integer, or `u64` if it is too large for that, `f64` for another
    /// number, `bool`, `string`. Nothing for what could be of many types.
    #[must_use]
    pub fn of_json(value: &Value) -> Option<Self> {
        Self::named(match value {
            Value::Bool(_) => "bool",
            Value::String(_) => "string",
            Value::Number(number) if number.is_i64() => "i64",
            Value::Number(number) if number.is_u64() => "u64",
            Value::Number(_) => "f64",
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        })
    }

    /// What the type is called: a hash of its shape.
    #[must_use]
    pub const fn kind(&self) -> u64 {
        self.kind
    }

    /// Whether it is one that every node knows.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        Self::names().filter_map(Self::named).any(|it| it.kind == self.kind)
    }

    /// An encoded value as JSON: what serde would write. Integers beyond 64 bits are texts.
    ///
    /// Nothing if these bytes are no value of the type, or more than anybody reads.
    #[must_use]
    pub fn to_json(&self, bytes: &[u8]) -> Option<Value> {
        let value = json::read(&self.shape, bytes)?;
        if self.is_json() { serde_json::from_str(value.as_str()?).ok() } else { Some(value) }
    }

    /// The encoded value that this JSON means.
    ///
    /// # Errors
    /// [`BadValue`] says what does not fit, and where.
    pub fn to_bytes(&self, value: &Value) -> Result<Vec<u8>, BadValue> {
        let text = self.is_json().then(|| Value::String(value.to_string()));
        json::written(&self.shape, text.as_ref().unwrap_or(value))
            .map_err(|wrong| BadValue { reason: wrong.to_string() })
    }

    fn is_json(&self) -> bool {
        matches!(&*self.shape, Shape::Struct { name, .. } if name == JSON)
            && Self::named("json").is_some_and(|json| json.kind == self.kind)
    }

    pub(crate) fn number(&self) -> Option<guthi_core::protocol::variable::Number> {
        use guthi_core::protocol::variable::Number;
        let Shape::Primitive(primitive) = &*self.shape else { return None };
        Some(match primitive {
            Primitive::U8 => Number::U8,
            Primitive::U16 => Number::U16,
            Primitive::U32 => Number::U32,
            Primitive::U64 => Number::U64,
            Primitive::I8 => Number::I8,
            Primitive::I16 => Number::I16,
            Primitive::I32 => Number::I32,
            Primitive::I64 => Number::I64,
            _ => return None,
        })
    }
}

/// Close to how Rust writes it.
impl fmt::Display for VariableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shape.fmt(f)
    }
}

/// JSON that is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct BadValue {
    /// What does not fit, and where.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::calls::signature::trace;

    #[derive(Serialize, Deserialize)]
    struct Json(String);

    #[test]
    fn plain_types_are_those_of_rust() {
        let kind = |name: &str| VariableType::named(name).unwrap().kind();
        assert_eq!(kind("u64"), Signature::of_type(&trace::<u64>().unwrap()).0);
        assert_eq!(kind("string"), Signature::of_type(&trace::<String>().unwrap()).0);
        assert_eq!(kind("json"), Signature::of_type(&trace::<Json>().unwrap()).0);
        assert!(VariableType::names().all(|name| VariableType::named(name).unwrap().is_plain()));
        assert_eq!(VariableType::named("u63"), None);
    }

    #[test]
    fn what_a_value_is_made_of_says_its_type() {
        let of = |value: Value| VariableType::of_json(&value).map(|it| it.to_string());
        assert_eq!(of(json!(-1)).as_deref(), Some("i64"));
        assert_eq!(of(json!(u64::MAX)).as_deref(), Some("u64"));
        assert_eq!(of(json!(1.0)).as_deref(), Some("f64"));
        assert_eq!(of(json!("x")).as_deref(), Some("String"));
        assert_eq!(of(json!(true)).as_deref(), Some("bool"));
        assert_eq!((of(json!(null)), of(json!([1])), of(json!({}))), (None, None, None));
    }

    #[test]
    fn any_json_fits_into_json() {
        let json = VariableType::named("json").unwrap();
        for value in [json!(null), json!({"a": [1, "x"]}), json!(u64::MAX), json!("text")] {
            assert_eq!(json.to_json(&json.to_bytes(&value).unwrap()), Some(value));
        }
        let text = VariableType::named("string").unwrap();
        assert_eq!(json.to_json(&text.to_bytes(&json!("no JSON")).unwrap()), None);
    }
}
