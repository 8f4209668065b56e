//! Tables that fit the terminal.

use comfy_table::{Cell as Drawn, Color, ContentArrangement, Table, presets};

/// What a cell says, and how it is painted where there are colours.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    paint: Option<Paint>,
}

/// Colours that mean something; the word beside them says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// As it should be.
    Good,
    /// Look at it.
    Doubtful,
    /// Not as it should be.
    Bad,
    /// Of less interest.
    Faint,
}

impl Paint {
    /// The colour of a status, a level or the kind of an event.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "alive" | "joined" | "recovered" | "trusted" | "connected" | "ok" => Self::Good,
            "joining" | "suspected" | "degraded" | "warn" | "missed" | "duplicate_identity" | "foreign_lineage" => {
                Self::Doubtful
            }
            "failed" | "error" | "fail" | "isolated" | "excluded" => Self::Bad,
            "left" | "debug" | "trace" => Self::Faint,
            _ => return None,
        })
    }

    const fn color(self) -> Color {
        match self {
            Self::Good => Color::Green,
            Self::Doubtful => Color::Yellow,
            Self::Bad => Color::Red,
            Self::Faint => Color::DarkGrey,
        }
    }

    /// Text in this colour.
    pub(crate) fn on(self, text: &str) -> String {
        let code = match self {
            Self::Good => 32,
            Self::Doubtful => 33,
            Self::Bad => 31,
            Self::Faint => 90,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: crate::text::plain(text.as_ref()), paint: None }
    }
}

impl Cell {
    /// A word in the colour of what it means.
    pub(crate) fn word(word: &str) -> Self {
        Self { paint: Paint::of(word), ..Self::from(word) }
    }
}

/// A table: its columns, and which of them go first where it is narrow.
#[derive(Debug)]
pub(crate) struct Grid {
    columns: Vec<(&'static str, u8)>,
    rows: Vec<Vec<Cell>>,
}

/// Two spaces between columns.
const GAP: u16 = 2;
/// A column that is wider than this wraps before another one is left out for it.
const WRAPS_FROM: u16 = 40;

impl Grid {
    /// Each column has a title and a rank: where the terminal is too narrow, the highest ranks are left out first. Those
    /// of rank 0 stay, and wrap.
    pub(crate) fn new(columns: &[(&'static str, u8)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One more line, a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as text; columns in which nothing stands are left out.
    pub(crate) fn draw(&self, width: Option<u16>, color: bool) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).filter(|&column| self.says_something(column)).collect();
        if let Some(width) = width {
            while self.least_width(&shown) > width {
                let rank = |column: &usize| self.columns[*column].1;
                let Some(most) = shown.iter().map(rank).max().filter(|most| *most > 0) else { break };
                shown.retain(|column| rank(column) < most);
            }
        }
        let mut table = self.table(&shown, color);
        if let Some(width) = width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn says_something(&self, column: usize) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| !row[column].text.is_empty())
    }

    fn least_width(&self, shown: &[usize]) -> u16 {
        let widths = self.table(shown, false).column_max_content_widths();
        let width = |width: &u16| GAP + (*width).min(WRAPS_FROM);
        widths.iter().map(width).fold(0, u16::saturating_add).saturating_sub(GAP)
    }

    fn table(&self, shown: &[usize], color: bool) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if color {
            table.enforce_styling();
            table.style_text_only();
        } else {
            table.force_no_tty();
        }
        table.set_header(shown.iter().map(|column| self.columns[*column].0));
        for row in &self.rows {
            table.add_row(shown.iter().map(|column| drawn(&row[*column])));
        }
        let last = shown.len().saturating_sub(1);
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if place == last { 0 } else { GAP }));
        }
        table
    }
}

fn drawn(cell: &Cell) -> Drawn {
    let drawn = Drawn::new(&cell.text);
    match cell.paint {
        Some(paint) => drawn.fg(paint.color()),
        None => drawn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(&[("NAME", 0), ("ADDRESS", 2), ("ZONE", 3), ("STATUS", 0), ("REASON", 0)]);
        grid.row(vec!["ann*".into(), "127.0.0.1:40001".into(), "".into(), Cell::word("alive"), "".into()]);
        let reason = "no answer for 2.0 s, and the link broke before that";
        grid.row(vec!["ben\x1b[2J".into(), "127.0.0.1:40002".into(), "".into(), Cell::word("failed"), reason.into()]);
        grid
    }

    #[test]
    fn a_wide_table_is_drawn_as_it_is() {
        let expected = "\
NAME         ADDRESS          STATUS  REASON
ann*         127.0.0.1:40001  alive
ben\\u{1b}[2J  127.0.0.1:40002  failed  no answer for 2.0 s, and the link broke before that
"
        .replace("NAME         ", "NAME          ")
        .replace("ann*         ", "ann*          ");
        assert_eq!(grid().draw(Some(200), false), expected);
        assert_eq!(grid().draw(None, false), expected);
    }

    #[test]
    fn a_narrow_table_loses_columns_before_it_wraps() {
        let text = grid().draw(Some(60), false);
        assert!(!text.contains("ADDRESS") && text.contains("failed"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }

    #[test]
    fn colours_come_only_where_they_are_wanted_and_never_alone() {
        let text = grid().draw(None, true);
        assert!(text.contains("\x1b[") && text.contains("failed"), "{text:?}");
        assert!(!grid().draw(None, false).contains('\x1b'));
    }
}
