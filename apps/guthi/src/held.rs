//! A mutex that is held for this command: by a local node for as long as one connection lives, or by a node within it.

use std::time::Duration;

use guthi::{Guard, LockError, Node};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::{Client, segment},
    failure::{Exit, Failure},
    text::plain,
};

/// A head, a line or an error that is longer than this is none of ours.
const PART_BYTES_MAX: u64 = 64 * 1024;
/// A node says every second that the mutex is held. One that says nothing for so long is taken for dead by the others by
/// then, who go on without it.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How long the node may take to hear that the mutex is given back.
const GIVE_BACK_MAX: Duration = Duration::from_secs(2);

/// For how long somebody is ready to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    Endless,
    For(Duration),
    None,
}

/// The mutex is this command's.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) fence: String,
    pub(crate) previous_holder_died: bool,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// The answer of a node, which goes on for as long as the mutex is held.
    Asked {
        name: String,
        answer: BufReader<TcpStream>,
    },
    Within(Guard),
}

impl Held {
    /// Lets a local node get it.
    pub(crate) async fn asked(client: &Client, name: &str, patience: Patience) -> Result<Self, Failure> {
        let unreachable = |error: &dyn std::fmt::Display| client.unreachable(error);
        let stream = match timeout(client.timeout, TcpStream::connect(client.host())).await {
            Ok(stream) => stream.map_err(|error| unreachable(&error))?,
            Err(_) => return Err(unreachable(&"it does not answer")),
        };
        let mut answer = BufReader::new(stream);
        let request = client.lasting_request(&format!("/mutexes/{}/lock", segment(name)), &wanted(patience));
        answer.write_all(request.as_bytes()).await.map_err(|error| unreachable(&error))?;
        let granted = match patience.with(client.timeout) {
            None => granted(&mut answer).await,
            Some(patience) => timeout(patience, granted(&mut answer)).await.unwrap_or_else(|_| {
                Err(Failure::new("timeout", format!("{} did not answer in time", plain(&client.name))))
            }),
        };
        let granted = granted.map_err(not_had)?;
        let (fence, died) = (granted["fence"].as_str(), granted["previous_holder_died"].as_bool());
        Ok(Self {
            fence: fence.unwrap_or_default().to_owned(),
            previous_holder_died: died.unwrap_or_default(),
            way: Way::Asked { name: plain(&client.name), answer },
        })
    }

    /// Lets a node within this command get it.
    pub(crate) async fn within(node: &Node, name: &str, patience: Patience) -> Result<Self, Failure> {
        let mutex = node.mutex(name);
        let got = match patience {
            Patience::Endless => mutex.lock().await,
            Patience::For(wait) => mutex.lock_timeout(wait).await,
            Patience::None => match mutex.try_lock().await {
                Ok(Some(guard)) => Ok(guard),
                Ok(None) => {
                    let busy = Failure::new("busy", format!("somebody has the mutex `{name}`, or waits for it"));
                    return Err(not_had(busy.next("see who holds it with `guthi lock ls`, or wait for it")));
                }
                Err(error) => Err(error),
            },
        };
        let guard = got.map_err(|error| not_had(refused(&error)))?;
        Ok(Self {
            fence: guard.fence().to_string(),
            previous_holder_died: guard.previous_holder_died(),
            way: Way::Within(guard),
        })
    }

    /// Resolves when it can no longer be told that the mutex is held, and says why.
    pub(crate) async fn lost(&mut self) -> String {
        let (name, answer) = match &mut self.way {
            Way::Asked { name, answer } => (name, answer),
            Way::Within(guard) => {
                guard.lost().await;
                return "too few of the other nodes answer, or they went on without this one".into();
            }
        };
        loop {
            match timeout(SILENCE_MAX, line(answer)).await {
                Ok(Some(said)) if said["lost"] == true => return format!("the node {name} has lost it, or leaves"),
                Ok(Some(_)) => {}
                Ok(None) => return format!("the connection to the node {name} broke"),
                Err(_) => return format!("the node {name} has said nothing for {} s", SILENCE_MAX.as_secs()),
            }
        }
    }

    /// Gives it back, and says whether it was held until now. When this returns, whoever comes next finds it free.
    pub(crate) async fn give_back(self) -> bool {
        match self.way {
            Way::Within(guard) => guard.unlock().await.is_ok(),
            Way::Asked { mut answer, .. } => {
                let told = async {
                    answer.shutdown().await.is_ok() && {
                        while let Some(said) = line(&mut answer).await {
                            if said["lost"] == true {
                                return false;
                            }
                        }
                        true
                    }
                };
                timeout(GIVE_BACK_MAX, told).await.unwrap_or(false)
            }
        }
    }
}

impl Patience {
    /// The same for whoever asks another one to wait.
    fn with(self, more: Duration) -> Option<Duration> {
        match self {
            Self::Endless => None,
            Self::For(wait) => Some(wait.saturating_add(more)),
            // A try is answered within a second.
            Self::None => Some(more.max(Duration::from_secs(2))),
        }
    }
}

fn wanted(patience: Patience) -> Value {
    match patience {
        Patience::Endless => json!({}),
        Patience::For(wait) => json!({"wait_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)}),
        Patience::None => json!({"try": true}),
    }
}

/// What is told when it is granted.
async fn granted(answer: &mut BufReader<TcpStream>) -> Result<Value, Failure> {
    let strange = |what: &str| Failure::new("internal", format!("the node gave an answer that cannot be read: {what}"));
    let mut head = (&mut *answer).take(PART_BYTES_MAX);
    let mut first = String::new();
    head.read_line(&mut first).await.map_err(|error| strange(&error.to_string()))?;
    let mut header = String::new();
    while head.read_line(&mut header).await.is_ok_and(|bytes| bytes > 0) && !header.trim_end().is_empty() {
        header.clear();
    }
    if first.split(' ').nth(1) == Some("200") {
        return line(answer).await.map(|mut said| said["granted"].take()).ok_or_else(|| strange("it ends too early"));
    }
    let mut body = Vec::new();
    let read = answer.take(PART_BYTES_MAX).read_to_end(&mut body).await;
    let told: Option<Value> = read.ok().and_then(|_| serde_json::from_slice(&body).ok());
    match told {
        Some(told) if told["error"].is_object() => Err(Failure::of(&told["error"])),
        _ if first.is_empty() => Err(Failure::new("no_local_node", "the node went away before it answered")),
        _ => Err(strange(first.trim_end())),
    }
}

/// The next line of an answer; nothing when it has ended.
async fn line(answer: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut line = Vec::new();
    let read = answer.take(PART_BYTES_MAX).read_until(b'\n', &mut line).await;
    read.ok().filter(|bytes| *bytes > 0)?;
    serde_json::from_slice(&line).ok()
}

/// Whoever did not get it has met somebody else, whatever kept the others from answering.
fn not_had(failure: Failure) -> Failure {
    match failure.code() {
        "busy" | "timeout" | "unanswered" => failure.exits(Exit::Conflict),
        _ => failure,
    }
}

fn refused(error: &LockError) -> Failure {
    let code = match error {
        LockError::BadName { .. } => "bad_name",
        LockError::Timeout { .. } => "timeout",
        LockError::Unanswered { .. } => "unanswered",
        LockError::TooManyWaiters { .. } => "too_many_waiters",
        LockError::Left => "left",
        _ => "failure",
    };
    let failure = Failure::new(code, error.to_string());
    match error.next_step() {
        Some(next) => failure.next(next),
        None => failure,
    }
}
