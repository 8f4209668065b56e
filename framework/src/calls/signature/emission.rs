//! From what was learnt to a [`Shape`].

use std::collections::HashMap;

use super::{
    Fields, Shape, Variant,
    tracer::{Composite, CompositeId, Kind, ROOT, Request, Slot, SlotId, Style},
};

/// The shape of the root.
pub(super) fn shape(slots: &[Slot], composites: &[Composite]) -> Shape {
    Emission { slots, composites, numbers: HashMap::new(), emitted: 0 }.slot(ROOT)
}

/// Where the last slot of a path sits: `Order.items[].extra`.
pub(super) fn place(path: &[SlotId], slots: &[Slot], composites: &[Composite]) -> String {
    let root = slots[ROOT].label.unwrap_or("?");
    let mut place = without_paths(root);
    for (outer, inner) in path.iter().zip(path.iter().skip(1)) {
        if let Some(Request::Composite(id)) = slots[*outer].request {
            place += &composites[id].step(*inner);
        }
    }
    place
}

/// Whether a type is of serde's machinery, and tells people nothing.
pub(super) fn is_private(type_name: &str) -> bool {
    type_name.contains("private") && type_name.contains("serde") || type_name.contains("::__")
}

/// `alloc::vec::Vec<shop::Item>` is `Vec<Item>`, in whatever crate it is.
pub(super) fn without_paths(type_name: &str) -> String {
    let mut short = String::new();
    let mut word = 0;
    let mut rest = type_name.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter == ':' && rest.peek() == Some(&':') {
            rest.next();
            short.truncate(word);
        } else {
            short.push(letter);
            if !letter.is_alphanumeric() && letter != '_' {
                word = short.len();
            }
        }
    }
    short
}

struct Emission<'a> {
    slots: &'a [Slot],
    composites: &'a [Composite],
    /// The composites that need not be given in full again.
    numbers: HashMap<CompositeId, usize>,
    emitted: usize,
}

impl Emission<'_> {
    fn slot(&mut self, slot: SlotId) -> Shape {
        let Slot { label, request, .. } = self.slots[slot];
        match request {
            Some(Request::Primitive(primitive)) => Shape::Primitive(primitive),
            Some(Request::Composite(id)) if self.emitted < SHAPES_MAX => self.composite(id),
            Some(Request::Nothing) => Shape::Alias,
            None | Some(Request::Composite(_) | Request::Anything) => {
                Shape::Opaque(label.map_or_else(|| "?".into(), without_paths))
            }
        }
    }

    fn composite(&mut self, id: CompositeId) -> Shape {
        let key = self.composites[id].key();
        if let Some(&number) = self.numbers.get(&id) {
            let name = key.kind.name().map_or_else(|| without_paths(key.value), String::from);
            return Shape::Again { name, number };
        }
        self.numbers.insert(id, self.emitted);
        self.emitted += 1;
        let shape = self.full(id);
        // Names are given once, anonymous types each time: nobody sees whether they are the same.
        if key.kind.name().is_none() {
            self.numbers.remove(&id);
        }
        shape
    }

    fn full(&mut self, id: CompositeId) -> Shape {
        let key = self.composites[id].key();
        let mut parts = self.composites[id].parts.clone();
        let opaque = || Shape::Opaque(without_paths(key.value));
        match key.kind {
            Kind::Option => Shape::Option(self.boxed(parts.start)),
            Kind::Seq => Shape::Seq(self.boxed(parts.start)),
            Kind::Map => Shape::Map(self.boxed(parts.start), self.boxed(parts.start + 1)),
            Kind::Array(length) => Shape::Array(self.boxed(parts.start), length),
            Kind::Tuple(_) | Kind::Struct(_, Style::Tuple(_)) if parts.any(|part| self.is_out_of_reach(part)) => {
                opaque()
            }
            Kind::Tuple(_) => Shape::Tuple(self.all(id)),
            Kind::Struct(name, style) => Shape::Struct { name: name.into(), fields: self.fields(id, style) },
            Kind::Enum(name, names) => Shape::Enum { name: name.into(), variants: self.variants(id, names) },
            Kind::Variant(_) => opaque(),
        }
    }

    fn variants(&mut self, id: CompositeId, names: &[&'static str]) -> Vec<Variant> {
        let slots = self.composites[id].parts.clone();
        names
            .iter()
            .zip(slots)
            .map(|(&name, slot)| Variant { name: name.into(), fields: self.variant_fields(slot) })
            .collect()
    }

    fn variant_fields(&mut self, slot: SlotId) -> Fields {
        match self.slots[slot].request {
            Some(Request::Composite(id)) => match self.composites[id].key().kind {
                Kind::Variant(style) => self.fields(id, style),
                _ => Fields::Opaque,
            },
            Some(Request::Nothing) => Fields::Alias,
            None | Some(Request::Primitive(_) | Request::Anything) => Fields::Opaque,
        }
    }

    fn fields(&mut self, id: CompositeId, style: Style) -> Fields {
        match style {
            Style::Unit => Fields::Unit,
            Style::Newtype => Fields::Newtype(self.boxed(self.composites[id].parts.start)),
            Style::Tuple(_) => Fields::Tuple(self.all(id)),
            Style::Named(names) => {
                let shapes = self.all(id);
                Fields::Named(names.iter().map(|&name| name.into()).zip(shapes).collect())
            }
        }
    }

    fn all(&mut self, id: CompositeId) -> Vec<Shape> {
        let parts = self.composites[id].parts.clone();
        parts.map(|part| self.slot(part)).collect()
    }

    fn boxed(&mut self, slot: SlotId) -> Box<Shape> {
        Box::new(self.slot(slot))
    }

    fn is_out_of_reach(&self, slot: SlotId) -> bool {
        self.slots[slot].label.is_none() && self.slots[slot].request.is_none()
    }
}

impl Composite {
    /// How people write the way from here into one of the parts.
    fn step(&self, part: SlotId) -> String {
        let index = part.saturating_sub(self.parts.start);
        match self.key().kind {
            Kind::Option | Kind::Struct(_, Style::Newtype) | Kind::Variant(Style::Newtype) => String::new(),
            Kind::Seq | Kind::Array(_) => "[]".into(),
            Kind::Map => ["[key]", "[value]"][index.min(1)].into(),
            Kind::Struct(_, Style::Named(names)) | Kind::Variant(Style::Named(names)) => {
                format!(".{}", names.get(index).unwrap_or(&"?"))
            }
            Kind::Enum(_, names) => format!("::{}", names.get(index).unwrap_or(&"?")),
            Kind::Tuple(_) | Kind::Struct(..) | Kind::Variant(_) => format!(".{index}"),
        }
    }
}

impl Kind {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Struct(name, _) | Self::Enum(name, _) => Some(name),
            Self::Option | Self::Seq | Self::Map | Self::Tuple(_) | Self::Array(_) | Self::Variant(_) => None,
        }
    }
}

/// Anonymous types in each other could double without end.
const SHAPES_MAX: usize = 1 << 14;
