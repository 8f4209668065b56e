//! `guthi lab`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::{
    arguments::Lab,
    failure::{Exit, Failure},
    screen::Screen,
    text::plain,
};

/// How long a child may take to leave before it is killed.
const LEAVE_MAX: Duration = Duration::from_secs(10);
/// SIGTERM, with which they are told to leave.
const TERMINATED: i32 = rustix::process::Signal::TERM.as_raw();
/// How often one child is started again.
const RESTARTS_MAX: u32 = 5;
/// The pause before the first of these; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);
/// How long its last words may take after a child has ended.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);
/// Lines that wait to be shown; then the children wait.
const LINES_QUEUED_MAX: usize = 256;
/// A longer line is shown in parts.
const LINE_BYTES_MAX: u64 = 64 * 1024;

const NAMES: [&str; 8] = ["ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal"];

/// Starts the children, shows what they say, and ends them.
pub(crate) fn run(options: Lab, screen: &Screen) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Laboratory::new(options, screen).work())
}

#[derive(Debug)]
struct Laboratory<'a> {
    options: Lab,
    cluster: String,
    screen: &'a Screen,
    said: mpsc::Sender<Said>,
    heard: mpsc::Receiver<Said>,
    /// By its place.
    alive: HashMap<usize, Running>,
    restarts: HashMap<usize, u32>,
    failed: bool,
}

#[derive(Debug)]
struct Running {
    pid: Option<u32>,
    /// As long as this is open, the child is wanted.
    stdin: Option<ChildStdin>,
}

/// What is told of a child.
#[derive(Debug)]
enum Said {
    Line { place: usize, error: bool, text: String },
    Ended { place: usize, status: std::io::Result<ExitStatus> },
    Again { place: usize },
}

impl<'a> Laboratory<'a> {
    fn new(options: Lab, screen: &'a Screen) -> Self {
        let (said, heard) = mpsc::channel(LINES_QUEUED_MAX);
        let cluster = format!("lab-{:08x}", RandomState::new().hash_one(0) as u32);
        let (alive, restarts) = (HashMap::new(), HashMap::new());
        Self { options, cluster, screen, said, heard, alive, restarts, failed: false }
    }

    async fn work(mut self) -> Result<Exit, Failure> {
        let places = 0..usize::from(self.options.nodes);
        self.screen.note(&format!("a lab of {} in the cluster {}; Ctrl-C ends it", self.options.nodes, self.cluster));
        for place in places {
            if let Err(failure) = self.start(place) {
                self.end().await?;
                return Err(failure);
            }
        }
        let interrupted = interrupted()?;
        let mut interrupted = pin!(interrupted);
        while !self.alive.is_empty() || self.is_awaited() {
            tokio::select! {
                said = self.heard.recv() => self.hear(said)?,
                () = &mut interrupted => {
                    self.screen.note("the lab ends");
                    self.end().await?;
                    return Ok(Exit::Ok);
                }
            }
        }
        self.screen.note("all have ended");
        Ok(if self.failed { Exit::Failure } else { Exit::Ok })
    }

    /// Whether some child is going to be started again.
    fn is_awaited(&self) -> bool {
        self.restarts.iter().any(|(place, restarts)| !self.alive.contains_key(place) && *restarts <= RESTARTS_MAX)
    }

    fn start(&mut self, place: usize) -> Result<(), Failure> {
        let mut child = self.command(place)?.spawn().map_err(|error| {
            let program = self.options.program.first().map_or("guthi", String::as_str);
            Failure::new("failure", format!("{program:?} cannot be started: {error}"))
        })?;
        let running = Running { pid: child.id(), stdin: child.stdin.take() };
        self.alive.insert(place, running);
        tokio::spawn(attend(child, place, self.said.clone()));
        Ok(())
    }

    fn command(&self, place: usize) -> Result<Command, Failure> {
        let mut command = match self.options.program.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            None => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["node", "start", "--child"]);
                command
            }
        };
        command.env("GUTHI_CLUSTER", &self.cluster).env("GUTHI_NAME", name(place));
        command.env("GUTHI_RUNTIME_DIR", guthi::runtime_dir());
        for foreign in ["GUTHI_JOIN", "GUTHI_LISTEN", "GUTHI_NODE", "GUTHI_OUTPUT"] {
            command.env_remove(foreign);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the lab, which lets them leave one signal each.
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }

    fn hear(&mut self, said: Option<Said>) -> Result<(), Failure> {
        match said {
            Some(Said::Line { place, error, text }) => self.show(place, error, &text),
            Some(Said::Ended { place, status }) => {
                self.alive.remove(&place);
                self.failed |= !status.as_ref().is_ok_and(ExitStatus::success);
                self.tell_end(place, &status);
                self.again(place);
                Ok(())
            }
            Some(Said::Again { place }) => self.start(place),
            None => Ok(()),
        }
    }

    fn tell_end(&self, place: usize, status: &std::io::Result<ExitStatus>) {
        let told = status.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        self.screen.note(&format!("{} has ended: {told}", name(place)));
    }

    /// Starts a child again in a while, unless that was done too often.
    fn again(&mut self, place: usize) {
        if !self.options.restart {
            return;
        }
        let restarts = self.restarts.entry(place).or_default();
        *restarts += 1;
        if *restarts > RESTARTS_MAX {
            self.screen.note(&format!("{} is not started again: it has ended too often", name(place)));
            return;
        }
        let pause = PAUSE * 2_u32.pow(*restarts - 1);
        let said = self.said.clone();
        tokio::spawn(async move {
            sleep(pause).await;
            let _ = said.send(Said::Again { place }).await;
        });
    }

    fn show(&self, place: usize, error: bool, text: &str) -> Result<(), Failure> {
        let name = name(place);
        if self.screen.is_json() {
            let stream = if error { "stderr" } else { "stdout" };
            return self.screen.json_line(&json!({"name": name, "stream": stream, "line": text}));
        }
        self.screen.line(&format!("{name:<4} {}", plain(text)))
    }

    /// Lets all leave, and kills those who do not.
    async fn end(&mut self) -> Result<(), Failure> {
        for running in self.alive.values_mut() {
            running.stdin = None;
            signal(running.pid, rustix::process::Signal::TERM);
        }
        let patience = Instant::now() + LEAVE_MAX;
        while !self.alive.is_empty() {
            match timeout(patience.saturating_duration_since(Instant::now()), self.heard.recv()).await {
                Ok(Some(Said::Line { place, error, text })) => self.show(place, error, &text)?,
                Ok(Some(Said::Ended { place, status })) => {
                    self.alive.remove(&place);
                    // Who does not listen to the signal that it was sent ends by it, as it should.
                    if !status.as_ref().is_ok_and(|status| status.success() || status.signal() == Some(TERMINATED)) {
                        self.tell_end(place, &status);
                    }
                }
                Ok(Some(Said::Again { .. })) => {}
                Ok(None) | Err(_) => break,
            }
        }
        for (place, running) in self.alive.drain() {
            self.screen.note(&format!("{} does not end, and is killed", name(place)));
            signal(running.pid, rustix::process::Signal::KILL);
        }
        Ok(())
    }
}

/// Resolves when the lab is told to end.
fn interrupted() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// To a child whose end has not been heard of.
fn signal(pid: Option<u32>, signal: rustix::process::Signal) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Passes on all that a child says, and then how it ended.
async fn attend(mut child: Child, place: usize, said: mpsc::Sender<Said>) {
    let (out, error) = (child.stdout.take(), child.stderr.take());
    let mut reading = pin!(async { tokio::join!(read(out, place, false, &said), read(error, place, true, &said)) });
    let status = tokio::select! {
        _ = &mut reading => child.wait().await,
        status = child.wait() => {
            // Processes of its own may hold its outputs for longer.
            let _ = timeout(LAST_WORDS_MAX, &mut reading).await;
            status
        }
    };
    let _ = said.send(Said::Ended { place, status }).await;
}

/// Passes on what a child prints, line by line.
async fn read(output: Option<impl AsyncRead + Unpin>, place: usize, error: bool, said: &mpsc::Sender<Said>) {
    use tokio::io::AsyncReadExt;
    let Some(output) = output else { return };
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match (&mut output).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        if said.send(Said::Line { place, error, text }).await.is_err() {
            return;
        }
    }
}

fn name(place: usize) -> String {
    NAMES.get(place).map_or_else(|| format!("n{}", place + 1), |name| (*name).to_owned())
}
