use guthi::{Node, NodeId, RawMessage};
use serde::Serialize;

use super::{At, Names, variable::Content};

/// A message of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MessageRow {
    from: At,
    #[serde(flatten)]
    content: Content,
}

impl MessageRow {
    pub(crate) fn new(node: &Node, names: &Names, from: NodeId, message: &RawMessage) -> Self {
        Self { from: At::new(from, names), content: Content::new(node, message.kind, &message.bytes) }
    }
}
