//! Values that come as JSON, or encoded: what a variable is to be, and what a message says.

use data_encoding::BASE64;
use guthi::{Node, VariableType};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{http::refusal::Refusal, json::hex};

/// A value that somebody sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// JSON, `null` too.
    #[serde(default, deserialize_with = "given")]
    pub(super) value: Option<Value>,
    /// The type of one that is new.
    #[serde(default, rename = "type")]
    pub(super) of_type: Option<String>,
    /// Its encoded value, instead of JSON.
    #[serde(default)]
    pub(super) base64: Option<String>,
    /// The type of that.
    #[serde(default)]
    pub(super) kind: Option<String>,
}

pub(super) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Wanted {
    /// The type and the bytes, for what is of this kind already, or for something new.
    pub(super) fn encoded(&self, node: &Node, subject: &str, current: Option<u64>) -> Result<(u64, Vec<u8>), Refusal> {
        let named = self.of_type.as_deref().map(named).transpose()?;
        let kind = self.kind.as_deref().map(kind_of).transpose()?;
        let kind = kind.or_else(|| named.as_ref().map(VariableType::kind));
        if let (Some(wanted), Some(there)) = (kind, current)
            && wanted != there
        {
            let of = |kind| node.variable_type(kind).map_or_else(|| hex(kind), |it| it.to_string());
            let message = format!("{subject} is of the type {}, and not {}", of(there), of(wanted));
            return Err(Refusal::new("other_type", message).next("delete it first, or use another name"));
        }
        let kind = current.or(kind);
        match (&self.value, &self.base64) {
            (Some(value), None) => {
                let of_type = match kind {
                    Some(kind) => node.variable_type(kind).ok_or_else(|| unknown_type(subject, kind))?,
                    None => VariableType::of_json(value).ok_or_else(|| {
                        let refusal = Refusal::bad_request("such a value can be of many types");
                        refusal.next("say which type; json takes all")
                    })?,
                };
                let bytes = of_type.to_bytes(value).map_err(|bad| {
                    let message = format!("that is no value of the type {of_type}: {bad}");
                    Refusal::new("bad_value", message)
                })?;
                Ok((of_type.kind(), bytes))
            }
            (None, Some(base64)) => {
                let kind = kind.ok_or_else(|| Refusal::bad_request("`kind` or `type` says what the bytes are"))?;
                let bytes = BASE64.decode(base64.as_bytes());
                let bytes = bytes.map_err(|error| Refusal::new("bad_value", format!("base64: {error}")))?;
                // Bytes that are known to be no value of their type would be found by whoever reads them.
                let is_bad = node.variable_type(kind).is_some_and(|it| it.is_plain() && it.to_json(&bytes).is_none());
                if is_bad {
                    return Err(Refusal::new("bad_value", "these bytes are no value of that type"));
                }
                Ok((kind, bytes))
            }
            (Some(_), Some(_)) | (None, None) => Err(Refusal::bad_request("either `value` or `base64`")),
        }
    }
}

fn named(name: &str) -> Result<VariableType, Refusal> {
    VariableType::named(name).ok_or_else(|| {
        let names: Vec<_> = VariableType::names().collect();
        Refusal::bad_request(format!("there is no type `{name}`; there are {}", names.join(", ")))
    })
}

fn kind_of(text: &str) -> Result<u64, Refusal> {
    let kind = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    kind.ok_or_else(|| Refusal::bad_request("kind is 16 digits of base 16, as it is told"))
}

pub(super) fn unknown_type(subject: &str, kind: u64) -> Refusal {
    let message = format!("no node has said what the type of {subject} looks like, which is called {}", hex(kind));
    Refusal::new("unknown_type", message).next("send its encoded value as base64, or start a program that uses it")
}
