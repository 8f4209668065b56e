//! Rescue files: what a node holds is written down before it gives that up to join another lineage.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::ListedVariable;
use crate::runtime::driver::Driver;

/// One line of a rescue file.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    /// What its type is called: 16 hexadecimal digits.
    kind: String,
    version: String,
    /// Its encoded value, in hexadecimal digits.
    value: String,
}

impl Driver {
    /// Writes the variables that are kept here into a file of this user, one JSON object a line, and says how many they were.
    ///
    /// # Errors
    /// The file cannot be written; nothing is given up then.
    pub(in crate::runtime) fn rescue_variables(&self) -> io::Result<usize> {
        let variables = self.list_variables("", usize::MAX);
        if variables.is_empty() {
            return Ok(0);
        }
        let path = self.rescue_path();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = BufWriter::new(options.open(&path)?);
        for ListedVariable { name, known } in &variables {
            let Some(value) = &known.state.value else { continue };
            let hexadecimal = value.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let kind = format!("{:016x}", value.kind);
            let line = Line { name, kind, version: known.state.version.to_string(), value: hexadecimal };
            serde_json::to_writer(&mut file, &line)?;
            file.write_all(b"\n")?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        tracing::warn!(path = %path.display(), variables = variables.len(), "the variables of this lineage are written into a \
            file, and given up");
        Ok(variables.len())
    }

    fn rescue_path(&self) -> PathBuf {
        let directory = self.setup.rescue_dir.clone().unwrap_or_else(std::env::temp_dir);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let node = self.setup.credentials.me.node.to_string();
        let short = node.get(node.len().saturating_sub(8)..).unwrap_or(&node);
        directory.join(format!("guthi-rescue-{short}-{}.jsonl", since.as_nanos()))
    }
}
