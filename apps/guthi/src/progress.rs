//! A bar that appears when a function says how far it has come, and goes when it is done.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{screen::Screen, text::plain};

/// What is shown while a call runs: nothing, unless somebody sits before a terminal. Clones are the same bar.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Option<Arc<Bar>>);

#[derive(Debug)]
struct Bar(ProgressBar);

/// Steps of the bar.
const STEPS: f64 = 1000.0;

impl Progress {
    /// Of a function of that name.
    pub(crate) fn of(name: &str, screen: &Screen) -> Self {
        Self(screen.shows_progress().then(|| Arc::new(Bar::new(name))))
    }

    /// Whether anybody sees it.
    pub(crate) const fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// The function has come so far, from 0 to 1.
    pub(crate) fn show(&self, share: f64) {
        if let Some(Bar(bar)) = self.0.as_deref() {
            if bar.is_hidden() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_position((share.clamp(0.0, 1.0) * STEPS) as u64);
        }
    }
}

impl Bar {
    fn new(name: &str) -> Self {
        let bar = ProgressBar::hidden();
        let style = ProgressStyle::with_template("{prefix}  {wide_bar}  {percent:>3} %  {eta}");
        bar.set_length(STEPS as u64);
        bar.set_prefix(plain(name));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
