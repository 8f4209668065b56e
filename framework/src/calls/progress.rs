//! How far a call is: what a function says of itself, on its way to whoever asked.
//!
//! Nobody waits for it and nothing waits behind it. A function may say it as often as it likes: the first share leaves at
//! once, and after that the newest one each [`INTERVAL`].

use std::{sync::Arc, time::Duration};

use guthi_core::wire::frame::{self, Frame, Kind};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::lane::Lane;

/// Between two shares of one call.
const INTERVAL: Duration = Duration::from_millis(50);

/// Who asked how far a call is. What it has not looked at yet is replaced by what is newer.
#[derive(Clone, Debug)]
pub(crate) struct Listener(watch::Sender<f32>);

impl Listener {
    pub(crate) fn new() -> (Self, Shares) {
        let (sender, receiver) = watch::channel(0.0);
        (Self(sender), Shares(receiver))
    }

    pub(crate) fn hear(&self, share: f32) {
        self.0.send_replace(share);
    }
}

/// What a listener has heard.
#[derive(Debug)]
pub(crate) struct Shares(watch::Receiver<f32>);

impl Shares {
    /// The next share; never comes once nobody can tell any more.
    pub(crate) async fn next(&mut self) -> f32 {
        match self.0.changed().await {
            Ok(()) => *self.0.borrow_and_update(),
            Err(_) => std::future::pending().await,
        }
    }

    /// What has been heard and not been looked at.
    pub(crate) fn last(&mut self) -> Option<f32> {
        self.0.has_changed().unwrap_or(false).then(|| *self.0.borrow_and_update())
    }
}

/// Where the shares of a run go.
#[derive(Debug)]
pub(crate) enum Way {
    /// To the peer whose call has this number.
    Lane { lane: Arc<Lane>, id: u64 },
    /// To a caller on this node.
    Here(Listener),
}

impl Way {
    fn tell(&self, share: f32) {
        match self {
            Self::Lane { lane, id } => lane.tell_progress(*id, share),
            Self::Here(listener) => listener.hear(share),
        }
    }
}

/// Tells how far one run is, seldom enough.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// Where it waits for the next share's time.
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Nothing once the run has ended.
    way: Option<Way>,
    /// When the next share may leave.
    free_at: Option<Instant>,
    /// The newest share, while it waits for that.
    held: Option<f32>,
}

impl Reporter {
    pub(crate) fn new(way: Way, runtime: Handle) -> Arc<Self> {
        let state = State { way: Some(way), free_at: None, held: None };
        Arc::new(Self { runtime, state: Mutex::new(state) })
    }

    /// The function says how far it is.
    pub(crate) fn report(self: &Arc<Self>, share: f32) {
        if share.is_nan() {
            return;
        }
        let share = share.clamp(0.0, 1.0);
        let mut state = self.state.lock();
        if state.way.is_none() || state.held.is_some() {
            // Somebody waits already, and will take whatever is the newest then.
            state.held = state.held.map(|_| share);
            return;
        }
        let now = Instant::now();
        match state.free_at.filter(|free_at| *free_at > now) {
            None => state.tell(share, now),
            Some(free_at) => {
                state.held = Some(share);
                drop(state);
                self.runtime.spawn(self.clone().tell_at(free_at));
            }
        }
    }

    async fn tell_at(self: Arc<Self>, at: Instant) {
        tokio::time::sleep_until(at).await;
        let mut state = self.state.lock();
        if let Some(share) = state.held.take() {
            state.tell(share, at);
        }
    }

    /// The run has ended: its result is about to say all that there is to say.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        (state.way, state.held) = (None, None);
    }
}

impl State {
    fn tell(&mut self, share: f32, now: Instant) {
        if let Some(way) = &self.way {
            way.tell(share);
            self.free_at = Some(now + INTERVAL);
        }
    }
}

/// Appends the frame that tells a caller how far its call is.
pub(crate) fn put(buffer: &mut Vec<u8>, id: u64, share: f32) {
    let Ok(()) = frame::put(buffer, Kind::Progress, 0, id, |body| {
        body.extend_from_slice(&share.to_le_bytes());
        Ok::<(), std::convert::Infallible>(())
    });
}

/// What such a frame tells. An error means that the peer does not keep to the protocol.
pub(crate) fn take(frame: &Frame<'_>) -> Result<f32, String> {
    let share = frame.body.try_into().map(f32::from_le_bytes);
    match share {
        Ok(share) if frame.flags == 0 && (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a progress that is none".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_share_goes_at_once_and_then_the_newest_of_each_interval() {
        let (listener, mut shares) = Listener::new();
        let reporter = Reporter::new(Way::Here(listener), Handle::current());
        let begin = Instant::now();
        let mut told = Vec::new();
        for tenth in 0..10u8 {
            reporter.report(f32::from(tenth) / 10.0);
        }
        for _ in 0..2 {
            told.push((shares.next().await, begin.elapsed()));
        }
        assert_eq!(told, [(0.0, Duration::ZERO), (0.9, INTERVAL)]);
        // What comes within the interval after that waits as well.
        reporter.report(1.0);
        assert_eq!((shares.next().await, begin.elapsed()), (1.0, 2 * INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn shares_are_shares_whatever_a_function_says() {
        let (listener, mut shares) = Listener::new();
        let reporter = Reporter::new(Way::Here(listener), Handle::current());
        for (said, told) in [(f32::NAN, None), (f32::INFINITY, Some(1.0)), (-3.0, Some(0.0)), (0.25, Some(0.25))] {
            reporter.report(said);
            tokio::time::sleep(2 * INTERVAL).await;
            assert_eq!(shares.last(), told, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_told_after_the_end() {
        let (listener, mut shares) = Listener::new();
        let reporter = Reporter::new(Way::Here(listener), Handle::current());
        reporter.report(0.1);
        assert_eq!(shares.last(), Some(0.1));
        reporter.report(0.2);
        reporter.end();
        reporter.report(0.3);
        tokio::time::sleep(2 * INTERVAL).await;
        assert_eq!(shares.last(), None);
    }

    #[test]
    fn frames_are_read_as_they_were_written_and_nothing_else_is() {
        let mut bytes = Vec::new();
        put(&mut bytes, 7, 0.5);
        let (frame, _) = frame::take(&bytes, 100).unwrap().unwrap();
        assert_eq!((frame.kind, frame.id, take(&frame)), (Kind::Progress, 7, Ok(0.5)));
        for share in [f32::NAN, -0.5, 1.5, f32::INFINITY] {
            assert!(take(&Frame { body: &share.to_le_bytes(), ..frame }).is_err(), "{share}");
        }
        assert!(take(&Frame { flags: 1, ..frame }).is_err());
        assert!(take(&Frame { body: &[0; 5], ..frame }).is_err());
        assert!(take(&Frame { body: &[], ..frame }).is_err());
    }
}
