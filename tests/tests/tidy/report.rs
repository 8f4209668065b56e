//! What is said when something is found.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    panic::Location,
};

use super::code::Code;

/// A rule as it is told to who has just broken it.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What holds, as a sentence.
    pub(crate) rule: &'static str,
    pub(crate) why: &'static str,
    pub(crate) instead: &'static str,
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// Something that is allowed so many times, or up to that size, in one file.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) path: &'static str,
    pub(crate) what: &'static str,
    pub(crate) number: usize,
    pub(crate) reason: &'static str,
}

/// Something that was counted, or measured.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) number: usize,
}

impl Finding {
    pub(crate) fn new(code: &Code, at: usize, what: impl Into<String>) -> Self {
        Self { path: code.path.clone(), line: code.line(at), what: what.into() }
    }
}

pub(crate) const fn allow(path: &'static str, what: &'static str, number: usize, reason: &'static str) -> Allowed {
    Allowed { path, what, number, reason }
}

impl Rule {
    /// Fails if there is a finding, and says what to do.
    #[track_caller]
    pub(crate) fn judge(&self, findings: &[Finding]) {
        if findings.is_empty() {
            return;
        }
        let mut told = format!("{}\n\n", self.rule);
        for Finding { path, line, what } in findings {
            let _ = writeln!(told, "  {path}:{line}: {what}");
        }
        let _ = write!(told, "\nWhy: {}\nInstead: {}\n", self.why, self.instead);
        panic!("{told}");
    }
}

/// How often each thing was found in a file; its line is that of the last.
pub(crate) fn counts(code: &Code, found: impl Iterator<Item = (usize, String)>) -> Vec<Count> {
    let mut counts = BTreeMap::new();
    for (at, what) in found {
        let count = Count { path: code.path.clone(), line: 0, what: what.clone(), number: 0 };
        let count = counts.entry(what).or_insert(count);
        count.line = count.line.max(code.line(at));
        count.number += 1;
    }
    counts.into_values().collect()
}

/// What is more than its list allows; and a note where the list allows more than there is.
///
/// `tolerance` is what may be added before it counts, as a share: one in so many. The list is taken to be the caller's.
#[track_caller]
pub(crate) fn ratchet(counts: &[Count], list: &[Allowed], tolerance: Option<usize>) -> Vec<Finding> {
    let same = |count: &Count, allowed: &Allowed| count.path == allowed.path && count.what == allowed.what;
    let place = Location::caller().file();
    for allowed in list {
        let Allowed { path, what, number, .. } = allowed;
        match counts.iter().find(|count| same(count, allowed)) {
            None => note(&format!("{place} need not list `{what}` in {path} any more: please take the line away.")),
            Some(count) if count.number < *number => {
                note(&format!("{place} lists `{what}` in {path} with {number}: please write {}.", count.number));
            }
            Some(_) => {}
        }
    }
    let beyond = |count: &&Count| {
        let limit = list.iter().find(|allowed| same(count, allowed)).map_or(0, |allowed| allowed.number);
        count.number > limit + tolerance.map_or(0, |share| limit / share)
    };
    let told = |count: &Count| {
        let what = match list.iter().find(|allowed| same(count, allowed)) {
            None => format!("`{}`: {}, and it is not listed", count.what, count.number),
            Some(Allowed { number, reason, .. }) => {
                format!("`{}`: {}, but {number} are listed ({reason})", count.what, count.number)
            }
        };
        Finding { path: count.path.clone(), line: count.line, what }
    };
    counts.iter().filter(beyond).map(told).collect()
}

/// Tells something that fails nothing; past the test harness, which would keep it to itself.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "tidy: {text}");
}

fn count(number: usize) -> Vec<Count> {
    vec![Count { path: "a.rs".into(), line: 1, what: "b".into(), number }]
}

#[test]
fn a_ratchet_only_turns_one_way() {
    let list = [allow("a.rs", "b", 20, "")];
    assert!(ratchet(&count(20), &list, None).is_empty());
    assert_eq!(ratchet(&count(21), &list, None).len(), 1);
    assert!(ratchet(&count(22), &list, Some(10)).is_empty());
    assert_eq!(ratchet(&count(23), &list, Some(10)).len(), 1);
    assert_eq!(ratchet(&count(1), &[], None).len(), 1);
}

#[test]
fn a_rule_says_where_and_what_to_do() {
    let rule = Rule { rule: "No a.", why: "b", instead: "c" };
    let finding = Finding { path: "d.rs".into(), line: 7, what: "e".into() };
    let told = std::panic::catch_unwind(|| rule.judge(&[finding])).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("d.rs:7: e") && told.contains("Why: b") && told.contains("Instead: c"), "{told}");
}
