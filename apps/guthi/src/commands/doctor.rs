//! `guthi doctor`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use guthi::{ClusterKey, LocalNode};
use serde_json::{Value, json};

use crate::{
    arguments::Globals,
    client::Client,
    failure::{Exit, Failure},
    screen::Screen,
    table::{Cell, Grid},
    target,
    text::{now_ms, unix_ms},
};

/// The variables that mean something, and whether they may be shown.
const VARIABLES: [(&str, bool); 13] = [
    ("GUTHI_NODE", true),
    ("GUTHI_OUTPUT", true),
    ("GUTHI_NAME", true),
    ("GUTHI_CLUSTER", true),
    ("GUTHI_KEY", false),
    ("GUTHI_JOIN", true),
    ("GUTHI_LISTEN", true),
    ("GUTHI_RUNTIME_DIR", true),
    ("GUTHI_LOG", true),
    ("GUTHI_WEB_DIR", true),
    ("GUTHI_LOCK", true),
    ("GUTHI_FENCE", true),
    ("GUTHI_PREVIOUS_HOLDER_DIED", true),
];
/// A node with many peers holds some files for each.
const OPEN_FILES_MIN: u64 = 1024;
/// Clocks of one machine that differ by more are not of one machine.
const SKEW_MS_MAX: i64 = 1000;
const LOOPBACK_MAX: Duration = Duration::from_secs(2);

/// Looks at everything, and says what to do.
pub(crate) fn run(globals: &Globals, screen: &Screen) -> Result<Exit, Failure> {
    let mut report = Report::default();
    directory(&mut report);
    key(&mut report);
    nodes(&mut report, globals);
    open_files(&mut report);
    loopback(&mut report);
    environment(&mut report);
    report.show(screen)
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

#[derive(Debug)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    next: Option<String>,
}

#[derive(Debug, Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.findings.push(Finding { check, verdict: Verdict::Ok, message: message.into(), next: None });
    }

    fn warn(&mut self, check: &'static str, message: impl Into<String>, next: impl Into<String>) {
        let (message, next) = (message.into(), Some(next.into()));
        self.findings.push(Finding { check, verdict: Verdict::Warn, message, next });
    }

    fn fail(&mut self, check: &'static str, message: impl Into<String>, next: impl Into<String>) {
        let (message, next) = (message.into(), Some(next.into()));
        self.findings.push(Finding { check, verdict: Verdict::Fail, message, next });
    }

    fn show(&self, screen: &Screen) -> Result<Exit, Failure> {
        let items: Vec<_> = self.findings.iter().map(Finding::to_json).collect();
        let healthy = self.findings.iter().all(|finding| finding.verdict != Verdict::Fail);
        screen.list(&json!({"items": items, "healthy": healthy, "version": guthi::VERSION}), |_| self.table())?;
        Ok(if healthy { Exit::Ok } else { Exit::Failure })
    }

    fn table(&self) -> Grid {
        let mut grid = Grid::new(&[("CHECK", 0), ("STATUS", 0), ("WHAT WAS SEEN, AND WHAT TO DO", 0)]);
        for finding in &self.findings {
            let next = finding.next.as_ref().map(|next| format!(" — {next}")).unwrap_or_default();
            let said = format!("{}{next}", finding.message);
            grid.row(vec![finding.check.into(), Cell::word(finding.verdict.word()), said.into()]);
        }
        grid
    }
}

impl Finding {
    fn to_json(&self) -> Value {
        json!({"check": self.check, "status": self.verdict.word(), "message": self.message, "next": self.next})
    }
}

fn directory(report: &mut Report) {
    let check = "runtime directory";
    let path = guthi::runtime_dir();
    let shown = path.display();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report.ok(check, format!("{shown} is not there yet: the first node makes it"));
        }
        Err(error) => report.fail(check, format!("{shown}: {error}"), "choose another one with GUTHI_RUNTIME_DIR"),
        Ok(metadata) if !metadata.is_dir() => {
            report.fail(check, format!("{shown} is no directory"), "remove it, or set GUTHI_RUNTIME_DIR");
        }
        Ok(metadata) if metadata.uid() != rustix::process::getuid().as_raw() => {
            report.fail(check, format!("{shown} belongs to somebody else"), "set GUTHI_RUNTIME_DIR to one of your own");
        }
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            let next = format!("close it with `chmod 700 {shown}`; nodes refuse to start until then");
            report.fail(check, format!("{shown} is open to others: mode {:o}", metadata.mode() & 0o777), next);
        }
        Ok(_) => report.ok(check, format!("{shown}, mode 700")),
    }
}

fn key(report: &mut Report) {
    let check = "key";
    if std::env::var_os("GUTHI_KEY").is_some_and(|key| !key.is_empty()) {
        match ClusterKey::from_env() {
            Ok(_) => report.ok(check, "GUTHI_KEY holds a key"),
            Err(error) => report.fail(check, format!("GUTHI_KEY: {error}"), "make one with `guthi key new`"),
        }
        return;
    }
    let path = guthi::runtime_dir().join("key");
    match fs::read_to_string(&path).map(|text| (text.trim().parse::<ClusterKey>(), fs::metadata(&path))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report.ok(check, "none yet: the first local node makes one for this user");
        }
        Err(error) => report.fail(check, format!("{}: {error}", path.display()), "make it readable for you"),
        Ok((Err(error), _)) => {
            report.fail(check, format!("{}: {error}", path.display()), "end all nodes, and remove the file");
        }
        Ok((_, Ok(metadata))) if metadata.mode() & 0o077 != 0 => {
            report.warn(check, format!("{} is open to others", path.display()), "close it with chmod 600");
        }
        Ok(_) => report.ok(check, format!("{}, for local nodes", path.display())),
    }
}

fn nodes(report: &mut Report, globals: &Globals) {
    // Looking for the living removes what the dead have left, so it is counted first.
    let entries = entries(&guthi::runtime_dir());
    let nodes = match target::local_nodes() {
        Ok(nodes) => nodes,
        Err(failure) => return report.fail("nodes", failure.to_string(), "see the runtime directory above"),
    };
    let dead = entries.saturating_sub(nodes.len());
    match nodes.len() {
        0 => report.warn("nodes", "no node is running here", "start one with `guthi node start`"),
        count => report.ok("nodes", format!("{count} running: {}", names(&nodes))),
    }
    if dead > 0 {
        let message = format!("{dead} left their files behind: they were killed");
        report.ok("dead entries", format!("{message}; the files are removed by whoever looks, as just now"));
    }
    let states: Vec<_> = nodes.iter().filter_map(|node| control(report, node, globals)).collect();
    versions(report, &states);
    lineages(report, &states);
    clocks(report, &states);
}

/// Files of nodes, those of the dead among them.
fn entries(root: &Path) -> usize {
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let clusters = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with("c-"));
    let files = clusters.flat_map(|cluster| fs::read_dir(cluster.path()).into_iter().flatten().flatten());
    files.filter(|file| file.path().extension().is_some_and(|extension| extension == "json")).count()
}

fn names(nodes: &[LocalNode]) -> String {
    nodes.iter().map(|node| format!("{} ({})", node.name, node.cluster)).collect::<Vec<_>>().join(", ")
}

/// What a node said of itself, and when it was asked.
#[derive(Debug)]
struct State {
    name: String,
    cluster: String,
    own: Value,
    view: Value,
    between: (i64, i64),
}

/// Asks a node how it is.
fn control(report: &mut Report, node: &LocalNode, globals: &Globals) -> Option<State> {
    let check = "dashboard";
    let name = node.name.clone();
    let Some(control) = &node.control else {
        report.ok(check, format!("{name} has none, so it cannot be asked"));
        return None;
    };
    let client = Client::new(name.clone(), control, globals.timeout);
    let begin = now_ms();
    match client.get("/self", &[]).and_then(|own| Ok((own, now_ms(), client.get("/view", &[])?))) {
        Ok((own, end, view)) => {
            report.ok(check, format!("{name} answers at {}", control.url));
            Some(State { name, cluster: node.cluster.clone(), own, view, between: (begin, end) })
        }
        Err(failure) => {
            let next = format!("is its process, {}, stopped or busy? end it if it does not come back", node.pid);
            report.fail(check, failure.to_string(), next);
            None
        }
    }
}

fn versions(report: &mut Report, states: &[State]) {
    let others = states.iter().filter(|state| state.own["version"] != guthi::VERSION);
    let others: Vec<_> =
        others.map(|state| format!("{} is {}", state.name, state.own["version"].as_str().unwrap_or("?"))).collect();
    if states.is_empty() {
        return;
    }
    if others.is_empty() {
        report.ok("versions", format!("all are {}, as this program", guthi::VERSION));
    } else {
        let message = format!("this program is {}; {}", guthi::VERSION, others.join(", "));
        report.warn("versions", message, "update the older ones");
    }
}

/// Whether those who should be one cluster are one.
fn lineages(report: &mut Report, states: &[State]) {
    let mut clusters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for state in states {
        let view = &state.view["view"];
        clusters.entry(&state.cluster).or_default().insert(view["lineage"].as_str().unwrap_or_default());
        if view["isolated"] == true {
            let message = format!("{} is isolated: too few voters answer", state.name);
            report.fail("views", message, "start the missing nodes again, or read `docs/failures.md` about forks");
        }
    }
    for (cluster, lineages) in &clusters {
        if lineages.len() > 1 {
            let message = format!("the cluster {cluster} has {} lineages here", lineages.len());
            let next =
                "they join by themselves when linked: `guthi node connect`; if both hold variables, one must dissolve";
            report.warn("views", message, next);
        }
    }
    if !clusters.is_empty() && report.findings.iter().all(|finding| finding.check != "views") {
        report.ok("views", "nobody is isolated, and each cluster has one lineage here");
    }
}

fn clocks(report: &mut Report, states: &[State]) {
    let skews = states.iter().filter_map(|state| {
        let at = unix_ms(state.own["at"].as_str().or_else(|| state.view["at"].as_str())?)?;
        let (begin, end) = state.between;
        Some((at - end).max(begin - at).max(0))
    });
    let Some(most) = skews.max() else { return };
    if most > SKEW_MS_MAX {
        report.warn("clocks", format!("a node's clock differs by {most} ms"), "set the clock, for logs to be in order");
    } else {
        report.ok("clocks", "the nodes here and this program agree; those of other machines are not known");
    }
}

fn open_files(report: &mut Report) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < OPEN_FILES_MIN => {
            report.warn("open files", format!("at most {limit}"), "raise it with `ulimit -n 4096` before nodes start");
        }
        Some(limit) => report.ok("open files", format!("at most {limit}")),
        None => report.ok("open files", "without limit"),
    }
}

fn loopback(report: &mut Report) {
    let begin = Instant::now();
    let reached = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        let stream = TcpStream::connect_timeout(&listener.local_addr()?, LOOPBACK_MAX)?;
        listener.accept().map(|_| drop(stream))
    });
    match reached {
        Ok(()) => {
            report.ok("loopback", format!("127.0.0.1 answers within {:.1} ms", begin.elapsed().as_secs_f64() * 1e3))
        }
        Err(error) => report.fail("loopback", error.to_string(), "let programs listen on 127.0.0.1"),
    }
}

fn environment(report: &mut Report) {
    let mut set: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with("GUTHI_"))
        .collect();
    set.sort();
    let mut shown = Vec::new();
    for (name, value) in set {
        match VARIABLES.iter().find(|(known, _)| *known == name) {
            Some((_, true)) => shown.push(format!("{name}={value}")),
            Some((_, false)) => shown.push(format!("{name} is set")),
            None => report.warn("environment", format!("{name} means nothing to Guthi"), "is it misspelt?"),
        }
    }
    let shown = if shown.is_empty() { "no GUTHI_ variable is set".to_owned() } else { shown.join(", ") };
    report.ok("environment", shown);
}
