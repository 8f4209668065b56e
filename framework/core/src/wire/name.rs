//! Names that are shared: of mutexes and, later, of whatever else all nodes call by one name.

use alloc::sync::Arc;
use core::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::limits::NAME_BYTES_MAX;

/// 1 to 255 bytes of UTF-8 without control characters. `/` separates parts by habit alone. Clones are cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name of this text.
    ///
    /// # Errors
    /// What is wrong with the text, as [`check`] says it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        check(text).map(|()| Self(text.into()))
    }
}

/// Whether a text can be a name.
///
/// # Errors
/// What is wrong with it, to follow a colon.
pub fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > NAME_BYTES_MAX {
        Err("it is longer than 255 bytes")
    } else if text.chars().any(char::is_control) {
        Err("it has control characters")
    } else {
        Ok(())
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a peer calls a name is looked at before it becomes one.
impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name of 1 to 255 bytes without control characters")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
        Name::new(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use super::*;
    use crate::wire::codec;

    #[test]
    fn a_name_travels_and_what_is_none_does_not() {
        let name = Name::new("jobs/über").unwrap();
        let bytes = codec::encode(&name, 100).unwrap();
        assert_eq!(codec::decode::<Name>(&bytes).unwrap(), name);
        for text in [String::new(), "a\nb".into(), "x".repeat(256)] {
            assert!(Name::new(&text).is_err());
            let bytes: Vec<u8> = codec::encode(&text, 1000).unwrap();
            assert!(codec::decode::<Name>(&bytes).is_err(), "{text:?}");
        }
        assert!(Name::new(&"x".repeat(255)).is_ok());
    }
}
