//! What the tracer makes of the types that people use.
#![allow(dead_code, reason = "the fields are asked for, never read")]

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    marker::PhantomData,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::{NonZeroI64, NonZeroU32},
    ops::{Bound, Range, RangeInclusive},
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor},
};

use super::{Shape, Signature, Unsupported, canonical, trace};

fn shown<T: DeserializeOwned>() -> String {
    trace::<T>().unwrap().to_string()
}

fn canonical<T: DeserializeOwned>() -> String {
    canonical::text("type", &[&trace::<T>().unwrap()])
}

fn signature<T: DeserializeOwned>() -> Signature {
    Signature::of_type(&trace::<T>().unwrap())
}

fn refusal<T: DeserializeOwned>() -> Unsupported {
    trace::<T>().unwrap_err()
}

#[test]
fn primitives_are_shown_as_rust_writes_them() {
    assert_eq!(shown::<(f64, f64, f64)>(), "(f64, f64, f64)");
    assert_eq!(shown::<(u8, u16, u32, u64)>(), "(u8, u16, u32, u64)");
    assert_eq!(shown::<(i8, i16, i32, i64)>(), "(i8, i16, i32, i64)");
    assert_eq!(shown::<(u128, i128, f32)>(), "(u128, i128, f32)");
    assert_eq!(shown::<(bool, char, String)>(), "(bool, char, String)");
    assert_eq!(shown::<(usize, isize)>(), "(u64, i64)");
    assert_eq!(shown::<()>(), "()");
    assert_eq!(shown::<(u8,)>(), "(u8,)");
}

#[test]
fn collections_are_shown_with_their_elements() {
    assert_eq!(shown::<Vec<Range<u64>>>(), "Vec<Range{start: u64, end: u64}>");
    assert_eq!(shown::<Option<String>>(), "Option<String>");
    assert_eq!(shown::<Option<Vec<char>>>(), "Option<Vec<char>>");
    assert_eq!(shown::<Option<Option<u8>>>(), "Option<Option<u8>>");
    assert_eq!(shown::<HashMap<String, u8>>(), "Map<String, u8>");
    assert_eq!(shown::<BTreeMap<(u8, u8), Vec<bool>>>(), "Map<(u8, u8), Vec<bool>>");
    assert_eq!(shown::<(BTreeSet<u8>, VecDeque<u8>)>(), "(Vec<u8>, Vec<u8>)");
    assert_eq!(shown::<[u8; 32]>(), "[u8; 32]");
    assert_eq!(shown::<[u8; 6]>(), "[u8; 6]");
    assert_eq!(shown::<[u8; 0]>(), "()");
    assert_eq!(shown::<[[u16; 20]; 20]>(), "[[u16; 20]; 20]");
}

#[test]
fn types_of_the_standard_library_have_a_shape() {
    assert_eq!(shown::<Duration>(), "Duration{secs: u64, nanos: u32}");
    assert_eq!(shown::<SystemTime>(), "SystemTime{secs_since_epoch: u64, nanos_since_epoch: u32}");
    assert_eq!(shown::<IpAddr>(), "enum IpAddr{V4((u8, u8, u8, u8)), V6([u8; 16])}");
    assert_eq!(shown::<SocketAddr>(), "enum SocketAddr{V4(((u8, u8, u8, u8), u16)), V6(([u8; 16], u16))}");
    assert_eq!(shown::<Ipv6Addr>(), "[u8; 16]");
    assert_eq!(shown::<PathBuf>(), "String");
    assert_eq!(shown::<(NonZeroU32, NonZeroI64)>(), "(u32, i64)");
    assert_eq!(shown::<RangeInclusive<i8>>(), "RangeInclusive{start: i8, end: i8}");
    assert_eq!(shown::<Bound<u8>>(), "enum Bound{Unbounded, Included(u8), Excluded(u8)}");
    assert_eq!(shown::<Result<u8, String>>(), "enum Result{Ok(u8), Err(String)}");
    assert_eq!(shown::<PhantomData<u8>>(), "PhantomData");
}

#[test]
fn wrappers_that_serde_does_not_see_do_not_count() {
    assert_eq!(shown::<Box<u8>>(), "u8");
    assert_eq!(shown::<Cow<'static, str>>(), "String");
    assert_eq!(shown::<Cow<'static, [u8]>>(), "Vec<u8>");
    assert_eq!(shown::<Box<[String]>>(), "Vec<String>");
}

#[derive(Deserialize)]
struct Unit;

#[derive(Deserialize)]
struct Meters(f64);

#[derive(Deserialize)]
struct Pair(u8, String);

#[derive(Deserialize)]
enum Figure {
    Nothing,
    Circle(Meters),
    Box(Meters, Meters),
    Text { at: (u8, u8), text: String },
    Nested(Option<Inner>),
}

#[derive(Deserialize)]
enum Inner {
    A(Vec<Deep>),
    B,
}

#[derive(Deserialize)]
enum Deep {
    X { first: u8 },
    Y(u16),
}

#[test]
fn structs_and_enums_are_shown_with_names_and_fields() {
    assert_eq!(shown::<Unit>(), "Unit");
    assert_eq!(shown::<Meters>(), "Meters(f64)");
    assert_eq!(shown::<Pair>(), "Pair(u8, String)");
    assert_eq!(
        shown::<Figure>(),
        "enum Figure{Nothing, Circle(Meters(f64)), Box(Meters, Meters), \
         Text{at: (u8, u8), text: String}, \
         Nested(Option<enum Inner{A(Vec<enum Deep{X{first: u8}, Y(u16)}>), B}>)}"
    );
}

#[derive(Deserialize)]
enum Never {}

#[test]
fn an_enum_without_variants_has_a_shape_but_no_value() {
    assert_eq!(shown::<Never>(), "enum Never{}");
    assert_eq!(shown::<Result<u8, Never>>(), "enum Result{Ok(u8), Err(enum Never{})}");
}

#[derive(Deserialize)]
struct Tree {
    left: Option<Box<Self>>,
    value: u8,
    right: Option<Box<Self>>,
}

#[derive(Deserialize)]
enum Expression {
    Add(Box<Self>, Box<Self>, u8),
    Negate { inner: Box<Self> },
    Call(Vec<Statement>),
    Number(f64),
}

#[derive(Deserialize)]
enum Statement {
    Let(String, Expression),
    Block(Vec<Self>),
    Map(BTreeMap<String, Expression>),
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Nest(Vec<Self>);

#[test]
fn recursive_types_end_where_they_begin_again() {
    assert_eq!(shown::<Tree>(), "Tree{left: Option<Tree>, value: u8, right: Option<Tree>}");
    assert_eq!(
        shown::<Expression>(),
        "enum Expression{Add(Expression, Expression, u8), Negate{inner: Expression}, \
         Call(Vec<enum Statement{Let(String, Expression), Block(Vec<Statement>), \
         Map(Map<String, Expression>)}>), Number(f64)}"
    );
    assert_eq!(shown::<Nest>(), "Vec<Vec<Nest>>");
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Email;

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.contains('@').then_some(Self).ok_or("no @")
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Licence;

impl TryFrom<String> for Licence {
    type Error = &'static str;

    fn try_from(_: String) -> Result<Self, Self::Error> {
        Err("nobody can guess it")
    }
}

#[derive(Deserialize)]
#[serde(try_from = "(u32, u32, u32)")]
struct Rising;

impl TryFrom<(u32, u32, u32)> for Rising {
    type Error = &'static str;

    fn try_from((a, b, c): (u32, u32, u32)) -> Result<Self, Self::Error> {
        (a < b && b < c).then_some(Self).ok_or("not rising")
    }
}

#[derive(Deserialize)]
#[serde(try_from = "Vec<u8>")]
struct NonEmpty;

impl TryFrom<Vec<u8>> for NonEmpty {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        (!bytes.is_empty()).then_some(Self).ok_or("empty")
    }
}

#[test]
fn types_that_reject_values_get_others_until_one_is_right() {
    assert_eq!(shown::<(Email, u8)>(), "(String, u8)");
    assert_eq!(shown::<(Rising, Email, NonEmpty, u8)>(), "((u32, u32, u32), String, Vec<u8>, u8)");
    assert_eq!(shown::<Vec<Email>>(), "Vec<String>");
    assert_eq!(shown::<(HashMap<Email, Email>, u8)>(), "(Map<String, String>, u8)");
}

impl std::hash::Hash for Email {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl PartialEq for Email {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Email {}

#[derive(Deserialize)]
struct Customer {
    id: u64,
    licence: Licence,
    name: String,
    orders: Vec<Deep>,
}

#[derive(Deserialize)]
enum Person {
    Licensed(Licence, u8),
    Named { licence: Licence, name: String },
    Plain(u8),
}

#[test]
fn beside_a_type_that_rejects_everything_fields_are_known_and_elements_are_opaque() {
    assert_eq!(shown::<Licence>(), "String");
    assert_eq!(shown::<Option<Licence>>(), "Option<String>");
    assert_eq!(
        shown::<Customer>(),
        "Customer{id: u64, licence: String, name: String, \
         orders: Vec<enum Deep{X{first: u8}, Y(u16)}>}"
    );
    assert_eq!(shown::<(Licence, Deep)>(), "(Licence, Deep)");
    assert_eq!(shown::<Person>(), "enum Person{Licensed(String, ?), Named{licence: String, name: String}, Plain(u8)}");
    assert_eq!(trace::<(Licence, u8)>().unwrap(), Shape::Opaque("(Licence, u8)".into()));
    assert_ne!(signature::<(Licence, u8)>(), signature::<(Licence, u16)>());
}

struct Panicking;

impl<'de> Deserialize<'de> for Panicking {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        assert!(number > 100, "a validation that panics");
        Ok(Self)
    }
}

#[test]
fn a_validation_that_panics_does_not_take_the_tracer_with_it() {
    assert_eq!(shown::<Panicking>(), "u8");
    let shape = trace::<(Panicking, u8)>().unwrap();
    assert_eq!(shape, Shape::Opaque("(Panicking, u8)".into()));
}

mod seconds {
    use serde::{Deserialize, Deserializer};
    use std::time::Duration;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u32::deserialize(deserializer).map(|seconds| Duration::from_secs(seconds.into()))
    }
}

#[derive(Deserialize)]
#[serde(rename = "Settings", rename_all = "camelCase")]
struct Attributes {
    #[serde(with = "seconds")]
    idle_time: Duration,
    #[serde(deserialize_with = "seconds::deserialize")]
    retry_time: Duration,
    #[serde(default)]
    with_default: Option<u8>,
    #[serde(rename = "short")]
    a_long_name: u8,
    #[serde(skip)]
    never_sent: Option<u8>,
    last: Transparent,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Transparent {
    inner: u16,
}

#[derive(Deserialize)]
struct Aliased {
    #[serde(alias = "amount")]
    total: u8,
    last: u16,
}

#[derive(Deserialize)]
enum AliasedVariants {
    #[serde(alias = "Old")]
    New(u8),
    #[serde(skip)]
    Internal,
    Last,
}

#[test]
fn attributes_of_serde_are_respected() {
    assert_eq!(
        shown::<Attributes>(),
        "Settings{idleTime: u32, retryTime: u32, withDefault: Option<u8>, short: u8, last: u16}"
    );
    assert_eq!(shown::<Aliased>(), "Aliased{amount: u8, total: u16, last: alias}");
    assert_eq!(shown::<AliasedVariants>(), "enum AliasedVariants{New(u8), Old, Last (alias)}");
}

struct Bytes;

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;

        impl Visitor<'_> for Seen {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sixteen bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                let is_right = bytes.len() == 16;
                is_right.then_some(Bytes).ok_or_else(|| E::custom("length"))
            }
        }

        deserializer.deserialize_byte_buf(Seen)
    }
}

#[test]
fn bytes_are_a_kind_of_their_own() {
    assert_eq!(shown::<(Bytes, u8)>(), "(bytes, u8)");
    assert_ne!(signature::<Bytes>(), signature::<Vec<u8>>());
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Untagged {
    A(u8),
    B(String),
}

#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    A { a: u8 },
}

#[derive(Deserialize)]
#[serde(tag = "kind", content = "content")]
enum Adjacent {
    A(u8),
    B(String),
}

#[derive(Deserialize)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    rest: Pairs,
}

#[derive(Deserialize)]
struct Pairs {
    b: u8,
}

#[derive(Deserialize)]
struct Holder<T> {
    id: u8,
    items: Vec<Option<T>>,
}

#[derive(Deserialize)]
enum Hidden<T> {
    Harmless,
    Culprit { at: BTreeMap<u8, T> },
}

#[track_caller]
fn assert_refused<T: DeserializeOwned>(type_name: &str, place: &str, hint: &str) {
    let refusal = refusal::<T>();
    assert!(refusal.type_name.ends_with(type_name), "{refusal}");
    assert_eq!(refusal.place, place, "{refusal}");
    assert!(refusal.hint.contains(hint), "{refusal}");
}

#[test]
fn types_that_need_a_self_describing_format_are_refused_by_name() {
    assert_refused::<Untagged>("tests::Untagged", "Untagged", "#[serde(untagged)]");
    assert_refused::<Internal>("tests::Internal", "Internal", "#[serde(tag)]");
    assert_refused::<Adjacent>("tests::Adjacent", "Adjacent", "#[serde(tag, content)]");
    assert_refused::<Flat>("tests::Flat", "Flat", "#[serde(flatten)]");
    assert_refused::<serde_json::Value>("serde_json::value::Value", "Value", "as text");
    assert_refused::<serde::de::IgnoredAny>("IgnoredAny", "IgnoredAny", "skips");
}

#[test]
fn a_refusal_says_where_the_culprit_sits() {
    assert_refused::<Holder<Untagged>>("tests::Untagged", "Holder<Untagged>.items[]", "#[serde(untagged)]");
    assert_refused::<(u8, Hidden<serde_json::Value>)>(
        "serde_json::value::Value",
        "(u8, Hidden<Value>).1::Culprit.at[value]",
        "as text",
    );
    assert_refused::<Option<Flat>>("tests::Flat", "Option<Flat>", "#[serde(flatten)]");
    assert_refused::<Holder<Adjacent>>("tests::Adjacent", "Holder<Adjacent>.items[]", "#[serde(tag, content)]");
    assert_eq!(
        refusal::<Vec<Internal>>().to_string().split(" (").last(),
        Some(
            "Vec<Internal>[]): an enum with #[serde(tag)] needs an encoding that describes \
             itself: leave the attribute out"
        )
    );
}

mod here {
    #[derive(serde::Deserialize)]
    pub(super) struct Point {
        x: f64,
        y: f64,
    }

    #[derive(serde::Deserialize)]
    pub(super) enum Way {
        North,
        South,
    }
}

mod there {
    #[derive(serde::Deserialize)]
    pub(super) struct Point {
        x: f64,
        y: f64,
    }
}

mod changed {
    #[derive(serde::Deserialize)]
    pub(super) enum Way {
        North,
        South,
        East,
    }
}

/// A struct of one name with other fields.
macro_rules! point {
    ($module:ident, $($field:ident: $kind:ty),*) => {
        mod $module {
            #[derive(serde::Deserialize)]
            pub(super) struct Point { $($field: $kind),* }
        }
    };
}

point!(renamed, x: f64, z: f64);
point!(retyped, x: f64, y: f32);
point!(reordered, y: f64, x: f64);
point!(extended, x: f64, y: f64, z: f64);

#[test]
fn a_change_of_a_type_changes_its_signature() {
    let original = signature::<here::Point>();
    assert_ne!(original, signature::<renamed::Point>());
    assert_ne!(original, signature::<retyped::Point>());
    assert_ne!(original, signature::<reordered::Point>());
    assert_ne!(original, signature::<extended::Point>());
    assert_ne!(original, signature::<(f64, f64)>());
    assert_ne!(signature::<here::Way>(), signature::<changed::Way>());
    assert_ne!(signature::<[u8; 31]>(), signature::<[u8; 32]>());
    assert_ne!(signature::<Option<(u8, u16)>>(), signature::<Option<(u16, u8)>>());
    assert_ne!(signature::<((u8, u8), u8)>(), signature::<(u8, (u8, u8))>());
    assert_ne!(signature::<Vec<u8>>(), signature::<Option<u8>>());
    assert_ne!(signature::<()>(), signature::<Unit>());
}

#[test]
fn a_move_to_another_module_does_not_change_the_signature() {
    assert_eq!(signature::<here::Point>(), signature::<there::Point>());
    assert_eq!(signature::<Vec<(here::Point, u8)>>(), signature::<Vec<(there::Point, u8)>>());
}

#[test]
fn a_hash_map_and_a_tree_map_talk_to_each_other() {
    assert_eq!(signature::<(HashMap<u8, u8>, HashMap<u8, u8>)>(), signature::<(HashMap<u8, u8>, BTreeMap<u8, u8>)>());
}

#[test]
fn the_signature_of_a_function_covers_its_arguments_in_order_and_its_output() {
    let of = |arguments: &Shape, output: &Shape| Signature::of_function(arguments, output);
    let (ab, ba) = (trace::<(u8, String)>().unwrap(), trace::<(String, u8)>().unwrap());
    assert_ne!(of(&ab, &ab), of(&ba, &ab));
    assert_ne!(of(&ab, &ba), of(&ba, &ab));
    assert_ne!(of(&ab, &ab), Signature::of_type(&ab));
}

#[derive(Deserialize)]
#[serde(rename = "a 1:b u8, 1:c")]
struct Malicious {
    #[serde(rename = "x u8,1:y")]
    field: u8,
}

#[test]
fn names_cannot_imitate_structure() {
    assert_eq!(canonical::<Malicious>(), "guthi signature 1 type struct 13:a 1:b u8, 1:c{8:x u8,1:y u8,}");
}

#[test]
fn two_types_of_one_name_are_told_apart() {
    assert_eq!(
        shown::<(Range<u8>, Range<u16>, Range<u8>)>(),
        "(Range{start: u8, end: u8}, Range{start: u16, end: u16}, Range)"
    );
    assert_ne!(
        signature::<(here::Point, retyped::Point, here::Point)>(),
        signature::<(here::Point, retyped::Point, retyped::Point)>()
    );
}

/// These texts and numbers are part of the wire format.
/// If this test fails, nodes of different versions no longer talk to each other.
#[test]
fn signatures_stay_what_they_are() {
    let golden = [
        (canonical::<(f64, f64, f64)>(), signature::<(f64, f64, f64)>()),
        (canonical::<Vec<Range<u64>>>(), signature::<Vec<Range<u64>>>()),
        (canonical::<Figure>(), signature::<Figure>()),
        (canonical::<Tree>(), signature::<Tree>()),
        (canonical::<BTreeMap<String, Option<[u8; 32]>>>(), signature::<BTreeMap<String, Option<[u8; 32]>>>()),
        (canonical::<(Licence, u8)>(), signature::<(Licence, u8)>()),
    ]
    .map(|(text, signature)| format!("{signature} {text}"));
    assert_eq!(golden.join("\n"), GOLDEN.join("\n"));
    let unit = trace::<()>().unwrap();
    assert_eq!(Signature::of_function(&unit, &unit).to_string(), "b4f00252fd98651f");
}

const GOLDEN: [&str; 6] = [
    "fdf0ae430dead565 guthi signature 1 type tuple(f64,f64,f64,)",
    "76af7bb7c9c46851 guthi signature 1 type seq(struct 5:Range{5:start u64,3:end u64,},)",
    "c754c005c36bf7b3 guthi signature 1 type enum 6:Figure[7:Nothing unit,\
     6:Circle newtype(struct 6:Meters newtype(f64,),),3:Box tuple(again 1,again 1,),\
     4:Text{2:at tuple(u8,u8,),4:text string,},6:Nested newtype(option(enum 5:Inner[\
     1:A newtype(seq(enum 4:Deep[1:X{5:first u8,},1:Y newtype(u16,),],),),1:B unit,],),),]",
    "b5b8d9168fba0d5d guthi signature 1 type struct 4:Tree{4:left option(again 0,),\
     5:value u8,5:right option(again 0,),}",
    "7dcbb853998a23b7 guthi signature 1 type map(string,option(array 32 (u8,),),)",
    "978d60f1c19d963d guthi signature 1 type opaque 13:(Licence, u8)",
];

struct Endless;

impl<'de> Deserialize<'de> for Endless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Greedy;

        impl<'de> Visitor<'de> for Greedy {
            type Value = Endless;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an endless number of endless things")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Endless, A::Error> {
                while elements.next_element::<u8>()?.is_some() {}
                Ok(Endless)
            }
        }

        deserializer.deserialize_tuple(usize::MAX, Greedy)
    }
}

struct Deepening<const LEVEL: usize>;

impl<'de, const LEVEL: usize> Deserialize<'de> for Deepening<LEVEL> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wide<const LEVEL: usize>;

        impl<'de, const LEVEL: usize> Visitor<'de> for Wide<LEVEL> {
            type Value = Deepening<LEVEL>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("itself, many times")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                while elements.next_element::<Deepening<LEVEL>>()?.is_some() {}
                Ok(Deepening)
            }
        }

        deserializer.deserialize_tuple_struct("Deepening", 8, Wide)
    }
}

struct Liar;

impl<'de> Deserialize<'de> for Liar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fickle;

        impl<'de> Visitor<'de> for Fickle {
            type Value = Liar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Liar, A::Error> {
                match entries.next_key::<String>()?.as_deref() {
                    Some("kind") => entries.next_value::<u8>().map(|_| Liar),
                    Some(_) => entries.next_value::<bool>().map(|_| Liar),
                    None => Err(A::Error::custom("empty")),
                }
            }
        }

        deserializer.deserialize_map(Fickle)
    }
}

#[test]
fn strange_types_do_not_keep_the_tracer_forever() {
    let begin = Instant::now();
    assert!(shown::<Endless>().starts_with("[u8; "));
    shown::<(Endless, u8)>();
    shown::<Deepening<3>>();
    assert_eq!(shown::<Liar>(), "Map<String, bool>");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn names_lose_their_paths_only() {
    let short = super::emission::without_paths;
    assert_eq!(short("alloc::vec::Vec<shop::Item>"), "Vec<Item>");
    assert_eq!(short("(a::B, [c::D; 4], &str)"), "(B, [D; 4], &str)");
    assert_eq!(short("u8"), "u8");
}
