use std::{fmt, future::Future, str::FromStr, sync::Arc, time::Duration};

use guthi_core::{
    protocol::{
        mutex,
        variable::{self, Binding},
        view::Epoch,
    },
    wire::name::Name,
};
use serde::{Deserialize, Serialize};
use tokio::task::coop::consume_budget;

use crate::{
    LockError,
    runtime::mutexes::{Grant, Place, Refused},
};

/// A try is answered within this time, or given up.
const TRY_MAX: Duration = Duration::from_secs(1);

/// A mutex of the whole cluster: of all tasks of all nodes, one at a time holds a [`Guard`] of it.
///
/// It is there as soon as somebody names it, and costs nothing while nobody uses it. Clones are the same mutex, and so is
/// whatever [`Node::mutex`](crate::Node::mutex) gives for this name on any node. It keeps no node alive.
///
/// ```no_run
/// # use guthi::prelude::*;
/// # async fn example(node: Node) -> guthi::Result<()> {
/// let canvas = node.mutex("canvas");
/// let guard = canvas.lock().await?;
/// println!("it is ours, with {}", guard.fence());
/// drop(guard); // and now the next one's
/// # Ok(()) }
/// ```
///
/// # What it promises
///
/// At most one guard is [held](Guard::is_held) at any moment, as long as clocks run at rates that differ by less than one in a
/// hundred; and each guard has a higher [fence](Guard::fence) than all before it, whatever clocks do. Whoever waits is served in
/// turn, those of one node at most sixteen in a row while others wait. When a holder dies, the next one is
/// [told](Guard::previous_holder_died).
///
/// A process that is stopped, or slow, can still act after its guard is lost: nobody can prevent that from afar. What it acts
/// on can: it refuses what comes with a lower fence than it has seen.
#[derive(Clone)]
pub struct Mutex {
    place: Result<Arc<Place>, (String, &'static str)>,
}

impl Mutex {
    pub(crate) const fn new(place: Result<Arc<Place>, (String, &'static str)>) -> Self {
        Self { place }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.place {
            Ok(place) => place.name(),
            Err((name, _)) => name,
        }
    }

    fn place(&self) -> Result<&Arc<Place>, LockError> {
        self.place.as_ref().map_err(|(name, reason)| LockError::BadName { name: name.clone(), reason })
    }

    /// Waits until this task has the mutex. It waits while the node is cut off from too many others, or is about to be a member
    /// again: put a time-out around it, or use [`lock_timeout`](Self::lock_timeout).
    ///
    /// Where the token lies idle on this node, it takes well under a microsecond and no message. A task that holds a guard and
    /// waits for another one of the same mutex waits for ever.
    ///
    /// # Errors
    /// [`LockError::BadName`], [`LockError::TooManyWaiters`], or [`LockError::Left`] once the node has left. It has not got the
    /// mutex then.
    ///
    /// # Cancel safety
    /// Safe to drop at any time: nothing is left behind, and a guard that comes meanwhile goes on to the next.
    pub async fn lock(&self) -> Result<Guard, LockError> {
        let place = self.place()?;
        // Who locks again and again without ever waiting lets others run all the same.
        consume_budget().await;
        if let Some(grant) = place.take() {
            return Ok(Guard { grant });
        }
        let waiting = place.wait(false).map_err(|refused| self.refused(refused))?;
        match waiting.answer().await.map_err(|refused| self.refused(refused))? {
            Some(grant) => Ok(Guard { grant }),
            None => unreachable!("only tries are refused"),
        }
    }

    /// Takes the mutex if nobody has it or waits for it; `None` if somebody does. It may also be `None` if another one tries at
    /// the same moment.
    ///
    /// # Errors
    /// As [`lock`](Self::lock); and [`LockError::Unanswered`] if nobody could say within a second. It has not got the mutex
    /// then.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn try_lock(&self) -> Result<Option<Guard>, LockError> {
        let place = self.place()?;
        consume_budget().await;
        if let Some(grant) = place.take() {
            return Ok(Some(Guard { grant }));
        }
        if place.is_held_here() {
            place.meters().counts.refusals.one();
            return Ok(None);
        }
        let waiting = place.wait(true).map_err(|refused| self.refused(refused))?;
        match tokio::time::timeout(TRY_MAX, waiting.answer()).await {
            Ok(answer) => Ok(answer.map_err(|refused| self.refused(refused))?.map(|grant| Guard { grant })),
            Err(_) => Err(LockError::Unanswered { name: self.name().to_owned() }),
        }
    }

    /// Waits as [`lock`](Self::lock), for so long at most.
    ///
    /// # Errors
    /// As [`lock`](Self::lock); and [`LockError::Timeout`]. It has not got the mutex then.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn lock_timeout(&self, patience: Duration) -> Result<Guard, LockError> {
        match tokio::time::timeout(patience, self.lock()).await {
            Ok(result) => result,
            Err(_) => Err(LockError::Timeout { name: self.name().to_owned(), waited: patience }),
        }
    }

    fn refused(&self, refused: Refused) -> LockError {
        match refused {
            Refused::Closed => LockError::Left,
            Refused::Crowded => LockError::TooManyWaiters { name: self.name().to_owned() },
        }
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mutex").field(&self.name()).finish()
    }
}

/// The mutex is this task's, until the guard is dropped.
///
/// Dropping it neither waits nor fails. A guard may be sent to another task; it keeps no node alive, and is lost when its node
/// leaves.
pub struct Guard {
    grant: Grant,
}

impl Guard {
    /// The name of the mutex.
    #[must_use]
    pub fn name(&self) -> &str {
        self.grant.name()
    }

    /// The number of this guard. Give it to whatever you change, and let that refuse lower ones: so it is safe even from holders
    /// that were stopped in the middle and go on later.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        Fence(self.grant.fence())
    }

    /// What the home of a variable is told of it.
    pub(crate) fn named(&self) -> variable::Guard {
        let binding = Binding { mutex: self.grant.mutex().clone(), fence: self.grant.fence() };
        variable::Guard { binding, lineage: self.grant.life().lineage() }
    }

    /// Whether the node can prove at this moment that the mutex is its own. It is false while too few of the others have
    /// answered of late, and true again if they answer before they go on without this node; when they have, it stays false.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.grant.life().is_leased()
    }

    /// Resolves when [`is_held`](Self::is_held) becomes false: stop at once what the mutex is for. Until then nobody else can
    /// have been granted it.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// # async fn render() {}
    /// let guard = node.mutex("canvas").lock().await?;
    /// tokio::select! {
    ///     () = render() => guard.unlock().await?,
    ///     () = guard.lost() => eprintln!("somebody else may draw from here on"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn lost(&self) {
        self.grant.life().lapsed().await;
    }

    /// Whoever held the mutex last died, or was taken for dead, and perhaps had not finished: look at what it has left behind.
    /// It may be a false alarm. A death while holding is not passed over if the holder alone died; nor if others died with it,
    /// as long as somebody is left who had heard of its guard.
    #[must_use]
    pub const fn previous_holder_died(&self) -> bool {
        self.grant.died()
    }

    /// Gives the mutex back, as dropping does, and says whether it was held until then.
    ///
    /// # Errors
    /// [`LockError::Lost`]: somebody else may have had the mutex at the same time. It is given back in any case.
    ///
    /// # Cancel safety
    /// It is given back even if the future is never awaited.
    pub fn unlock(self) -> impl Future<Output = Result<(), LockError>> + Send + 'static {
        let held = self.is_held();
        let (name, fence) = (self.name().to_owned(), self.fence());
        drop(self);
        std::future::ready(if held { Ok(()) } else { Err(LockError::Lost { name, fence }) })
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Guard");
        debug.field("name", &self.name()).field("fence", &self.fence()).field("is_held", &self.is_held()).finish()
    }
}

/// The number of a [`Guard`]: higher than that of all guards of the same mutex before it, over failures too.
///
/// Its text form is `epoch.number`, as in `7.42`: of the view in which the mutex was last made anew, and a count of the guards
/// since. What compares fences by itself compares the two as numbers, the epoch first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(mutex::Fence);

impl Fence {
    pub(crate) const fn of(fence: mutex::Fence) -> Self {
        Self(fence)
    }

    /// Of the view in which the mutex was last made anew.
    #[must_use]
    pub const fn epoch(self) -> u64 {
        self.0.epoch.0
    }

    /// How many guards there were since.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.grant
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fence: expected two numbers with a dot between them, such as 7.42")]
#[non_exhaustive]
pub struct BadFence;

impl FromStr for Fence {
    type Err = BadFence;

    fn from_str(text: &str) -> Result<Self, BadFence> {
        let (epoch, grant) = text.split_once('.').ok_or(BadFence)?;
        let number = |text: &str| text.parse().map_err(|_| BadFence);
        Ok(Self(mutex::Fence { epoch: Epoch(number(epoch)?), grant: number(grant)? }))
    }
}

/// As its text form.
impl Serialize for Fence {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fence {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a mutex, or what is wrong with it.
pub(crate) fn named(name: String) -> Result<Name, (String, &'static str)> {
    Name::new(&name).map_err(|reason| (name, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_are_ordered_as_numbers_and_come_back_from_their_text() {
        let fence = |text: &str| text.parse::<Fence>().unwrap();
        assert!(fence("9.10") > fence("9.9") && fence("10.1") > fence("9.10"));
        assert_eq!(fence("7.42").to_string(), "7.42");
        assert_eq!((fence("7.42").epoch(), fence("7.42").number()), (7, 42));
        for text in ["", "7", "7.", ".7", "a.b", "7.4.2", "-1.2"] {
            assert_eq!(text.parse::<Fence>(), Err(BadFence), "{text:?}");
        }
        assert_eq!(serde_json::to_string(&fence("7.42")).unwrap(), "\"7.42\"");
    }
}
