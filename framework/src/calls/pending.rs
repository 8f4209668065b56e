//! Requests that wait for their answers: a slab of slots instead of a map of channels.

use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{message::Answer, progress::Listener};

/// The requests of one lane.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    lost: Option<String>,
}

#[derive(Debug)]
struct Slot {
    /// Rises whenever the slot is given back, so that a late answer finds nobody.
    generation: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Free,
    Waiting {
        waker: Option<Waker>,
        deadline: Option<Instant>,
        /// Who wants to know how far it is.
        listener: Option<Listener>,
    },
    Done(Answer),
}

impl Pending {
    /// Takes a slot; the number names the request on the wire. Fails if the lane is lost.
    pub(crate) fn begin(&self, deadline: Option<Instant>, listener: Option<Listener>) -> Result<u64, String> {
        let mut slots = self.slots.lock();
        if let Some(reason) = &slots.lost {
            return Err(reason.clone());
        }
        let index = slots.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(slots.slots.len()).expect("fewer than 2^32 requests in flight");
            slots.slots.push(Slot { generation: 1, state: State::Free });
            index
        });
        let slot = &mut slots.slots[index as usize];
        slot.state = State::Waiting { waker: None, deadline, listener };
        Ok(u64::from(slot.generation) << 32 | u64::from(index))
    }

    /// Takes the answer if it is there, else leaves a waker.
    pub(crate) fn poll(&self, id: u64, cx: &Context<'_>) -> Poll<Answer> {
        let mut slots = self.slots.lock();
        let slot = slots.slot(id).expect("a request is polled only until it is answered");
        match &mut slot.state {
            State::Waiting { waker, .. } => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            State::Done(_) => Poll::Ready(slots.release(id).expect("it is done")),
            State::Free => unreachable!("its generation would have changed"),
        }
    }

    pub(crate) fn is_done(&self, id: u64) -> bool {
        let mut slots = self.slots.lock();
        slots.slot(id).is_none_or(|slot| matches!(slot.state, State::Done(_)))
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.slots.lock().lost.is_some()
    }

    /// Who wants to know how far a request is, as long as it waits.
    pub(crate) fn listener(&self, id: u64) -> Option<Listener> {
        match &self.slots.lock().slot(id)?.state {
            State::Waiting { listener, .. } => listener.clone(),
            State::Free | State::Done(_) => None,
        }
    }

    /// Gives a request up; true if it was still unanswered.
    pub(crate) fn abandon(&self, id: u64) -> bool {
        let mut slots = self.slots.lock();
        slots.slot(id).is_some() && slots.release(id).is_none()
    }

    /// Access for many answers under one lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock()
    }

    /// Ends the requests whose deadline has passed; true if any others wait.
    pub(crate) fn expire(&self, now: Instant) -> bool {
        let mut slots = self.slots.lock();
        let (mut wakers, mut others) = (Vec::new(), false);
        for slot in &mut slots.slots {
            if let State::Waiting { waker, deadline, .. } = &mut slot.state {
                if deadline.is_some_and(|deadline| deadline <= now) {
                    wakers.extend(waker.take());
                    slot.state = State::Done(Answer::Expired);
                } else {
                    others = true;
                }
            }
        }
        drop(slots);
        wakers.into_iter().for_each(Waker::wake);
        others
    }

    /// Ends every request, and every later one, with `reason`.
    pub(crate) fn lose(&self, reason: &str) {
        let mut slots = self.slots.lock();
        slots.lost.get_or_insert_with(|| reason.to_owned());
        let mut wakers = Vec::new();
        for slot in &mut slots.slots {
            if let State::Waiting { waker, .. } = &mut slot.state {
                wakers.extend(waker.take());
                slot.state = State::Done(Answer::Lost(reason.to_owned()));
            }
        }
        drop(slots);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Slots {
    /// Stores an answer and returns whom to wake, after the lock is given back. An answer that nobody waits for is dropped.
    pub(crate) fn complete(&mut self, id: u64, answer: Answer) -> Option<Waker> {
        match &mut self.slot(id)?.state {
            state @ State::Waiting { .. } => match std::mem::replace(state, State::Done(answer)) {
                State::Waiting { waker, .. } => waker,
                State::Free | State::Done(_) => unreachable!("it was waiting"),
            },
            State::Free | State::Done(_) => None,
        }
    }

    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut((id & u64::from(u32::MAX)) as usize)?;
        (u64::from(slot.generation) == id >> 32 && !matches!(slot.state, State::Free)).then_some(slot)
    }

    fn release(&mut self, id: u64) -> Option<Answer> {
        let index = (id & u64::from(u32::MAX)) as u32;
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1).max(1);
        let state = std::mem::replace(&mut slot.state, State::Free);
        self.free.push(index);
        match state {
            State::Done(answer) => Some(answer),
            State::Free | State::Waiting { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(byte: u8) -> Answer {
        Answer::Value(vec![byte])
    }

    fn poll(pending: &Pending, id: u64) -> Poll<Answer> {
        pending.poll(id, &Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_answer_reaches_its_request() {
        let pending = Pending::default();
        let (a, b) = (pending.begin(None, None).unwrap(), pending.begin(None, None).unwrap());
        assert_eq!(poll(&pending, a), Poll::Pending);
        pending.lock().complete(b, value(2));
        pending.lock().complete(a, value(1));
        assert_eq!(poll(&pending, a), Poll::Ready(value(1)));
        assert_eq!(poll(&pending, b), Poll::Ready(value(2)));
    }

    #[test]
    fn a_late_answer_never_reaches_the_next_request_in_the_slot() {
        let pending = Pending::default();
        let old = pending.begin(None, None).unwrap();
        assert!(pending.abandon(old));
        let new = pending.begin(None, None).unwrap();
        assert_eq!(new & 0xffff_ffff, old & 0xffff_ffff, "the slot is used again");
        assert!(pending.lock().complete(old, value(1)).is_none());
        assert_eq!(poll(&pending, new), Poll::Pending);
    }

    #[test]
    fn strange_ids_are_ignored() {
        let pending = Pending::default();
        let id = pending.begin(None, None).unwrap();
        for strange in [0, u64::MAX, id + 1, id ^ (1 << 40)] {
            assert!(pending.lock().complete(strange, value(0)).is_none());
        }
        assert_eq!(poll(&pending, id), Poll::Pending);
        pending.lock().complete(id, value(1));
        pending.lock().complete(id, value(2));
        assert_eq!(poll(&pending, id), Poll::Ready(value(1)), "the first answer counts");
    }

    #[test]
    fn a_lost_lane_ends_what_waits_and_what_comes() {
        let pending = Pending::default();
        let id = pending.begin(None, None).unwrap();
        pending.lose("gone");
        assert_eq!(poll(&pending, id), Poll::Ready(Answer::Lost("gone".into())));
        assert_eq!(pending.begin(None, None), Err("gone".into()));
    }
}
