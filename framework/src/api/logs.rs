use std::{collections::VecDeque, fmt, str::FromStr, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, filter::LevelFilter, layer::Context, registry::LookupSpan};

use crate::Function;

/// The longest message, and the longest value of a field, in bytes; what is longer is cut.
const TEXT_BYTES_MAX: usize = 4096;
/// Fields of a line beside its message.
const FIELDS_MAX: usize = 32;
/// What a ring holds at most, in bytes, however long its lines are.
const RING_BYTES_MAX: usize = 16 << 20;
/// What one answer holds at most, in bytes.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Lines of one answer.
const PAGE_LINES_MAX: u32 = 1000;

/// The last lines that a program has logged, for its node to show to whoever asks: [`Node::log`](crate::Node::log).
///
/// The application makes it, adds its layer to its subscriber, and hands it to its node. Clones are the same ring.
///
/// ```
/// use guthi::{Logs, Node};
/// use tracing_subscriber::prelude::*;
///
/// let logs = Logs::new(5000);
/// tracing_subscriber::registry().with(logs.layer()).with(tracing_subscriber::fmt::layer()).init();
/// let builder = Node::local().logs(logs);
/// ```
#[derive(Clone, Debug)]
pub struct Logs(Arc<Mutex<Ring>>);

#[derive(Debug)]
struct Ring {
    lines: VecDeque<LogLine>,
    lines_max: usize,
    bytes: usize,
    next: u64,
    level: Level,
}

impl Logs {
    /// A ring for so many lines, at [`Level::Info`] and graver; 16 MiB at most. 5,000 lines are some 2 MiB.
    #[must_use]
    pub fn new(lines_max: usize) -> Self {
        let (lines, level) = (VecDeque::new(), Level::Info);
        Self(Arc::new(Mutex::new(Ring { lines, lines_max: lines_max.max(1), bytes: 0, next: 1, level })))
    }

    /// Keeps what is of this level, or graver. To be said before [`layer`](Self::layer).
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        self.0.lock().level = level;
        self
    }

    /// What fills the ring: a layer for a `tracing` subscriber. It costs nothing for what is below the ring's level.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        let level = self.0.lock().level;
        Writer(self.clone()).with_filter(LevelFilter::from(tracing::Level::from(level)))
    }

    /// What the ring has.
    #[must_use]
    pub fn read(&self, query: &LogQuery) -> LogPage {
        self.0.lock().read(query)
    }
}

impl Ring {
    fn push(&mut self, mut line: LogLine) {
        line.seq = self.next;
        self.next += 1;
        self.bytes += line.bytes();
        self.lines.push_back(line);
        while self.lines.len() > self.lines_max || self.bytes > RING_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    fn read(&self, query: &LogQuery) -> LogPage {
        let limit = query.limit.clamp(1, PAGE_LINES_MAX) as usize;
        let wanted = |line: &&LogLine| line.level <= query.level && line.contains(&query.contains);
        let mut room = PAGE_BYTES_MAX;
        let mut fits = |line: &&LogLine| {
            let fits = line.bytes() <= room;
            room = room.saturating_sub(line.bytes());
            fits
        };
        let lines: Vec<_> = match query.after {
            Some(after) => {
                let newer = self.lines.iter().skip_while(|line| line.seq <= after);
                newer.filter(wanted).take(limit).take_while(&mut fits).cloned().collect()
            }
            None => {
                let newest = self.lines.iter().rev().filter(wanted).take(limit);
                let mut newest: Vec<_> = newest.take_while(&mut fits).cloned().collect();
                newest.reverse();
                newest
            }
        };
        LogPage { lines, keeps: true, last: self.next - 1 }
    }
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// Its number; it rises by one from line to line, also over lines that were not kept.
    pub seq: u64,
    /// When it was logged, in milliseconds since 1970 by the clock of its machine.
    pub at_ms: u64,
    /// How grave it is.
    pub level: Level,
    /// The part of the program that it comes from.
    pub target: String,
    /// What it says.
    pub message: String,
    /// What it says besides, by name.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    fn bytes(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len() + 48);
        self.target.len() + self.message.len() + fields.sum::<usize>() + 96
    }

    fn contains(&self, text: &str) -> bool {
        let found = |within: &String| within.contains(text);
        text.is_empty() || found(&self.message) || found(&self.target) || self.fields.iter().any(|(_, it)| found(it))
    }
}

/// Which lines of a log are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only lines after this number, the oldest first; the newest lines if it is `None`.
    pub after: Option<u64>,
    /// This level, and graver.
    pub level: Level,
    /// Only lines that have this text in their message, their target or a field.
    pub contains: String,
    /// So many lines at most; 1 to 1,000.
    pub limit: u32,
}

impl Default for LogQuery {
    /// The newest 200 lines at [`Level::Info`] and graver.
    fn default() -> Self {
        Self { after: None, level: Level::Info, contains: String::new(), limit: 200 }
    }
}

/// Lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogPage {
    /// The oldest first; 1 MiB at most.
    pub lines: Vec<LogLine>,
    /// The node keeps a log; it has none to show otherwise.
    pub keeps: bool,
    /// The number of the last line that was logged: what is not in `lines` up to there was not wanted, did not fit, or is
    /// gone from the ring.
    pub last: u64,
}

/// How grave a line is, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is wrong in the program.
    Error,
    /// An operator should look at it.
    Warn,
    /// What happens in the life of a node.
    Info,
    /// For those who look for something.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The word for it: `error`, `warn`, `info`, `debug`, `trace`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let levels = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
        levels.into_iter().find(|level| level.name() == text).ok_or(UnknownLevel)
    }
}

/// The text is none of `error`, `warn`, `info`, `debug` and `trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a level is one of error, warn, info, debug and trace")]
pub struct UnknownLevel;

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// Writes what is logged into the ring.
struct Writer(Logs);

impl<S: tracing::Subscriber> Layer<S> for Writer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut line = LogLine {
            seq: 0,
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            level: (*event.metadata().level()).into(),
            target: event.metadata().target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut Fields(&mut line));
        self.0.0.lock().push(line);
    }
}

struct Fields<'a>(&'a mut LogLine);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.note(field, format!("{value:?}"));
    }
}

impl Fields<'_> {
    fn note(&mut self, field: &Field, mut value: String) {
        if value.len() > TEXT_BYTES_MAX {
            value.truncate(value.floor_char_boundary(TEXT_BYTES_MAX));
            value.push('…');
        }
        if field.name() == "message" {
            self.0.message = value;
        } else if self.0.fields.len() < FIELDS_MAX {
            self.0.fields.push((field.name().to_owned(), value));
        }
    }
}

/// The function of every node that shows its log.
pub(crate) enum AskLog {}

impl Function for AskLog {
    type Arguments = LogQuery;
    type Output = LogPage;
    const NAME: &'static str = "guthi.log";
    const ONCE: bool = false;
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;

    fn messages(page: &LogPage) -> Vec<&str> {
        page.lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn a_ring_keeps_the_newest_of_its_level() {
        let logs = Logs::new(3);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
            for number in 0..5 {
                tracing::info!(number, place = %"here", "line {number}");
            }
            tracing::debug!("too much");
            tracing::warn!("beware");
        });
        let page = logs.read(&LogQuery::default());
        assert_eq!(messages(&page), ["line 3", "line 4", "beware"]);
        assert_eq!(page.lines[0].fields, [("number".into(), "3".into()), ("place".into(), "here".into())]);
        assert_eq!((page.lines[0].seq, page.last), (4, 6));
        let query = LogQuery { level: Level::Warn, ..LogQuery::default() };
        assert_eq!(messages(&logs.read(&query)), ["beware"]);
        let query = LogQuery { contains: "line".into(), limit: 1, ..LogQuery::default() };
        assert_eq!(messages(&logs.read(&query)), ["line 4"], "the newest");
        let query = LogQuery { after: Some(3), limit: 1, ..LogQuery::default() };
        assert_eq!(messages(&logs.read(&query)), ["line 3"], "the next");
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let logs = Logs::new(10);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
            tracing::info!("{}", "ü".repeat(TEXT_BYTES_MAX));
        });
        let page = logs.read(&LogQuery::default());
        assert_eq!(page.lines[0].message.len(), TEXT_BYTES_MAX + '…'.len_utf8());
    }

    #[test]
    fn a_ring_and_an_answer_are_bounded_in_bytes() {
        let mut ring = Ring { lines: VecDeque::new(), lines_max: usize::MAX, bytes: 0, next: 1, level: Level::Info };
        let message = "x".repeat(TEXT_BYTES_MAX);
        let line = |message| LogLine {
            seq: 0,
            at_ms: 0,
            level: Level::Info,
            target: String::new(),
            message,
            fields: Vec::new(),
        };
        for _ in 0..2 * RING_BYTES_MAX / TEXT_BYTES_MAX {
            ring.push(line(message.clone()));
        }
        assert!(ring.bytes <= RING_BYTES_MAX && ring.lines.len() > 3000);
        let page = ring.read(&LogQuery { limit: 1000, ..LogQuery::default() });
        let bytes: usize = page.lines.iter().map(LogLine::bytes).sum();
        assert!(bytes <= PAGE_BYTES_MAX && page.lines.len() > 200, "{bytes}");
        assert_eq!(page.lines.last().unwrap().seq, ring.next - 1, "the newest are there");
    }

    #[test]
    fn levels_have_names() {
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert_eq!("WARNING".parse::<Level>(), Err(UnknownLevel));
    }
}
