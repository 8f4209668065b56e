//! A file is found by its name, and a protocol reads like all others.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    project::{PROJECT, text},
    report::{Finding, Rule},
};

const NAMES: Rule = Rule {
    rule: "A file is named after the one thing that it holds.",
    why: "`util` is where nobody looks and everybody adds; a `new_` or a `_v2` tells of a decision that was not taken; \
          copies of editors tell nothing",
    instead: "name it with a noun that can be said aloud, in snake_case if it is Rust; what has been replaced is \
              deleted, history remembers it",
};

const SHAPE: Rule = Rule {
    rule: "All protocols have the same shape.",
    why: "who has learnt one finds everything in the next: the essay, the words, the machine, the tests",
    instead: "look at framework/core/src/protocol/catalog for a small one: an essay in mod.rs with the paragraphs \
              Source, Roles, Definitions, Messages, Invariants and Bounds, words in message.rs, effect.rs or event.rs, \
              machine.rs, and tests",
};

const EMPTY_WORDS: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "legacy"];

const ESSAY: [&str; 6] = ["Source", "Roles", "Definitions", "Messages", "Invariants", "Bounds"];

const PROTOCOLS: &str = "framework/core/src/protocol/";

#[test]
fn files_are_named_after_what_they_hold() {
    let findings: Vec<_> = PROJECT.files.iter().filter_map(|path| bad_name(path)).collect();
    NAMES.judge(&findings);
}

#[test]
fn protocols_have_one_shape() {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in &PROJECT.files {
        // What lies beside the folders is what protocols share.
        if let Some((folder, file)) = path.strip_prefix(PROTOCOLS).and_then(|path| path.split_once('/')) {
            folders.entry(folder).or_default().insert(file.split('/').next().unwrap_or(file));
        }
    }
    assert!(!folders.is_empty(), "no protocol was found in {PROTOCOLS}");
    let findings = folders.iter().flat_map(|(folder, files)| {
        let path = format!("{PROTOCOLS}{folder}/mod.rs");
        let essay = if files.contains("mod.rs") { text(&path) } else { String::new() };
        bad_shape(&path, files, &essay)
    });
    SHAPE.judge(&findings.collect::<Vec<_>>());
}

fn bad_name(path: &str) -> Option<Finding> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let folders = folder.split('/').filter(|part| !part.is_empty());
    let rust = file.strip_suffix(".rs");
    let snake = |part: &str| part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let what = if let Some(stem) = rust
        && let Some(part) = folders.clone().chain([stem]).find(|part| !snake(part))
    {
        format!("`{part}` is not in snake_case")
    } else if let Some(part) = folders.chain([file]).find(|part| says_nothing(part)) {
        format!("`{part}` says nothing about what is in it")
    } else if is_left_behind(file) {
        format!("`{file}` looks left behind")
    } else {
        return None;
    };
    Some(Finding { path: path.into(), line: 1, what })
}

/// Whether a name holds a word that is good for everything, or for the day on which it was given.
fn says_nothing(part: &str) -> bool {
    let stem = part.split('.').find(|stem| !stem.is_empty()).unwrap_or(part).to_lowercase();
    let words: Vec<_> = stem.split(['_', '-', ' ']).collect();
    let version = |word: &str| word.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
    words.iter().any(|word| EMPTY_WORDS.contains(word))
        || words.len() > 1 && (matches!(words[0], "new" | "old") || words.last().is_some_and(|last| version(last)))
}

fn is_left_behind(file: &str) -> bool {
    let endings = [".orig", ".bak", ".rej", ".swp", ".old", "~"];
    endings.iter().any(|ending| file.ends_with(ending))
        || file.starts_with('#') && file.ends_with('#')
        || file.contains(char::is_whitespace)
}

/// What a folder of a protocol lacks.
fn bad_shape(path: &str, files: &BTreeSet<&str>, essay: &str) -> Vec<Finding> {
    let has = |names: &[&str]| names.iter().any(|name| files.contains(name));
    let drawers: [&[&str]; 4] =
        [&["mod.rs"], &["message.rs", "effect.rs", "event.rs"], &["machine.rs"], &["tests.rs", "tests"]];
    let drawers =
        drawers.into_iter().filter(|names| !has(names)).map(|names| format!("there is no {}", names.join(" or ")));
    let paragraphs = ESSAY.iter().filter(|name| !has_paragraph(essay, name));
    let paragraphs = paragraphs.map(|name| format!("its essay has no paragraph **{name}**"));
    drawers.chain(paragraphs).map(|what| Finding { path: path.into(), line: 1, what }).collect()
}

/// Whether the essay has a heading, or a paragraph that begins with the word in bold.
fn has_paragraph(essay: &str, name: &str) -> bool {
    essay.lines().filter_map(|line| line.strip_prefix("//!")).any(|line| {
        let line = line.trim();
        let heading = line.strip_prefix('#').map(|line| line.trim_start_matches('#').trim());
        let bold = line.strip_prefix("**").map(|line| line.split("**").next().unwrap_or_default());
        heading.or(bold).is_some_and(|text| text.trim_end_matches(['.', ':']) == name)
    })
}

#[test]
fn a_name_that_tells_nothing_is_found() {
    for path in [
        "framework/src/utils.rs",
        "framework/src/calls/lane_helpers.rs",
        "framework/src/common/mod.rs",
        "framework/src/connectionManager.rs",
        "framework/src/connection_manager.rs",
        "framework/src/lane_v2.rs",
        "framework/src/new_lane.rs",
        "framework/src/old-lanes/notes.md",
        "framework/src/lane-two.rs",
        "framework/src/Lane.rs",
        "framework/src/lane.rs.orig",
        "docs/calls.md~",
        "docs/#calls.md#",
        "docs/two words.md",
    ] {
        assert!(bad_name(path).is_some(), "{path}");
    }
    for path in [
        "framework/core/src/protocol/schedule/tests/sets.rs",
        "apps/mandelbrot/proptest-regressions/view.txt",
        "docs/decisions/0001-lanes.md",
        ".github/CONTRIBUTING.md",
        "framework/src/newton.rs",
        "framework/src/network/libp2p/mod.rs",
    ] {
        assert_eq!(bad_name(path), None, "{path}");
    }
}

#[test]
fn a_protocol_of_another_shape_is_found() {
    let essay = "//! The mutex.\n//!\n//! **Source.** A paper.\n//!\n//! # Roles\n//! # Definitions\n//! **Messages**\n\
                 //! ## Invariants\n//! **Bounds.** None.\n";
    let files = BTreeSet::from(["mod.rs", "message.rs", "machine.rs", "tests.rs"]);
    assert_eq!(bad_shape("a/mod.rs", &files, essay), []);
    assert_eq!(bad_shape("a/mod.rs", &files, &essay.replace("Roles", "Parts")).len(), 1);
    assert_eq!(bad_shape("a/mod.rs", &files, &essay.replace("//!", "//")).len(), ESSAY.len());
    assert_eq!(bad_shape("a/mod.rs", &BTreeSet::from(["mod.rs", "event.rs", "tests"]), essay).len(), 1);
    assert_eq!(bad_shape("a/mod.rs", &BTreeSet::new(), "").len(), 4 + ESSAY.len());
}
