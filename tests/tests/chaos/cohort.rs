//! Some workers, what they agree on, and what they were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use guthi::ClusterKey;
use guthi_tests::{
    cluster::Home,
    netlab::Lab,
    process::{Line, Seen, Worker},
};

use super::WORKER;

/// Nothing here takes a quarter of this, even on a machine that is busy with something else.
const HANG: Duration = Duration::from_secs(120);
/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(5);
/// What a node tells of views, and not of its own opinion.
const AGREED: [&str; 4] = ["joined", "failed", "left", "recovered"];

/// Workers that were started one after the other, so the first one is the oldest member. They go by number.
pub(crate) struct Cohort {
    // Before what they live in.
    workers: Vec<Worker>,
    place: Place,
    began: Instant,
}

enum Place {
    Home(Home),
    Lab(Lab, ClusterKey),
}

/// What happened to whom.
type Happened = (String, usize);

impl Cohort {
    /// Nodes of this machine, as `Node::local()` makes them.
    pub(crate) fn at_home(size: usize) -> Self {
        Self::start(Place::Home(Home::new()), size)
    }

    /// Nodes that need a majority, each on a host of its own; nothing where there can be no such hosts.
    pub(crate) fn in_lab(size: usize) -> Option<Self> {
        let key = ClusterKey::generate().unwrap();
        Lab::or_skip(size).map(|lab| Self::start(Place::Lab(lab, key), size))
    }

    fn start(place: Place, size: usize) -> Self {
        let began = Instant::now();
        let mut cohort = Self { workers: Vec::new(), place, began };
        for number in 0..size {
            let worker = Worker::spawn(&mut cohort.command(number));
            cohort.workers.push(worker);
        }
        cohort.wait("all are members", Self::is_one);
        cohort.print(&format!("until {size} are members"), began);
        cohort
    }

    fn command(&self, number: usize) -> Command {
        let mut command = match &self.place {
            Place::Home(home) => {
                let mut command = Command::new(WORKER);
                command.arg("--runtime-dir").arg(home.path());
                command
            }
            Place::Lab(lab, key) => {
                let hosts = lab.hosts();
                let mut command = hosts[number].command(WORKER);
                command.args(["--quorum", "majority", "--listen", &format!("{}:6969", hosts[number].address())]);
                // One is enough to come to know all. Who comes back finds its way if any of them is there.
                let again = number < self.workers.len();
                let known = if again { self.all() } else { (0..number.min(1)).collect() };
                for other in known.into_iter().filter(|other| *other != number) {
                    command.args(["--join", &format!("{}:6969", hosts[other].address())]);
                }
                command.env("GUTHI_KEY", key.to_text());
                command
            }
        };
        command.args(["--identity", &(number + 1).to_string(), "--name", &number.to_string()]);
        command
    }

    /// The network between the hosts.
    pub(crate) fn lab(&self) -> &Lab {
        match &self.place {
            Place::Lab(lab, _) => lab,
            Place::Home(_) => panic!("nodes at home have no network"),
        }
    }

    pub(crate) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    fn number(&self, id: &str) -> Option<usize> {
        self.workers.iter().position(|worker| worker.id.to_string() == id)
    }

    /// Everybody's number.
    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.workers.len()).collect()
    }

    /// Kills one and starts it anew with its identity, when it is time.
    pub(crate) fn restart(&mut self, number: usize, when: impl Fn(&Self) -> bool) {
        self.workers[number].kill();
        self.wait("it is time to begin anew", when);
        self.workers[number].wait();
        let mut command = self.command(number);
        self.workers[number] = Worker::spawn(&mut command);
    }

    // What they agree on.

    /// The view of one, with nobody missed in it for long.
    pub(crate) fn view(&self, number: usize) -> Option<Seen> {
        self.workers[number].view().map(|(_, seen)| seen).filter(|seen| !seen.isolated)
    }

    /// Who the members of a view are.
    pub(crate) fn members(&self, view: &Seen) -> Vec<usize> {
        view.members.iter().map(|(id, _)| self.number(id).expect("nobody else is there")).collect()
    }

    /// Whether exactly these are the members of one view, and all of them know.
    pub(crate) fn agree(&self, these: &[usize]) -> bool {
        let Some(view) = self.view(these[0]) else { return false };
        let mut members = self.members(&view);
        members.sort_unstable();
        members == these && these.iter().all(|number| self.view(*number).as_ref() == Some(&view))
    }

    /// Whether all are members of one view, and know.
    pub(crate) fn is_one(&self) -> bool {
        self.agree(&self.all())
    }

    /// The views in which nodes stand that are not isolated, the largest first. All members of each agree.
    pub(crate) fn agreed_views(&self) -> Vec<Vec<usize>> {
        let mut views = BTreeMap::new();
        for view in self.all().iter().filter_map(|number| self.view(*number)) {
            let members = self.members(&view);
            for member in &members {
                assert_eq!(self.view(*member).as_ref(), Some(&view), "a member does not agree\n{}", self.story());
            }
            views.insert((view.lineage, view.epoch), members);
        }
        let mut views: Vec<_> = views.into_values().collect();
        views.sort_by_key(|members| std::cmp::Reverse(members.len()));
        views
    }

    /// How many other views one has had since then.
    pub(crate) fn changes(&self, number: usize, since: Instant) -> usize {
        let said = self.workers[number].said();
        let mut views: Vec<_> = said
            .iter()
            .filter_map(|(at, line)| match line {
                Line::View(seen) => Some((*at >= since, &seen.lineage, seen.epoch)),
                Line::Event(_) | Line::Echo(_) => None,
            })
            .collect();
        views.dedup_by_key(|(_, lineage, epoch)| (*lineage, *epoch));
        views.iter().filter(|(after, ..)| *after).count()
    }

    // What they were told.

    /// What one was told of views since all were members: whom it was told to have joined, it was told before.
    pub(crate) fn sequence(&self, number: usize) -> Vec<Happened> {
        let mut joined = BTreeSet::new();
        let agreed = self.told_of_views(number).into_iter();
        agreed.filter(|(word, whom)| word != "joined" || !joined.insert(*whom)).collect()
    }

    fn told_of_views(&self, number: usize) -> Vec<Happened> {
        let told = self.workers[number].told().into_iter().map(|(_, told)| told);
        let agreed = told.filter(|told| AGREED.contains(&told.name.as_str()));
        agreed.filter_map(|told| Some((told.name, self.number(&told.peer?.0)?))).collect()
    }

    /// Whether these were all told this, in whichever order.
    pub(crate) fn were_told(&self, these: &[usize], wanted: &[(&str, usize)]) -> bool {
        let mut wanted: Vec<_> = wanted.iter().map(|(word, whom)| ((*word).to_owned(), *whom)).collect();
        wanted.sort_unstable();
        let sorted = |number: &usize| {
            let mut sequence = self.sequence(*number);
            sequence.sort_unstable();
            sequence
        };
        these.iter().all(|number| sorted(number) == wanted)
    }

    /// Survivors are told the same, in the same order, and of each failure and each return once.
    pub(crate) fn assert_same_sequence(&self, survivors: &[usize]) {
        let first = self.sequence(survivors[0]);
        for survivor in survivors {
            assert_eq!(self.sequence(*survivor), first, "{survivor} was told otherwise\n{}", self.story());
        }
        for whom in self.all() {
            let words: Vec<_> =
                first.iter().filter(|(_, about)| *about == whom).map(|(word, _)| word.as_str()).collect();
            let in_turn = words.iter().zip(["failed", "recovered"].iter().cycle()).all(|(word, wanted)| word == wanted);
            assert!(in_turn, "{survivors:?} were told of {whom}: {words:?}\n{}", self.story());
        }
        println!("{survivors:?} were all told {first:?}");
    }

    /// How often one was told this since then.
    pub(crate) fn count(&self, number: usize, word: &str, since: Instant) -> usize {
        let told = self.workers[number].told();
        told.iter().filter(|(at, told)| *at >= since && told.name == word).count()
    }

    /// Whether one does not hear another, as far as it was told.
    pub(crate) fn misses(&self, one: usize, other: usize) -> bool {
        let id = self.workers[other].id.to_string();
        let mut told = self.workers[one].told().into_iter().map(|(_, told)| told);
        let last = told.rfind(|told| told.peer.as_ref().is_some_and(|(about, _)| *about == id));
        last.is_some_and(|told| ["suspected", "failed", "left"].contains(&told.name.as_str()))
    }

    /// Whether two have noticed that they do not hear each other, or are not in one view any more.
    pub(crate) fn has_lost(&self, one: usize, other: usize) -> bool {
        let together = self.view(one).is_some() && self.view(one) == self.view(other);
        !together || self.misses(one, other) && self.misses(other, one)
    }

    /// Whether all are members of one view, and hear each other.
    pub(crate) fn is_whole(&self) -> bool {
        let all = self.all();
        self.is_one() && all.iter().all(|one| all.iter().all(|other| !self.misses(*one, *other)))
    }

    // Time.

    /// Waits for something that must come about.
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !condition(self) {
            assert!(began.elapsed() < HANG, "it hangs: {what}\n{}", self.story());
            thread::sleep(LOOK);
        }
    }

    /// Lets time pass: how long something lasts is part of the test.
    pub(crate) fn pass(&self, until: Instant) {
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    /// Waits until nobody has said anything of views for so long.
    pub(crate) fn settle(&self, quiet: Duration) {
        self.wait("they settle", |cohort| cohort.last_change().elapsed() >= quiet);
    }

    /// When somebody said something of views the last time.
    pub(crate) fn last_change(&self) -> Instant {
        let of_views = |line: &Line| match line {
            Line::View(_) => true,
            Line::Echo(_) => false,
            Line::Event(told) => AGREED.contains(&told.name.as_str()),
        };
        let last = self.workers.iter().filter_map(|worker| {
            let said = worker.said();
            said.iter().rev().find(|(_, line)| of_views(line)).map(|(at, _)| *at)
        });
        last.max().unwrap_or(self.began)
    }

    /// A figure for whoever reads: how long something took.
    pub(crate) fn print(&self, what: &str, since: Instant) {
        println!("{what}: {:.2} s", since.elapsed().as_secs_f64());
    }

    /// All that was said, for whoever looks for what went wrong.
    fn story(&self) -> String {
        let mut lines = Vec::new();
        for (number, worker) in self.workers.iter().enumerate() {
            lines.extend(worker.said().into_iter().map(|(at, line)| (at, number, line)));
        }
        lines.sort_by_key(|(at, ..)| *at);
        let whose = |id: &String| self.number(id).map_or_else(|| "?".into(), |number| number.to_string());
        let mut story = String::new();
        for (at, number, line) in lines {
            let at = at.duration_since(self.began).as_secs_f64();
            let _ = match line {
                Line::Event(told) => {
                    let whom = told.peer.map(|(id, life)| format!("{} (life {life})", whose(&id))).unwrap_or_default();
                    let reason = told.reason.unwrap_or_default();
                    writeln!(story, "{at:8.3} {number} {} {whom} {reason}", told.name)
                }
                Line::Echo(ms) => writeln!(story, "{at:8.3} {number} waits {ms} ms for an echo"),
                Line::View(seen) => {
                    let members: Vec<_> = seen.members.iter().map(|(id, _)| whose(id)).collect();
                    let (lineage, isolated) = (&seen.lineage[26..], if seen.isolated { ", isolated" } else { "" });
                    writeln!(story, "{at:8.3} {number} view {lineage}/{} {}{isolated}", seen.epoch, members.join(" "))
                }
            };
        }
        story
    }
}
