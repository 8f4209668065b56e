//! Plays: a scenario as a text that reads like one, with what was said under every line.
//!
//! A play is a file of lines. A line that begins with `>` is a direction; the indented lines under it are what happened
//! then, as the [journal](crate::trace::Journal) tells it; anything else is for the reader and stays as it is.
//! [`perform`] plays the directions and writes the conversation anew: if the text is the same afterwards, the play has
//! been given as written.
//!
//! | direction | what it does |
//! |---|---|
//! | `> scenario catalog` | which one; the first direction |
//! | `> nodes 3` | starts nodes `a`, `b`, `c`, each of which looks for those before it |
//! | `> delay 5ms` | how long every way takes; 1 ms unless said |
//! | `> run 2s` | lets time pass (`us`, `ms`, `s`, `min`) |
//! | `> a set 1 7` | what a user does at a node, in the scenario's own words |
//! | `> lose a b`, `> lose a b 3` | the next message, or messages, from `a` to `b` get lost |
//! | `> cut a b`, `> mend a b` | nothing gets from `a` to `b`, until it does again |
//! | `> split a b` | nothing gets between these and the others; `> heal` ends every cut |
//! | `> reset a b` | the connection of the two breaks |
//! | `> crash a`, `> power-off a`, `> leave a`, `> start a` | a process ends with or without a word, and begins its next life |
//! | `> pause a 3s` | it stands still |
//! | `> bug gap-not-pulled` | every node breaks this rule on purpose; before `nodes` |
//! | `> noise` | from here on also what is said all the time |

use std::{fmt::Write as _, time::Duration};

use guthi_core::protocol::{
    bugs::{Bug, Bugs},
    random::Random,
    time::Time,
};

use crate::{
    campaign,
    fabric::{Conditions, Place},
    fault::Profile,
    scenario::{Boot, Scenario},
    trace::seconds,
    world::{Stepped, World},
};

/// Plays a text of this scenario, and returns it with what was said.
///
/// # Errors
/// A direction cannot be followed; the text says which and why.
pub fn perform<S: Scenario>(text: &str) -> Result<String, String> {
    let mut stage = Stage::<S>::new();
    let mut written = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        match line.strip_prefix('>') {
            Some(direction) => {
                let words: Vec<_> = direction.split_whitespace().collect();
                stage.follow(&words).map_err(|error| format!("line {number}, {line:?}: {error}"))?;
                let _ = writeln!(written, "{line}");
                written.push_str(&stage.said());
            }
            // What was said the last time.
            None if line.starts_with(' ') => {}
            None => {
                let _ = writeln!(written, "{line}");
            }
        }
    }
    Ok(written)
}

/// The scenario that a play is of.
///
/// # Errors
/// It does not say.
pub fn scenario(text: &str) -> Result<&str, String> {
    let direction = text.lines().find_map(|line| line.strip_prefix('>')).unwrap_or_default();
    match direction.split_whitespace().collect::<Vec<_>>()[..] {
        ["scenario", name] => Ok(name),
        _ => Err("the first direction of a play is its scenario: `> scenario catalog`".into()),
    }
}

struct Stage<S: Scenario> {
    scenario: S,
    world: World<S::Host>,
    conditions: Conditions,
    bugs: Bugs,
    told: usize,
}

impl<S: Scenario> Stage<S> {
    fn new() -> Self {
        let conditions = Conditions { delay_us: 1000, ..Conditions::default() };
        Self {
            scenario: S::new(Profile::Safety, SEED),
            world: World::new(SEED, conditions, true),
            conditions,
            bugs: Bugs::NONE,
            told: 0,
        }
    }

    fn follow(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["scenario", _] => Ok(()),
            ["nodes", count] => {
                let count: Place = count.parse().map_err(|_| "expected a number")?;
                (0..count).try_for_each(|place| self.boot(place))
            }
            ["delay", time] => {
                let micros = duration(time)?.as_micros();
                self.conditions.delay_us = u32::try_from(micros).map_err(|_| "that is too long")?;
                self.world.fabric_mut().set_conditions(self.conditions);
                Ok(())
            }
            ["run", time] => {
                let until = self.world.now() + duration(time)?;
                self.advance(until)
            }
            ["lose", from, to] => {
                self.world.lose_next(self.place(from)?, self.place(to)?, 1);
                Ok(())
            }
            ["lose", from, to, count] => {
                let count = count.parse().map_err(|_| "expected a number")?;
                self.world.lose_next(self.place(from)?, self.place(to)?, count);
                Ok(())
            }
            ["cut", from, to] => {
                let (from, to) = (self.place(from)?, self.place(to)?);
                self.world.fabric_mut().cut(from, to);
                Ok(())
            }
            ["mend", from, to] => {
                let (from, to) = (self.place(from)?, self.place(to)?);
                self.world.fabric_mut().mend(from, to);
                self.world.release();
                Ok(())
            }
            ["split", ref side @ ..] => self.split(side),
            ["heal"] => {
                self.world.fabric_mut().heal(self.conditions);
                self.world.release();
                Ok(())
            }
            ["reset", a, b] => {
                let (a, b) = (self.place(a)?, self.place(b)?);
                if !self.world.is_linked(a, b) {
                    return Err("they are not linked".into());
                }
                self.world.reset(a, b, true);
                self.advance(self.world.now())
            }
            ["crash", node] => {
                self.world.crash(self.running(node)?, true);
                Ok(())
            }
            ["power-off", node] => {
                self.world.crash(self.running(node)?, false);
                Ok(())
            }
            ["leave", node] => {
                let place = self.running(node)?;
                self.world.leave(place);
                self.advance(self.world.now() + Duration::from_millis(50))?;
                self.world.crash(place, true);
                Ok(())
            }
            ["start", node] => self.boot(self.place(node)?),
            ["pause", node, time] => {
                let until = self.world.now() + duration(time)?;
                self.world.pause(self.running(node)?, until);
                Ok(())
            }
            ["bug", _] if self.world.places() > 0 => Err("a bug is planted before the nodes start".into()),
            ["bug", name] => {
                let names = || Bug::ALL.map(Bug::name).join(", ");
                let bug =
                    campaign::bug(name).ok_or_else(|| format!("there is no bug {name:?}; there are {}", names()))?;
                self.bugs = Bugs::plant(bug);
                Ok(())
            }
            ["noise"] => {
                self.world.listen_to_noise();
                Ok(())
            }
            [direction, ..] if let Some(usage) = usage(direction) => Err(format!("it is written `> {usage}`")),
            [node, ref operation @ ..] if !operation.is_empty() => {
                let place = self.running(node)?;
                let operation = S::parse(operation)?;
                self.world.operate(place, &operation);
                self.check(place)
            }
            _ => Err(format!("no such direction; there are {}", USAGES.map(|(name, _)| name).join(", "))),
        }
    }

    fn split(&mut self, side: &[&str]) -> Result<(), String> {
        let side: Vec<Place> = side.iter().map(|node| self.place(node)).collect::<Result<_, _>>()?;
        for from in 0..self.world.places() {
            for to in (0..self.world.places()).filter(|to| side.contains(to) != side.contains(&from)) {
                self.world.fabric_mut().cut(from, to);
            }
        }
        Ok(())
    }

    fn boot(&mut self, place: Place) -> Result<(), String> {
        if self.world.host(place).is_some() {
            return Err("it is up".into());
        }
        let member = self.world.next_member(place);
        let seed = Random::new(u64::from(place) << 32 | member.incarnation.0).next();
        let host = self.scenario.boot(Boot { place, member, seed, bugs: self.bugs, tame: true, verbose: true });
        self.world.boot(place, member, host, 0);
        (0..self.world.places()).for_each(|other| self.world.introduce(place, other));
        Ok(())
    }

    fn advance(&mut self, until: Time) -> Result<(), String> {
        while let Some(stepped) = self.world.step(until) {
            if let Stepped::Node(place) = stepped {
                self.check(place)?;
            }
        }
        self.world.skip_to(until);
        Ok(())
    }

    fn check(&mut self, place: Place) -> Result<(), String> {
        let Err(violation) = self.scenario.check_step(&mut self.world, place) else { return Ok(()) };
        if self.bugs == Bugs::NONE {
            return Err(format!("it breaks a rule, and no bug was planted: {}", violation.what));
        }
        self.world.note(|| format!("BROKEN {}", violation.what));
        Ok(())
    }

    /// The node of this name, `a` to `z`.
    fn place(&self, name: &str) -> Result<Place, String> {
        let place = match name.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(Place::from(letter - b'a')),
            _ => None,
        };
        let known = place.filter(|place| *place < self.world.places());
        let names = || (0..self.world.places()).map(crate::world::name).collect::<Vec<_>>().join(", ");
        known.ok_or_else(|| format!("{name:?} is no direction and no node; there are {}", names()))
    }

    /// The node of this name, if it can do anything now.
    fn running(&self, name: &str) -> Result<Place, String> {
        let place = self.place(name)?;
        if self.world.host(place).is_none() {
            Err(format!("{name} is down"))
        } else if self.world.is_paused(place) {
            Err(format!("{name} stands still"))
        } else {
            Ok(place)
        }
    }

    fn said(&mut self) -> String {
        let lines = &self.world.journal().lines()[self.told..];
        self.told += lines.len();
        lines.iter().map(|(at, line)| format!("  {} {line}\n", seconds(*at))).collect()
    }
}

/// All chance of a play comes from here.
const SEED: u64 = 1;

/// How each direction is written.
const USAGES: [(&str, &str); 18] = [
    ("scenario", "scenario NAME"),
    ("nodes", "nodes COUNT"),
    ("delay", "delay TIME"),
    ("run", "run TIME"),
    ("lose", "lose FROM TO [COUNT]"),
    ("cut", "cut FROM TO"),
    ("mend", "mend FROM TO"),
    ("split", "split NODE .."),
    ("heal", "heal"),
    ("reset", "reset A B"),
    ("crash", "crash NODE"),
    ("power-off", "power-off NODE"),
    ("leave", "leave NODE"),
    ("start", "start NODE"),
    ("pause", "pause NODE TIME"),
    ("bug", "bug NAME"),
    ("noise", "noise"),
    ("a", "a WORD .. (what a user does at node a)"),
];

fn usage(direction: &str) -> Option<&'static str> {
    USAGES.iter().find(|(name, _)| *name == direction && name.len() > 1).map(|(_, usage)| *usage)
}

/// A time such as `20ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| "expected a time such as 20ms or 3s")?;
    let unit = match unit {
        "us" => Duration::from_micros(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "min" => Duration::from_secs(60),
        _ => return Err("expected a unit: us, ms, s or min".into()),
    };
    Ok(unit * number)
}
