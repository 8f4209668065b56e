//! The deserializer that asks back.

use std::{any::type_name, fmt};

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::BorrowedStrDeserializer,
};

use super::{
    Primitive,
    plausible::{BOOLS, BYTES, CHARS, NUMBERS, STRINGS, Taste},
    tracer::{CompositeId, Key, Kind, Mode, Request, SlotId, Style, Tracer},
};

/// The value was not accepted, or the run has seen enough.
#[derive(Debug)]
pub(super) struct Rejected;

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value was rejected")
    }
}

impl std::error::Error for Rejected {}

impl de::Error for Rejected {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Stands at a slot, hears what is asked for, and answers with something plausible.
pub(super) struct Probe<'t> {
    tracer: &'t mut Tracer,
    slot: SlotId,
    mode: Mode,
}

impl<'t> Probe<'t> {
    pub(super) fn new(tracer: &'t mut Tracer, slot: SlotId, mode: Mode) -> Self {
        Self { tracer, slot, mode }
    }

    fn primitive(&mut self, primitive: Primitive) -> Result<Taste, Rejected> {
        self.tracer.note(self.slot, Request::Primitive(primitive))?;
        Ok(self.mode.taste)
    }

    fn number(&mut self, primitive: Primitive) -> Result<i8, Rejected> {
        Ok(self.primitive(primitive)?.pick(&NUMBERS))
    }

    fn natural(&mut self, primitive: Primitive) -> Result<u8, Rejected> {
        Ok(self.number(primitive)?.unsigned_abs())
    }

    /// Notes a type with parts and feeds it.
    fn compose<'de, V: Visitor<'de>>(
        self,
        kind: Kind,
        visitor: V,
        feed: impl FnOnce(Parts<'_>, V) -> Result<V::Value, Rejected>,
    ) -> Result<V::Value, Rejected> {
        let Self { tracer, slot, mode } = self;
        let composite = tracer.note_composite(slot, Key::new::<V>(kind))?;
        let was_open = tracer.composite(composite).open();
        let mode = Mode { is_hasty: mode.is_hasty || was_open, ..mode };
        let result = feed(Parts { tracer, composite, mode }, visitor);
        tracer.composite(composite).close(was_open);
        result
    }

    fn tuple<'de, V: Visitor<'de>>(self, kind: Kind, length: usize, visitor: V) -> Result<V::Value, Rejected> {
        self.compose(kind, visitor, |mut parts, visitor| {
            let value = visitor.visit_seq(Elements::each_in_its_slot(parts.again(), length))?;
            parts.close_unrequested()?;
            Ok(value)
        })
    }

    fn named<'de, V: Visitor<'de>>(
        self,
        kind: Kind,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.compose(kind, visitor, |mut parts, visitor| {
            if let Some(field) = parts.detour() {
                return visitor.visit_map(Detour::new(parts, field, names));
            }
            let value = visitor.visit_seq(Elements::each_in_its_slot(parts.again(), names.len()))?;
            parts.close_unrequested()?;
            Ok(value)
        })
    }
}

/// Answers requests for primitives.
macro_rules! primitives {
    ($($method:ident, $primitive:ident, $source:ident => $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Rejected> {
            let value = self.$source(Primitive::$primitive)?;
            visitor.$visit(value.into())
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Rejected;

    primitives! {
        deserialize_i8, I8, number => visit_i8;
        deserialize_i16, I16, number => visit_i16;
        deserialize_i32, I32, number => visit_i32;
        deserialize_i64, I64, number => visit_i64;
        deserialize_i128, I128, number => visit_i128;
        deserialize_u8, U8, natural => visit_u8;
        deserialize_u16, U16, natural => visit_u16;
        deserialize_u32, U32, natural => visit_u32;
        deserialize_u64, U64, natural => visit_u64;
        deserialize_u128, U128, natural => visit_u128;
        deserialize_f32, F32, number => visit_f32;
        deserialize_f64, F64, number => visit_f64;
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Rejected> {
        visitor.visit_bool(self.primitive(Primitive::Bool)?.pick(&BOOLS))
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Rejected> {
        visitor.visit_char(self.primitive(Primitive::Char)?.pick(&CHARS))
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Rejected> {
        visitor.visit_borrowed_str(self.primitive(Primitive::String)?.pick(&STRINGS))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Rejected> {
        visitor.visit_borrowed_bytes(self.primitive(Primitive::Bytes)?.pick(&BYTES))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Rejected> {
        self.primitive(Primitive::Unit)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Rejected> {
        self.compose(Kind::Struct(name, Style::Unit), visitor, |_, visitor| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Rejected> {
        let kind = Kind::Struct(name, Style::Newtype);
        self.compose(kind, visitor, |mut parts, visitor| {
            let label = type_name::<V::Value>();
            parts.enter(0, 0, Some(label), |probe| visitor.visit_newtype_struct(probe))
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.compose(Kind::Option, visitor, |mut parts, visitor| {
            if parts.wants_elements() == 0 {
                return visitor.visit_none();
            }
            let label = inside_option(type_name::<V::Value>());
            parts.enter(0, 0, Some(label), |probe| visitor.visit_some(probe))
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.compose(Kind::Seq, visitor, |mut parts, visitor| {
            let length = parts.wants_elements();
            visitor.visit_seq(Elements::all_in_one_slot(parts, length))
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.compose(Kind::Map, visitor, |mut parts, visitor| {
            let length = parts.wants_elements();
            visitor.visit_map(Entries { parts, length })
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Rejected> {
        if length <= TUPLE_MAX {
            return self.tuple(Kind::Tuple(length), length, visitor);
        }
        self.compose(Kind::Array(length), visitor, |parts, visitor| {
            visitor.visit_seq(Elements::all_in_one_slot(parts, length))
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.tuple(Kind::Struct(name, Style::Tuple(length)), length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.named(Kind::Struct(name, Style::Named(fields)), fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.compose(Kind::Enum(name, variants), visitor, |mut parts, visitor| {
            let variant = parts.variant()?;
            let value = parts.enter_variant(variant, |probe| visitor.visit_enum(Choice { probe, variant }))?;
            parts.like(variant);
            Ok(value)
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Rejected> {
        let visitor = type_name::<V>();
        let hint = if visitor.contains("TaggedContentVisitor") {
            INTERNALLY_TAGGED
        } else if visitor.contains("ContentVisitor") {
            UNTAGGED
        } else {
            SELF_DESCRIBING
        };
        Err(self.tracer.refuse(type_name::<V::Value>(), hint))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Rejected> {
        Err(match self.tracer.surrounding().map(|key| key.kind) {
            Some(Kind::Map) => self.tracer.refuse_surrounding(FLATTENED),
            Some(Kind::Struct(..)) => self.tracer.refuse_surrounding(ADJACENTLY_TAGGED),
            _ => self.tracer.refuse(type_name::<V::Value>(), IDENTIFIER),
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Rejected> {
        Err(self.tracer.refuse(type_name::<V::Value>(), IGNORED))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of a type that is being fed.
struct Parts<'t> {
    tracer: &'t mut Tracer,
    composite: CompositeId,
    mode: Mode,
}

impl Parts<'_> {
    fn again(&mut self) -> Parts<'_> {
        Parts { tracer: self.tracer, composite: self.composite, mode: self.mode }
    }

    fn slots(&mut self) -> std::ops::Range<SlotId> {
        self.tracer.composite(self.composite).parts.clone()
    }

    /// Visits the slot of a part; `position` tells equal parts apart.
    fn enter<T>(
        &mut self,
        part: usize,
        position: usize,
        label: Option<&'static str>,
        visit: impl FnOnce(Probe<'_>) -> Result<T, Rejected>,
    ) -> Result<T, Rejected> {
        let slot = self.slots().start + part;
        let mode = self.mode.of_part(position);
        self.tracer.enter(slot, mode, label, visit)
    }

    fn enter_seed<'de, S: DeserializeSeed<'de>>(
        &mut self,
        part: usize,
        position: usize,
        seed: S,
    ) -> Result<S::Value, Rejected> {
        let label = type_name::<S::Value>();
        self.enter(part, position, Some(label), |probe| seed.deserialize(probe))
    }

    /// How many elements to feed: one if there is something to learn, else to taste.
    fn wants_elements(&mut self) -> usize {
        let deserves_visit = self.slots().any(|slot| self.tracer.deserves_visit(slot));
        match self.mode.taste.elements() {
            0 if deserves_visit && !self.mode.is_hasty => 1,
            wanted => wanted,
        }
    }

    /// A field that can be learnt only by its name, since an earlier one is in the way.
    fn detour(&mut self) -> Option<usize> {
        let slots = self.slots();
        let obstacle = slots.clone().find(|&slot| !self.tracer.is_producible(slot))?;
        if self.mode.is_hasty || self.tracer.deserves_visit(obstacle) {
            return None;
        }
        let field = self.tracer.most_deserving(slots.clone())?;
        Some(field - slots.start)
    }

    /// Which variant to make.
    fn variant(&mut self) -> Result<usize, Rejected> {
        let favourite = self.tracer.composite(self.composite).favourite();
        if self.mode.is_hasty {
            return favourite.ok_or_else(|| self.tracer.give_up());
        }
        let slots = self.slots();
        let tracer = &*self.tracer;
        let unknown = tracer.most_deserving(slots.clone()).map(|slot| slot - slots.start);
        let producible: Vec<_> =
            (0..slots.len()).filter(|variant| tracer.is_producible(slots.start + variant)).collect();
        let tasted =
            (self.mode.taste != Taste::PLAIN && !producible.is_empty()).then(|| self.mode.taste.pick(&producible));
        let first = (!slots.is_empty()).then_some(0);
        unknown.or(tasted).or(favourite).or(first).ok_or_else(|| self.tracer.give_up())
    }

    fn enter_variant<T>(
        &mut self,
        variant: usize,
        visit: impl FnOnce(Probe<'_>) -> Result<T, Rejected>,
    ) -> Result<T, Rejected> {
        let slot = self.slots().start + variant;
        self.tracer.enter(slot, self.mode, None, visit)
    }

    fn like(&mut self, variant: usize) {
        self.tracer.composite(self.composite).like(variant);
    }

    /// The value is there, and some parts were not asked for: they never will.
    fn close_unrequested(&mut self) -> Result<(), Rejected> {
        for slot in self.slots() {
            if !self.tracer.is_requested(slot) {
                self.tracer.note(slot, Request::Nothing)?;
            }
        }
        Ok(())
    }
}

/// Elements of a tuple, an array, a sequence, or the fields of a struct.
struct Elements<'t> {
    parts: Parts<'t>,
    position: usize,
    length: usize,
    is_shared: bool,
}

impl<'t> Elements<'t> {
    fn each_in_its_slot(parts: Parts<'t>, length: usize) -> Self {
        Self { parts, position: 0, length, is_shared: false }
    }

    fn all_in_one_slot(parts: Parts<'t>, length: usize) -> Self {
        Self { is_shared: true, ..Self::each_in_its_slot(parts, length) }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Rejected;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Rejected> {
        let position = self.position;
        if position >= self.length {
            return Ok(None);
        }
        self.position += 1;
        let part = if self.is_shared { 0 } else { position };
        self.parts.enter_seed(part, position, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        // Some types reserve what they are told.
        Some((self.length - self.position).min(TUPLE_MAX))
    }
}

/// Entries of a map.
struct Entries<'t> {
    parts: Parts<'t>,
    length: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Rejected;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Rejected> {
        if self.length == 0 {
            return Ok(None);
        }
        self.length -= 1;
        self.parts.enter_seed(0, self.length, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Rejected> {
        self.parts.enter_seed(1, self.length, seed)
    }
}

/// One field of a struct, given by its name, to look at its type; then the run ends.
struct Detour<'t> {
    parts: Parts<'t>,
    field: usize,
    name: Option<&'static str>,
}

impl<'t> Detour<'t> {
    fn new(parts: Parts<'t>, field: usize, names: &'static [&'static str]) -> Self {
        Self { parts, field, name: names.get(field).copied() }
    }
}

impl<'de> MapAccess<'de> for Detour<'_> {
    type Error = Rejected;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Rejected> {
        match self.name.take() {
            Some(name) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            None => Err(self.parts.tracer.give_up()),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Rejected> {
        self.parts.enter_seed(self.field, self.field, seed)
    }
}

/// A variant of an enum.
struct Choice<'t> {
    probe: Probe<'t>,
    variant: usize,
}

impl<'de, 't> EnumAccess<'de> for Choice<'t> {
    type Error = Rejected;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Rejected> {
        let index = u32::try_from(self.variant).unwrap_or(u32::MAX);
        let Ok(value) = seed.deserialize(IntoDeserializer::<Rejected>::into_deserializer(index)) else {
            let Probe { tracer, slot, .. } = self.probe;
            tracer.note(slot, Request::Nothing)?;
            return Err(tracer.give_up());
        };
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Rejected;

    fn unit_variant(self) -> Result<(), Rejected> {
        let Probe { tracer, slot, .. } = self.probe;
        let key = Key::new::<de::IgnoredAny>(Kind::Variant(Style::Unit));
        tracer.note_composite(slot, key).map(|_| ())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Rejected> {
        let Probe { tracer, slot, mode } = self.probe;
        let key = Key::new::<de::IgnoredAny>(Kind::Variant(Style::Newtype));
        let composite = tracer.note_composite(slot, key)?;
        Parts { tracer, composite, mode }.enter_seed(0, 0, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Rejected> {
        let kind = Kind::Variant(Style::Tuple(length));
        self.probe.tuple(kind, length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        let kind = Kind::Variant(Style::Named(fields));
        self.probe.named(kind, fields, visitor)
    }
}

/// The type in an option; another one's visitor may make something else.
fn inside_option(type_name: &'static str) -> &'static str {
    type_name.strip_prefix("core::option::Option<").and_then(|inner| inner.strip_suffix('>')).unwrap_or(type_name)
}

/// Longer tuples are arrays: serde has no tuple of more elements.
const TUPLE_MAX: usize = 16;

const SELF_DESCRIBING: &str = "it asks the encoding what comes next, and the encoding does not \
                               say: use a type of your own, or send it as text";
const UNTAGGED: &str = "an enum with #[serde(untagged)] needs an encoding that describes itself: \
                        leave the attribute out";
const INTERNALLY_TAGGED: &str = "an enum with #[serde(tag)] needs an encoding that describes \
                                 itself: leave the attribute out";
const ADJACENTLY_TAGGED: &str = "an enum with #[serde(tag, content)] needs an encoding that \
                                 describes itself: leave the attribute out";
const FLATTENED: &str = "#[serde(flatten)] needs an encoding that describes itself: put the \
                         fields into a field of their own";
const IDENTIFIER: &str = "it asks for a name, and the encoding has none: leave \
                          #[serde(field_identifier)] or #[serde(variant_identifier)] out";
const IGNORED: &str = "it skips values, and the encoding does not say how long they are: use \
                       `()` or an `Option`";
