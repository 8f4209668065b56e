use std::{fmt, str::FromStr};

/// What calls of several nodes have in common: the trace that they belong to, and the span in it from which they were made,
/// as in the W3C's [trace context](https://www.w3.org/TR/trace-context/).
///
/// Its text is that of the header `traceparent`. A call that is given one with [`Call::trace`](crate::Call::trace) takes it
/// along, and so do those that its function makes through [`Context::node`](crate::Context::node).
///
/// ```
/// let trace: guthi::Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert_eq!(trace.span, 0x00f0_67aa_0ba9_02b7);
/// assert_eq!(trace.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// # Ok::<(), guthi::BadTrace>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    /// The whole, from the first call on. Zero is no trace, and does not travel.
    pub id: u128,
    /// The part of it from which the call was made. Zero is no span, and does not travel.
    pub span: u64,
}

impl Trace {
    /// Whether both are there.
    pub(crate) const fn is_one(&self) -> bool {
        self.id != 0 && self.span != 0
    }
}

/// The header `traceparent`, which says that the trace is recorded.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.id, self.span)
    }
}

/// Reads the header `traceparent` of version 00, whatever its flags are.
impl FromStr for Trace {
    type Err = BadTrace;

    fn from_str(text: &str) -> Result<Self, BadTrace> {
        let parts: [&str; 4] = text.splitn(5, '-').collect::<Vec<_>>().try_into().map_err(|_| BadTrace)?;
        let [version, id, span, flags] = parts;
        if version != "00" {
            return Err(BadTrace);
        }
        hex(flags, 2)?;
        let span = u64::try_from(hex(span, 16)?).map_err(|_| BadTrace)?;
        Some(Self { id: hex(id, 32)?, span }).filter(Self::is_one).ok_or(BadTrace)
    }
}

/// So many hexadecimal digits, in small letters.
fn hex(text: &str, digits: usize) -> Result<u128, BadTrace> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_digit) {
        return Err(BadTrace);
    }
    u128::from_str_radix(text, 16).map_err(|_| BadTrace)
}

/// A text that is no [`Trace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a trace: expected 00-<32 hexadecimal digits>-<16 hexadecimal digits>-01, not all zero")]
pub struct BadTrace;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_is_the_text_that_it_was() {
        let trace: Trace = TEXT.parse().unwrap();
        assert_eq!(trace, Trace { id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, span: 0xb7ad_6b71_6920_3331 });
        assert_eq!(trace.to_string(), TEXT);
        assert_eq!(TEXT.replace("-01", "-00").parse(), Ok(trace), "who calls may not record it");
        let low = Trace { id: 1, span: 2 };
        assert_eq!(low.to_string().parse(), Ok(low));
    }

    #[test]
    fn nothing_else_is_a_trace() {
        let zero_id = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let sign = "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let wide = "00-0af7651916cd43dd8448eb211c80319\u{e9}-b7ad6b7169203331-01";
        let strange = [zero_id, zero_span, sign, wide, "", "00", "----", "00-1-2-01", &TEXT[..54], &TEXT[1..]];
        let changed =
            [TEXT.to_uppercase(), format!("{TEXT}-"), format!("{TEXT}0"), format!(" {TEXT}"), format!("{TEXT}-x")];
        let versions = ["01", "ff", "0"].map(|version| TEXT.replacen("00", version, 1));
        let flags = ["", "1", "0g", "001"].map(|flags| TEXT.replace("-01", &format!("-{flags}")));
        let owned = changed.iter().chain(&versions).chain(&flags).map(String::as_str);
        for text in strange.into_iter().chain(owned) {
            assert_eq!(text.parse::<Trace>(), Err(BadTrace), "{text:?}");
        }
    }
}
