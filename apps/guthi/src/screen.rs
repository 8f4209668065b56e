//! What goes to the two outputs, and in which form.

use std::{
    cell::OnceCell,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use serde_json::Value;

use crate::{
    arguments::{Color, Globals, Output},
    failure::Failure,
    table::{Grid, Paint},
    text,
};

/// The terminal, or what is there in its place.
#[derive(Debug)]
pub(crate) struct Screen {
    /// The form of what is printed.
    pub(crate) output: Output,
    /// More is said than what was asked for.
    pub(crate) verbose: bool,
    quiet: bool,
    color: bool,
    color_errors: bool,
    width: Option<u16>,
    utc: bool,
    offset: OnceCell<(Duration, bool)>,
}

impl Screen {
    pub(crate) fn new(globals: &Globals) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = |terminal| match globals.color {
            Color::Auto => terminal && !plain,
            Color::Always => true,
            Color::Never => false,
        };
        Self {
            output: globals.output,
            verbose: globals.verbose > 0,
            quiet: globals.quiet,
            color: color(io::stdout().is_terminal()),
            color_errors: color(io::stderr().is_terminal()),
            width: width(io::stdout().is_terminal()),
            utc: globals.utc,
            offset: OnceCell::new(),
        }
    }

    /// Whether this is for scripts.
    pub(crate) fn is_json(&self) -> bool {
        self.output != Output::Table
    }

    /// Whether moving things may be shown to somebody.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && !self.is_json() && io::stderr().is_terminal()
    }

    /// Text as it is.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// One line.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.print(&format!("{text}\n"))
    }

    /// Text of others as it is, but on a terminal nothing that steers it.
    pub(crate) fn raw(&self, text: &str) -> Result<(), Failure> {
        if io::stdout().is_terminal() { self.line(&text::plain_lines(text)) } else { self.line(text) }
    }

    /// A value, over several lines unless lines are asked for.
    pub(crate) fn json(&self, value: &Value) -> Result<(), Failure> {
        let pretty =
            if self.output == Output::Json { serde_json::to_string_pretty(value) } else { Ok(value.to_string()) };
        let text = pretty.map_err(|error| Failure::new("failure", error.to_string()))?;
        self.line(&text::plain_json(&text))
    }

    /// One value of many, on one line whatever the form.
    pub(crate) fn json_line(&self, value: &Value) -> Result<(), Failure> {
        self.line(&text::plain_json(&value.to_string()))
    }

    /// A table.
    pub(crate) fn grid(&self, grid: &Grid) -> Result<(), Failure> {
        self.print(&grid.draw(self.width, self.color))
    }

    /// What is said to people, and to scripts.
    pub(crate) fn say(&self, text: &str, value: &Value) -> Result<(), Failure> {
        if self.is_json() { self.json(value) } else { self.line(text) }
    }

    /// A list: as the interface gives it, one item a line, or as a table.
    pub(crate) fn list(&self, answer: &Value, draw: impl FnOnce(&[Value]) -> Grid) -> Result<(), Failure> {
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        match self.output {
            Output::Json => self.json(answer),
            Output::Jsonl => items.iter().try_for_each(|item| self.json_line(item)),
            Output::Table => self.grid(&draw(items)),
        }
    }

    /// A word beside the output, for people.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // Whoever does not read it does not want to know.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// The same, for those who want to know more.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// An error.
    pub(crate) fn complain(&self, failure: &Failure) {
        let text = if self.is_json() {
            text::plain_json(&failure.to_json().to_string())
        } else {
            let word = if self.color_errors { Paint::Bad.on("error:") } else { "error:".to_owned() };
            let next = failure.advice().map(|next| format!("\n  next: {}", text::plain(next)));
            format!("{word} {}{}", text::plain_lines(&failure.to_string()), next.unwrap_or_default())
        };
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Whether colours are wanted on the error output.
    pub(crate) const fn paints_errors(&self) -> bool {
        self.color_errors
    }

    /// A word in the colour of what it means.
    pub(crate) fn word(&self, word: &str) -> String {
        match Paint::of(word) {
            Some(paint) if self.color => paint.on(word),
            _ => word.to_owned(),
        }
    }

    /// The time of day of an RFC 3339 time.
    pub(crate) fn clock(&self, time: &str) -> String {
        let Some(ms) = text::unix_ms(time) else { return text::plain(time) };
        let (offset, west) =
            if self.utc { (Duration::ZERO, false) } else { *self.offset.get_or_init(text::local_offset) };
        text::clock(ms, offset, west)
    }

    /// How long ago a time was; the time itself if UTC is asked for.
    pub(crate) fn since(&self, time: &str) -> String {
        match text::unix_ms(time) {
            Some(ms) if !self.utc => text::span(Duration::from_millis(u64::try_from(text::now_ms() - ms).unwrap_or(0))),
            _ => time.to_owned(),
        }
    }
}

/// As wide as the terminal, or as `COLUMNS` says; without end in a pipe.
fn width(terminal: bool) -> Option<u16> {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    told.or_else(|| if terminal { seen() } else { None }).filter(|width| *width > 0)
}
