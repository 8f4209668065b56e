//! The files of the project.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use super::code::Code;

const FOLDERS: [&str; 8] = [".cargo", ".ci", ".github", "apps", "docs", "framework", "fs", "tests"];

/// What builds leave behind.
const SKIPPED: [&str; 3] = ["target", "node_modules", "book"];

pub(crate) static PROJECT: LazyLock<Project> = LazyLock::new(Project::read);

#[derive(Debug)]
pub(crate) struct Project {
    /// All files, with the folders they are in, from the root.
    pub(crate) files: Vec<String>,
    /// All that is Rust.
    pub(crate) code: Vec<Code>,
}

impl Project {
    fn read() -> Self {
        let mut files = Vec::new();
        for entry in entries(&root()) {
            if FOLDERS.iter().any(|folder| entry == Path::new(folder)) {
                collect(&entry, &mut files);
            } else if root().join(&entry).is_file() {
                files.push(entry.display().to_string());
            }
        }
        let rust = files.iter().filter(|path| has_extension(path, &["rs"]));
        let mut code: Vec<_> = rust.map(|path| Code::new(path, &text(path))).collect();
        let tests: BTreeSet<_> = code.iter().flat_map(test_places).collect();
        for code in &mut code {
            let below =
                |place: &String| code.path.starts_with(&format!("{place}/")) || code.path == format!("{place}.rs");
            if tests.iter().any(below) {
                code.mark_as_test();
            }
        }
        Self { files, code }
    }

    /// The Rust files below these folders.
    pub(crate) fn below<'a>(&'a self, folders: &'a [&str]) -> impl Iterator<Item = &'a Code> {
        self.code.iter().filter(move |code| folders.iter().any(|folder| code.path.starts_with(folder)))
    }

    /// The files that end like this, and their texts.
    pub(crate) fn texts<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = (&'a str, String)> {
        self.files.iter().filter(|path| has_extension(path, extensions)).map(|path| (path.as_str(), text(path)))
    }
}

/// The text of a file.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// Where the modules lie, without their ending, that a file declares for tests only.
fn test_places(code: &Code) -> Vec<String> {
    let (folder, file) = code.path.rsplit_once('/').unwrap_or(("", &code.path));
    let folder = match file.trim_end_matches(".rs") {
        "mod" | "lib" | "main" => folder.to_owned(),
        name => format!("{folder}/{name}"),
    };
    code.test_modules().map(|name| format!("{folder}/{name}")).collect()
}

/// Whether a name ends like this; one without an ending is its own.
fn has_extension(path: &str, extensions: &[&str]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    extensions.contains(&name.rsplit('.').next().unwrap_or(name))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn collect(folder: &Path, files: &mut Vec<String>) {
    for name in entries(&root().join(folder)) {
        let path = folder.join(&name);
        if !root().join(&path).is_dir() {
            files.push(path.display().to_string());
        } else if SKIPPED.iter().all(|skipped| name != Path::new(skipped)) {
            collect(&path, files);
        }
    }
}

/// The names in a folder, in order.
fn entries(folder: &Path) -> BTreeSet<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    read.map(|entry| entry.expect("an entry can be read").file_name().into()).collect()
}
