//! Large buffers that are used again.
//!
//! The system hands out new memory page by page, which for a large payload takes longer than to copy it.

use std::{mem, sync::Arc, time::Duration};

use guthi_core::wire::limits::{LANE_PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX};
use parking_lot::Mutex;

/// What may be kept: as much as a payload that arrives while another one is read.
const BYTES_MAX: usize = 2 * (PAYLOAD_BYTES_MAX + 64 * 1024);
/// What nobody has used for so long goes back to the system.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// The spare buffers of a node.
#[derive(Debug)]
pub(crate) struct Spare {
    state: Mutex<State>,
    /// Where idle buffers are watched.
    runtime: tokio::runtime::Handle,
}

#[derive(Debug, Default)]
struct State {
    buffers: Vec<Vec<u8>>,
    /// Since the watch last looked.
    used: bool,
    watched: bool,
}

impl Spare {
    pub(crate) fn new(runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), runtime })
    }

    /// An empty buffer to write into.
    pub(crate) fn empty(&self) -> Vec<u8> {
        let mut buffer = self.state.lock().buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// So many bytes, whatever they are, to be read over.
    ///
    /// New ones are zeroed pages that come from the system as they are touched, so that a peer pays for what it occupies.
    pub(crate) fn filled(&self, bytes: usize) -> Vec<u8> {
        // A buffer that is far larger is left for something larger.
        let fits = |buffer: &Vec<u8>| (bytes..=bytes.saturating_mul(2)).contains(&buffer.capacity());
        let mut state = self.state.lock();
        let Some(found) = state.buffers.iter().position(fits) else {
            return vec![0; bytes];
        };
        let mut buffer = state.buffers.swap_remove(found);
        drop(state);
        buffer.resize(bytes, 0);
        buffer
    }

    /// Takes a buffer that is no longer needed, to keep it if it is large.
    pub(crate) fn give(self: &Arc<Self>, buffer: Vec<u8>) {
        if buffer.capacity() <= LANE_PAYLOAD_BYTES_MAX {
            return;
        }
        let mut state = self.state.lock();
        let kept: usize = state.buffers.iter().map(Vec::capacity).sum();
        if kept + buffer.capacity() > BYTES_MAX {
            return;
        }
        state.buffers.push(buffer);
        state.used = true;
        if !mem::replace(&mut state.watched, true) {
            self.runtime.spawn(self.clone().watch());
        }
    }

    /// Lets the buffers go once they are idle.
    async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE_MAX).await;
            let mut state = self.state.lock();
            if !mem::take(&mut state.used) {
                *state = State::default();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn kept(spare: &Spare) -> Vec<usize> {
        spare.state.lock().buffers.iter().map(Vec::capacity).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_buffer_is_used_again_until_it_has_been_idle() {
        let spare = Spare::new(tokio::runtime::Handle::current());
        spare.give(Vec::with_capacity(1000));
        assert!(kept(&spare).is_empty(), "small ones are not worth it");
        spare.give(vec![7; 4 * MIB]);
        assert_eq!(spare.filled(MIB), vec![0; MIB], "a far larger one is left alone");
        assert_eq!(spare.filled(3 * MIB), vec![7; 3 * MIB]);
        assert_eq!(spare.filled(3 * MIB), vec![0; 3 * MIB], "it is in use");
        spare.give(vec![7; 4 * MIB]);
        let empty = spare.empty();
        assert_eq!((empty.len(), empty.capacity()), (0, 4 * MIB));
        spare.give(empty);
        assert_eq!(kept(&spare), [4 * MIB]);
        tokio::time::sleep(3 * IDLE_MAX).await;
        assert!(kept(&spare).is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let spare = Spare::new(tokio::runtime::Handle::current());
        for _ in 0..3 {
            spare.give(Vec::with_capacity(PAYLOAD_BYTES_MAX));
        }
        assert_eq!(kept(&spare), [PAYLOAD_BYTES_MAX; 2]);
    }
}
