//! How busy this node's own machine is: peers tell theirs by themselves, and this one has to be asked for.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    node::Names,
    resources::{Known, resources_of},
};
use crate::app::App;

/// What is older is asked for anew, when somebody looks, and is not told.
const AGE_MAX: Duration = Duration::from_secs(2);
const AGE_TOLD_MAX: Duration = Duration::from_secs(10);

/// What this machine did when it was looked at last.
#[derive(Debug, Default)]
pub(crate) struct OwnLoad(Mutex<Option<(Instant, Load)>>);

/// As peers tell it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(super) cpu: Option<u8>,
    pub(super) memory: Option<u8>,
    pub(super) calls: u32,
}

impl OwnLoad {
    pub(super) fn known(&self) -> Load {
        let fresh = self.0.lock().filter(|(at, _)| at.elapsed() <= AGE_TOLD_MAX);
        fresh.map(|(_, load)| load).unwrap_or_default()
    }

    pub(super) fn set(&self, known: &Known) {
        let (cpu, memory) = (known.cpu_usage.map(percent), Some(percent(known.memory_load)));
        let load = Load { cpu, memory, calls: known.calls };
        *self.0.lock() = Some((Instant::now(), load));
    }
}

/// Looks at this machine, unless somebody has just done so.
pub(crate) async fn look(app: &App) {
    let is_old = app.load.0.lock().is_none_or(|(at, _)| at.elapsed() > AGE_MAX);
    if is_old {
        resources_of(app, &Names::of(&app.node), app.node.id()).await;
    }
}

fn percent(share: f64) -> u8 {
    // Saturating, and zero for what is no number.
    share.clamp(0.0, 100.0).round() as u8
}
