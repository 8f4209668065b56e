//! What really happened to each item, kept apart from the machine that is judged by it.

use std::ops::Range;

use super::message::{Entry, Work};
use crate::scenario::Violation;

/// Something that a node did, for the ledger.
#[derive(Debug)]
pub(super) enum Seen {
    /// A map began; maps are numbered in this order.
    Began { once: bool, attempts: u32, work: Work },
    /// It has so many more items.
    Offered { map: u32, items: u64 },
    /// It will have no more.
    InputFinished { map: u32 },
    /// Items are counted with these results.
    Counted { map: u32, first: u64, results: Vec<Entry> },
    /// Items are counted as unknown.
    Unknown { map: u32, items: Range<u64> },
    /// A worker that had these items was lost, or answered nonsense.
    Lost { map: u32, items: Vec<Range<u64>> },
    /// The map has ended.
    Ended { map: u32, how: End },
    /// A worker begins to run items.
    Runs { map: u32, items: Range<u64> },
    /// A worker has so many batches of one map.
    Holds { map: u32, batches: usize, parallelism: u32 },
    /// Something that breaks a rule in itself.
    Wrong(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Poisoned { item: u64 },
    Cancelled,
}

/// All maps, as somebody sees them who sees everything.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Map>);

#[derive(Debug)]
struct Map {
    once: bool,
    attempts: u32,
    work: Work,
    /// One for each item that was offered.
    items: Vec<Item>,
    counted: u64,
    input_open: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Item {
    counted: bool,
    /// How often it was begun.
    runs: u32,
    /// How many workers it has lost.
    losses: u32,
}

impl Ledger {
    pub(super) fn note(&mut self, seen: Seen) -> Result<(), Violation> {
        match seen {
            Seen::Began { once, attempts, work } => {
                let input_open = true;
                self.0.push(Map { once, attempts, work, items: Vec::new(), counted: 0, input_open, end: None });
                Ok(())
            }
            Seen::Offered { map, items } => self.map(map, |of| of.offered(items)),
            Seen::InputFinished { map } => self.map(map, |of| {
                of.input_open = false;
                Ok(())
            }),
            Seen::Counted { map, first, results } => self.map(map, |of| of.counted(first, &results)),
            Seen::Unknown { map, items } => self.map(map, |of| of.unknown(items)),
            Seen::Lost { map, items } => self.map(map, |of| items.into_iter().try_for_each(|items| of.lost(items))),
            Seen::Ended { map, how } => self.map(map, |of| of.ended(how)),
            Seen::Runs { map, items } => self.map(map, |of| of.runs(items)),
            Seen::Holds { map, batches, parallelism } => {
                let most = 2 * parallelism as usize;
                let few = batches <= most;
                if few { Ok(()) } else { wrong(map, format!("B: a worker holds {batches} batches, {most} at most")) }
            }
            Seen::Wrong(what) => Err(Violation::new(what)),
        }
    }

    /// M2: whatever was asked for is done.
    pub(super) fn check_done(&self) -> Result<(), Violation> {
        for (number, map) in (0..).zip(&self.0) {
            let (counted, offered) = (map.counted, map.items.len());
            if map.end.is_none() && (counted != offered as u64 || !map.input_open) {
                return wrong(number, format!("M2: {counted} of {offered} items are counted, and it goes on"));
            }
        }
        Ok(())
    }

    fn map(&mut self, map: u32, note: impl FnOnce(&mut Map) -> Result<(), String>) -> Result<(), Violation> {
        let of = self.0.get_mut(map as usize).ok_or_else(|| Violation::new(format!("M1: there is no map {map}")))?;
        note(of).or_else(|what| wrong(map, what))
    }
}

fn wrong(map: u32, what: String) -> Result<(), Violation> {
    Err(Violation::new(format!("{what} (map {map})")))
}

impl Map {
    fn offered(&mut self, items: u64) -> Result<(), String> {
        let total = self.items.len() + usize::try_from(items).unwrap_or(0);
        self.items.resize(total, Item::default());
        Ok(())
    }

    fn counted(&mut self, first: u64, results: &[Entry]) -> Result<(), String> {
        for (item, result) in (first..).zip(results) {
            self.count(item)?;
            let right = self.work.result(item);
            if *result != right {
                return Err(format!("K1: item {item} is counted with {result:?}, its result is {right:?}"));
            }
        }
        Ok(())
    }

    fn unknown(&mut self, mut items: Range<u64>) -> Result<(), String> {
        if !self.once {
            return Err(format!("M1: items {items:?} are unknown, and could be tried again"));
        }
        items.try_for_each(|item| self.count(item))
    }

    fn count(&mut self, number: u64) -> Result<(), String> {
        if let Some(end) = self.end {
            return Err(format!("M1: item {number} is counted after the end, {end:?}"));
        }
        let item = self.item(number)?;
        if std::mem::replace(&mut item.counted, true) {
            return Err(format!("M1: item {number} is counted twice"));
        }
        self.counted += 1;
        Ok(())
    }

    fn lost(&mut self, mut items: Range<u64>) -> Result<(), String> {
        items.try_for_each(|item| {
            self.item(item)?.losses += 1;
            Ok(())
        })
    }

    fn runs(&mut self, mut items: Range<u64>) -> Result<(), String> {
        let once = self.once;
        items.try_for_each(|number| {
            let item = self.item(number)?;
            item.runs += 1;
            if once && item.runs > 1 {
                return Err(format!("K2: item {number} must run once, and runs again"));
            }
            Ok(())
        })
    }

    fn ended(&mut self, how: End) -> Result<(), String> {
        if let Some(end) = self.end.replace(how) {
            return Err(format!("M1: it ends twice, {end:?} and {how:?}"));
        }
        match how {
            End::Finished if self.input_open => Err("M1: it is finished before its input".into()),
            End::Finished if self.counted != self.items.len() as u64 => {
                Err(format!("M1: it is finished with {} of {} items counted", self.counted, self.items.len()))
            }
            End::Poisoned { item: number } => {
                let attempts = self.attempts;
                let item = *self.item(number)?;
                if item.losses < attempts {
                    return Err(format!("M2: item {number} is condemned after {} losses of {attempts}", item.losses));
                }
                Ok(())
            }
            End::Finished | End::Cancelled => Ok(()),
        }
    }

    fn item(&mut self, number: u64) -> Result<&mut Item, String> {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        self.items.get_mut(place).ok_or_else(|| format!("M1: item {number} was never offered"))
    }
}
