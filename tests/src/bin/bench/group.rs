//! Members in processes of their own, seen from the process that measures.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use guthi::ClusterKey;
use guthi_tests::process::now;
use rustix::process::{Pid, Signal};

use crate::member::{Line, News, Sight};

/// What takes longer does not come any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// How members find each other, and when they may go on without one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// `Node::local()`: by the runtime directory, and deaths are proven by the locks there.
    Local,
    /// `Node::builder()` with a key and an address, as on a LAN.
    Lan,
}

/// Members of one cluster.
pub(crate) struct Group {
    cluster: String,
    key: Option<String>,
    pub(crate) members: Vec<Member>,
    lines: mpsc::Receiver<(u32, Line)>,
    sender: mpsc::Sender<(u32, Line)>,
}

/// One of them. Its process is killed when this is dropped.
pub(crate) struct Member {
    child: Child,
    orders: ChildStdin,
    /// It is no one of those who have to agree.
    stopped: bool,
    /// When it was ready to start its node.
    pub(crate) starting: Option<u64>,
    id: Option<String>,
    addresses: Vec<String>,
    /// What it sees, and since when.
    sight: Option<(u64, Sight)>,
    leaving: Option<u64>,
    left: Option<u64>,
    call_us: Option<f64>,
}

impl Group {
    /// So many members, one after the other, that agree on one view.
    pub(crate) fn start(setting: Setting, size: usize) -> anyhow::Result<Self> {
        let mut group = Self::empty(setting)?;
        for _ in 0..size {
            group.add()?;
        }
        Ok(group)
    }

    pub(crate) fn empty(setting: Setting) -> anyhow::Result<Self> {
        let (sender, lines) = mpsc::channel();
        let key = (setting == Setting::Lan).then(|| Ok::<_, guthi::BuildError>(ClusterKey::generate()?.to_text()));
        // A cluster that no other run, and no other group of this one, has.
        let cluster = format!("bench-{}-{}", std::process::id(), now());
        Ok(Self { cluster, key: key.transpose()?, members: Vec::new(), lines, sender })
    }

    /// Starts one more process and waits until all agree.
    pub(crate) fn add(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.agreed().map(drop)
    }

    /// Starts one more process and waits for nothing.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["member", "--cluster", &self.cluster]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(key) = &self.key {
            command.args(["--key", key]);
            let known = self.members.iter().find_map(|member| member.addresses.first());
            known.map(|address| command.args(["--join", address]));
        }
        let mut child = command.spawn().context("a member could not be started")?;
        let output = BufReader::new(child.stdout.take().context("its output is piped")?);
        let orders = child.stdin.take().context("its input is piped")?;
        let (sender, pid) = (self.sender.clone(), child.id());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { continue };
                if sender.send((pid, line)).is_err() {
                    return;
                }
            }
        });
        self.members.push(Member::new(child, orders));
        Ok(())
    }

    /// When the last of those who are not stopped came to see the view that all of them agree on, with exactly them, active.
    pub(crate) fn agreed(&mut self) -> anyhow::Result<u64> {
        self.wait("one view", Self::agreement)
    }

    fn agreement(&self) -> Option<u64> {
        let present: Vec<_> = self.members.iter().filter(|member| !member.stopped).collect();
        let ids: Option<Vec<_>> = present.iter().map(|member| member.id.as_ref()).collect();
        let ids = ids?;
        let sights: Option<Vec<_>> = present.iter().map(|member| member.sight.as_ref()).collect();
        let sights = sights?;
        let (_, first) = sights.first()?;
        let complete = first.members.len() == ids.len() && ids.iter().all(|id| first.members.contains(id));
        let agreed = sights.iter().all(|(_, sight)| sight == first) && first.active && !first.isolated;
        (complete && agreed).then(|| sights.iter().map(|(at, _)| *at).max()).flatten()
    }

    /// The same, once nothing has changed for a while.
    pub(crate) fn calm(&mut self, pause: Duration) -> anyhow::Result<u64> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            self.agreed()?;
            let is_quiet = !self.hear_until(Instant::now() + pause);
            if let Some(at) = self.agreement().filter(|_| is_quiet) {
                return Ok(at);
            }
        }
        bail!("they do not come to rest within {PATIENCE:?}");
    }

    /// Takes news until then; whether there were any.
    fn hear_until(&mut self, until: Instant) -> bool {
        let mut heard = false;
        while let Ok((pid, line)) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            heard = true;
            self.note(pid, line);
        }
        heard
    }

    fn wait<T>(&mut self, what: &str, found: impl Fn(&Self) -> Option<T>) -> anyhow::Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(self) {
                return Ok(found);
            }
            let Ok((pid, line)) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                let sights: Vec<_> = self.members.iter().map(|member| (&member.id, &member.sight)).collect();
                bail!("no {what} within {PATIENCE:?}: {sights:#?}");
            };
            self.note(pid, line);
        }
    }

    fn note(&mut self, pid: u32, Line { at, news }: Line) {
        let Some(member) = self.members.iter_mut().find(|member| member.pid() == pid) else { return };
        match news {
            News::Starting => member.starting = Some(at),
            News::Started { id, addresses } => (member.id, member.addresses) = (Some(id), addresses),
            News::View(sight) => member.sight = Some((at, sight)),
            News::Leaving => member.leaving = Some(at),
            News::Left => member.left = Some(at),
            News::Called { p50_us } => member.call_us = Some(p50_us),
        }
    }

    /// Which of the processes is the member of that age; the oldest is the first.
    fn by_age(&self, age: usize) -> anyhow::Result<usize> {
        let (_, sight) = self.members.iter().find_map(|member| member.sight.as_ref()).context("a view")?;
        let id = &sight.members[age % sight.members.len()];
        self.members.iter().position(|member| member.id.as_ref() == Some(id)).context("a member of this group")
    }

    /// `kill -9` of the member of that age; returns when that was.
    pub(crate) fn kill(&mut self, age: usize) -> anyhow::Result<u64> {
        let member = self.members.remove(self.by_age(age)?);
        let at = now();
        drop(member);
        Ok(at)
    }

    /// `kill -STOP` of the member of that age; returns when that was.
    pub(crate) fn stop(&mut self, age: usize) -> anyhow::Result<u64> {
        let index = self.by_age(age)?;
        let at = now();
        self.members[index].stop()?;
        Ok(at)
    }

    pub(crate) fn stop_all(&mut self) -> anyhow::Result<()> {
        self.members.iter_mut().try_for_each(Member::stop)
    }

    /// `kill -CONT` of all that are stopped; returns when that was.
    pub(crate) fn resume(&mut self) -> anyhow::Result<u64> {
        let at = now();
        self.members.iter_mut().filter(|member| member.stopped).try_for_each(Member::resume)?;
        Ok(at)
    }

    /// Lets the member of that age leave: when it began to, when the others agreed, and when it had left.
    pub(crate) fn leave(&mut self, age: usize) -> anyhow::Result<(u64, u64, u64)> {
        let index = self.by_age(age)?;
        // It is not one of those who agree on the view after it.
        self.members[index].stopped = true;
        self.members[index].order("leave")?;
        let (began, left) =
            self.wait("goodbye", |group| group.members[index].leaving.zip(group.members[index].left))?;
        let agreed = self.agreed()?;
        self.members.remove(index);
        Ok((began, agreed, left))
    }

    /// The median time of a call from one member to another, in microseconds.
    pub(crate) fn call_us(&mut self) -> anyhow::Result<f64> {
        self.members[0].order("call")?;
        self.wait("answer", |group| group.members[0].call_us)
    }
}

impl Member {
    const fn new(child: Child, orders: ChildStdin) -> Self {
        Self {
            child,
            orders,
            stopped: false,
            starting: None,
            id: None,
            addresses: Vec::new(),
            sight: None,
            leaving: None,
            left: None,
            call_us: None,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn order(&mut self, order: &str) -> anyhow::Result<()> {
        writeln!(self.orders, "{order}")?;
        Ok(())
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.stopped = true;
        self.signal(Signal::STOP)
    }

    fn resume(&mut self) -> anyhow::Result<()> {
        self.stopped = false;
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
