//! `guthi key`.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use guthi::ClusterKey;
use serde_json::json;

use crate::{failure::Failure, options, screen::Screen};

/// Makes a key; it is printed, or goes into a new file.
pub(crate) fn new(file: Option<&Path>, screen: &Screen) -> Result<(), Failure> {
    let key = ClusterKey::generate().map_err(options::not_started)?.to_text();
    let Some(path) = file else { return screen.say(&key, &json!({"key": key})) };
    let cannot = |error: std::io::Error| {
        let code = if error.kind() == std::io::ErrorKind::AlreadyExists { "conflict" } else { "failure" };
        Failure::new(code, format!("cannot write the key into {}: {error}", path.display()))
    };
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    writeln!(written, "{key}").map_err(cannot)?;
    let said = format!("{} holds a new key: give it to all nodes of the cluster, with --key-file", path.display());
    screen.say(&said, &json!({"file": path}))
}
