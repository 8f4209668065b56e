//! Each dependency has its version in one place.

use super::{
    project::PROJECT,
    report::{Finding, Rule},
};

const RULE: Rule = Rule {
    rule: "Each dependency has its version in one place.",
    why: "two crates that state a version each will one day state two, and both are built",
    instead: "write it into `[workspace.dependencies]` of the Cargo.toml at the root, and `name.workspace = true` here",
};

#[test]
fn versions_stand_at_the_root() {
    let manifests = PROJECT.texts(&["toml"]).filter(|(path, _)| path.ends_with("/Cargo.toml"));
    let findings: Vec<_> = manifests.flat_map(|(path, text)| own_versions(path, &text)).collect();
    RULE.judge(&findings);
}

/// The dependencies that a member's manifest describes by itself. A workspace of its own may.
fn own_versions(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A table of dependencies, or of one: `[dependencies]`, `[dev-dependencies.name]`.
    let mut table: Option<(Option<&str>, usize)> = None;
    let mut inherited = true;
    let mut brackets = 0;
    let end = [("[", text.lines().count())];
    for (text, line) in text.lines().zip(1..).chain(end) {
        let text = text.split('#').next().unwrap_or_default().trim();
        let squeezed: String = text.split_whitespace().collect();
        let begins = brackets == 0;
        brackets += text.matches('[').count();
        brackets = brackets.saturating_sub(text.matches(']').count());
        if text == "[workspace]" {
            return Vec::new();
        } else if begins && text.starts_with('[') {
            if let (Some((Some(name), line)), false) = (table, inherited) {
                findings.push(finding(path, line, name));
            }
            table = dependencies(text).map(|name| (name, line));
            inherited = false;
        } else if let (true, Some((None, _)), Some((name, _))) = (begins, table, squeezed.split_once('='))
            && !name.ends_with(".workspace")
            && !squeezed.contains("workspace=true")
        {
            findings.push(finding(path, line, name));
        }
        inherited |= squeezed == "workspace=true";
    }
    findings
}

/// Whether a table is one of dependencies, and of which if it is of one alone.
fn dependencies(header: &str) -> Option<Option<&str>> {
    let (_, rest) = header.trim_end_matches(']').split_once("dependencies")?;
    Some(rest.strip_prefix('.'))
}

fn finding(path: &str, line: usize, name: &str) -> Finding {
    Finding { path: path.into(), line, what: format!("`{name}` is not taken from the workspace") }
}

#[test]
fn a_version_in_a_member_is_found() {
    let text = "[package]\nname = \"a\"\nversion = \"1\"\n\n[dependencies]\na.workspace = true\n\
                b = { workspace = true, features = [\n    \"c=d\",\n] }\ne = \"1\"\nf = { path = \"../f\" }\n\n\
                [dev-dependencies.g]\nversion = \"1\" # workspace = true\n\n\
                [target.'cfg(unix)'.dependencies.h]\nworkspace = true\n\n[features]\ni = [\"a/i\"]\n\n\
                [build-dependencies.j]\ngit = \"k\"\n";
    let found = own_versions("a/Cargo.toml", text);
    assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [10, 11, 13, 22], "{found:?}");
    assert_eq!(own_versions("a/Cargo.toml", &format!("[workspace]\n{text}")), []);
}
