//! `guthi lock`.

use std::{ffi::OsStr, pin::pin, process::ExitStatus, time::Duration};

use guthi::Node;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use crate::{
    arguments::{Globals, LockRun},
    client::Client,
    embedded,
    failure::{Exit, Failure},
    held::{Held, Patience},
    screen::Screen,
    signals::{self, Signals},
    table::Grid,
    target,
    text::{plain, span},
};

/// Who waits for longer is told for whom.
const QUIET_WAIT: Duration = Duration::from_secs(1);

/// Lists the mutexes, and who holds them.
pub(crate) fn list(prefix: Option<&str>, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
    let answer = client.get("/mutexes", &[("prefix", prefix.unwrap_or_default()), ("limit", "1000")])?;
    screen.list(&answer, table)?;
    if answer["more"] == true || answer["next"].is_string() {
        screen.note("there are more: say how those begin that you look for");
    }
    let silent: Vec<_> = items(&answer["unanswered"]).iter().map(name).collect();
    if silent.is_empty() {
        return Ok(Exit::Ok);
    }
    screen.note(&format!("no answer from {}: there may be more", silent.join(", ")));
    Ok(Exit::Partial)
}

fn table(mutexes: &[Value]) -> Grid {
    let mut grid = Grid::new(&[("NAME", 0), ("HOLDER", 0), ("HELD", 1), ("FENCE", 2), ("WAITERS", 1)]);
    for mutex in mutexes {
        let holder = &mutex["holder"];
        grid.row(vec![
            mutex["name"].as_str().unwrap_or_default().into(),
            if holder.is_null() { "–".to_owned() } else { name(holder) }.into(),
            holder["held_ms"].as_u64().map(|ms| span(Duration::from_millis(ms))).unwrap_or_default().into(),
            holder["fence"].as_str().unwrap_or_default().into(),
            waiters(mutex).into(),
        ]);
    }
    grid
}

/// `ben 2, cat`: the nodes, and of how many of their tasks it is more than one.
fn waiters(mutex: &Value) -> String {
    let waiter = |waiter: &Value| match waiter["count"].as_u64() {
        Some(count @ 2..) => format!("{} {count}", name(waiter)),
        _ => name(waiter),
    };
    items(&mutex["waiters"]).iter().map(waiter).collect::<Vec<_>>().join(", ")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What a node is called, and its id if nobody knows.
fn name(node: &Value) -> String {
    plain(node["name"].as_str().or_else(|| node["node"].as_str()).unwrap_or("?"))
}

/// Runs a command while this one holds a mutex.
pub(crate) fn run(run: &LockRun, globals: &Globals, screen: &Screen) -> Result<Exit, Failure> {
    let runtime = match run.within.ephemeral {
        true => tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        false => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
    };
    let done = runtime.block_on(async {
        if !run.within.ephemeral {
            let client = target::find(globals, screen)?;
            return under(run, &Way::Asked(client.into()), screen).await;
        }
        let node = embedded::member(&run.within.cluster, run.within.key_file.as_deref(), globals.timeout).await?;
        let done = under(run, &Way::Within(node.clone()), screen).await;
        let _ = node.leave().await;
        done
    });
    // A question that was not answered yet does not matter any more.
    runtime.shutdown_background();
    done
}

/// Which node gets the mutex.
enum Way {
    Asked(std::sync::Arc<Client>),
    Within(Node),
}

async fn under(run: &LockRun, way: &Way, screen: &Screen) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let mut held = get(run, way, &mut signals, screen).await?;
    if held.previous_holder_died {
        screen.note("whoever held it before died, and has perhaps not finished: look at what was left behind");
    }
    let (child, program) = match spawn(run, &held) {
        Ok(child) => child,
        Err(failure) => {
            held.give_back().await;
            return Err(failure);
        }
    };
    let (status, is_lost) = attend(child, run, &mut held, &mut signals, screen).await?;
    if is_lost {
        return Ok(Exit::Conflict);
    }
    if !held.give_back().await {
        return Err(lost(&run.name, &format!("while {program} ran, which has ended by itself")));
    }
    Ok(Exit::Of(code(status)))
}

/// Waits for the mutex, and says after a while for whom.
async fn get(run: &LockRun, way: &Way, signals: &mut Signals, screen: &Screen) -> Result<Held, Failure> {
    let patience = match (run.wait, run.tries) {
        (_, true) => Patience::None,
        (Some(wait), false) => Patience::For(wait),
        (None, false) => Patience::Endless,
    };
    let mut getting = pin!(async {
        match way {
            Way::Asked(client) => Held::asked(client, &run.name, patience).await,
            Way::Within(node) => Held::within(node, &run.name, patience).await,
        }
    });
    let mut telling = pin!(async {
        tokio::time::sleep(QUIET_WAIT).await;
        way.holder(&run.name).await
    });
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            held = &mut getting => return held,
            signal = signals.next() => {
                let failure = Failure::new("interrupted", format!("nobody waits for the mutex `{}` any more", run.name));
                return Err(failure.exits(Exit::Of(128_u8.saturating_add(u8::try_from(signal.as_raw()).unwrap_or(0)))));
            }
            holder = &mut telling, if !is_told => {
                is_told = true;
                screen.note(&format!("waiting for the mutex {}: {holder}", plain(&run.name)));
            }
        }
    }
}

impl Way {
    /// Who has a mutex, for whoever waits for it.
    async fn holder(&self, mutex: &str) -> String {
        let known = match self {
            Self::Asked(client) => {
                let (client, mutex) = (client.clone(), mutex.to_owned());
                let asked = move || client.get("/mutexes", &[("prefix", &mutex), ("limit", "1")]);
                let answer = tokio::task::spawn_blocking(asked).await.ok().and_then(Result::ok);
                answer.map(|mut answer| answer["items"][0].take())
            }
            Self::Within(node) => within(node, mutex).await,
        };
        let known = known.filter(|known| known["name"] == mutex).unwrap_or_default();
        match &known["holder"] {
            Value::Null => "nobody has said that it has it".into(),
            holder => {
                let held = span(Duration::from_millis(holder["held_ms"].as_u64().unwrap_or_default()));
                format!(
                    "{} has had it for {held}, with the fence {}",
                    name(holder),
                    plain(holder["fence"].as_str().unwrap_or("?"))
                )
            }
        }
    }
}

/// The same as a node within this command knows it, in the form of the HTTP interface.
async fn within(node: &Node, mutex: &str) -> Option<Value> {
    let info = node.mutexes(mutex).await.items.into_iter().next()?;
    let holder = info.holder.map(|holder| {
        let name = embedded::name(node, holder.node);
        let held_ms = u64::try_from(holder.held_for.as_millis()).unwrap_or(u64::MAX);
        json!({"node": holder.node.to_string(), "name": name, "fence": holder.fence, "held_ms": held_ms})
    });
    Some(json!({"name": info.name, "holder": holder}))
}

fn spawn(run: &LockRun, held: &Held) -> Result<(Child, String), Failure> {
    let (program, arguments) = run.command.split_first().ok_or_else(|| Failure::usage("no command is given"))?;
    let mut command = Command::new(program);
    command.args(arguments).env("GUTHI_LOCK", &run.name).env("GUTHI_FENCE", &held.fence);
    match held.previous_holder_died {
        true => command.env("GUTHI_PREVIOUS_HOLDER_DIED", "1"),
        false => command.env_remove("GUTHI_PREVIOUS_HOLDER_DIED"),
    };
    let program = shown(program);
    match command.spawn() {
        Ok(child) => Ok((child, program)),
        Err(error) => {
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            let failure = Failure::new("not_started", format!("{program} cannot be started: {error}"));
            Err(failure.exits(Exit::Of(if is_missing { 127 } else { 126 })))
        }
    }
}

fn shown(program: &OsStr) -> String {
    format!("{program:?}")
}

/// Waits until the command has ended; tells it to end if the mutex is lost. Returns also whether that came about.
async fn attend(
    mut child: Child,
    run: &LockRun,
    held: &mut Held,
    signals: &mut Signals,
    screen: &Screen,
) -> Result<(ExitStatus, bool), Failure> {
    let pid = child.id();
    let program = run.command.first().map(|program| shown(program)).unwrap_or_default();
    let mut losing = pin!(held.lost());
    // Until when it may go on after the loss.
    let mut grace = None;
    let mut is_killed = false;
    loop {
        let over = async {
            match grace.filter(|_| !is_killed) {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            status = child.wait() => return Ok((status?, grace.is_some())),
            why = &mut losing, if grace.is_none() => {
                screen.complain(&lost(&run.name, &format!("while {program} ran, which is told to end: {why}")));
                signals::send(Signal::TERM, pid);
                grace = Some(Instant::now() + run.grace);
            }
            () = over => {
                is_killed = true;
                screen.note(&format!("{program} does not end, and is killed"));
                signals::send(Signal::KILL, pid);
            }
            signal = signals.next() => signals::pass_on(signal, pid),
        }
    }
}

fn lost(mutex: &str, when: &str) -> Failure {
    let message = format!("the mutex `{mutex}` was lost {when}");
    let next = "somebody else may hold it now: look at what was done under it; where it must not happen twice, let what \
                the command changes refuse a lower GUTHI_FENCE";
    Failure::new("lost", message).next(next).outcome("unknown").exits(Exit::Conflict)
}

/// What a shell would say.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Failure.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_are_counted_where_it_says_something() {
        let mutex = json!({"waiters": [
            {"node": "12D3KooW1", "name": "ben", "count": 2},
            {"node": "12D3KooW2", "name": "cat", "count": 1},
            {"node": "12D3KooW3", "name": null, "count": 1},
        ]});
        assert_eq!(waiters(&mutex), "ben 2, cat, 12D3KooW3");
        assert_eq!(waiters(&json!({"waiters": []})), "");
    }
}
