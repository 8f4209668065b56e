//! Variables: write-invalidation on agreed views, with as many homes as survive all but one.
//!
//! A variable has a name and a value, and all members of a view share it. Whoever has read it reads it again without a message,
//! until somebody writes: then all copies are taken back before the new value is anybody's.
//!
//! **Source.** Write-invalidation with a copyset is that of Li and Hudak, *Memory coherence in shared virtual memory systems*
//! (ACM TOCS 7(4), 1989), with a fixed manager for each variable. Reads under leases: Gray and Cheriton (SOSP 1989). That a home
//! remembers the last operation of each client, with its result: Liskov and Cowling, *Viewstamped replication revisited* (2012),
//! of which also the view change, with reports of all survivors, is a relative. Their systems have one group; here each
//! [shard](super::home) has its own, by a hash.
//!
//! **Roles.** A name belongs to a shard. Of each shard so many members are *homes* as the view has replicas; the first of them,
//! the *home*, orders all that is done with its variables, and the others store it. Whoever has a *copy* is in its *copyset*, as
//! far as the home knows. Who wants something to be done is a *writer*. Who was in an earlier view already is a *survivor*.
//!
//! **Definitions.**
//! - A *version* is the epoch in which a value was written and a count of what was written in its shard there. So no two values
//!   of a shard have the same, also if a variable is deleted and created again.
//! - A *record* is what homes keep of a variable: its state, the mutex that it is bound to, and `recent`: of each member the
//!   number of its last batch, with what came of it.
//! - A *batch* is what the tasks of one node want to be done with one variable. It is said under a number, and neither changes
//!   after that. One batch of each variable is under way at a time. All batches before the number that a node calls *settled*
//!   are answered.
//! - A shard is *full* at a member in a view if it has all of its records there; it is *active* when its home serves it.
//! - A copy is *valid*, or *pending* under a number, with a *floor*: what is older than that was taken back before it came.
//!
//! **Messages.** Each names its view, and has many parts. One of an earlier view changes nothing, one of a later view is kept
//! until that is installed. Who is wedged neither sends nor takes any.
//!
//! | part | from | to | when |
//! |---|---|---|---|
//! | `Read` | who has no copy | home | a task reads, or a copy that is watched was taken back; repeated until answered |
//! | `Data` | home | who asked | nothing is being written; it is in the copyset from then on |
//! | `Write` | writer | home | its batch before is answered; repeated until answered |
//! | `Store` | home | the other homes | a version is being written; repeated until acknowledged |
//! | `Invalidate` | home | copyset | at the same time; repeated until acknowledged |
//! | `Stored`, `Invalidated` | who was told | home | at once and always, naming the version |
//! | `Wrote` | home | writer | all have acknowledged, and the home has a lease |
//! | `Report` | survivor | every other member | after an install, piece by piece; repeated until `Reported` |
//! | `Pull`, `Pulled` | home | who reported a newer record, and back | a record is missing here |
//! | `Fill`, `Filled` | home | the other homes, and back | all records are here; piece by piece |
//! | `Release`, `Released` | home | who has kept the shard and is no home of it, and back | the shard is active |
//! | `Offer`, `Offered` | a later life of an excluded member | every home, and back | after each install |
//! | `Follow` | follower | every member | somebody follows all variables whose names begin alike; and after each install; repeated until the first `News` |
//! | `News` | home | follower | what there is, and what has changed, piece by piece; repeated until `Heard` |
//! | `Heard`, `Unfollow` | follower | home | at once; nobody follows it any more |
//! | `Holding` | who knows that there are variables | all others | it learns that |
//!
//! **How it goes.** A read without a copy costs a round trip. A write goes to the home, which takes all that waits for the
//! variable as one version: it does one operation after the other, each tested against `recent` and its guard when it is done,
//! not when it comes. Storing and taking back go out together, so a write costs one round trip to the home and one from there,
//! however many copies there are. No answer of the group leaves before it is committed, refusals included. While a version is
//! being written, reads of it wait; the old value stays readable until its copy is taken back. Integers are added to at home,
//! so those who add never lose to each other. A writer that has read the variable gives its copy up when it writes, and gets
//! another with the answer.
//!
//! **Who watches** a variable always has a copy of it, or asks for one: in the message that acknowledges that the old one is taken
//! back, it asks for the next. The home keeps the question until the version is written, and answers it together with the
//! writer. So all who watch have each version one message after it is written, or a later one; they cost the writer nothing
//! but the round in which copies are taken back. What is lost is asked for again and again, and in each view anew.
//!
//! **Who follows** all variables whose names begin alike is told by each home what there is, and then of each version after it
//! is written. A home has one piece under way for each follower, and notes the names that change meanwhile. After an install all
//! is listed anew; what a home does not name in the list of a shard is gone. What is being written is named, and not told. What
//! is told is no read: it waits for no lease.
//!
//! **Guards.** An operation under a guard names its fence and its lineage. The home refuses it if its own view is of another one:
//! what was not begun when a node comes into another lineage is begun there, where nobody knows what came before the fence. A
//! fork takes guards along: whoever writes under them after it names the new lineage, and what was said before and is not done
//! is refused.
//!
//! **Leases.** What is read is said only if, after it was looked at, the node has a lease and is not wedged; the view need not be
//! active for that, since nothing newer is committed before its reports are in. What is answered by the home, done or refused,
//! waits for the lease too.
//!
//! **When a view ends,** a survivor keeps the copies of variables whose home stays, and tells each new home what it has of its
//! shards, in which view they were full, and which copies it kept. Once all survivors have told all, the home looks back, view
//! by view: if members that were homes in that view had the shard full in it, the newest record of each variable among theirs is
//! what it is; if some of its homes are there and none had it full, the shard was never active in that view, and the one before
//! counts; if none is there, the shard is *orphaned*: visible, and never silently empty. What is missing is pulled, and the
//! other homes are filled; who has the same version is sent the name alone. When all have it and the view is active, the shard
//! is. A copy that is older than what came back - of a version that was stored and that nobody was told of - is taken back
//! before its variable is served. Shards that somebody waits for come first.
//!
//! **Whoever has kept a shard** that is no longer its own forgets it only when a home says that it is active. So a member that
//! leaves is free when all has moved. A member that was excluded says nothing any more, so what it kept does not change: its
//! next life offers that, and it is taken for shards that are orphaned, under the same rule as a report.
//!
//! **Invariants.**
//! - **D1** One node at most commits on a variable.
//! - **D2** Whoever may read a copy is in the copyset, or about to be told.
//! - **D3** After a commit no copy that may be read is older.
//! - **D4** A version that was acknowledged is not lost: what is active later is that or newer, or it is orphaned.
//! - **D5** If fewer members died than there are homes, the shard becomes active again.
//! - **D6** Only what was committed is read.
//! - **D7** Nothing below the floor is installed.
//! - **D8** Each operation is done once at most.
//! - **D9** What is seen of each variable is linearizable, by those who were excluded too.
//! - **D10** What is written under guards is written in the order of their fences, and in no lineage but the guard's.
//! - **D12** Whoever watches a variable sees its versions rise, and at last the newest.
//! - **D13** So does whoever follows variables, of each; and it knows at last which there are.
//! - **W3** When faults have ended, every read and write of a shard that is not orphaned ends.
//!
//! **Why D4.** An acknowledged version was stored by all homes of its view before they were wedged in it. Any of them that
//! survives was full in that view, so the search does not go past it, and the newest record wins. Whoever goes on in the old view
//! would need the acknowledgement of that survivor, who gives none.
//!
//! **Why D8.** `recent` goes with the record: it is stored with each version, and recovery takes it with the newest. So who asks
//! again, of whichever home, is answered as before. Batches that changed nothing are remembered for the view alone: in a later
//! one only what is not answered is said again.
//!
//! **Bounds.** [`VARIABLES_MAX`](crate::wire::limits::VARIABLES_MAX) names with which something is under way at one home;
//! values of [`VARIABLE_BYTES_MAX`](crate::wire::limits::VARIABLE_BYTES_MAX); messages of later views: 64 for each member. For
//! each follower one piece, and the names that have changed since; a member follows
//! [`FOLLOWED_MAX`](crate::wire::limits::FOLLOWED_MAX) beginnings. For each variable that is idle its name, its value, and 48 bytes for each member whose last batch is not known to be settled.
//! Records that were deleted go with the first view change after their writers have their answers. The last 64 views are known;
//! a shard that was not active in any of them is orphaned.
//!
//! **Deviations and why.**
//! - *A home reports what it was about to write* as if another had stored it, where it could forget it: the write is finished
//!   then, as it would be if another home had it.
//! - *Reports name records and do not carry them*: who has the same version, which is nearly always so, is sent its name.
//! - *There is no round of questions when a lease has lapsed*: readers wait for the next echo, which is as long at most as the
//!   echo's interval.
//! - *Nothing is sent to watchers with the invalidation*: a value that comes early needs a later word that makes it readable,
//!   and a rule for each word that could be the wrong one. A question that waits at home needs neither (decision 0019).
//! - *A copy was given under a number*, and a writer that has given its copy up spares itself the invalidation of those of lower
//!   numbers alone; the models found what happens otherwise, in six actions.
//!
//! Each rule is needed: with one broken, the model of the real machines (`cargo model variable-calm` and its siblings) finds what
//! breaks, and a test holds it to that. The choices that could have gone another way are on a page of their own among the
//! decisions (0018).

mod action;
mod again;
mod command;
mod config;
mod copies;
mod event;
#[cfg(feature = "simulation")]
mod explored;
mod following;
mod handover;
mod here;
mod invariant;
mod machine;
mod message;
mod recovery;
mod serving;
#[cfg(test)]
mod tests;
mod writer;

pub use command::{Command, Ticket};
pub use config::Config;
pub use event::{Answer, Event, Ignored, Unanswered};
pub use following::Prefix;
pub use handover::Estate;
pub use machine::{Known, Machine, Shards};
pub use message::{
    Action, Binding, Entry, Guard, Held, Message, News, Number, Operation, Outcome, Part, Recent, Record, Refusal,
    Report, State, Value, Version,
};
