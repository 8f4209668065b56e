use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;

use super::error::BuildError;

/// The secret that makes nodes members of one cluster: 32 bytes that every node holds.
///
/// Its text form is `gk1` and 52 letters and digits; treat it like a password.
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; 32]);

impl ClusterKey {
    /// A fresh key from the system's entropy.
    ///
    /// # Errors
    /// [`BuildError::BadKey`] if the system has none.
    pub fn generate() -> Result<Self, BuildError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| BuildError::BadKey { reason: error.to_string() })?;
        Ok(Self(bytes))
    }

    /// The key in the environment variable `GUTHI_KEY`: its text, or `file:PATH`.
    ///
    /// # Errors
    /// [`BuildError::BadKey`] if the variable is not set or holds no key.
    pub fn from_env() -> Result<Self, BuildError> {
        let text = std::env::var("GUTHI_KEY")
            .map_err(|_| BuildError::BadKey { reason: "the environment variable GUTHI_KEY is not set".into() })?;
        Self::from_text_or_file(&text)
    }

    pub(crate) fn from_text_or_file(text: &str) -> Result<Self, BuildError> {
        match text.strip_prefix("file:") {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| BuildError::BadKey { reason: format!("{path}: {error}") })?
                .trim()
                .parse(),
            None => text.parse(),
        }
    }

    /// The key as text, to be given to other nodes.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&self.0).to_lowercase())
    }

    pub(crate) const fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The key of a cluster that is open to anyone.
    pub(crate) const OPEN: Self = Self([0; 32]);

    /// What admission is proven with.
    pub(crate) fn admission_key(&self) -> [u8; 32] {
        blake3::derive_key("guthi 2026 admission", &self.0)
    }
}

impl FromStr for ClusterKey {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<Self, BuildError> {
        let bad = |reason: &str| BuildError::BadKey { reason: reason.into() };
        let digits = text.strip_prefix(PREFIX).ok_or_else(|| bad("it does not begin with gk1"))?;
        let bytes = BASE32_NOPAD
            .decode(digits.to_uppercase().as_bytes())
            .map_err(|_| bad("it has other characters than a key, or too few"))?;
        bytes.try_into().map(Self).map_err(|_| bad("it is too long or too short"))
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

const PREFIX: &str = "gk1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_hides_in_debug() {
        let key = ClusterKey::generate().unwrap();
        let text = key.to_text();
        assert_eq!(text.len(), 55);
        assert_eq!(text.parse::<ClusterKey>().unwrap(), key);
        assert!(!format!("{key:?}").contains(&text[3..]));
        for bad in ["", "gk1", "hello", &text[..54], &format!("{text}a")] {
            assert!(bad.parse::<ClusterKey>().is_err(), "{bad}");
        }
    }
}
