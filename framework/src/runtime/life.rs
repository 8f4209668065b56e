//! What a life of this node may grant and read, and for how long its guards are good, for handles to see.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use guthi_core::protocol::{time::Time, view::Lineage};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::runtime::clock::Clock;

/// The life that goes on now.
pub(crate) type Lives = Arc<ArcSwap<Life>>;

/// One life: it ends when others go on without this node, or when the node leaves.
#[derive(Debug)]
pub(crate) struct Life {
    clock: Clock,
    /// Of its guards: a fork takes them along into another one.
    lineage: Mutex<Lineage>,
    /// Until when guards may be granted; 0 for never.
    grants_until: AtomicU64,
    /// Until when guards are good.
    guards_until: AtomicU64,
    /// Until when what is known here may be read; 0 for never.
    reads_until: AtomicU64,
    /// Guards that were not given back.
    guards: AtomicUsize,
    over: AtomicBool,
    /// A guard may have ended, other than by the passing of time.
    changed: Notify,
    /// What may be read has begun or ended, other than by the passing of time.
    reading: Notify,
}

impl Life {
    pub(crate) fn new(clock: Clock, lineage: Lineage) -> Self {
        Self {
            clock,
            lineage: Mutex::new(lineage),
            grants_until: AtomicU64::new(0),
            guards_until: AtomicU64::new(0),
            reads_until: AtomicU64::new(0),
            guards: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            changed: Notify::new(),
            reading: Notify::new(),
        }
    }

    /// Of a node that has not begun.
    pub(crate) fn none(clock: Clock) -> Self {
        Self::new(clock, Lineage([0; 16]))
    }

    /// Of its guards, also when it is over.
    pub(crate) fn lineage(&self) -> Lineage {
        *self.lineage.lock()
    }

    /// It goes on in this lineage, with all that it has.
    pub(super) fn fork(&self, lineage: Lineage) {
        *self.lineage.lock() = lineage;
    }

    pub(in crate::runtime) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Whether a guard may be granted at this moment. The bound is read once more after the clock: it may have been taken
    /// back between the two.
    pub(super) fn may_grant(&self) -> bool {
        let before = self.grants_until.load(Ordering::SeqCst);
        let now = self.now().as_nanos();
        now < before && now < self.grants_until.load(Ordering::SeqCst)
    }

    /// Whether what was known here a moment ago may be said. Look at it first, and ask this last.
    pub(crate) fn may_read(&self) -> bool {
        let now = self.now().as_nanos();
        now < self.reads_until.load(Ordering::SeqCst)
    }

    /// Waits until something may be read here, or this life is over.
    pub(crate) async fn readable(&self) {
        loop {
            let reading = self.reading.notified();
            if self.may_read() || self.is_over() {
                return;
            }
            reading.await;
        }
    }

    /// Whether guards of this life are good at this moment.
    pub(crate) fn is_leased(&self) -> bool {
        let now = self.now().as_nanos();
        !self.is_over() && now < self.guards_until.load(Ordering::SeqCst)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// How long guards are good from now on, unless the lease is renewed or the life ends.
    fn leased_for(&self) -> Duration {
        let until = Time::from_nanos(self.guards_until.load(Ordering::SeqCst));
        if self.is_over() { Duration::ZERO } else { until.saturating_since(self.now()) }
    }

    /// Waits until the lease of this life's guards lapses.
    pub(crate) async fn lapsed(&self) {
        loop {
            let changed = self.changed.notified();
            // A machine that slept finds more time gone than it has waited for.
            let wait = self.leased_for().min(LOOK_AGAIN);
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }

    pub(super) fn publish(&self, grants_until: Option<Time>, guards_until: Option<Time>, reads_until: Option<Time>) {
        self.reads_until.store(reads_until.map_or(0, Time::as_nanos), Ordering::SeqCst);
        if reads_until.is_some() {
            self.reading.notify_waiters();
        }
        let grows = guards_until.map_or(0, Time::as_nanos) > self.guards_until.load(Ordering::SeqCst);
        // Whatever is granted between the two is good.
        if grows {
            self.publish_guards(guards_until);
        }
        self.grants_until.store(grants_until.map_or(0, Time::as_nanos), Ordering::SeqCst);
        if !grows {
            self.publish_guards(guards_until);
        }
    }

    pub(super) fn publish_guards(&self, guards_until: Option<Time>) {
        let nanos = guards_until.map_or(0, Time::as_nanos);
        let before = self.guards_until.swap(nanos, Ordering::SeqCst);
        if nanos < before {
            self.changed.notify_waiters();
        }
    }

    /// Nothing more is granted, until it is published anew.
    pub(super) fn stop_granting(&self) {
        self.grants_until.store(0, Ordering::SeqCst);
    }

    /// Nothing is read any more, until it is published anew.
    pub(super) fn stop_reading(&self) {
        self.reads_until.store(0, Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.publish(None, None, None);
        self.reading.notify_waiters();
        self.changed.notify_waiters();
    }

    pub(super) fn count_guard(&self) {
        self.guards.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn discount_guard(&self) {
        self.guards.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn has_guards(&self) -> bool {
        self.guards.load(Ordering::SeqCst) > 0
    }
}

/// A clock that counts the sleep of the machine is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
