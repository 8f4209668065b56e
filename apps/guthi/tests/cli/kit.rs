//! Nodes in processes of their own, and the commands that ask them.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Nothing here takes longer, unless it hangs.
pub(crate) const HANG: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A place where nodes find each other, and nobody else finds them.
#[derive(Debug)]
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program, with an environment in which nothing of the outside is left.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guthi"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GUTHI_") {
                command.env_remove(name);
            }
        }
        for name in ["COLUMNS", "NO_COLOR", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.env("GUTHI_RUNTIME_DIR", self.path("run")).env("http_proxy", "http://127.0.0.1:1").env("TZ", "UTC");
        command.current_dir(self.directory.path()).args(arguments).stdin(Stdio::null());
        command
    }

    /// What a command gave, of which nothing is expected.
    pub(crate) fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command printed that did what it should.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as JSON.
    pub(crate) fn json<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Value {
        let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).chain(["-o".as_ref(), "json".as_ref()]).collect();
        serde_json::from_str(&self.run(&arguments)).unwrap()
    }

    /// The exit code and the errors of a command that did not do what it should.
    pub(crate) fn refused<S: AsRef<OsStr>>(&self, arguments: &[S]) -> (i32, String) {
        let output = self.output(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Starts a node, and returns when it serves.
    pub(crate) fn start(&self, name: &str, options: &[&str]) -> Process {
        let mut command = self.command(&["node", "start", "--child", "--name", name, "-o", "jsonl"]);
        let mut process = Process::spawn(command.args(options));
        process.told = serde_json::from_str(&process.line()).unwrap();
        process
    }

    /// Waits until a node sees so many nodes alive, itself among them.
    pub(crate) fn wait_for(&self, alive: usize, node: &str) {
        self.eventually(&format!("{node} sees {alive}"), || {
            let seen = self.json(&["node", "ls", "--status", "alive", "--node", node]);
            let seen = seen["items"].as_array().unwrap();
            seen.len() == alive && seen.iter().all(|node| node["rtt_ms"].is_number() || node["self"] == true)
        });
    }

    /// Asks again and again.
    pub(crate) fn eventually(&self, what: &str, mut happens: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !happens() {
            assert!(begin.elapsed() < HANG, "it never happens: {what}");
            thread::sleep(PAUSE);
        }
    }
}

/// All that is known of a command that went wrong.
pub(crate) fn told(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{error}", output.status)
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    lines: BufReader<std::process::ChildStdout>,
    /// What a node said when it started.
    pub(crate) told: Value,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, told: Value::Null }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        if self.lines.read_line(&mut line).unwrap() == 0 {
            let mut error = String::new();
            let _ = self.child.kill();
            self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("it has ended: {error}");
        }
        line
    }

    /// What it prints until it ends, and what it ends with.
    pub(crate) fn rest(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut error) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (self.child.wait().unwrap().code(), out, error)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the golden files.
pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
