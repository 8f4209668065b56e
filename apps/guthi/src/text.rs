//! Text from others, and numbers for people.

use std::{
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Text of others as it may be shown: what steers a terminal, or turns the direction of writing around, is spelt out.
pub(crate) fn plain(text: &str) -> String {
    let spelt = |c: char| if is_steering(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(spelt).collect()
}

/// The same for text of several lines.
pub(crate) fn plain_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|part| match part.char_indices().next_back() {
            Some((end, last @ ('\n' | '\t'))) => format!("{}{last}", plain(&part[..end])),
            _ => plain(part),
        })
        .collect()
}

/// Whether a character does something to a terminal instead of standing there.
pub(crate) fn is_steering(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON in which nothing steers a terminal: all of it stands in strings, and means the same there when it is spelt out.
pub(crate) fn plain_json(json: &str) -> String {
    let spelt = |c: char| match c {
        '\n' => "\n".to_owned(),
        c if is_steering(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    json.chars().map(spelt).collect()
}

/// How long, in the two digits that matter: `3 s`, `5 m`, `2 h`, `4 d`.
pub(crate) fn span(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} m", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Milliseconds since 1970 of an RFC 3339 time in UTC.
pub(crate) fn unix_ms(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let millis = if time.get(19..20) == Some(".") { number(20..23)? } else { 0 };
    Some((days(year, month, day) * 86_400 + seconds) * 1000 + millis)
}

/// Days since 1970 of a date, by the calendar of 400 years that ends in February.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The time of day, with milliseconds.
pub(crate) fn clock(unix_ms: i64, offset: Duration, west: bool) -> String {
    let offset = i64::try_from(offset.as_millis()).unwrap_or(0);
    let ms = (unix_ms + if west { -offset } else { offset }).rem_euclid(86_400_000);
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// How far the local time is from UTC, and whether it is behind.
///
/// The standard library knows no time zones; the system's own tool does.
pub(crate) fn local_offset() -> (Duration, bool) {
    let date = Command::new("date").arg("+%z").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let digits = |range| text.get(range).and_then(|text: &str| text.parse::<u64>().ok()).unwrap_or(0);
    (Duration::from_secs(digits(1..3) * 3600 + digits(3..5) * 60), text.starts_with('-'))
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A length of time as people type it: `500ms`, `5s`, `1.5s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a number and ms, s, m or h, such as 500ms or 5s".into()),
    };
    let number: f64 = number.parse().map_err(|_| "the number is missing".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(plain("a\x1b[31mb\u{9b}c\u{202e}d\u{7f}ü"), "a\\u{1b}[31mb\\u{9b}c\\u{202e}d\\u{7f}ü");
        assert_eq!(plain_lines("a\tb\r\nc\x07"), "a\tb\\r\nc\\u{7}");
        let value = serde_json::json!({"a": "\u{1b}[0m\u{9b}\u{7f}\u{202e}"});
        let shown = plain_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(shown.chars().all(|c| !is_steering(c) || c == '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn times_are_read_and_shown() {
        assert_eq!(unix_ms("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(unix_ms("2026-11-22T01:28:42.123Z"), Some(1_795_310_922_123));
        assert_eq!(unix_ms("2024-02-29T23:59:59Z"), Some(1_709_251_199_000));
        assert_eq!(unix_ms("soon"), None);
        assert_eq!(clock(1_795_310_922_123, Duration::from_secs(5400), false), "02:58:42.123");
        assert_eq!(clock(1_795_310_922_123, Duration::from_secs(7200), true), "23:28:42.123");
    }

    #[test]
    fn lengths_of_time_are_read_and_shown() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "5", "s", "5 parsecs", "-1s", "1e99s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        let spans = [0, 59, 60, 3599, 3600, 86_400, 172_800].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["0 s", "59 s", "1 m", "59 m", "1 h", "24 h", "2 d"]);
    }
}
