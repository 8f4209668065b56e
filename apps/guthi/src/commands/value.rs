//! Values that are typed: arguments of functions, what a variable is to be, and what is said in a topic.

use std::{fs, io::Read};

use serde_json::{Value, json};

use crate::{failure::Failure, text::plain};

/// A file larger than this is no argument.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// JSON if it can be read as JSON, and text otherwise.
pub(super) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// What stands in the file that an argument names, or the argument itself.
pub(super) fn given(argument: &str) -> Result<String, Failure> {
    let Some(name) = argument.strip_prefix('@') else { return Ok(argument.to_owned()) };
    if name.starts_with('@') {
        return Ok(name.to_owned());
    }
    let file: Box<dyn Read> = match name {
        "-" => Box::new(std::io::stdin()),
        name => {
            Box::new(fs::File::open(name).map_err(|error| Failure::usage(format!("{name:?} cannot be read: {error}")))?)
        }
    };
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let read = read.map_err(|error| Failure::usage(format!("{name:?} cannot be read: {error}")))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{name:?} is larger than 64 MiB")));
    }
    Ok(text)
}

/// The body of a request that has a value in it: JSON, a text, or encoded bytes.
pub(super) fn wanted(
    argument: &str,
    of_type: Option<&str>,
    base64: bool,
    kind: Option<&str>,
) -> Result<Value, Failure> {
    let text = given(argument)?;
    Ok(match (of_type, base64) {
        (of_type, true) => json!({ "base64": text.trim(), "type": of_type, "kind": kind }),
        // A text needs no quotes where it is said to be one.
        (Some("string" | "char"), false) => {
            let quoted = serde_json::from_str::<Value>(&text).ok().filter(Value::is_string);
            json!({ "value": quoted.unwrap_or(Value::String(text)), "type": of_type })
        }
        (of_type, false) => json!({ "value": value(&text), "type": of_type }),
    })
}

/// A value that came, on one line: as JSON, or its bytes if no node says what they mean.
pub(super) fn told(content: &Value) -> String {
    match (content.get("value"), content["base64"].as_str()) {
        (Some(value), _) => value.to_string(),
        (None, base64) => base64.unwrap_or_default().to_owned(),
    }
}

/// What a node is called, and its id if nobody knows.
pub(super) fn name(node: &Value) -> String {
    plain(node["name"].as_str().or_else(|| node["node"].as_str()).unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_json_if_it_can_be_and_text_otherwise() {
        let read = |text: &str| value(&given(text).unwrap());
        assert_eq!(read("5"), json!(5));
        assert_eq!(read("-2.5"), json!(-2.5));
        assert_eq!(read("five"), json!("five"));
        assert_eq!(read("\"5\""), json!("5"));
        assert_eq!(read("[1, 2]"), json!([1, 2]));
        assert_eq!(read("@@home"), json!("@home"));
        assert_eq!(read(""), json!(""));
        assert!(given("@/no/such/file").is_err());
    }

    #[test]
    fn a_text_needs_no_quotes_where_it_is_said_to_be_one() {
        let of = |text: &str, of_type: Option<&str>| wanted(text, of_type, false, None).unwrap()["value"].take();
        assert_eq!(of("5", Some("string")), json!("5"));
        assert_eq!(of("\"5\"", Some("string")), json!("5"));
        assert_eq!(of("5", None), json!(5));
        let raw = wanted(" AQID\n", None, true, Some("00000000000000ff")).unwrap();
        assert_eq!((&raw["base64"], &raw["kind"]), (&json!("AQID"), &json!("00000000000000ff")));
    }
}
