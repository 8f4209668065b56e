//! Nodes in processes of their own, which can be killed and stopped, and what they say.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use guthi::NodeId;
use rustix::{
    process::{Pid, Signal},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

use crate::cluster::Home;

/// A process of the binary `worker`; it is killed when this is dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    /// Its node.
    pub id: NodeId,
    log: Log,
}

/// What a worker has said so far, and when that was read.
type Log = Arc<Mutex<Vec<(Instant, Line)>>>;

/// What a worker prints after its id: one line of JSON for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Its node told of something.
    Event(Told),
    /// Its view is another one than before.
    View(Seen),
    /// The echoes to some peer have come to take so many milliseconds, in the mean; that is half as long again as before.
    Echo(u64),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The word for it.
    pub name: String,
    /// The peer that it is about: its id, and which of its lives.
    pub peer: Option<Life>,
    /// What was noticed.
    pub reason: Option<String>,
}

/// A view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The line of views that it belongs to.
    pub lineage: String,
    /// Its number there.
    pub epoch: u64,
    /// Who belongs to it, the oldest first.
    pub members: Vec<Life>,
    /// Too few voters answer.
    pub isolated: bool,
}

/// The text of a node's id, and which of its lives it is.
pub type Life = (String, u64);

/// Nanoseconds on the clock that all processes of the machine share.
#[must_use]
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

impl Worker {
    /// Starts one in a home and returns when it is linked with everybody who was there.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(executable: impl AsRef<OsStr>, home: &Home) -> Self {
        Self::spawn(Command::new(executable).arg("--runtime-dir").arg(home.path()))
    }

    /// Starts what this command says, with all the options that it needs, and returns like [`start`](Self::start).
    ///
    /// # Panics
    /// If it does not start.
    pub fn spawn(command: &mut Command) -> Self {
        // Its end ends the process, should this one die without a word.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the worker starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says who it is");
        let id = line.trim().parse().expect("a node id");
        let log = Log::default();
        thread::spawn({
            let log = log.clone();
            move || listen(output, &log)
        });
        Self { child, id, log }
    }

    /// Lets it send a text of so many bytes to its first peer, again and again.
    ///
    /// # Panics
    /// If it has ended.
    pub fn feed(&self, bytes: usize) {
        self.tell(&format!("feed {bytes}"));
    }

    /// Lets clients with numbers from `first` upwards work on variables, and write down what comes of that.
    ///
    /// # Panics
    /// If it has ended.
    pub fn load(&self, first: u64, history: &Path) {
        self.tell(&format!("load {first} {}", history.display()));
    }

    /// Ends that.
    ///
    /// # Panics
    /// If it has ended.
    pub fn rest(&self) {
        self.tell("rest");
    }

    fn tell(&self, what: &str) {
        let mut input = self.child.stdin.as_ref().expect("it is piped");
        writeln!(input, "{what}").expect("it listens");
    }

    /// What its threads are called.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let name =
            |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
        tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Waits until it has ended and given back what it held, as whoever restarts a process does.
    ///
    /// # Panics
    /// If it is nobody's child.
    pub fn wait(&mut self) {
        self.child.wait().expect("it is ours");
    }

    /// `kill -STOP`.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// `kill -CONT`.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The view that it has installed last, and since when.
    #[must_use]
    pub fn view(&self) -> Option<(Instant, Seen)> {
        self.log().iter().rev().find_map(|(at, line)| match line {
            Line::View(seen) => Some((*at, seen.clone())),
            Line::Event(_) | Line::Echo(_) => None,
        })
    }

    /// Everything that it was told, in order.
    #[must_use]
    pub fn told(&self) -> Vec<(Instant, Told)> {
        let told = |(at, line): &(Instant, Line)| match line {
            Line::Event(told) => Some((*at, told.clone())),
            Line::View(_) | Line::Echo(_) => None,
        };
        self.log().iter().filter_map(told).collect()
    }

    /// How long its slowest echoes have come to take, in milliseconds.
    #[must_use]
    pub fn slowest_echo(&self) -> u64 {
        self.log()
            .iter()
            .filter_map(|(_, line)| if let Line::Echo(ms) = line { Some(*ms) } else { None })
            .max()
            .unwrap_or(0)
    }

    /// Everything that it has said.
    #[must_use]
    pub fn said(&self) -> Vec<(Instant, Line)> {
        self.log().clone()
    }

    fn log(&self) -> MutexGuard<'_, Vec<(Instant, Line)>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("the process is ours and not waited for");
    }
}

/// Reads to the end, so that a worker never waits for its reader.
fn listen(output: BufReader<ChildStdout>, log: &Log) {
    for text in output.lines().map_while(Result::ok) {
        let line = serde_json::from_str(&text).unwrap_or_else(|error| panic!("a worker said {text}: {error}"));
        log.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), line));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
