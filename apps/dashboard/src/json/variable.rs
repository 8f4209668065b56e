use std::sync::atomic::Ordering;

use data_encoding::BASE64;
use guthi::{Node, RawValue, VariableInfo, Version};
use serde::Serialize;
use serde_json::Value;

use super::{At, node::Names};
use crate::app::App;

/// Values that are longer than this as JSON are not told in lists.
const SHOWN_CHARS_MAX: usize = 400;

/// A variable as its first home knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct VariableRow {
    pub(crate) name: String,
    pub(crate) version: Version,
    #[serde(flatten)]
    pub(crate) value: Short,
    homes: Vec<At>,
    copies: u64,
    degraded: bool,
}

/// A value as far as lists tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Short {
    kind: String,
    /// What the type looks like, if that is known here.
    shape: Option<String>,
    bytes: u64,
    /// Left out if it is long, or nobody here knows what it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

/// The variables whose names begin so, and how much of the whole they may be.
pub(crate) struct Variables {
    pub(crate) rows: Vec<VariableRow>,
    pub(crate) unanswered: Vec<At>,
    pub(crate) more: bool,
}

/// Asks every member. In the order of their names.
pub(crate) async fn variables(app: &App, prefix: &str, contains: &str) -> Variables {
    app.variables_asked.fetch_add(1, Ordering::Relaxed);
    let page = app.node.variables(prefix).await;
    let names = Names::of(&app.node);
    let items = page.items.into_iter().filter(|info| info.name.contains(contains));
    Variables {
        rows: items.map(|info| VariableRow::new(info, &app.node, &names)).collect(),
        unanswered: page.unanswered.into_iter().map(|node| At::new(node, &names)).collect(),
        more: page.more,
    }
}

impl VariableRow {
    fn new(info: VariableInfo, node: &Node, names: &Names) -> Self {
        Self {
            value: Short::new(node, info.kind, info.bytes, info.value.as_deref()),
            name: info.name,
            version: info.version,
            homes: info.homes.into_iter().map(|home| At::new(home, names)).collect(),
            copies: info.copies,
            degraded: info.degraded,
        }
    }

    /// One of which nobody has said yet who keeps it.
    pub(crate) const fn unlisted(name: String, version: Version, value: Short) -> Self {
        Self { name, version, value, homes: Vec::new(), copies: 0, degraded: false }
    }
}

impl Short {
    fn new(node: &Node, kind: u64, bytes: u64, encoded: Option<&[u8]>) -> Self {
        let of_kind = node.variable_type(kind);
        let value = encoded.and_then(|encoded| of_kind.as_ref()?.to_json(encoded));
        Self {
            kind: hex(kind),
            shape: of_kind.map(|it| it.to_string()),
            bytes,
            value: value.filter(|value| value.to_string().len() <= SHOWN_CHARS_MAX),
        }
    }

    /// What a list would tell of this value.
    pub(crate) fn of(node: &Node, raw: &RawValue) -> Self {
        let encoded = Some(&*raw.bytes).filter(|bytes| bytes.len() <= VariableInfo::SHOWN_BYTES_MAX);
        Self::new(node, raw.kind, raw.bytes.len() as u64, encoded)
    }
}

/// A variable with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ValueRow {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(flatten)]
    content: Content,
}

/// A value: JSON if its type is known, the encoded bytes if not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Content {
    kind: String,
    shape: Option<String>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl ValueRow {
    pub(crate) fn new(node: &Node, name: &str, raw: &RawValue) -> Self {
        let content = Content::new(node, raw.kind, &raw.bytes);
        Self { name: name.to_owned(), version: raw.version.to_string(), content }
    }

    /// With its bytes beside the JSON, unless every node knows the type: so it can be brought back where nobody has it.
    pub(crate) fn whole(node: &Node, name: &str, raw: &RawValue) -> Self {
        let is_plain = node.variable_type(raw.kind).is_some_and(|it| it.is_plain());
        let mut row = Self::new(node, name, raw);
        if !is_plain {
            row.content.base64.get_or_insert_with(|| BASE64.encode(&raw.bytes));
        }
        row
    }
}

impl Content {
    pub(super) fn new(node: &Node, kind: u64, bytes: &[u8]) -> Self {
        let of_kind = node.variable_type(kind);
        let value = of_kind.as_ref().and_then(|it| it.to_json(bytes));
        Self {
            kind: hex(kind),
            shape: of_kind.map(|it| it.to_string()),
            bytes: bytes.len(),
            base64: value.is_none().then(|| BASE64.encode(bytes)),
            value,
        }
    }
}

/// What a type is called.
pub(crate) fn hex(kind: u64) -> String {
    format!("{kind:016x}")
}
