//! What the guarantees page promises is tested by what it names.

use super::{
    project::PROJECT,
    report::{Finding, Rule},
};

const RULE: Rule = Rule {
    rule: "The tests that the guarantees page names exist.",
    why: "a promise whose test has gone is a hope",
    instead: "name the test that holds the promise now, or take the promise back",
};

/// Where the page lists them: the last column of a table with this heading.
const HEADING: &str = "| held by |";

#[test]
fn promises_are_held_by_tests() {
    let page = PROJECT.texts(&["md"]).find(|(path, _)| *path == "docs/guarantees.md");
    let (path, text) = page.expect("there is such a page");
    let sources: Vec<_> = PROJECT.texts(&["rs"]).map(|(_, text)| text).collect();
    let exists = |name: &str| sources.iter().any(|text| text.contains(&format!("fn {name}()")));
    assert!(named(&text).count() > 10, "the page names tests");
    RULE.judge(&missing(path, &text, exists));
}

fn missing(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let missing = named(text).filter(|(_, name)| !exists(name));
    missing.map(|(line, name)| Finding { path: path.into(), line, what: format!("`{name}` is no test") }).collect()
}

/// The names in the last column of such a table, and their lines.
fn named(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines().zip(1..).flat_map(move |(line, number)| {
        inside = line.starts_with('|') && (inside || line.ends_with(HEADING));
        let cell = line.trim_end_matches('|').rsplit('|').next().filter(|_| inside).unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(move |name| (number, name)).collect::<Vec<_>>()
    })
}

#[test]
fn a_promise_without_a_test_is_found() {
    let text = "| rule | held by |\n|---|---|\n| `a` | `there`, `gone` |\n\n| `x` |\n";
    let found = missing("a.md", text, |name| name == "there");
    assert_eq!(found, [Finding { path: "a.md".into(), line: 3, what: "`gone` is no test".into() }]);
}
