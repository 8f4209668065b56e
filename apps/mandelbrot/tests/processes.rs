//! The program as its user runs it: real processes, killed and stopped while they draw.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Nothing here takes longer, unless it hangs.
const HANG: Duration = Duration::from_secs(60);

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandelbrot"));
        command.env("GUTHI_RUNTIME_DIR", self.file("run")).stdin(Stdio::null());
        for variable in ["GUTHI_KEY", "GUTHI_JOIN", "GUTHI_CLUSTER", "GUTHI_NAME", "GUTHI_LISTEN"] {
            command.env_remove(variable);
        }
        command
    }

    /// Draws a picture that takes a second or so; returns what was said and the picture's hash.
    fn draw(&self, name: &str, options: &[&str]) -> (Value, String) {
        let file = self.file(name);
        let output = self.command().args(WORK).args(options).args(["--json", "-o"]).arg(&file).output().unwrap();
        (said(&output), hash(&file))
    }
}

const WORK: [&str; 6] = ["--place", "tapestry", "--size", "960x540", "--iters", "20000"];

fn said(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn hash(file: &Path) -> String {
    Sha256::digest(fs::read(file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn nodes(said: &Value) -> &Vec<Value> {
    said["nodes"].as_array().unwrap()
}

fn failed(said: &Value) -> usize {
    nodes(said).iter().filter(|node| !node["failed"].is_null()).count()
}

/// A process that is killed when the test ends, however it ends.
struct Process(Child);

impl Process {
    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Clock ticks that the process has computed for.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit(')').next().unwrap().split_whitespace().nth(11).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_picture_is_the_same_file_whatever_the_number_of_nodes_and_whoever_is_killed() {
    let place = Place::new();
    let (alone, one) = place.draw("one.png", &[]);
    let (three, many) = place.draw("many.png", &["--nodes", "3"]);
    let (killed, survivors) = place.draw("killed.png", &["--nodes", "2", "--kill-one"]);
    assert_eq!(one, many);
    assert_eq!(one, survivors);
    assert_eq!((nodes(&alone).len(), nodes(&three).len(), nodes(&killed).len()), (1, 4, 3));
    assert_eq!((failed(&alone), failed(&three), failed(&killed)), (0, 0, 1));
}

#[test]
fn a_worker_that_is_stopped_does_not_hold_the_picture_up() {
    let place = Place::new();
    let (_, expected) = place.draw("alone.png", &[]);
    let mut child = place.command().args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let worker = Process(child);
    let join = lines.by_ref().map(Result::unwrap).find(|line| line.contains("--join")).unwrap();
    let address = join.split_whitespace().last().unwrap();
    let idle = worker.ticks();
    let file = place.file("stopped.png");
    let mut drawing = place.command();
    drawing.args(WORK).args(["--json", "--join", address, "-o"]).arg(&file);
    let drawing = drawing.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while worker.ticks() < idle + 3 {
        assert!(begin.elapsed() < HANG, "the worker gets nothing to do");
        thread::yield_now();
    }
    worker.signal("-STOP");
    let output = drawing.wait_with_output().unwrap();
    assert_eq!(nodes(&said(&output)).len(), 2);
    assert_eq!(hash(&file), expected);
}

#[test]
fn the_counts_are_written_as_they_are_specified() {
    let place = Place::new();
    let raw = place.file("home.u32");
    let options = ["--place", "home", "--size", "64x48", "--iters", "1000", "--nodes", "1", "--raw"];
    let output = place.command().args(options).arg(&raw).arg("-o").arg(place.file("home.png")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(&raw).unwrap().len(), 64 * 48 * 4);
    assert!(hash(&raw).starts_with("ad1499d47d35f2ab"), "{}", hash(&raw));
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_computed() {
    let place = Place::new();
    for target in [place.file("missing/a.png"), place.directory.path().to_owned()] {
        let output = place.command().args(["--size", "60000x10000", "-o"]).arg(&target).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("error: "), "{error}");
    }
}

#[test]
fn nobody_at_the_address_is_an_error_that_says_what_to_do() {
    let place = Place::new();
    let output = place.command().args(["--join", "127.0.0.1:1", "-o"]).arg(place.file("a.png")).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("127.0.0.1:1") && error.contains("worker"), "{error}");
}
