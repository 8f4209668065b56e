//! One Rust file as its tokens, with their lines and what of it is test code.

use std::{collections::BTreeSet, ops::Range};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One token; `::` is one, and so are lifetimes.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    /// It is compiled for tests only.
    pub(crate) test: bool,
    /// Of a bracket, the index of the other one; of any other token, its own.
    pub(crate) partner: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Literal,
    Other,
}

/// `a::b::c` where it is used, or where it is imported, one of them for each leaf.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    /// What it is called from here on, if it is imported.
    pub(crate) imported_as: Option<String>,
    /// The modules within the file that it stands in.
    pub(crate) modules: Vec<String>,
    /// Its first token.
    pub(crate) at: usize,
    /// The token behind it.
    pub(crate) next: usize,
}

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Code {
    /// From the root of the project.
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
    /// What it names with at least two segments.
    pub(crate) paths: Vec<Path>,
    /// The lines that are more than blanks and comments.
    lines: BTreeSet<usize>,
}

impl Code {
    /// Reads a file.
    ///
    /// # Panics
    /// If it has no tokens of Rust.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut code = Self { path: path.to_owned(), tokens: Vec::new(), paths: Vec::new(), lines: BTreeSet::new() };
        code.flatten(stream);
        code.mark_tests();
        code.paths = code.read_paths();
        code
    }

    pub(crate) fn line(&self, at: usize) -> usize {
        self.tokens[at].line
    }

    /// The text of a token; nothing behind the end.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    pub(crate) fn is_word(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Word)
    }

    /// Where these tokens follow each other.
    pub(crate) fn find<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        (0..self.tokens.len()).filter(move |&at| self.has(at, wanted))
    }

    /// Whether these tokens stand there.
    pub(crate) fn has(&self, at: usize, wanted: &[&str]) -> bool {
        wanted.iter().enumerate().all(|(offset, text)| self.text(at + offset) == *text)
    }

    /// Where a word of the code is one of these; strings and comments are no words.
    pub(crate) fn words<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        (0..self.tokens.len()).filter(move |&at| self.is_word(at) && wanted.contains(&self.text(at)))
    }

    pub(crate) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The functions that have a body: name, place, and how many lines of code they are.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.find(&["fn"]).filter(|&at| self.is_word(at) && self.is_word(at + 1)).filter_map(|at| {
            let body = self.first_of(at..self.tokens.len(), &["{", ";"]).filter(|&body| self.text(body) == "{")?;
            let end = self.line(self.tokens[body].partner);
            Some((self.text(at + 1), self.line(at), self.lines.range(self.line(at)..=end).count()))
        })
    }

    /// The modules in files of their own that only tests have.
    pub(crate) fn test_modules(&self) -> impl Iterator<Item = &str> {
        self.find(&["mod"]).filter(|&at| self.tokens[at].test && self.text(at + 2) == ";").map(|at| self.text(at + 1))
    }

    /// All of it is compiled for tests only.
    pub(crate) fn mark_as_test(&mut self) {
        self.mark(0..self.tokens.len());
    }

    fn mark(&mut self, range: Range<usize>) {
        for token in &mut self.tokens[range] {
            token.test = true;
        }
    }

    fn push(&mut self, text: impl Into<String>, line: usize, kind: Kind) -> usize {
        let partner = self.tokens.len();
        self.tokens.push(Token { text: text.into(), line, kind, test: false, partner });
        self.lines.insert(line);
        partner
    }

    fn flatten(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            let line = tree.span().start().line;
            match tree {
                TokenTree::Ident(word) => drop(self.push(word.to_string(), line, Kind::Word)),
                TokenTree::Literal(literal) => {
                    // A text may go over many lines, all of which somebody has to read.
                    self.lines.extend(line..=literal.span().end().line);
                    self.push(literal.to_string(), line, Kind::Literal);
                }
                TokenTree::Punct(mark) => {
                    let joined = mark.spacing() == Spacing::Joint;
                    let text = match (mark.as_char(), trees.peek()) {
                        ('\'', Some(TokenTree::Ident(name))) => format!("'{name}"),
                        (':', Some(TokenTree::Punct(second))) if joined && second.as_char() == ':' => "::".to_owned(),
                        (mark, _) => mark.to_string(),
                    };
                    if text.len() > 1 {
                        trees.next();
                    }
                    self.push(text, line, Kind::Other);
                }
                TokenTree::Group(group) => {
                    if group.delimiter() == Delimiter::Bracket && is_doc(group.stream()) {
                        self.forget_attribute();
                        continue;
                    }
                    let (open, close) = match group.delimiter() {
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::None => ("", ""),
                    };
                    let open = self.push(open, line, Kind::Other);
                    self.flatten(group.stream());
                    let close = self.push(close, group.span_close().start().line, Kind::Other);
                    self.tokens[open].partner = close;
                    self.tokens[close].partner = open;
                }
            }
        }
    }

    /// Comments for documentation come as attributes `#[doc = ".."]` and `#![doc = ".."]`: takes back their marks.
    fn forget_attribute(&mut self) {
        while let Some(mark) = self.tokens.pop_if(|token| token.text == "#" || token.text == "!") {
            if self.tokens.last().is_none_or(|last| last.line != mark.line) {
                self.lines.remove(&mark.line);
            }
            if mark.text == "#" {
                return;
            }
        }
    }

    /// Finds what lies among tests, or has `cfg(test)` written at it.
    /// What a feature may switch on as well is product, not test.
    fn mark_tests(&mut self) {
        if self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs")) {
            return self.mark_as_test();
        }
        let condition = ["[", "cfg", "(", "test", ")", "]"];
        for at in self.find(&condition).collect::<Vec<_>>() {
            let behind = at + condition.len();
            if at > 0 && self.text(at - 1) == "!" {
                return self.mark_as_test();
            }
            let end = self.first_of(behind..self.tokens.len(), &["{", ";", "}"]).unwrap_or(behind);
            let end = if self.text(end) == "{" { self.tokens[end].partner } else { end };
            self.mark(at..end + 1);
        }
    }

    /// The first of these tokens outside round and square brackets.
    fn first_of(&self, range: Range<usize>, wanted: &[&str]) -> Option<usize> {
        let mut at = range.start;
        while at < range.end && !wanted.contains(&self.text(at)) {
            at = if matches!(self.text(at), "(" | "[") { self.tokens[at].partner } else { at } + 1;
        }
        (at < range.end).then_some(at)
    }

    fn read_paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        let mut modules: Vec<(&str, usize)> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            modules.retain(|&(_, end)| at <= end);
            let path = |segments, imported_as, next| {
                let modules = modules.iter().map(|(name, _)| (*name).to_owned()).collect();
                Path { segments, imported_as, modules, at, next }
            };
            if self.has(at, &["mod"]) && self.text(at + 2) == "{" {
                modules.push((self.text(at + 1), self.tokens[at + 2].partner));
                at += 3;
            } else if self.has(at, &["use"]) && self.text(at + 1) != "<" {
                let mut leaves = Vec::new();
                let end = self.read_imports(at + 1, &[], &mut leaves);
                for (leaf, segments, name) in leaves {
                    paths.push(Path { at: leaf, ..path(segments, Some(name), end) });
                }
                at = end.max(at + 1);
            } else if self.is_word(at) {
                let mut segments = vec![self.text(at).to_owned()];
                let mut next = at + 1;
                while self.text(next) == "::" && self.is_word(next + 1) {
                    segments.push(self.text(next + 1).to_owned());
                    next += 2;
                }
                if segments.len() > 1 {
                    paths.push(path(segments, None, next));
                }
                at = next;
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Reads one tree of imports; returns where it ends.
    fn read_imports(&self, mut at: usize, before: &[String], leaves: &mut Vec<(usize, Vec<String>, String)>) -> usize {
        let mut segments = before.to_vec();
        loop {
            match self.text(at) {
                "::" | "$" => at += 1,
                "{" => {
                    let end = self.tokens[at].partner;
                    at += 1;
                    while at < end {
                        at = self.read_imports(at, &segments, leaves).max(at + 1);
                    }
                    return end + 1;
                }
                text if text == "*" || self.is_word(at) => {
                    let leaf = at;
                    if text != "self" || segments.is_empty() {
                        segments.push(text.to_owned());
                    }
                    at += 1;
                    if self.text(at) == "::" {
                        continue;
                    }
                    let mut name = segments.last().cloned().unwrap_or_default();
                    if self.text(at) == "as" {
                        name = self.text(at + 1).to_owned();
                        at += 2;
                    }
                    leaves.push((leaf, segments, name));
                    return at;
                }
                _ => return at,
            }
        }
    }
}

impl Path {
    /// Whether these segments follow each other in it.
    pub(crate) fn contains(&self, segments: &[&str]) -> bool {
        self.segments.windows(segments.len()).any(|window| window == segments)
    }

    pub(crate) fn ends_with(&self, segments: &[&str]) -> bool {
        self.segments.len() >= segments.len() && self.segments[self.segments.len() - segments.len()..] == *segments
    }
}

fn is_doc(attribute: TokenStream) -> bool {
    let mut trees = attribute.into_iter();
    matches!(
        (trees.next(), trees.next(), trees.next()),
        (Some(TokenTree::Ident(name)), Some(TokenTree::Punct(mark)), Some(TokenTree::Literal(_)))
            if name == "doc" && mark.as_char() == '='
    )
}

#[test]
fn comments_and_strings_are_no_code() {
    let code = Code::new("a.rs", "//! use a::b;\n/// static\nfn f() {\n\n    // c::d\n    g(\"e::f\");\n}\n");
    assert!(code.paths.is_empty(), "{:?}", code.paths);
    assert_eq!(code.lines(), 3);
    assert_eq!(code.functions().collect::<Vec<_>>(), [("f", 3, 3)]);
}

#[test]
fn imports_are_read_leaf_by_leaf() {
    let code = Code::new("a.rs", "use a::{b, c::{self, d as e}, f::*};\nmod m { fn g() { select! { h::i() } } }");
    let paths: Vec<_> = code.paths.iter().map(|path| path.segments.join("::")).collect();
    assert_eq!(paths, ["a::b", "a::c", "a::c::d", "a::f::*", "h::i"]);
    assert_eq!(code.paths[2].imported_as.as_deref(), Some("e"));
    assert_eq!(code.paths[4].modules, ["m"]);
}

#[test]
fn what_only_tests_have_is_marked() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[cfg(test)]\nmod c;\n\
                #[cfg(any(test, feature = \"testing\"))]\nmod d;\nfn e() {}\n";
    let code = Code::new("a.rs", text);
    let test = |name| code.words(&[name]).all(|at| code.tokens[at].test);
    assert!(!test("a") && test("b") && test("c") && !test("d") && !test("e"));
    assert_eq!(code.test_modules().collect::<Vec<_>>(), ["c"]);
}
